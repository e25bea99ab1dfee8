//! Stored documents: in memory, or as files that outlive the process.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde::{Deserialize, Serialize};
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::clock;
use super::reply::{self, ReplyBody};
use super::state::Counters;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Document {
    pub(super) id: String,
    pub(super) title: Option<String>,
    /// Since the Unix epoch.
    pub(super) created: Duration,
    pub(super) content: Content,
}

/// What is known of a document's bytes, and the bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Content {
    pub(super) content_type: String,
    pub(super) bytes: u64,
    /// Of the uploaded bytes, in hex.
    pub(super) sha256: String,
    kept: Kept,
}

#[derive(Debug, Serialize, Deserialize)]
enum Kept {
    Nothing,
    #[serde(skip)]
    Memory(Bytes),
    File(PathBuf),
}

/// Where documents go.
#[derive(Debug)]
pub(super) struct Storage {
    directory: Option<PathBuf>,
    keep_content: bool,
}

/// A file as it arrives.
pub(super) struct Incoming {
    digest: Context,
    bytes: u64,
    head: Vec<u8>,
    target: Target,
}

enum Target {
    Nothing,
    Memory(Vec<u8>),
    File(File, Partial),
}

/// A file that goes unless it is kept.
struct Partial(PathBuf);

impl Document {
    /// The hash that DWS tells: of the PDF that it shows, which for other types is a converted one.
    pub(super) fn pdf_sha256(&self) -> String {
        if self.content.content_type == "application/pdf" {
            return self.content.sha256.clone();
        }
        let mut digest = Context::new(&SHA256);
        digest.update(b"converted to PDF: ");
        digest.update(self.content.sha256.as_bytes());
        hex(digest.finish().as_ref())
    }
}

impl Content {
    pub(super) async fn body(&self) -> io::Result<ReplyBody> {
        Ok(match &self.kept {
            Kept::Nothing => reply::full(Bytes::new()),
            Kept::Memory(bytes) => reply::full(bytes.clone()),
            Kept::File(path) => {
                let chunks = stream::try_unfold(File::open(path).await?, |mut file| async {
                    let mut chunk = Vec::with_capacity(CHUNK);
                    let read = file.read_buf(&mut chunk).await?;
                    Ok((read > 0).then(|| (Frame::data(chunk.into()), file)))
                });
                StreamBody::new(chunks).boxed_unsync()
            }
        })
    }
}

impl Storage {
    pub(super) async fn open(directory: Option<&Path>, keep_content: bool) -> io::Result<Self> {
        if let Some(directory) = directory {
            fs::create_dir_all(directory).await.map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", directory.display()))
            })?;
        }
        Ok(Self { directory: directory.map(Path::to_owned), keep_content })
    }

    pub(super) async fn receive(&self) -> io::Result<Incoming> {
        let target = match &self.directory {
            _ if !self.keep_content => Target::Nothing,
            None => Target::Memory(Vec::new()),
            Some(directory) => {
                let path = directory.join(format!("{}{PARTIAL_SUFFIX}", new_id()));
                Target::File(File::create(&path).await?, Partial(path))
            }
        };
        Ok(Incoming { digest: Context::new(&SHA256), bytes: 0, head: Vec::new(), target })
    }

    /// Writes down what a restart must find.
    pub(super) async fn persist(&self, document: &Document, counters: Counters) -> io::Result<()> {
        if let Some(directory) = &self.directory {
            let record = serde_json::to_vec(document)?;
            fs::write(directory.join(record_name(&document.id)), record).await?;
        }
        self.persist_counters(counters).await
    }

    pub(super) async fn persist_counters(&self, counters: Counters) -> io::Result<()> {
        match &self.directory {
            Some(directory) => {
                fs::write(directory.join(COUNTERS), serde_json::to_vec(&counters)?).await
            }
            None => Ok(()),
        }
    }

    pub(super) async fn forget(&self, document: &Document) -> io::Result<()> {
        if let Kept::File(path) = &document.content.kept {
            fs::remove_file(path).await?;
        }
        match &self.directory {
            Some(directory) => fs::remove_file(directory.join(record_name(&document.id))).await,
            None => Ok(()),
        }
    }
}

