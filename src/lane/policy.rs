//! What a rule grants to one caller, for one request. Pure, but for whoever has the request explained.

use std::borrow::Cow;

use http::Extensions;
use http::request::Parts;
use serde_json::Value;

use super::grant::Asker;
use super::tell;
use crate::config::ViewRule;
use crate::engine::Engine;
use crate::locate::request_value;
use crate::reason::Reason;
use crate::session::{Variables, Wanted, allowed, document_value, permissions};
use crate::store::{DocumentState, Mapping};
use crate::trail::{Finding, Trail};

/// A rule, and what it looks at of one request.
pub(super) struct Policy<'a> {
    engine: &'a Engine,
    rule: &'a ViewRule,
    asker: &'a Asker,
    claims: Cow<'a, Value>,
    request: Value,
    /// Who listens.
    extensions: &'a Extensions,
}

impl<'a> Policy<'a> {
    pub(super) fn new(
        engine: &'a Engine,
        rule: &'a ViewRule,
        asker: &'a Asker,
        head: Option<&Parts>,
        extensions: &'a Extensions,
    ) -> Self {
        let request = match head.filter(|_| looks_at(rule, "request")) {
            Some(head) => {
                let uri = &head.uri;
                request_value(&head.method, uri.path(), uri.query(), &head.headers, None)
            }
            None => Value::Null,
        };
        let claims = match &asker.caller {
            Some(caller) => Cow::Borrowed(&caller.claims),
            None => Cow::Owned(Value::Object(serde_json::Map::new())),
        };
        Self { engine, rule, asker, claims, request, extensions }
    }

    /// The rule's `allow`, where it can say no before anybody asks for the document.
    pub(super) fn check_without_document(&self) -> Result<(), Reason> {
        match self.document_decides() {
            true => Ok(()),
            false => self.check_allow(&self.variables(&Value::Null)),
        }
    }

    /// What is due to the caller of this document.
    pub(super) fn wanted<'m>(&'m self, mapping: &'m Mapping) -> Result<Wanted<'m>, Reason> {
        let Self { engine, rule, asker, .. } = self;
        let identity = asker.caller.as_ref().map(|caller| &*caller.identity);
        let document = match looks_at(rule, "document") {
            true => document_value(Some(mapping), identity),
            false => Value::Null,
        };
        let variables = self.variables(&document);
        if self.document_decides() {
            self.check_allow(&variables)?;
        }
        let DocumentState::Ready { document_id } = &mapping.state else {
            return Err(match mapping.state {
                DocumentState::Pending { .. } => Reason::DocumentPending,
                DocumentState::Lost { .. } => Reason::DocumentLost,
                _ => Reason::DocumentUnknown,
            });
        };
        let wanted = Wanted {
            holder: &asker.holder,
            document_id,
            stored_at: mapping.updated_at,
            permissions: permissions(rule, &variables),
            ttl: rule.ttl,
            until: asker.caller.as_ref().map(|caller| caller.expires),
            anew: asker.anew,
        };
        tell::grants(engine, rule, &variables, self.extensions);
        Trail::step(self.extensions, "permissions", || {
            (Finding::Told, wanted.permissions.names().join(", "))
        });
        Ok(wanted)
    }

    fn check_allow(&self, variables: &Variables<'_>) -> Result<(), Reason> {
        let allowed = allowed(self.rule, variables);
        match &self.rule.allow {
            Some(allow) => {
                let named = variables.named();
                tell::condition(self.engine, "allow", allow, &named, allowed, self.extensions);
            }
            None => Trail::step(self.extensions, "allow", || {
                (Finding::Told, "the rule has no `allow`".to_owned())
            }),
        }
        if allowed { Ok(()) } else { Err(Reason::DeniedByPolicy) }
    }

    fn document_decides(&self) -> bool {
        self.rule.allow.as_ref().is_some_and(|allow| allow.uses("document"))
    }

    fn variables<'v>(&'v self, document: &'v Value) -> Variables<'v> {
        Variables { claims: &self.claims, document, request: &self.request }
    }
}

/// Variables that no condition of the rule looks at need not be built.
pub(super) fn looks_at(rule: &ViewRule, variable: &str) -> bool {
    let conditions = rule.grant.iter().filter_map(|grant| grant.when.as_ref()).chain(&rule.allow);
    conditions.into_iter().any(|condition| condition.uses(variable))
}
