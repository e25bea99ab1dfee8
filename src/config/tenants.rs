//! Which hosts a kind is for, and how its documents are named.

use http::{HeaderMap, Uri};

use super::problem::{Problem, Severity};
use super::tree::Table;
use super::{AppConfig, Kind};
use crate::document::DocumentKey;
use crate::reading::{host, written};
use crate::reason::{Because, Reason};

impl Kind {
    /// The document that a request means by this id of the app's.
    ///
    /// # Errors
    /// `id_invalid`; `host_unclear` where the host is a part of the name and can't be told.
    pub(crate) fn key(
        &self,
        id: String,
        headers: &HeaderMap,
        uri: &Uri,
    ) -> Result<DocumentKey, Reason> {
        let id = self.ids.canonical(id).ok_or(Reason::IdInvalid)?;
        let key = DocumentKey::new(self.name.clone(), id)
            .because(Reason::IdInvalid, "naming a document")?;
        if !self.per_host {
            return Ok(key);
        }
        let host = host(headers, uri).ok_or(Reason::HostUnclear)?;
        key.at_host(host).because(Reason::HostUnclear, "naming a document by host")
    }
}

/// `hosts = ["a.example"]`
pub(super) fn hosts(table: &Table<'_>) -> Vec<String> {
    let Some(value) = table.get("hosts") else { return Vec::new() };
    let items = value.at_least_one("these rules would hold for no host");
    items.iter().filter_map(|item| item.parse(written)).collect()
}

/// An app that is known under several names may have a tenant under each.
pub(super) fn hint(root: &Table<'_>, app: &AppConfig, kinds: &[std::sync::Arc<Kind>]) {
    let told = |kind: &std::sync::Arc<Kind>| kind.per_host || !kind.hosts.is_empty();
    if app.rewrite_host {
        if kinds.iter().any(told) {
            let message = "`rewrite_host` hides from the app which tenant a request is for";
            let problem = Problem::new(Severity::Warning, None, message);
            root.reader.problems.push(problem.help("remove it, or `hosts` and `per_host`"));
        }
        return;
    }
    if app.origins.len() > 1 && !kinds.iter().any(told) {
        let message =
            "the app has several names, and document 7 is the same document under all of them";
        let problem = Problem::new(Severity::Warning, None, message);
        root.reader.problems.push(problem.help(
            "if each name is a tenant with documents of its own, add `per_host = true` (or `hosts`) to the kind",
        ));
    }
}
