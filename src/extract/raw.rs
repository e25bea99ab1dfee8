//! `{ body = true }`: the whole body is the file.

use std::fmt;

use bytes::Bytes;

use super::files::Files;
use super::form::Epilogue;
use super::head::Head;
use super::{Extract, FileSource, Notation, Reading, Takes};
use crate::reason::Reason;

pub(super) const NOTATION: Notation =
    Notation { key: "body", takes: Takes::Flag(|| FileSource::Body) };

/// The name is only a title.
pub(super) fn reading(name: Option<String>) -> Box<dyn Extract> {
    Box::new(Raw { name })
}

/// Any body that a rule wants so. What reads a form whose parts are asked for comes before.
pub(super) fn read(head: &Head<'_>, sources: &[&FileSource]) -> Reading {
    let wanted = sources.iter().any(|source| **source == FileSource::Body);
    wanted.then(|| Ok(reading(head.file_name().or_else(|| (head.name)()))))
}

struct Raw {
    name: Option<String>,
}

impl Extract for Raw {
    fn begin(&mut self, files: &mut Files) {
        files.begin(None, self.name.take());
    }

    fn data(&mut self, data: Bytes, files: &mut Files) -> Result<bool, Reason> {
        files.data(data);
        Ok(false)
    }

    fn epilogue(&mut self) -> Result<Option<Epilogue>, Reason> {
        Ok(None)
    }

    fn end(&mut self, files: &mut Files) -> Result<(), Reason> {
        files.end();
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

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("raw")
    }
}
