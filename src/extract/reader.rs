//! Reads a passing body as its plan says: files to the spool, fields and JSON kept in memory.

use std::fmt;

use bytes::Bytes;

use super::files::Files;
use super::form::Epilogue;
use super::{Extract, Named, Plan, Seen};
use crate::reason::Reason;
use crate::spool::Spool;

/// One body, read as it passes.
pub(super) struct Reader {
    pub(super) files: Files,
    body: Box<dyn Extract>,
    json: Option<Vec<u8>>,
}

impl Reader {
    pub(super) fn new(plan: Plan, spool: &Spool) -> Self {
        let Plan { mut body, max_size, types, keep_json } = plan;
        let mut files = Files::new(spool, max_size, types);
        body.begin(&mut files);
        let keep_json = keep_json && body.may_be_json();
        Self { files, body, json: keep_json.then(Vec::new) }
    }

    /// The next bytes. `true`: all there is to see has been seen.
    pub(super) fn data(&mut self, data: Bytes) -> Result<bool, Reason> {
        match &mut self.json {
            Some(json) if json.len() + data.len() <= MAX_JSON => json.extend_from_slice(&data),
            json => *json = None,
        }
        self.body.data(data, &mut self.files)
    }

    /// What may follow although all has been seen.
    pub(super) fn epilogue(&mut self) -> Result<Option<Epilogue>, Reason> {
        self.body.epilogue()
    }

    /// The body is over.
    pub(super) fn end(&mut self) -> Result<(), Reason> {
        self.body.end(&mut self.files)
    }

    /// The fields and the JSON so far.
    pub(super) fn named(&self) -> Named {
        let json = self.json.as_ref().and_then(|json| serde_json::from_slice(json).ok());
        Named { fields: self.body.fields(), json }
    }

    /// What there was, once the spool has it.
    pub(super) async fn finish(self) -> Result<Seen, Reason> {
        let files = self.files.finish().await;
        let (fields, has_other_files) = (self.body.fields(), self.body.has_other_files());
        let json = self.json.and_then(|json| serde_json::from_slice(&json).ok());
        Ok(Seen { files, fields, json, has_other_files })
    }
}

impl fmt::Debug for Reader {
    /// Without the content: what users upload does not belong into a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

const MAX_JSON: usize = 1024 * 1024;
