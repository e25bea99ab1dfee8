//! The body of an upload: one multipart part, read from the spool as it is sent.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::stream::{self, Stream, StreamExt as _};
use http::HeaderValue;
use reqwest::Body;
use tokio::task::spawn_blocking;

use super::Upload;

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

/// The form for `upload`. The file must be as long as `upload.size`.
pub(super) async fn form(upload: &Upload<'_>, progress: &Progress) -> Result<Form, String> {
    let name = upload.title.map(file_name).filter(|name| !name.is_empty());
    // Nothing in the file can be it by accident: 128 random bits.
    let boundary = format!("{:032x}", crate::random::u128());
    let head = head(&boundary, name.as_deref().unwrap_or("document"), upload.content_type)?;
    let tail = format!("\r\n--{boundary}--\r\n");
    let length = head.len() as u64 + upload.size + tail.len() as u64;
    let file = open(upload.path, upload.size).await?;
    let edge = |text: String| stream::iter([Ok(text.into_bytes())]);
    let body = edge(head).chain(chunks(file, upload.size, progress.clone())).chain(edge(tail));
    let content_type = format!("multipart/form-data; boundary={boundary}");
    Ok(Form { content_type, length, body: Body::wrap_stream(body) })
}

/// What stands before the file's bytes.
fn head(boundary: &str, name: &str, content_type: &str) -> Result<String, String> {
    if !content_type.contains('/') || HeaderValue::from_str(content_type).is_err() {
        return Err(format!("`{}` is not a content type", content_type.escape_debug()));
    }
    let name = name.replace('"', "\\\"");
    Ok(format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
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
    progress: Progress,
) -> impl Stream<Item = io::Result<Vec<u8>>> + Send {
    stream::try_unfold((file, size), move |(file, left)| {
        let progress = progress.clone();
        async move {
            if left == 0 {
                return Ok(None);
            }
            let read = spawn_blocking(move || read_chunk(file, left)).await;
            let (file, chunk) = read
                .unwrap_or_else(|error| Err(io::Error::other(error)))
                .inspect_err(|error| drop(progress.0.failure.set(error.to_string())))?;
            let length = chunk.len() as u64;
            progress.0.sent.fetch_add(length, Ordering::Relaxed);
            Ok(Some((chunk, (file, left.saturating_sub(length)))))
        }
    })
}

fn read_chunk(mut file: File, left: u64) -> io::Result<(File, Vec<u8>)> {
    let length = left.min(CHUNK);
    let mut chunk = Vec::with_capacity(length as usize);
    (&mut file).take(length).read_to_end(&mut chunk)?;
    if (chunk.len() as u64) < length {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the spooled file was cut short"));
    }
    Ok((file, chunk))
}

/// `title` as it can stand in a part's header. Readers of multipart disagree on how a backslash is
/// escaped (RFC 7578 section 4.2 leaves it open), and no control character may end the line.
fn file_name(title: &str) -> String {
    title
        .chars()
        .filter(|char| !char.is_control())
        .map(|char| if char == '\\' { '_' } else { char })
        .take(MAX_NAME_CHARS)
        .collect()
}

const CHUNK: u64 = 256 * 1024;
const MAX_NAME_CHARS: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_cannot_break_the_header() {
        assert_eq!(file_name("Übersicht \"Q3\".pdf"), "Übersicht \"Q3\".pdf");
        assert_eq!(file_name("a\r\nX-Evil: 1\\.pdf"), "aX-Evil: 1_.pdf");
        assert_eq!(file_name(&"ü".repeat(1_000)).chars().count(), MAX_NAME_CHARS);
    }

    #[test]
    fn a_part_is_written_as_others_read_it() {
        assert_eq!(
            head("b", &file_name("Übersicht \"Q3\".pdf"), "application/pdf").unwrap(),
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"Übersicht \\\"Q3\\\".pdf\"\r\n\
             Content-Type: application/pdf\r\n\r\n"
        );
        for odd in ["", "pdf", "application/pdf\r\nX-Evil: 1"] {
            assert!(head("b", "a", odd).unwrap_err().contains("is not a content type"), "{odd}");
        }
    }
}
