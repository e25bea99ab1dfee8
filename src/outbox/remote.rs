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
}
