//! Callers whose token nobody has: somebody says what its claims are.

use serde_json::{Map, Value};

use super::{Caller, Refusal, claims, unix_now};
use crate::auth::Identity;

/// As a request extension: who is taken to have sent it, instead of whom its tokens name.
#[derive(Clone, Debug)]
pub(crate) struct Assumed(pub(crate) Result<Caller, Refusal>);

/// The caller that a token with these claims would show, signed by this identity. What the identity insists
/// on, and the claims don't mention, is as it insists.
pub(crate) fn as_if_signed(
    identity: &Identity,
    given: &Map<String, Value>,
) -> Result<Caller, Refusal> {
    let now = unix_now();
    let life = identity.max_life.map_or(HOUR, |longest| longest.as_secs().min(HOUR));
    let begins = given.get("iat").and_then(Value::as_u64).unwrap_or(now);
    let mut claims = Value::Object(given.clone());
    let issuer = identity.issuer.iter().map(|issuer| ("iss", issuer.as_str().into()));
    let audience = identity.audience.first().map(|audience| ("aud", audience.as_str().into()));
    let required = identity.require.iter().map(|(path, value)| (path.as_str(), value.clone()));
    let insisted = issuer.chain(audience).chain(required).chain([("exp", (begins + life).into())]);
    for (path, value) in insisted {
        if claims::claim(&claims, path).is_none() {
            put(&mut claims, path, value);
        }
    }
    claims::check_issuer(identity, &claims)?;
    let accepted = claims::check(identity, &claims, now, &|_, result| result)?;
    Ok(Caller {
        identity: identity.name.as_str().into(),
        user: accepted.user.into(),
        claims,
        expires: accepted.expires,
    })
}

/// By name or by JSON pointer, as `require` names claims. Nothing, where a value is in the way.
fn put(claims: &mut Value, path: &str, value: Value) {
    let unescaped = |token: &str| token.replace("~1", "/").replace("~0", "~");
    let path: Vec<String> = match path.strip_prefix('/') {
        Some(pointer) => pointer.split('/').map(unescaped).collect(),
        None => vec![path.to_owned()],
    };
    let mut place = claims;
    for name in path {
        let Value::Object(members) = place else { return };
        place = members.entry(name).or_insert_with(|| Value::Object(Map::new()));
    }
    *place = value;
}

/// In seconds.
const HOUR: u64 = 3600;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::needless_pass_by_value)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::auth::Algorithm;
    use crate::auth::testing;
    use crate::reason::Reason;

    fn user(given: Value) -> Result<String, Reason> {
        let identity = Identity {
            issuer: Some("me".into()),
            audience: vec!["us".into()],
            require: vec![("type".into(), json!("access")), ("/org/a~1b".into(), json!(7))],
            max_life: Some(Duration::from_secs(60)),
            ..testing::identity("app", Algorithm::HS256)
        };
        let caller = as_if_signed(&identity, given.as_object().unwrap());
        caller.map(|caller| caller.user.to_string()).map_err(|refusal| refusal.reason)
    }

    #[test]
    fn what_is_insisted_on_and_not_said_is_there() {
        assert_eq!(user(json!({ "sub": "ann" })), Ok("ann".to_owned()));
        assert_eq!(user(json!({ "sub": "ann", "org": { "name": "x" } })), Ok("ann".to_owned()));
    }

    #[test]
    fn what_is_said_counts() {
        for (claims, reason) in [
            (json!({}), Reason::TokenInvalid),
            (json!({ "sub": "ann", "iss": "you" }), Reason::TokenInvalid),
            (json!({ "sub": "ann", "aud": "them" }), Reason::TokenInvalid),
            (json!({ "sub": "ann", "type": "refresh" }), Reason::TokenInvalid),
            (json!({ "sub": "ann", "org": 3 }), Reason::TokenInvalid),
            (json!({ "sub": "ann", "exp": 1 }), Reason::TokenExpired),
            (json!({ "sub": "ann", "iat": 1 }), Reason::TokenExpired),
        ] {
            assert_eq!(user(claims.clone()), Err(reason), "{claims}");
        }
    }
}
