//! What the rules grant to a caller. Pure.

use serde_json::{Value, json};

use crate::condition::Condition;
use crate::config::{Permissions, ViewRule};
use crate::store::{Mapping, Provenance};

/// The variables of `allow` and `grant.when`.
#[derive(Debug)]
pub(crate) struct Variables<'a> {
    pub(crate) claims: &'a Value,
    pub(crate) document: &'a Value,
    pub(crate) request: &'a Value,
}

/// Whether the rule's `allow` lets this caller in.
pub(crate) fn allowed(rule: &ViewRule, variables: &Variables<'_>) -> bool {
    rule.allow.as_ref().is_none_or(|allow| variables.satisfy(allow))
}

/// The rule's permissions and those of every grant that holds.
pub(crate) fn permissions(rule: &ViewRule, variables: &Variables<'_>) -> Permissions {
    let granted = rule
        .grant
        .iter()
        .filter(|grant| grant.when.as_ref().is_none_or(|when| variables.satisfy(when)))
        .map(|grant| grant.permissions);
    granted.fold(rule.permissions, Permissions::union)
}

/// `document` as conditions see it; null while it is unknown.
///
/// `uploader` is there only for callers of the uploader's own identity: the same name in another one is
/// somebody else, and `document.uploader == claims.sub` must not hold for them.
pub(crate) fn document_value(mapping: Option<&Mapping>, identity: Option<&str>) -> Value {
    mapping.map_or(Value::Null, |mapping| {
        let Provenance { uploader, route, attributes } = &mapping.provenance;
        let of_identity = uploader.as_ref().filter(|by| Some(by.identity.as_str()) == identity);
        json!({
            "kind": mapping.key.kind(),
            "id": mapping.key.id(),
            "title": mapping.title,
            "content_type": mapping.content_type,
            "size": mapping.size,
            "uploader": of_identity.map(|by| &by.user),
            "uploader_identity": uploader.as_ref().map(|by| &by.identity),
            "uploaded_at": mapping.created_at / 1000,
            "route": route,
            "attributes": attributes,
        })
    })
}

impl Variables<'_> {
    pub(crate) fn satisfy(&self, condition: &Condition) -> bool {
        condition.holds(&self.named())
    }

    pub(crate) fn named(&self) -> [(&'static str, &Value); 3] {
        [("claims", self.claims), ("document", self.document), ("request", self.request)]
    }
}
