//! Reads a passing body as its plan says: files to the spool, fields and JSON kept in memory.

use std::fmt;

use bytes::Bytes;

use super::fields::{Fields, UrlEncoded};
use super::files::Files;
use super::multipart::{Epilogue, Event, IsFile, Malformed, PartHead, Scanner};
use super::selection::{Meaning, Selection};
use super::spool::Spool;
use super::{Named, Parts, Plan, Seen, Shape};
use crate::reason::Reason;

/// One body, read as it passes.
pub(super) struct Reader {
    pub(super) files: Files,
    form: Form,
    json: Option<Vec<u8>>,
}

impl Reader {
    pub(super) fn new(plan: Plan, spool: &Spool) -> Self {
        let mut files = Files::new(spool, plan.max_size, plan.types);
        let keep_json = plan.keep_json && matches!(plan.shape, Shape::Raw { .. } | Shape::Other);
        let form = match plan.shape {
            Shape::Multipart { boundary, parts } => {
                Form::Multipart(Box::new(Multipart::new(&boundary, parts)))
            }
            Shape::Raw { name } => {
                files.begin(None, name);
                Form::Raw
            }
            Shape::UrlEncoded => Form::UrlEncoded(UrlEncoded::default()),
            Shape::Other => Form::Other,
        };
        Self { files, form, json: keep_json.then(Vec::new) }
    }

    /// The next bytes. `true`: all there is to see has been seen.
    pub(super) fn data(&mut self, data: Bytes) -> Result<bool, Reason> {
        match &mut self.json {
            Some(json) if json.len() + data.len() <= MAX_JSON => json.extend_from_slice(&data),
            json => *json = None,
        }
        match &mut self.form {
            Form::Multipart(form) => return form.data(data, &mut self.files),
            Form::Raw => self.files.data(data),
            Form::UrlEncoded(form) => form.data(&data),
            Form::Other => {}
        }
        Ok(false)
    }

    /// What may follow although all has been seen.
    pub(super) fn epilogue(&mut self) -> Result<Option<Epilogue>, Reason> {
        match &mut self.form {
            Form::Multipart(form) => form.scanner.epilogue().map(Some).map_err(malformed),
            Form::Raw | Form::UrlEncoded(_) | Form::Other => Ok(None),
        }
    }

    /// The body is over.
    pub(super) fn end(&mut self) -> Result<(), Reason> {
        match &self.form {
            Form::Multipart(form) => form.scanner.finish().map_err(malformed)?,
            Form::Raw => self.files.end(),
            Form::UrlEncoded(_) | Form::Other => {}
        }
        Ok(())
    }

    /// The fields and the JSON so far.
    pub(super) fn named(&self) -> Named {
        let fields = match &self.form {
            Form::Multipart(form) => form.fields.so_far(),
            Form::UrlEncoded(form) => form.clone().into_fields(),
            Form::Raw | Form::Other => Vec::new(),
        };
        let json = self.json.as_ref().and_then(|json| serde_json::from_slice(json).ok());
        Named { fields, json }
    }

    /// What there was, once the spool has it.
    pub(super) async fn finish(self) -> Result<Seen, Reason> {
        let files = self.files.finish().await;
        let has_other_files = matches!(&self.form, Form::Multipart(form) if form.has_other_files);
        let fields = match self.form {
            Form::Multipart(form) => form.fields.into_inner(),
            Form::UrlEncoded(form) => form.into_fields(),
            Form::Raw | Form::Other => Vec::new(),
        };
        let json = self.json.and_then(|json| serde_json::from_slice(&json).ok());
        Ok(Seen { files, fields, json, has_other_files })
    }
}

impl fmt::Debug for Reader {
    /// What a body holds is nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

enum Form {
    Multipart(Box<Multipart>),
    Raw,
    UrlEncoded(UrlEncoded),
    Other,
}

struct Multipart {
    scanner: Scanner,
    selection: Selection,
    part: Part,
    fields: Fields,
    has_other_files: bool,
}

impl Multipart {
    fn new(boundary: &str, parts: Parts) -> Self {
        let (scanner, selection) = (Scanner::new(boundary), Selection::new(parts));
        let (part, fields) = (Part::default(), Fields::new());
        Self { scanner, selection, part, fields, has_other_files: false }
    }

    fn data(&mut self, data: Bytes, files: &mut Files) -> Result<bool, Reason> {
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

const MAX_JSON: usize = 1024 * 1024;
