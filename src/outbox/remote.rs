//! What delivery needs of the spool, so that tests can stand in for it.

use std::io;
use std::path::PathBuf;

use crate::spool::Spool;

/// The spool. All but `path` block.
pub(super) trait Files: Send + Sync + 'static {
    fn path(&self, name: &str) -> PathBuf;
    fn size(&self, name: &str) -> io::Result<u64>;
    fn remove(&self, name: &str) -> io::Result<()>;
    fn sweep(&self, keep: &dyn Fn(&str) -> bool) -> io::Result<usize>;
    /// As `sweep`, but that the files go to the folder that is returned.
    fn put_aside(&self, keep: &dyn Fn(&str) -> bool) -> io::Result<(usize, PathBuf)>;
    /// Whether this process has written it.
    fn is_own(&self, name: &str) -> bool;
}

impl Files for Spool {
    fn path(&self, name: &str) -> PathBuf {
        self.path(name)
    }

    fn size(&self, name: &str) -> io::Result<u64> {
        Ok(std::fs::metadata(self.path(name))?.len())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.remove(name)
    }

    fn sweep(&self, keep: &dyn Fn(&str) -> bool) -> io::Result<usize> {
        self.sweep(keep)
    }

    fn put_aside(&self, keep: &dyn Fn(&str) -> bool) -> io::Result<(usize, PathBuf)> {
        self.put_aside(keep)
    }

    fn is_own(&self, name: &str) -> bool {
        self.is_own(name)
    }
}
