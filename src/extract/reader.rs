//! Reads a passing body as its plan says: files to the spool, fields and JSON kept in memory.

use std::fmt;

use bytes::Bytes;

use super::fields::UrlEncoded;
use super::files::Files;
use super::form::{Epilogue, Multipart};
use super::{Named, Plan, Seen, Shape};
use crate::reason::Reason;
use crate::spool::Spool;

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
            Form::Multipart(form) => form.epilogue().map(Some),
            Form::Raw | Form::UrlEncoded(_) | Form::Other => Ok(None),
        }
    }

    /// The body is over.
    pub(super) fn end(&mut self) -> Result<(), Reason> {
        match &self.form {
            Form::Multipart(form) => form.finish()?,
            Form::Raw => self.files.end(),
            Form::UrlEncoded(_) | Form::Other => {}
        }
        Ok(())
    }

    /// The fields and the JSON so far.
    pub(super) fn named(&self) -> Named {
        let fields = match &self.form {
            Form::Multipart(form) => form.fields_so_far(),
            Form::UrlEncoded(form) => form.clone().into_fields(),
            Form::Raw | Form::Other => Vec::new(),
        };
        let json = self.json.as_ref().and_then(|json| serde_json::from_slice(json).ok());
        Named { fields, json }
    }

    /// What there was, once the spool has it.
    pub(super) async fn finish(self) -> Result<Seen, Reason> {
        let files = self.files.finish().await;
        let has_other_files = matches!(&self.form, Form::Multipart(form) if form.has_other_files());
        let fields = match self.form {
            Form::Multipart(form) => form.into_fields(),
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

const MAX_JSON: usize = 1024 * 1024;