/// What an earlier run left, oldest first.
pub(super) async fn load(storage: &Storage) -> io::Result<(Vec<Arc<Document>>, Counters)> {
    let Some(directory) = &storage.directory else {
        return Ok((Vec::new(), Counters::default()));
    };
    let mut documents = Vec::new();
    let mut entries = fs::read_dir(directory).await?;
    while let Some(entry) = entries.next_entry().await? {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(PARTIAL_SUFFIX) {
            // Of an upload that the end of the process cut short.
            fs::remove_file(entry.path()).await?;
        }
        if !name.ends_with(RECORD_SUFFIX) {
            continue;
        }
        let mut document: Document = serde_json::from_slice(&fs::read(entry.path()).await?)?;
        if let Kept::File(path) = &mut document.content.kept {
            // The directory may have moved since.
            *path = directory.join(path.file_name().unwrap_or_default());
        }
        documents.push(Arc::new(document));
    }
    documents.sort_by_key(|document| document.created);
    let counters = match fs::read(directory.join(COUNTERS)).await {
        Ok(record) => serde_json::from_slice(&record)?,
        Err(_) => Counters::default(),
    };
    Ok((documents, counters))
}

impl Incoming {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) async fn write(&mut self, chunk: &[u8]) -> io::Result<()> {
        self.digest.update(chunk);
        self.bytes += chunk.len() as u64;
        let room = SNIFFED.saturating_sub(self.head.len()).min(chunk.len());
        self.head.extend(chunk.iter().take(room));
        match &mut self.target {
            Target::Nothing => Ok(()),
            Target::Memory(bytes) => {
                bytes.extend_from_slice(chunk);
                Ok(())
            }
            Target::File(file, _) => file.write_all(chunk).await,
        }
    }

    /// Keeps the bytes. They decide on the type, as at DWS; `declared` is for what isn't recognised.
    pub(super) async fn finish(self, declared: Option<&str>) -> io::Result<Content> {
        let sha256 = hex(self.digest.finish().as_ref());
        let kept = match self.target {
            Target::Nothing => Kept::Nothing,
            Target::Memory(bytes) => Kept::Memory(bytes.into()),
            Target::File(mut file, partial) => {
                file.flush().await?;
                let path = partial.0.with_extension("bin");
                fs::rename(&partial.0, &path).await?;
                Kept::File(path)
            }
        };
        let content_type =
            sniff(&self.head).or(declared).unwrap_or("application/octet-stream").to_owned();
        Ok(Content { content_type, bytes: self.bytes, sha256, kept })
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Already renamed when the file was kept.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// An id as DWS makes them: 26 characters of Crockford's base32, 48 bits of time before 80 random ones.
pub(super) fn new_id() -> String {
    let millis = clock::unix_now().as_millis();
    let value = millis << 80 | crate::random::u128() >> 48;
    (0..26)
        .rev()
        .filter_map(|place| CROCKFORD.get((value >> (5 * place) & 31) as usize))
        .map(|digit| char::from(*digit))
        .collect()
}

fn sniff(head: &[u8]) -> Option<&'static str> {
    if head.windows(5).any(|window| window == b"%PDF-") {
        return Some("application/pdf");
    }
    let types: [(&[u8], &str); 6] = [
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"GIF8", "image/gif"),
        (b"II*\0", "image/tiff"),
        (b"MM\0*", "image/tiff"),
        (b"BM", "image/bmp"),
    ];
    types.into_iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, name)| name)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn record_name(id: &str) -> String {
    format!("{}{RECORD_SUFFIX}", file_stem(id))
}

/// Callers may choose ids, so the id itself is no file name.
fn file_stem(id: &str) -> String {
    match id.len() {
        26 if id.bytes().all(|byte| byte.is_ascii_alphanumeric()) => id.to_owned(),
        _ => hex(aws_lc_rs::digest::digest(&SHA256, id.as_bytes()).as_ref()),
    }
}

const COUNTERS: &str = "counters.json";
const PARTIAL_SUFFIX: &str = ".partial";
const RECORD_SUFFIX: &str = ".document.json";
const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const SNIFFED: usize = 1_024;
const CHUNK: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_look_like_those_of_dws() {
        let id = new_id();
        assert_eq!(id.len(), 26);
        assert!(id.starts_with('0'), "{id}");
        assert!(id.bytes().all(|byte| CROCKFORD.contains(&byte)));
        assert_ne!(id, new_id());
    }
}
