//! Looks at a store that may be damaged, puts one together again, backs one up and brings one back. For the command, and for
//! a store that no process has open; a backup is made of one that is in use, too.

mod backup;
#[cfg(feature = "cli")]
mod build;
#[cfg(feature = "cli")]
mod repair;
#[cfg(feature = "cli")]
mod restore;
mod state;
mod verify;

use std::path::Path;
#[cfg(feature = "cli")]
use std::time::SystemTime;

pub(crate) use backup::backup;
#[cfg(feature = "cli")]
pub(crate) use repair::{Repaired, repair};
#[cfg(feature = "cli")]
pub(crate) use restore::restore;
#[cfg(feature = "cli")]
pub(crate) use verify::verify;

use super::StoreError;

/// How much there is in a store or a backup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) documents: usize,
    pub(crate) jobs: usize,
    /// Uploads that wait in the spool.
    pub(crate) files: usize,
}

fn failed(path: &Path, what: &str, error: impl std::fmt::Display) -> StoreError {
    StoreError::Io(format!("{} {what}: {error}", path.display()))
}

/// For the names of folders that are kept.
#[cfg(feature = "cli")]
fn seconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

#[cfg(all(test, feature = "cli"))]
#[allow(clippy::unwrap_used)]
mod tests;
