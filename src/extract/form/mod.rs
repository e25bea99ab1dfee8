//! `{ part = "file" }`: parts of a form, which is multipart/form-data.

mod fields;
mod multipart;
mod selection;

use std::fmt;

use bytes::Bytes;

use self::fields::Fields;
pub(crate) use self::multipart::Epilogue;
use self::multipart::{Event, IsFile, Malformed, PartHead, Scanner};
use self::selection::{Meaning, Selection};
use super::files::Files;
use super::head::Head;
use super::{Extract, FileSource, Notation, Reading, Takes};
use crate::reason::Reason;

pub(super) const NOTATION: Notation =
    Notation { key: "part", takes: Takes::Text(|name| FileSource::Part(name.to_owned())) };

/// Which parts with a file name are files to take; a part without one is a form field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Parts {
    AnyFile,
    Named(Vec<String>),
}

impl Parts {
    /// All that these rules ask for; `None` where they ask for no part.
    fn asked_for(sources: &[&FileSource]) -> Option<Self> {
        let names = sources.iter().filter_map(|source| match source {
            FileSource::Part(name) => Some(name.clone()),
            _ => None,
        });
        match names.collect::<Vec<_>>() {
            _ if sources.contains(&&FileSource::AnyPart) => Some(Self::AnyFile),
            names if names.is_empty() => None,
            names => Some(Self::Named(names)),
        }
    }
}

/// A form whose parts are asked for.
pub(super) fn read_files(head: &Head<'_>, sources: &[&FileSource]) -> Reading {
    let parts = Parts::asked_for(sources).filter(|_| head.is_form())?;
    Some(of(head, parts))
}

/// A form of which only fields are wanted.
pub(super) fn read_fields(head: &Head<'_>, sources: &[&FileSource]) -> Reading {
    if Parts::asked_for(sources).is_some() && head.is_other_form() {
        return Some(Err(Reason::MultipartMalformed));
    }
    head.is_form().then(|| of(head, Parts::Named(Vec::new())))
}

fn of(head: &Head<'_>, parts: Parts) -> Result<Box<dyn Extract>, Reason> {
    head.boundary().map(|boundary| reading(&boundary, parts)).ok_or(Reason::MultipartMalformed)
}

pub(super) fn reading(boundary: &str, parts: Parts) -> Box<dyn Extract> {
    let (scanner, selection) = (Scanner::new(boundary), Selection::new(parts));
    let (part, fields) = (Part::default(), Fields::new());
    Box::new(Multipart { scanner, selection, part, fields, has_other_files: false })
}

struct Multipart {
    scanner: Scanner,
    selection: Selection,
    part: Part,
    fields: Fields,
    has_other_files: bool,
}

impl Extract for Multipart {
    fn begin(&mut self, _: &mut Files) {}

    fn data(&mut self, data: Bytes, files: &mut Files) -> Result<bool, Reason> {
        self.scanner.push(data);
        while let Some(event) = self.scanner.next().map_err(malformed)? {
            match event {
                Event::Part(head) => self.begin_part(head, files)?,
                Event::Data(data) => self.content(data, files)?,
                Event::PartEnd => self.end_part(files)?,
                Event::End => return Ok(true),
            }
        }
        Ok(false)
    }

    fn epilogue(&mut self) -> Result<Option<Epilogue>, Reason> {
        self.scanner.epilogue().map(Some).map_err(malformed)
    }

    fn end(&mut self, _: &mut Files) -> Result<(), Reason> {
        self.scanner.finish().map_err(malformed)
    }

    fn fields(&self) -> Vec<(String, String)> {
        self.fields.so_far()
    }

    fn has_other_files(&self) -> bool {
        self.has_other_files
    }

    fn may_be_json(&self) -> bool {
        false
    }
}

impl fmt::Debug for Multipart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("multipart")
    }
}

impl Multipart {
    fn begin_part(&mut self, head: PartHead, files: &mut Files) -> Result<(), Reason> {
        let meaning = self.selection.part(&head)?;
        self.part = Part { meaning, length: head.length, size: 0 };
        let is_file = matches!(head.is_file, IsFile::Yes | IsFile::Unclear);
        self.has_other_files |= meaning == Meaning::Skipped && is_file;
        let name = head.names.into_iter().next();
        match meaning {
            Meaning::Field | Meaning::EmptyField => self.fields.begin(name.unwrap_or_default()),
            Meaning::File if files.is_full() => return Err(Reason::TooManyFiles),
            Meaning::File => files.begin(name, head.file_name.filter(|title| !title.is_empty())),
            Meaning::Skipped => {}
        }
        Ok(())
    }

    fn content(&mut self, data: Bytes, files: &mut Files) -> Result<(), Reason> {
        self.part.size += data.len() as u64;
        match self.part.meaning {
            Meaning::EmptyField if !data.is_empty() => return Err(Reason::FileUnclear),
            Meaning::Field | Meaning::EmptyField => self.fields.data(&data),
            Meaning::File => files.data(data),
            Meaning::Skipped => {}
        }
        Ok(())
    }

    fn end_part(&mut self, files: &mut Files) -> Result<(), Reason> {
        // To those who go by it, a part with another length has other bytes.
        if self.part.length.is_some_and(|length| length != self.part.size) {
            return Err(Reason::FileUnclear);
        }
        match self.part.meaning {
            Meaning::Field | Meaning::EmptyField => self.fields.end(),
            Meaning::File => files.end(),
            Meaning::Skipped => {}
        }
        Ok(())
    }
}

/// The part at hand.
struct Part {
    meaning: Meaning,
    length: Option<u64>,
    size: u64,
}

impl Default for Part {
    fn default() -> Self {
        Self { meaning: Meaning::Skipped, length: None, size: 0 }
    }
}

fn malformed(error: Malformed) -> Reason {
    tracing::debug!(%error, "a multipart body can't be read");
    Reason::MultipartMalformed
}
