//! The body of an upload: one multipart part, read from the spool as it is sent.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use futures_util::stream::{self, Stream};
use reqwest::Body;
use reqwest::multipart::{Form, Part};
use tokio::task::spawn_blocking;

use super::Upload;
use crate::backend::title::shown_title;

/// Tells from outside how a body that is being sent gets on.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    sent: AtomicU64,
    failure: OnceLock<String>,
}

impl Progress {
    /// Why the file could not be read to its end.
    pub(super) fn failure(&self) -> Option<&str> {
        self.0.failure.get().map(String::as_str)
    }

    /// Resolves when nothing was taken from the file for `idle` (at most twice that).
    pub(super) async fn stalled(&self, idle: Duration) {
        loop {
            let before = self.0.sent.load(Ordering::Relaxed);
            tokio::time::sleep(idle).await;
            if self.0.sent.load(Ordering::Relaxed) == before {
                return;
            }
        }
    }
}

/// The form for `upload`, its length known. The file must be as long as `upload.size`, and have its checksum: one that
/// was damaged is found before its last byte is sent, so that nothing is stored.
///
/// What DWS is asked to call it stands before the file. Without a `title`, one that the file has of itself counts for
/// more than the name of the part.
pub(super) async fn form(upload: &Upload<'_>, progress: &Progress) -> Result<Form, String> {
    let file = open(upload.path, upload.size).await?;
    let body = Body::wrap_stream(chunks(file, upload.size, upload.sha256, progress.clone()));
    let mut form = Form::new();
    if let Some(id) = upload.document_id {
        form = form.text("document_id", id.to_owned());
    }
    let name = shown_title(upload.title);
    if upload.title.is_some() {
        form = form.text("title", name.clone());
    }
    let part = Part::stream_with_length(body, upload.size)
        .file_name(name)
        .mime_str(upload.content_type)
        .map_err(|_| format!("`{}` is not a content type", upload.content_type.escape_debug()))?;
    Ok(form.part("file", part))
}

async fn open(path: &Path, size: u64) -> Result<File, String> {
    let place = path.display().to_string();
    let path = path.to_owned();
    let opened = spawn_blocking(move || {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok::<_, io::Error>((file, length))
    });
    match opened.await {
        Ok(Ok((file, length))) if length == size => Ok(file),
        Ok(Ok((_, length))) => Err(format!("{place} has {length} bytes, but {size} were captured")),
        Ok(Err(error)) => Err(format!("{place}: {error}")),
        Err(error) => Err(format!("{place}: {error}")),
    }
}

/// Each chunk is read into a buffer of its own on a blocking thread and sent without a copy.
fn chunks(
    file: File,
    size: u64,
    sha256: &str,
    progress: Progress,
) -> impl Stream<Item = io::Result<Vec<u8>>> + Send + use<> {
    let reading =
        Reading { file, left: size, digest: Context::new(&SHA256), sha256: sha256.into() };
    stream::try_unfold(reading, move |mut reading| {
        let progress = progress.clone();
        async move {
            if reading.left == 0 {
                return Ok(None);
            }
            let read = spawn_blocking(move || {
                let chunk = reading.chunk()?;
                Ok((reading, chunk))
            });
            let (reading, chunk) = read
                .await
                .unwrap_or_else(|error| Err(io::Error::other(error)))
                .inspect_err(|error| drop(progress.0.failure.set(error.to_string())))?;
            progress.0.sent.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            Ok(Some((chunk, reading)))
        }
    })
}

/// A file on its way, and the checksum of what was read of it.
struct Reading {
    file: File,
    left: u64,
    digest: Context,
    /// What the whole file must come to; empty: not known.
    sha256: Box<str>,
}

impl Reading {
    fn chunk(&mut self) -> io::Result<Vec<u8>> {
        let length = self.left.min(CHUNK);
        let mut chunk = Vec::with_capacity(length as usize);
        (&mut self.file).take(length).read_to_end(&mut chunk)?;
        if (chunk.len() as u64) < length {
            let cut = "the spooled file was cut short";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, cut));
        }
        self.left -= length;
        if !self.sha256.is_empty() {
            self.digest.update(&chunk);
            if self.left == 0 && !self.is_whole() {
                let damaged = "the spooled file is not what was captured: its checksum differs";
                return Err(io::Error::new(io::ErrorKind::InvalidData, damaged));
            }
        }
        Ok(chunk)
    }

    fn is_whole(&self) -> bool {
        use std::fmt::Write as _;
        let mut found = String::with_capacity(64);
        for byte in self.digest.clone().finish().as_ref() {
            // Writing to a string does not fail.
            let _ = write!(found, "{byte:02x}");
        }
        *self.sha256 == *found
    }
}

const CHUNK: u64 = 256 * 1024;
