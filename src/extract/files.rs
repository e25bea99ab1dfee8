//! The files of one upload: which are kept, and under which type.

use bytes::Bytes;

use super::FilePart;
use super::sniff::{self, SNIFFED};
use crate::reason::Reason;
use crate::spool::{Spool, Writer};

/// Files go in one after the other: `begin`, any number of `data`, `end`.
pub(crate) struct Files {
    pub(super) writer: Writer,
    max_size: u64,
    types: Vec<String>,
    seen: Vec<SeenFile>,
    stage: Stage,
}

impl Files {
    pub(super) fn new(spool: &Spool, max_size: u64, types: Vec<String>) -> Self {
        let writer = Writer::new(spool);
        Self { writer, max_size, types, seen: Vec::new(), stage: Stage::Passed }
    }

    pub(super) fn begin(&mut self, part: Option<String>, title: Option<String>) {
        self.seen.push(SeenFile { part, title, content_type: Err(Reason::FileEmpty) });
        self.stage = Stage::Sniffed(Vec::new());
    }

    pub(super) fn data(&mut self, mut data: Bytes) {
        let Stage::Sniffed(head) = &mut self.stage else { return self.write(data) };
        if head.is_empty() && data.len() >= SNIFFED {
            self.decide(&data);
            return self.write(data);
        }
        head.extend_from_slice(&data.split_to(data.len().min(SNIFFED - head.len())));
        if head.len() == SNIFFED {
            self.sniffed();
            self.write(data);
        }
    }

    pub(super) fn end(&mut self) {
        self.sniffed();
        if let Stage::Written(_) = self.stage {
            self.writer.end();
        }
        self.stage = Stage::Passed;
    }

    /// Why the last file is not kept although it may go on.
    pub(super) fn refusal(&self) -> Option<Reason> {
        if let Some(reason) = self.writer.failure() {
            return Some(reason);
        }
        match (&self.stage, self.seen.last()) {
            (Stage::Passed, Some(file)) => file.content_type.err(),
            _ => None,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.seen.len() >= MAX_FILES
    }

    /// Every file in order, once the kept ones are written. None is kept if any could not be.
    pub(super) async fn finish(self) -> Vec<FilePart> {
        let mut written = self.writer.finish().await.map(Vec::into_iter);
        let file = |file: SeenFile| {
            let mut next = || match &mut written {
                Ok(written) => written.next().ok_or(Reason::SpoolFailed),
                Err(reason) => Err(*reason),
            };
            let kept = file
                .content_type
                .and_then(|content_type| Ok(next()?.called(file.title, content_type)));
            FilePart { part: file.part, kept }
        };
        self.seen.into_iter().map(file).collect()
    }

    /// Decides by what has been held back so far.
    fn sniffed(&mut self) {
        if let Stage::Sniffed(head) = &mut self.stage {
            let head = Bytes::from(std::mem::take(head));
            if !head.is_empty() {
                self.decide(&head);
                self.write(head);
            }
        }
    }

    fn decide(&mut self, head: &[u8]) {
        let Some(file) = self.seen.last_mut() else { return };
        let captured = sniff::content_type(head, file.title.as_deref())
            .filter(|content_type| self.types.iter().any(|captured| captured == content_type));
        file.content_type = captured.ok_or(Reason::TypeNotCaptured);
        self.stage = if captured.is_some() {
            self.writer.begin();
            Stage::Written(0)
        } else {
            Stage::Passed
        };
    }

    fn write(&mut self, data: Bytes) {
        let Stage::Written(size) = &mut self.stage else { return };
        *size += data.len() as u64;
        if *size <= self.max_size {
            self.writer.write(data);
            return;
        }
        self.writer.discard();
        self.stage = Stage::Passed;
        if let Some(file) = self.seen.last_mut() {
            file.content_type = Err(Reason::FileTooLarge);
        }
    }
}

struct SeenFile {
    part: Option<String>,
    title: Option<String>,
    /// `Err` says why it is not kept.
    content_type: Result<&'static str, Reason>,
}

/// What is done with the bytes of the file at hand.
enum Stage {
    /// Held back until its type is clear: at most [`SNIFFED`] bytes.
    Sniffed(Vec<u8>),
    /// So many bytes went to the writer.
    Written(u64),
    /// They only pass.
    Passed,
}

const MAX_FILES: usize = 32;
