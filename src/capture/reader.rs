//! Reads a passing body as its plan says: files to the spool, fields and JSON kept in memory.

use std::fmt;

use bytes::Bytes;

use super::fields::{Fields, UrlEncoded};
use super::files::Files;
use super::multipart::{Event, Malformed, PartHead, Scanner};
use super::spool::Spool;
use super::{Parts, Plan, Seen, Shape};
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

    /// The body is over.
    pub(super) fn end(&mut self) -> Result<(), Reason> {
        match &self.form {
            Form::Multipart(form) => form.scanner.finish().map_err(malformed)?,
            Form::Raw => self.files.end(),
            Form::UrlEncoded(_) | Form::Other => {}
        }
        Ok(())
    }

    /// What there was, once the spool has it.
    pub(super) async fn finish(self) -> Result<Seen, Reason> {
        let files = self.files.finish().await?;
        let fields = match self.form {
            Form::Multipart(form) => form.fields.into_inner(),
            Form::UrlEncoded(form) => form.into_fields(),
            Form::Raw | Form::Other => Vec::new(),
        };
        let json = self.json.and_then(|json| serde_json::from_slice(&json).ok());
        Ok(Seen { files, fields, json })
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
    parts: Parts,
    part: Part,
    fields: Fields,
}

impl Multipart {
    fn new(boundary: &str, parts: Parts) -> Self {
        let scanner = Scanner::new(boundary);
        Self { scanner, parts, part: Part::Skipped, fields: Fields::new() }
    }

    fn data(&mut self, data: Bytes, files: &mut Files) -> Result<bool, Reason> {
        self.scanner.push(data);
        while let Some(event) = self.scanner.next().map_err(malformed)? {
            match (event, self.part) {
                (Event::Part(head), _) => self.part = self.begin(head, files)?,
                (Event::Data(data), Part::File) => files.data(data),
                (Event::Data(data), Part::Field) => self.fields.data(&data),
                (Event::PartEnd, Part::File) => files.end(),
                (Event::PartEnd, Part::Field) => self.fields.end(),
                (Event::Data(_) | Event::PartEnd, Part::Skipped) => {}
                // What follows is no part of the form, and an app need not even read it.
                (Event::End, _) => return Ok(true),
            }
        }
        Ok(false)
    }

    fn begin(&mut self, head: PartHead, files: &mut Files) -> Result<Part, Reason> {
        let Some(title) = head.file_name else {
            self.fields.begin(head.name);
            return Ok(Part::Field);
        };
        if matches!(&self.parts, Parts::Named(names) if !names.contains(&head.name)) {
            return Ok(Part::Skipped);
        }
        if files.is_full() {
            return Err(Reason::TooManyFiles);
        }
        files.begin(Some(head.name), Some(title).filter(|title| !title.is_empty()));
        Ok(Part::File)
    }
}

/// What the part at hand is.
#[derive(Clone, Copy)]
enum Part {
    Field,
    File,
    Skipped,
}

fn malformed(error: Malformed) -> Reason {
    tracing::debug!(%error, "a multipart body can't be read");
    Reason::MultipartMalformed
}

const MAX_JSON: usize = 1024 * 1024;
