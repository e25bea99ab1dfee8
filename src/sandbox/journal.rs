//! What the sandbox was asked, so that tests and people can look.

use std::collections::{BTreeMap, VecDeque};

use http::Request;
use http::header::CONTENT_LENGTH;
use serde::Serialize;
use serde_json::Value;

use super::clock;

/// The last [`KEPT`] requests.
#[derive(Debug, Default)]
pub(super) struct Journal {
    entries: VecDeque<Entry>,
    next: u64,
}

/// One request, without secrets.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Entry {
    pub(super) number: u64,
    pub(super) time: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) headers: BTreeMap<String, String>,
    /// Whose key or token it carried: `key`, `wrong_product`, `read_only`, `token`, `unknown`, `none`.
    pub(super) caller: Option<&'static str>,
    pub(super) content_length: Option<u64>,
    /// JSON bodies of the control plane.
    pub(super) json: Option<Value>,
    pub(super) file: Option<File>,
    /// The rule in force, if one applied.
    pub(super) fault: Option<String>,
    /// `None`: it got no answer.
    pub(super) status: Option<u16>,
}

/// The file of an upload.
#[derive(Debug, Clone, Serialize)]
pub(super) struct File {
    pub(super) multipart: bool,
    pub(super) name: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

impl Entry {
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let headers = request.headers();
        Self {
            number: 0,
            time: clock::rfc3339(clock::unix_now()),
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().map(str::to_owned),
            headers: headers
                .iter()
                .map(|(name, value)| {
                    let hidden = SECRETS.contains(&name.as_str());
                    let value = String::from_utf8_lossy(value.as_bytes());
                    (name.to_string(), if hidden { "[hidden]".into() } else { value.into_owned() })
                })
                .collect(),
            caller: None,
            content_length: headers
                .get(CONTENT_LENGTH)
                .and_then(|value| value.to_str().ok()?.parse().ok()),
            json: None,
            file: None,
            fault: None,
            status: None,
        }
    }
}

impl Journal {
    pub(super) fn push(&mut self, mut entry: Entry) {
        self.next += 1;
        entry.number = self.next;
        if self.entries.len() == KEPT {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    /// Oldest first.
    pub(super) fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter()
    }
}

const KEPT: usize = 1_000;
const SECRETS: [&str; 4] = ["authorization", "cookie", "pspdfkit-pdf-password", "x-pspdfkit-token"];
