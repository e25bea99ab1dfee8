//! What tells one version of a file from the next.

use std::fs::Metadata;
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
    #[cfg(feature = "cli")]
    pub(crate) fn of(path: &std::path::Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|of| Self::new(&of))
    }
}
