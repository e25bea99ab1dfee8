//! What tells one version of a file from the next.

use std::fs::{self, Metadata};
use std::path::Path;
use std::time::SystemTime;

/// Differs after a file was written over, or another was renamed or linked into its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl Stamp {
    pub(crate) fn new(of: &Metadata) -> Self {
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(of);
        #[cfg(not(unix))]
        let inode = 0;
        Self { modified: of.modified().ok(), length: of.len(), inode }
    }

    /// `None` while there is no such file.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|of| Self::new(&of))
    }
}
