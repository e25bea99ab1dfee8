//! What has to be kept of a request and its reply, for the rules of its route.

use crate::config::Action;
use crate::locate::Input;
use crate::rules::Candidate;

/// What the rules of a route look at.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Needs {
    pub(super) reply_body: bool,
    pub(super) request_json: bool,
    /// Some rule decides by itself which replies are an acceptance.
    pub(super) own_acceptance: bool,
}

impl Needs {
    pub(super) fn of(writers: &[Candidate<'_>]) -> Self {
        let mut needs = Self { reply_body: false, request_json: false, own_acceptance: false };
        for Candidate { rule, .. } in writers {
            let (locators, accepted, attributes) = match &rule.action {
                Action::Upload(upload) => (&upload.id, &upload.accepted, &upload.attributes[..]),
                Action::Delete(delete) => (&delete.id, &delete.accepted, &[][..]),
                Action::View(_) => continue,
            };
            let reads = |input| locators.iter().any(|locator| locator.input() == input);
            needs.reply_body |= reads(Input::ReplyBody)
                || accepted.as_ref().is_some_and(|accepted| accepted.uses_member("reply", "json"));
            needs.request_json |= reads(Input::RequestJson)
                || rule.when.as_ref().is_some_and(|when| when.uses("request"))
                || attributes.iter().any(|(_, source)| source.uses("request"));
            needs.own_acceptance |= accepted.is_some();
        }
        needs
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    #[test]
    fn no_more_is_kept_than_some_rule_looks_at() {
        for (rule, needs) in [
            ("", ""),
            ("id = { query = 'id' }", ""),
            ("id = { header = 'location' }", ""),
            ("id = { field = 'id' }", ""),
            ("id = { json = '$.id' }", "reply"),
            ("id = { text = '{id}' }", "reply"),
            ("id = { body_json = '$.id' }", "request"),
            ("id = [{ json = '$.id' }, { body_json = '$.id' }]", "reply request"),
            ("accepted = 'reply.status == 201'", "acceptance"),
            ("accepted = 'reply.json.ok'", "reply acceptance"),
            ("when = 'request.json.ok'", "request"),
            ("when = \"form.a == 'b'\"", ""),
        ] {
            let text = format!(
                "app.url = 'http://127.0.0.1:3000'\ndws.api_key = 'key'\n\
                 [[documents.f.upload]]\nroute = 'PUT /f/{{id}}'\nfile = {{ part = 'a' }}\n{rule}"
            );
            let config = Config::parse(&text, Path::new("config.toml")).unwrap();
            let Needs { reply_body, request_json, own_acceptance } =
                Needs::of(&config.routes.candidates("/f/7", None));
            let found =
                [(reply_body, "reply"), (request_json, "request"), (own_acceptance, "acceptance")];
            let found = found.into_iter().filter_map(|(is_kept, what)| is_kept.then_some(what));
            assert_eq!(found.collect::<Vec<_>>().join(" "), needs, "{rule}");
        }
    }
}
