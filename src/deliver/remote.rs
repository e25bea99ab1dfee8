//! What delivery needs of DWS and of the spool, so that tests can stand in for both.

use std::io;
use std::path::PathBuf;

use arc_swap::ArcSwap;

use crate::dws::{DwsClient, DwsError, Upload};
use crate::mapping::BoxFuture;
use crate::spool::Spool;

pub(super) trait Dws: Send + Sync + 'static {
    fn upload<'a>(&'a self, upload: Upload<'a>) -> BoxFuture<'a, Result<String, DwsError>>;
    fn remove<'a>(&'a self, document_id: &'a str) -> BoxFuture<'a, Result<(), DwsError>>;
}

/// The spool. All but `path` block.
pub(super) trait Files: Send + Sync + 'static {
    fn path(&self, name: &str) -> PathBuf;
    fn size(&self, name: &str) -> io::Result<u64>;
    fn remove(&self, name: &str) -> io::Result<()>;
    fn sweep(&self, keep: &dyn Fn(&str) -> bool) -> io::Result<usize>;
}

/// A call stays with the client that it began with.
impl Dws for ArcSwap<DwsClient> {
    fn upload<'a>(&'a self, upload: Upload<'a>) -> BoxFuture<'a, Result<String, DwsError>> {
        let client = self.load_full();
        Box::pin(async move { client.upload(upload).await })
    }

    fn remove<'a>(&'a self, document_id: &'a str) -> BoxFuture<'a, Result<(), DwsError>> {
        let client = self.load_full();
        Box::pin(async move { client.remove(document_id).await })
    }
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
