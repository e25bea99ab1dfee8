//! What a condition looked at, as an operator may see it.

use serde_json::Value;

use crate::condition::Condition;
use crate::config::{Identity, TokenPlace, sounds_secret};

/// `claims.role = "guest", claims.org is not there`: the members that the condition names, and no others.
pub(crate) fn looked_at(
    condition: &Condition,
    variables: &[(&str, &Value)],
    identities: &[Identity],
) -> String {
    let members = condition.members().iter().filter_map(|path| {
        let (name, below) = path.split_first()?;
        let (_, value) = variables.iter().find(|(variable, _)| variable == name)?;
        let value = below.iter().try_fold(*value, |value, key| value.get(key));
        let value = match value {
            None => "is not there".to_owned(),
            Some(_) if is_secret(path, identities) => "= (there, and not shown)".to_owned(),
            Some(value) => format!("= {}", shown(value)),
        };
        Some(format!("{} {value}", path.join(".")))
    });
    members.collect::<Vec<_>>().join(", ")
}

/// Of an object only the names, since nothing says that its values were looked at.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::Object(members) => {
            let names: Vec<_> = members.keys().map(String::as_str).collect();
            format!("{{{}}}", names.join(", "))
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            format!("a list of {}", items.len())
        }
        value => value.to_string(),
    };
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// Headers, parameters and fields that are credentials, by their name or since tokens are looked for there.
fn is_secret(path: &[String], identities: &[Identity]) -> bool {
    let Some(name) = path.last() else { return false };
    let holds_tokens =
        identities.iter().flat_map(|identity| &identity.tokens).any(|place| match place {
            TokenPlace::Header(header) => header.as_str() == name,
            TokenPlace::Query(key) | TokenPlace::Cookie(key) => key == name,
            TokenPlace::Bearer | TokenPlace::Scheme(_) => false,
        });
    let credentials = CREDENTIALS.iter().any(|known| name.eq_ignore_ascii_case(known));
    holds_tokens || credentials || sounds_secret(name)
}

const CREDENTIALS: &[&str] = &["authorization", "cookie", "proxy-authorization", "session"];
/// Characters of one value.
const LONGEST: usize = 120;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(source: &str, value: &Value) -> String {
        let condition = Condition::compile(source, &["claims", "request"]).unwrap();
        looked_at(&condition, &[("claims", value), ("request", value)], &[])
    }

    #[test]
    fn only_what_the_condition_names() {
        let claims = json!({ "role": "guest", "mail": "ann@example.org", "groups": ["a"] });
        assert_eq!(
            told("claims.role != 'guest' && claims.team == 1", &claims),
            "claims.role = \"guest\", claims.team is not there"
        );
        assert_eq!(told("'a' in claims.groups", &claims), "claims.groups = [\"a\"]");
        assert_eq!(told("size(claims) == 1", &claims), "claims = {groups, mail, role}");
        let long = told("claims.x == ''", &json!({ "x": "ü".repeat(500) }));
        assert_eq!(long.chars().count(), "claims.x = ".len() + LONGEST + 1);
    }

    #[test]
    fn credentials_are_not_shown() {
        let request = json!({
            "headers": { "authorization": "Bearer hidden", "cookie": "sid=hidden", "x-api-key": "hidden" },
            "query": { "access_token": "hidden" },
        });
        for source in [
            "request.headers.authorization != ''",
            "request.headers['cookie'].contains('a')",
            "request.headers['x-api-key'] == 'hidden2'",
            "request.query.access_token == ''",
            "size(request.headers) > 0 && size(request) > 0",
        ] {
            assert!(!told(source, &request).contains("hidden\""), "{source}");
            assert!(!told(source, &request).contains("=hidden"), "{source}");
        }
    }
}
