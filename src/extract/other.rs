//! A body of no kind that is read: it may be JSON, and no more is seen of it.

use std::fmt;

use bytes::Bytes;

use super::Extract;
use super::files::Files;
use super::form::Epilogue;
use crate::reason::Reason;

pub(super) fn reading() -> Box<dyn Extract> {
    Box::new(Other)
}

struct Other;

impl Extract for Other {
    fn begin(&mut self, _: &mut Files) {}

    fn data(&mut self, _: Bytes, _: &mut Files) -> Result<bool, Reason> {
        Ok(false)
    }

    fn epilogue(&mut self) -> Result<Option<Epilogue>, Reason> {
        Ok(None)
    }

    fn end(&mut self, _: &mut Files) -> Result<(), Reason> {
        Ok(())
    }

    fn fields(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    fn has_other_files(&self) -> bool {
        false
    }

    fn may_be_json(&self) -> bool {
        true
    }
}

impl fmt::Debug for Other {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("other")
    }
}
