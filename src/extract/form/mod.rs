//! Forms with files: multipart/form-data.

mod multipart;
mod selection;

use bytes::Bytes;

pub(super) use self::multipart::Epilogue;
use self::multipart::{Event, IsFile, Malformed, PartHead, Scanner};
use self::selection::{Meaning, Selection};
use super::Parts;
use super::fields::Fields;
use super::files::Files;
use crate::reason::Reason;

/// A form, read as it passes: files that are asked for, and fields.
pub(super) struct Multipart {
    scanner: Scanner,
    selection: Selection,
    part: Part,
    fields: Fields,
    has_other_files: bool,
}

impl Multipart {
    pub(super) fn new(boundary: &str, parts: Parts) -> Self {
        let (scanner, selection) = (Scanner::new(boundary), Selection::new(parts));
        let (part, fields) = (Part::default(), Fields::new());
        Self { scanner, selection, part, fields, has_other_files: false }
    }

    /// The next bytes. `true`: the form is over.
    pub(super) fn data(&mut self, data: Bytes, files: &mut Files) -> Result<bool, Reason> {
        self.scanner.push(data);
        while let Some(event) = self.scanner.next().map_err(malformed)? {
            match event {
                Event::Part(head) => self.begin(head, files)?,
                Event::Data(data) => self.content(data, files)?,
                Event::PartEnd => self.end(files)?,
                Event::End => return Ok(true),
            }
        }
        Ok(false)
    }

    /// What may follow although the form is over.
    pub(super) fn epilogue(&mut self) -> Result<Epilogue, Reason> {
        self.scanner.epilogue().map_err(malformed)
    }

    /// The body is over.
    pub(super) fn finish(&self) -> Result<(), Reason> {
        self.scanner.finish().map_err(malformed)
    }

    pub(super) fn fields_so_far(&self) -> Vec<(String, String)> {
        self.fields.so_far()
    }

    pub(super) fn into_fields(self) -> Vec<(String, String)> {
        self.fields.into_inner()
    }

    /// There were files that nothing asks for.
    pub(super) fn has_other_files(&self) -> bool {
        self.has_other_files
    }

    fn begin(&mut self, head: PartHead, files: &mut Files) -> Result<(), Reason> {
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

    fn end(&mut self, files: &mut Files) -> Result<(), Reason> {
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
