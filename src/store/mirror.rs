//! A second copy of all records, as lines of text with a checksum each: from it a damaged store is put together again, and
//! a backup is made while the store is in use.
//!
//! It begins with the state of some moment, page by page, then has a line for each batch. While the pages are written,
//! lines of batches come between them; read from the beginning, it always ends in the present state. It is appended to
//! after a group is durable in sled, and not synced then: after a power failure it may lack the last batches, and is
//! written anew then.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::codec::json_of;
use super::sled_trees::Trees;
use super::{DocId, JobId, StoreError};

/// One line: what a batch, or a page, adds and takes away.
#[derive(Debug, Deserialize)]
pub(super) struct Line {
    /// Of the batch.
    #[serde(rename = "r")]
    pub(super) revision: u64,
    #[serde(rename = "n")]
    pub(super) last_job: u64,
    #[serde(rename = "d", default)]
    pub(super) documents: Vec<Box<RawValue>>,
    #[serde(rename = "x", default)]
    pub(super) removed: Vec<DocId>,
    #[serde(rename = "j", default)]
    pub(super) jobs: Vec<Box<RawValue>>,
    #[serde(rename = "y", default)]
    pub(super) done: Vec<JobId>,
    /// The pages end here: all is there.
    #[serde(default)]
    pub(super) whole: bool,
}

/// A line as it is put together.
#[derive(Debug, Default)]
pub(super) struct LineText {
    parts: [Vec<u8>; 4],
}

impl LineText {
    /// The encoded record of a document.
    pub(super) fn document(&mut self, record: &[u8]) {
        self.add(0, json_of(record));
    }

    pub(super) fn document_text(&mut self, json: &str) {
        self.add(0, json.as_bytes());
    }

    pub(super) fn job_text(&mut self, json: &str) {
        self.add(2, json.as_bytes());
    }

    pub(super) fn removed(&mut self, id: &[u8; 16]) {
        let id = format!("\"{:032x}\"", u128::from_be_bytes(*id));
        self.add(1, id.as_bytes());
    }

    pub(super) fn job(&mut self, record: &[u8]) {
        self.add(2, json_of(record));
    }

    pub(super) fn done(&mut self, id: &[u8; 8]) {
        self.add(3, u64::from_be_bytes(*id).to_string().as_bytes());
    }

    fn add(&mut self, part: usize, json: &[u8]) {
        let part = &mut self.parts[part];
        part.extend_from_slice(if part.is_empty() { b"" } else { b"," });
        part.extend_from_slice(json);
    }

    pub(super) fn end(self, revision: u64, last_job: u64, whole: bool, to: &mut Vec<u8>) {
        let mut json = format!("{{\"r\":{revision},\"n\":{last_job}").into_bytes();
        for (name, part) in ["d", "x", "j", "y"].into_iter().zip(self.parts) {
            if !part.is_empty() {
                json.extend_from_slice(format!(",\"{name}\":[").as_bytes());
                json.extend_from_slice(&part);
                json.push(b']');
            }
        }
        json.extend_from_slice(if whole { b",\"whole\":true}" } else { b"}" });
        to.extend_from_slice(format!("{:08x} ", crc32fast::hash(&json)).as_bytes());
        to.extend_from_slice(&json);
        to.push(b'\n');
    }
}

/// A line of the file, without its end; `None` if it is damaged.
pub(super) fn parse(line: &[u8]) -> Option<Line> {
    let (sum, json) = (line.get(..8)?, line.get(9..)?);
    let sum = u32::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()?;
    (line[8] == b' ' && sum == crc32fast::hash(json)).then(|| serde_json::from_slice(json).ok())?
}

/// The last batch that the mirror knows of. `None` where there is none, or nothing of it can be read.
pub(super) fn last_revision(path: &Path) -> io::Result<Option<u64>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let length = file.metadata()?.len();
    for end in [TAIL.min(length), length] {
        let mut tail = Vec::new();
        file.seek(io::SeekFrom::Start(length - end))?;
        file.read_to_end(&mut tail)?;
        if let Some(line) = tail.rsplit(|byte| *byte == b'\n').find_map(parse) {
            return Ok(Some(line.revision));
        }
    }
    Ok(None)
}

/// The mirror of an open store.
pub(super) struct Mirror {
    path: PathBuf,
    /// `None` where there is none that is whole.
    current: Option<Current>,
    /// The one that will take its place.
    next: Option<Next>,
}

struct Current {
    file: File,
    length: u64,
    pages: u64,
}

struct Next {
    file: File,
    length: u64,
    /// The key after which to go on; jobs come after documents.
    after: Option<Vec<u8>>,
    at_jobs: bool,
}

