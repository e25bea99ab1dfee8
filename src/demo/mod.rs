//! What `transom demo` shows Transom with: a small app of the kind that nobody may change, a document
//! to upload, a guide, and an observer that tells what became of each upload.

mod guide;
mod legacy;
mod sample;
mod watch;

pub(crate) use guide::Guide;
pub(crate) use legacy::{LegacyApp, USERS};
pub(crate) use sample::sample_pdf;
pub(crate) use watch::{AppFile, ServiceDocument, Watch};
