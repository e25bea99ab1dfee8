//! How far a backfill is: on the disk, so that it can go on after a kill, and for people.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use crate::backfill::{Id, PageAt};

/// What has become of documents so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Totals {
    pub(super) documents: u64,
    /// At DWS now.
    pub(super) sent: u64,
    /// Came by before.
    pub(super) known: u64,
    /// In the outbox, and not at DWS yet.
    pub(super) waiting: u64,
    pub(super) failed: u64,
    /// Of those that were sent.
    pub(super) bytes: u64,
}

/// A document that did not go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Unsent {
    #[serde(flatten)]
    pub(super) id: Id,
    pub(super) code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) detail: Option<String>,
}

/// Where ids come from, to tell whether a checkpoint is of the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum IdSource {
    List,
    File {
        path: PathBuf,
        size: u64,
        /// Unix milliseconds.
        modified: u64,
    },
    Stdin {
        size: u64,
    },
}

impl IdSource {
    pub(super) fn file(path: &Path, file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let modified = u64::try_from(modified.as_millis()).unwrap_or(u64::MAX);
        let path = path.canonicalize()?;
        Ok(Self::File { path, size: metadata.len(), modified })
    }
}

/// Where the ids that are not done yet begin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ResumeAt {
    /// After so many of the file.
    Ids(u64),
    /// `None`: the first page.
    Page(Option<PageAt>),
}

/// All that is needed to go on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    pub(super) kind: String,
    pub(super) source: IdSource,
    pub(super) next: ResumeAt,
    /// Those of the ids from `next` on that are counted already.
    pub(super) done: HashSet<Id>,
    /// Those that failed before, to be tried once more.
    #[serde(default)]
    pub(super) again: Vec<Id>,
    pub(super) totals: Totals,
    pub(super) failures: Vec<Unsent>,
}

impl Checkpoint {
    pub(super) fn new(kind: &str, source: IdSource) -> Self {
        let next = match source {
            IdSource::List => ResumeAt::Page(None),
            _ => ResumeAt::Ids(0),
        };
        let (done, totals) = (HashSet::new(), Totals::default());
        let (again, failures) = (Vec::new(), Vec::new());
        Self { kind: kind.to_owned(), source, next, done, again, totals, failures }
    }

    /// The one in this file, if it is of the same kind and source.
    pub(super) fn found(file: &Path, kind: &str, source: &IdSource) -> Option<Self> {
        let text = fs::read(file).ok()?;
        let found: Self = serde_json::from_slice(&text).ok()?;
        (found.kind == kind && found.source == *source).then(|| found.with_another_try())
    }

    /// What made documents fail may be mended by now.
    fn with_another_try(mut self) -> Self {
        for Unsent { id, .. } in std::mem::take(&mut self.failures) {
            self.done.remove(&id);
            self.again.push(id);
            self.totals.failed = self.totals.failed.saturating_sub(1);
            self.totals.documents = self.totals.documents.saturating_sub(1);
        }
        self
    }

    pub(super) fn save(&self, file: &Path) -> io::Result<()> {
        write(file, self)
    }

    pub(super) fn failed(&mut self, failure: Unsent) {
        self.totals.failed += 1;
        if self.failures.len() < MAX_FAILURES {
            self.failures.push(failure);
        }
    }
}

/// What a backfill has come to, for the operator. Each of `failures` can be a line of the next one's file.
#[derive(Debug, Serialize)]
pub(super) struct Summary<'a> {
    pub(super) kind: &'a str,
    #[serde(flatten)]
    pub(super) totals: &'a Totals,
    /// Of the last run.
    pub(super) seconds: u64,
    pub(super) failures: &'a [Unsent],
}

/// Whole or not at all.
pub(super) fn write(file: &Path, value: &impl Serialize) -> io::Result<()> {
    let mut unfinished = file.as_os_str().to_owned();
    unfinished.push(".new");
    let unfinished = PathBuf::from(unfinished);
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut out = options.open(&unfinished)?;
    out.write_all(&serde_json::to_vec(value)?)?;
    out.write_all(b"\n")?;
    out.sync_all()?;
    fs::rename(&unfinished, file)
}

/// Those that are named.
const MAX_FAILURES: usize = 10_000;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_found_again_for_the_same_ids_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("checkpoint");
        let source = IdSource::Stdin { size: 7 };
        let mut checkpoint = Checkpoint::new("files", source.clone());
        let id = Id { id: "7".to_owned(), host: None };
        checkpoint.done.insert(id.clone());
        checkpoint.totals.documents = 1;
        checkpoint.failed(Unsent { id, code: "denied_by_app".to_owned(), detail: None });
        checkpoint.save(&file).unwrap();
        let found = Checkpoint::found(&file, "files", &source).unwrap();
        assert_eq!(found.again, checkpoint.done.into_iter().collect::<Vec<_>>(), "it failed");
        assert!(found.failures.is_empty() && found.done.is_empty());
        assert_eq!(found.totals, Totals::default());
        assert!(Checkpoint::found(&file, "others", &source).is_none());
        assert!(Checkpoint::found(&file, "files", &IdSource::Stdin { size: 8 }).is_none());
        fs::write(&file, "{").unwrap();
        assert!(Checkpoint::found(&file, "files", &source).is_none());
    }

    #[test]
    fn a_failure_can_be_a_line_of_the_next_file() {
        let id = Id { id: "7".to_owned(), host: None };
        let failure = Unsent { id, code: "source_failed".to_owned(), detail: None };
        let line = serde_json::to_string(&failure).unwrap();
        assert_eq!(line, r#"{"id":"7","code":"source_failed"}"#);
    }
}