impl Mirror {
    /// `known`: its length as the tally has it, if that is of this revision of the store.
    pub(super) fn open(path: PathBuf, known: Option<(u64, u64)>) -> Self {
        let current = known.and_then(|(length, pages)| {
            let file = OpenOptions::new().append(true).open(&path).ok()?;
            (file.metadata().ok()?.len() == length).then_some(Current { file, length, pages })
        });
        let mut mirror = Self { path, current, next: None };
        if mirror.current.is_none() {
            mirror.begin();
        }
        mirror
    }

    /// For the tally.
    pub(super) fn length(&self) -> Option<(u64, u64)> {
        self.current.as_ref().map(|current| (current.length, current.pages))
    }

    /// These lines are of batches that are durable.
    pub(super) fn append(&mut self, lines: &[u8]) {
        if let Some(current) = &mut self.current {
            match current.file.write_all(lines) {
                Ok(()) => current.length += lines.len() as u64,
                Err(error) => {
                    self.fails(&error);
                    self.current = None;
                }
            }
        }
        if let Some(next) = &mut self.next {
            match next.file.write_all(lines) {
                Ok(()) => next.length += lines.len() as u64,
                Err(error) => {
                    self.fails(&error);
                    self.next = None;
                }
            }
        }
        let outgrown = |current: &Current| current.length > 2 * current.pages + SLACK;
        if self.next.is_none() && self.current.as_ref().is_some_and(outgrown) {
            self.begin();
        }
    }

    pub(super) fn is_behind(&self) -> bool {
        self.next.is_some()
    }

    /// Writes the next page of a mirror that is written anew.
    pub(super) fn step(
        &mut self,
        trees: &Trees,
        revision: u64,
        last_job: u64,
    ) -> Result<(), StoreError> {
        let Some(next) = &mut self.next else { return Ok(()) };
        let tree = if next.at_jobs { &trees.jobs } else { &trees.documents };
        let start = next.after.clone().map(|mut key| {
            key.push(0);
            key
        });
        let (mut line, mut count) = (LineText::default(), 0);
        for entry in tree.range(start.unwrap_or_default()..).take(PAGE) {
            let (key, record) = entry.map_err(|error| super::sled_open::read_error(&error))?;
            count += 1;
            next.after = Some(key.to_vec());
            // What is damaged is not copied.
            if next.at_jobs {
                if super::codec::decode::<super::Job>("job", &record).is_ok() {
                    line.job(&record);
                }
            } else if super::codec::decode::<super::Document>("document", &record).is_ok() {
                line.document(&record);
            }
        }
        let ends = count < PAGE && next.at_jobs;
        let mut text = Vec::new();
        line.end(revision, last_job, ends, &mut text);
        if count < PAGE && !next.at_jobs {
            (next.at_jobs, next.after) = (true, None);
        }
        let written = next.file.write_all(&text);
        next.length += text.len() as u64;
        let written = written.and_then(|()| if ends { self.take_over() } else { Ok(()) });
        if let Err(error) = written {
            self.fails(&error);
            self.next = None;
        }
        Ok(())
    }

    /// There is no mirror until the next start: the store itself can't be read.
    pub(super) fn gives_up(&mut self) {
        self.next = None;
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.current.as_ref().map_or(Ok(()), |current| current.file.sync_data())
    }

    fn begin(&mut self) {
        let mut options = OpenOptions::new();
        options.create(true).write(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(next_path(&self.path)) {
            Ok(file) => self.next = Some(Next { file, length: 0, after: None, at_jobs: false }),
            Err(error) => self.fails(&error),
        }
    }

    fn take_over(&mut self) -> io::Result<()> {
        let Some(next) = self.next.take() else { return Ok(()) };
        next.file.sync_all()?;
        fs::rename(next_path(&self.path), &self.path)?;
        let Next { file, length, .. } = next;
        self.current = Some(Current { file, length, pages: length });
        Ok(())
    }

    fn fails(&self, error: &io::Error) {
        tracing::warn!(
            path = %self.path.display(),
            %error,
            "the store's second copy can't be written; it is written anew at the next start"
        );
    }
}

fn next_path(path: &Path) -> PathBuf {
    path.with_extension("next")
}

/// Records that are read at a time while the store has nothing else to do.
const PAGE: usize = 500;
/// Longer than most lines.
const TAIL: u64 = 4 << 20;
/// It may grow to twice the size of what it began with, and so much more.
const SLACK: u64 = if cfg!(test) { 10_000 } else { 16 << 20 };
