//! The body of an upload: one multipart part, read from the spool as it is sent.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use futures_util::stream::{self, Stream, StreamExt as _};
use http::HeaderValue;
use reqwest::Body;
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

/// A body of multipart/form-data (RFC 7578), its length known.
pub(super) struct Form {
    pub(super) content_type: String,
    pub(super) length: u64,
    pub(super) body: Body,
}

/// The form for `upload`. The file must be as long as `upload.size`, and have its checksum: one that was damaged is found
/// before its last byte is sent, so that nothing is stored.
pub(super) async fn form(upload: &Upload<'_>, progress: &Progress) -> Result<Form, String> {
    // Nothing in the file can be it by accident: 128 random bits.
    let boundary = format!("{:032x}", crate::random::u128());
    let head = head(&boundary, upload)?;
    let tail = format!("\r\n--{boundary}--\r\n");
    let length = head.len() as u64 + upload.size + tail.len() as u64;
    let file = open(upload.path, upload.size).await?;
    let edge = |text: String| stream::iter([Ok(text.into_bytes())]);
    let file = chunks(file, upload.size, upload.sha256, progress.clone());
    let body = edge(head).chain(file).chain(edge(tail));
    let content_type = format!("multipart/form-data; boundary={boundary}");
    Ok(Form { content_type, length, body: Body::wrap_stream(body) })
}

/// What stands before the file's bytes: also what DWS is asked to call it. Without a `title`, one that the file has of
/// itself counts for more than the name of the part.
fn head(boundary: &str, upload: &Upload<'_>) -> Result<String, String> {
    let Upload { content_type, document_id, title, .. } = *upload;
    if !content_type.contains('/') || HeaderValue::from_str(content_type).is_err() {
        return Err(format!("`{}` is not a content type", content_type.escape_debug()));
    }
    let name = shown_title(title);
    let field = |field: &str, value: &str| {
        format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\n{value}\r\n"
        )
    };
    let id = document_id.map_or_else(String::new, |id| field("document_id", id));
    let title = title.map_or_else(String::new, |_| field("title", &name));
    let quoted = name.replace('"', "\\\"");
    Ok(format!(
        "{id}{title}--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{quoted}\"\r\n\
         Content-Type: {content_type}\r\n\r\n"
    ))
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn upload<'a>(title: Option<&'a str>, content_type: &'a str) -> Upload<'a> {
        let document_id = title.map(|_| "01K");
        Upload { path: Path::new(""), document_id, title, content_type, size: 1, sha256: "" }
    }

    #[test]
    fn a_form_is_written_as_others_read_it() {
        let name = "Übersicht \"Q3\".pdf";
        assert_eq!(
            head("b", &upload(Some(name), "application/pdf")).unwrap(),
            "--b\r\nContent-Disposition: form-data; name=\"document_id\"\r\n\r\n01K\r\n\
             --b\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nÜbersicht \"Q3\".pdf\r\n\
             --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"Übersicht \\\"Q3\\\".pdf\"\r\n\
             Content-Type: application/pdf\r\n\r\n"
        );
        assert_eq!(
            head("b", &upload(None, "image/png")).unwrap(),
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"document\"\r\n\
             Content-Type: image/png\r\n\r\n"
        );
        for odd in ["", "pdf", "application/pdf\r\nX-Evil: 1"] {
            let error = head("b", &upload(None, odd)).unwrap_err();
            assert!(error.contains("is not a content type"), "{odd}");
        }
    }
}
