//! Where a file is in a request: takes it out of the passing body, of which the app gets every byte.
//!
//! Each kind of body is a file of its own that says which bodies it reads, how it is fed and how it ends, and how the
//! configuration names files in it. A new kind takes such a file, its line in [`EXTRACTORS`] and, for files, in
//! [`NOTATIONS`] and [`FileSource`], and its entry in the reference. The capture ends when the bytes rest in the spool;
//! `deliver` owns them afterwards.

mod disposition;
mod encoded_words;
mod files;
mod form;
mod head;
mod other;
mod parameters;
mod raw;
mod reader;
mod sniff;
mod tap;
mod url_encoded;

use std::fmt;

use bytes::Bytes;

use self::files::Files;
use self::form::Epilogue;
pub(crate) use self::head::{Head, is_form, is_json};
pub(crate) use self::tap::{BeforeEnd, Handle, Tapped, tap};
use crate::reason::Reason;
use crate::spool::SpooledFile;

/// Which of a request's files a rule takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FileSource {
    /// Every multipart part with a filename.
    AnyPart,
    /// Multipart parts with this name.
    Part(String),
    /// The raw body.
    Body,
}

impl FileSource {
    /// Rules that share a route share the reading of its bodies; here each finds its own files.
    pub(crate) fn selects(&self, file: &FilePart) -> bool {
        match self {
            Self::AnyPart => file.part.is_some(),
            Self::Part(name) => file.part.as_ref() == Some(name),
            Self::Body => file.part.is_none(),
        }
    }
}

/// The kinds of body. The first that reads one like this does, so that what insists on a form comes before what takes
/// any body.
const EXTRACTORS: &[fn(&Head<'_>, &[&FileSource]) -> Reading] =
    &[form::read_files, raw::read, form::read_fields, url_encoded::read];

/// How the configuration names files, as messages list it.
pub(crate) const NOTATIONS: &[Notation] = &[form::NOTATION, raw::NOTATION];

/// How the configuration names the files in one kind of body: `{ key = … }`.
pub(crate) struct Notation {
    pub(crate) key: &'static str,
    pub(crate) takes: Takes,
}

/// What stands behind the key.
pub(crate) enum Takes {
    Text(fn(&str) -> FileSource),
    /// `true`
    Flag(fn() -> FileSource),
}

/// What reads a body like this; `None`: another kind of body may.
type Reading = Option<Result<Box<dyn Extract>, Reason>>;

/// One body of some kind, read as it passes. After an error nothing more is asked of it.
pub(crate) trait Extract: fmt::Debug + Send + Sync {
    /// Before the first byte.
    fn begin(&mut self, files: &mut Files);

    /// The next bytes. `true`: all there is to see has been seen.
    fn data(&mut self, data: Bytes, files: &mut Files) -> Result<bool, Reason>;

    /// What has to be watched behind all there is to see; to be asked once then.
    fn epilogue(&mut self) -> Result<Option<Epilogue>, Reason>;

    /// The body is over.
    fn end(&mut self, files: &mut Files) -> Result<(), Reason>;

    /// Form fields so far, in order.
    fn fields(&self) -> Vec<(String, String)>;

    /// There were files that no rule asked for.
    fn has_other_files(&self) -> bool;

    /// Whether conditions and locators may want the body itself.
    fn may_be_json(&self) -> bool;
}

/// How a body with this head is read for rules that take these files.
///
/// # Errors
/// Why none can be captured: `body_encoded`, `body_partial`, `multipart_malformed`.
pub(crate) fn extractor(
    head: &Head<'_>,
    sources: &[&FileSource],
) -> Result<Box<dyn Extract>, Reason> {
    head.check_whole()?;
    let mut readings = EXTRACTORS.iter().filter_map(|read| read(head, sources));
    readings.next().unwrap_or_else(|| Ok(no_files()))
}

/// Nothing of the body is looked at but (perhaps) JSON.
pub(crate) fn no_files() -> Box<dyn Extract> {
    other::reading()
}

/// What to take from a body.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) body: Box<dyn Extract>,
    /// Files larger than this are not captured (but pass on).
    pub(crate) max_size: u64,
    /// Content types (by sniffing) that are captured.
    pub(crate) types: Vec<String>,
    /// Keep the body, if it is JSON of up to 1 MiB, for conditions and locators. To be asked for
    /// only where the headers say so ([`is_json`]); of no effect on forms.
    pub(crate) keep_json: bool,
}

/// A body that went by completely.
#[derive(Default)]
pub(crate) struct Seen {
    /// Every selected file in order, the ones that were not kept too.
    pub(crate) files: Vec<FilePart>,
    /// Form fields in order, as text (first 64 KiB of all fields together).
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) json: Option<serde_json::Value>,
    /// There were files that the plan does not select.
    pub(crate) has_other_files: bool,
}

impl fmt::Debug for Seen {
    /// Without what users typed into the form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seen").field("files", &self.files).finish_non_exhaustive()
    }
}

/// What a body names, as far as it could be read.
pub(crate) struct Named {
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) json: Option<serde_json::Value>,
}

#[derive(Debug)]
pub(crate) struct FilePart {
    /// Name of the form field; `None` for a raw body.
    pub(crate) part: Option<String>,
    /// What became of it; the reason is `type_not_captured`, `file_too_large`, `file_empty`,
    /// `spool_failed` or `spool_full`.
    pub(crate) kept: Result<SpooledFile, Reason>,
}

/// Of all fields of a form together.
const MAX_FIELDS: usize = 64 * 1024;
