//! Takes the file out of a passing body: the app gets every byte, the spool gets the document.
//!
//! Capture ends when the bytes rest in the spool; `deliver` owns them afterwards.

mod disposition;
mod encoded_words;
mod fields;
mod files;
mod form;
mod parameters;
mod reader;
mod shape;
mod sniff;
mod tap;

use std::fmt;

pub(crate) use self::shape::{is_form, is_json};
pub(crate) use self::tap::{BeforeEnd, Handle, Tapped, tap};
use crate::reason::Reason;
use crate::spool::SpooledFile;

/// What to take from a body.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) shape: Shape,
    /// Files larger than this are not captured (but pass on).
    pub(crate) max_size: u64,
    /// Content types (by sniffing) that are captured.
    pub(crate) types: Vec<String>,
    /// Keep the body, if it is JSON of up to 1 MiB, for conditions and locators. To be asked for
    /// only where the headers say so ([`is_json`]); of no effect on forms.
    pub(crate) keep_json: bool,
}

/// How the body is read.
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    /// multipart/form-data with this boundary; files are the parts that `parts` selects.
    Multipart { boundary: String, parts: Parts },
    /// The whole body is the file; the name is only a title.
    Raw { name: Option<String> },
    /// application/x-www-form-urlencoded: fields only.
    UrlEncoded,
    /// Nothing but (perhaps) JSON.
    Other,
}

/// Which parts with a file name are files to take; a part without one is a form field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Parts {
    AnyFile,
    Named(Vec<String>),
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
