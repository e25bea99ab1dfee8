//! The body of an upload: one multipart part, read from the spool as it is sent.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::stream::{self, Stream};
use reqwest::Body;
use reqwest::multipart::{Form, Part};
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

/// The form for `upload`, its length known. The file must be as long as `upload.size`.
pub(super) async fn form(upload: &Upload<'_>, progress: &Progress) -> Result<Form, String> {
    let file = open(upload.path, upload.size).await?;
    let body = Body::wrap_stream(chunks(file, upload.size, progress.clone()));
    let name = upload.title.map(file_name).filter(|name| !name.is_empty());
    let part = Part::stream_with_length(body, upload.size)
        .file_name(name.unwrap_or_else(|| "document".to_owned()))
        .mime_str(upload.content_type)
        .map_err(|_| format!("`{}` is not a content type", upload.content_type.escape_debug()))?;
    Ok(Form::new().part("file", part))
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
}
