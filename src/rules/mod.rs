//! Rules of the configuration, bound to their routes, and which of them govern a request.

mod meant;
mod table;
#[cfg(test)]
mod unclear;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, Uri};

pub(crate) use self::table::{Candidate, RouteTable};
use crate::condition::Condition;
use crate::extract::FileSource;
use crate::inject::Deliveries;
use crate::locate::Locator;
use crate::reading::{host, is_among};
use crate::route::Pattern;
use crate::session_token::Permissions;

/// A rule of the configuration, bound to its route.
#[derive(Debug)]
pub(crate) struct Rule {
    /// Its place in the file, for logs: `documents.files.upload[0]`.
    pub(crate) name: String,
    /// Index into `Config::kinds`.
    pub(crate) kind: usize,
    /// It is for these hosts only; empty: for all.
    pub(crate) hosts: Arc<[String]>,
    pub(crate) method: Method,
    pub(crate) pattern: Pattern,
    pub(crate) when: Option<Condition>,
    pub(crate) action: Action,
}

impl Rule {
    pub(crate) fn serves(&self, headers: &HeaderMap, uri: &Uri) -> bool {
        serves(&self.hosts, headers, uri)
    }
}

/// What a rule does once it matched.
#[derive(Debug)]
pub(crate) enum Action {
    Upload(UploadRule),
    Delete(DeleteRule),
    View(Arc<ViewRule>),
}

impl Action {
    pub(crate) fn ids(&self) -> &[Locator] {
        match self {
            Self::Upload(upload) => &upload.id,
            Self::Delete(delete) => &delete.id,
            Self::View(view) => &view.id,
        }
    }

    /// Those of a view only until it is shared.
    pub(crate) fn ids_mut(&mut self) -> impl Iterator<Item = &mut Locator> {
        let ids = match self {
            Self::Upload(upload) => Some(&mut upload.id),
            Self::Delete(delete) => Some(&mut delete.id),
            Self::View(view) => Arc::get_mut(view).map(|view| &mut view.id),
        };
        ids.into_iter().flatten()
    }
}

/// `upload`, and `replace` with `only_known`.
#[derive(Debug)]
pub(crate) struct UploadRule {
    pub(crate) only_known: bool,
    pub(crate) file: FileSource,
    /// The first that yields counts.
    pub(crate) id: Vec<Locator>,
    /// `None`: any 2xx, and 3xx too when a header locator with a pattern matched.
    pub(crate) accepted: Option<Condition>,
    pub(crate) confirm: Confirm,
    pub(crate) max_size: u64,
    /// Content types by sniffing; see `extract::sniff`.
    pub(crate) types: Vec<String>,
    /// What is remembered of an upload, by name, for `document.attributes`.
    pub(crate) attributes: Vec<(String, Condition)>,
}

#[derive(Debug)]
pub(crate) struct DeleteRule {
    pub(crate) id: Vec<Locator>,
    pub(crate) prefix: bool,
    /// `None`: any 2xx.
    pub(crate) accepted: Option<Condition>,
    pub(crate) confirm: Confirm,
}

/// Whether the app is looked at before its reply to a write counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Confirm {
    /// Where the reply proves little.
    #[default]
    Auto,
    Always,
    Never,
}

#[derive(Debug, Clone)]
pub(crate) struct ViewRule {
    /// As in the file, for messages and the audit log.
    pub(crate) name: String,
    /// Its `name`, else its number among the views of its kind, from 0: what `?view=` calls it. Letters, digits, `-`
    /// and `_`.
    pub(crate) view: String,
    pub(crate) id: Vec<Locator>,
    pub(crate) session: Deliveries,
    pub(crate) authorize: Authorize,
    /// Names of the identities that count; empty: all.
    pub(crate) identity: Vec<String>,
    pub(crate) allow: Option<Condition>,
    pub(crate) permissions: Permissions,
    pub(crate) grant: Vec<Grant>,
    pub(crate) ttl: Duration,
    pub(crate) wait: Duration,
    /// Its route is where the app serves the document's bytes, so that its reply tells of them.
    pub(crate) serves_bytes: bool,
}

impl ViewRule {
    /// Whether nothing but the path says which document is meant. Elsewhere, what the app found may be another one
    /// than Transom did.
    pub(crate) fn names_document_in_path(&self, route: &Pattern) -> bool {
        let captures = self.id.iter().map(Locator::capture);
        captures.into_iter().all(|name| name.is_some_and(|name| route.is_in_path(name)))
    }
}

/// Who has to say yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Authorize {
    pub(crate) token: bool,
    pub(crate) app: AppSays,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AppSays {
    /// The app is not asked (`authorize = ["token"]`).
    NotAsked,
    /// The view's own 2xx, or the probe where that comes too late.
    Reply,
    /// Always the probe.
    Probe,
}

#[derive(Debug, Clone)]
pub(crate) struct Grant {
    pub(crate) when: Option<Condition>,
    pub(crate) permissions: Permissions,
}

/// Whether rules for these hosts (for all, if there are none) are for this request.
pub(crate) fn serves(hosts: &[String], headers: &HeaderMap, uri: &Uri) -> bool {
    hosts.is_empty() || host(headers, uri).is_some_and(|host| is_among(&host, hosts))
}
