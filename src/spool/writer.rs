//! Writes the files of one upload to the spool, beside the request rather than in it.
//!
//! Content is collected until a batch is worth a trip to the blocking pool, where it is hashed and
//! written. One batch is on its way while the next is collected; when both are full,
//! [`Writer::poll_room`] waits, so memory stays at about two batches and the frame at hand.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use aws_lc_rs::digest;
use bytes::Bytes;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Sleep, sleep};

use super::{Spool, SpooledFile, Unkept};
use crate::reason::Reason;

/// A file that was written to its end.
pub(crate) struct Written {
    pub(super) unkept: Unkept,
    pub(super) size: u64,
    pub(super) sha256: [u8; 32],
}

impl Written {
    /// The file as it rests in the spool.
    pub(crate) fn called(self, title: Option<String>, content_type: &str) -> SpooledFile {
        let Self { unkept, size, sha256 } = self;
        SpooledFile { title, content_type: content_type.to_owned(), size, sha256, unkept }
    }
}

/// Files go in one after the other: `begin`, any number of `write`, then `end` or `discard`.
pub(crate) struct Writer {
    spool: Spool,
    disk: Disk,
    batch: Batch,
    /// Bytes of all batches so far.
    collected: usize,
    /// Until when the disk may take to write a batch while the next one is full.
    stalls: Option<Pin<Box<Sleep>>>,
}

impl Writer {
    pub(crate) fn new(spool: &Spool) -> Self {
        let files = Files { spool: spool.clone(), open: None, written: Vec::new() };
        Self {
            spool: spool.clone(),
            disk: Disk::Idle(Box::new(files)),
            batch: Batch::default(),
            collected: 0,
            stalls: None,
        }
    }

    pub(crate) fn begin(&mut self) {
        self.batch.steps.push(Step::Begin);
    }

    pub(crate) fn write(&mut self, content: Bytes) {
        if self.failure().is_some() {
            return;
        }
        self.batch.bytes += content.len();
        self.collected = self.collected.saturating_add(content.len());
        if content.len() >= COPIED_BELOW {
            self.batch.steps.push(Step::Write(content));
        } else if let Some(Step::WriteCopy(copy)) = self.batch.steps.last_mut() {
            copy.extend_from_slice(&content);
        } else {
            self.batch.steps.push(Step::WriteCopy(content.to_vec()));
        }
    }

    pub(crate) fn end(&mut self) {
        self.batch.steps.push(Step::End);
    }

    /// The file that was begun is not wanted.
    pub(crate) fn discard(&mut self) {
        self.batch.steps.push(Step::Discard);
    }

    /// Waits until there is room for more. A disk that hangs is given up.
    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.batch_is_full() {
            if self.poll_disk(cx).is_pending() {
                let hold = self.spool.hold();
                let stalls = self.stalls.get_or_insert_with(|| Box::pin(sleep(hold)));
                ready!(stalls.as_mut().poll(cx));
                let error = io::Error::new(io::ErrorKind::TimedOut, "the disk takes no writes");
                self.disk = Disk::Failed(self.spool.gave_up(&error));
            }
            self.stalls = None;
            self.start();
        }
        Poll::Ready(())
    }

    /// Gets the batch on its way if it is full, or `last`, and the disk is free; does not wait.
    pub(crate) fn advance(&mut self, last: bool, cx: &mut Context<'_>) {
        let busy = matches!(&self.disk, Disk::Busy(job) if !job.is_finished());
        if (last || self.batch_is_full()) && !busy && self.poll_disk(cx).is_ready() {
            self.start();
        }
    }

    /// Batches grow with the upload: many small uploads at once stay cheap in memory, and a large
    /// one in trips to the blocking pool.
    fn batch_is_full(&self) -> bool {
        self.batch.bytes >= (self.collected / 16).clamp(SMALLEST_BATCH, LARGEST_BATCH)
    }

    /// Why nothing is written any more.
    pub(crate) fn failure(&self) -> Option<Reason> {
        match self.disk {
            Disk::Failed(reason) => Some(reason),
            Disk::Idle(_) | Disk::Busy(_) => None,
        }
    }

    /// The files that were ended, once the last byte is written; `spool_failed` or `spool_full` if
    /// any write failed.
    pub(crate) async fn finish(mut self) -> Result<Vec<Written>, Reason> {
        poll_fn(|cx| self.poll_disk(cx)).await;
        self.start();
        poll_fn(|cx| self.poll_disk(cx)).await;
        match self.disk {
            Disk::Idle(files) => Ok(files.written),
            Disk::Busy(_) => Err(Reason::SpoolFailed),
            Disk::Failed(reason) => Err(reason),
        }
    }

    fn poll_disk(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Disk::Busy(job) = &mut self.disk {
            let result = ready!(Pin::new(job).poll(cx));
            self.disk = match result.map_err(io::Error::other).and_then(|files| files) {
                Ok(files) => Disk::Idle(files),
                Err(error) => Disk::Failed(self.spool.gave_up(&error)),
            };
        }
        Poll::Ready(())
    }

    fn start(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        if batch.steps.is_empty() {
            return;
        }
        self.disk = match std::mem::replace(&mut self.disk, Disk::Failed(Reason::SpoolFailed)) {
            Disk::Idle(files) => Disk::Busy(spawn_blocking(move || files.run(batch))),
            other => other,
        };
    }
}

enum Disk {
    Idle(Box<Files>),
    Busy(JoinHandle<io::Result<Box<Files>>>),
    /// What was written is gone, and what comes is ignored.
    Failed(Reason),
}

#[derive(Default)]
struct Batch {
    steps: Vec<Step>,
    bytes: usize,
}

enum Step {
    Begin,
    Write(Bytes),
    WriteCopy(Vec<u8>),
    End,
    Discard,
}

/// The blocking side.
struct Files {
    spool: Spool,
    open: Option<Open>,
    written: Vec<Written>,
}

impl Files {
    fn run(mut self: Box<Self>, batch: Batch) -> io::Result<Box<Self>> {
        for step in batch.steps {
            match (step, &mut self.open) {
                (Step::Begin, open) => {
                    if let Some(before) = self.written.last_mut() {
                        before.unkept.put_away()?;
                    }
                    *open = Some(Open::new(&self.spool)?);
                }
                (Step::Write(content), Some(open)) => open.write(&content)?,
                (Step::WriteCopy(content), Some(open)) => open.write(&content)?,
                (Step::End, open) => self.written.extend(open.take().map(Open::end)),
                (Step::Discard, open) => *open = None,
                (Step::Write(_) | Step::WriteCopy(_), None) => {}
            }
        }
        Ok(self)
    }
}

struct Open {
    unkept: Unkept,
    size: u64,
    sha256: digest::Context,
}

impl Open {
    fn new(spool: &Spool) -> io::Result<Self> {
        let unkept = spool.create()?;
        Ok(Self { unkept, size: 0, sha256: digest::Context::new(&digest::SHA256) })
    }

    fn write(&mut self, content: &[u8]) -> io::Result<()> {
        self.unkept.write_all(content)?;
        self.sha256.update(content);
        self.size += content.len() as u64;
        Ok(())
    }

    fn end(self) -> Written {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(self.sha256.finish().as_ref());
        Written { unkept: self.unkept, size: self.size, sha256 }
    }
}

const SMALLEST_BATCH: usize = 32 * 1024;
const LARGEST_BATCH: usize = 512 * 1024;
/// A slice keeps the buffer alive that it was cut from, and hyper's are 8 KiB and more: holding on
/// to small ones could cost many times what they carry.
const COPIED_BELOW: usize = 16 * 1024;
