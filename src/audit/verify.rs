//! Whether a chain is whole. Pure.

use std::fmt;

use aws_lc_rs::digest;

use super::chain::{Bad, Link, Opened, Seal, Sealed, Sum, hex, read_line, to_sum};

/// Takes the lines of one file after another, oldest first.
pub(crate) struct Verifier {
    seal: Seal,
    /// A line that has to be among them.
    wanted: Option<Sum>,
    file: String,
    line: u64,
    /// Bytes of this file before the line at hand.
    offset: u64,
    /// Whether this file had a good line.
    begun: bool,
    last: Option<Link>,
    garbage: Option<Garbage>,
    verdict: Verdict,
}

/// What the lines are worth.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) lines: u64,
    pub(crate) first: Option<u64>,
    pub(crate) last: Option<Link>,
    /// Writes that were cut off, as the line after each says.
    pub(crate) torn: u64,
    pub(crate) broken: Option<Break>,
}

/// Where a chain breaks first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Break {
    pub(crate) file: String,
    pub(crate) line: u64,
    pub(crate) what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Changed,
    /// Sealed without the key that is given, or with one where none is.
    OtherSeal,
    /// Lines between `after` and `found`.
    Missing {
        after: u64,
        found: u64,
    },
    Reordered {
        after: u64,
        found: u64,
    },
    /// It does not follow the line before it, whatever their numbers say.
    Relinked,
    /// The first lines of the file.
    NoBeginning,
    Truncated,
    /// The line that had to be there.
    NotContained,
}

/// Pieces that are no good lines, until the next good one explains them, or not.
struct Garbage {
    line: u64,
    what: What,
    bytes: u64,
    sum: digest::Context,
}

impl Verifier {
    pub(crate) fn new(seal: Seal, wanted: Option<Sum>) -> Self {
        let (file, verdict) = (String::new(), Verdict::default());
        Self {
            seal,
            wanted,
            file,
            line: 0,
            offset: 0,
            begun: false,
            last: None,
            garbage: None,
            verdict,
        }
    }

    pub(crate) fn begin_file(&mut self, name: &str) {
        self.end_file();
        name.clone_into(&mut self.file);
        (self.line, self.offset, self.begun) = (0, 0, false);
    }

    /// One line with its newline, or what is left of a file without one. Of an overlong line a piece at a time.
    pub(crate) fn feed(&mut self, piece: &[u8]) {
        self.line += 1;
        match read_line(piece, &self.seal) {
            Ok(sealed) => self.good(&sealed),
            Err(bad) => self.bad(piece, bad),
        }
        self.offset += piece.len() as u64;
    }

    pub(crate) fn finish(mut self) -> Verdict {
        self.end_file();
        if self.wanted.is_some() {
            self.found(self.line, What::NotContained);
        }
        self.verdict.last = self.last;
        self.verdict
    }

    fn good(&mut self, sealed: &Sealed) {
        let Sealed { link, prev, opened } = sealed;
        self.settle(opened.as_ref());
        let at_its_place = opened.as_ref().is_some_and(|opened| opened.offset == self.offset);
        if !std::mem::replace(&mut self.begun, true) && !at_its_place {
            self.found(self.line, What::NoBeginning);
        }
        let before = match self.last {
            // Older files need not be there any more.
            None if link.seq != 1 => Link { seq: link.seq.wrapping_sub(1), sum: *prev },
            None => Link::default(),
            Some(last) => last,
        };
        let (after, found) = (before.seq, link.seq);
        if let Some(What::Missing { after, found: until }) = self.what_was_found()
            && (after + 1..until).contains(&found)
        {
            // What was missing turns up later.
            self.revise(What::Reordered { after, found: until });
        }
        if found <= after {
            self.found(self.line, What::Reordered { after, found });
        } else if found > after.saturating_add(1) {
            self.found(self.line, What::Missing { after, found });
        } else if *prev != before.sum {
            self.found(self.line, What::Relinked);
        }
        if self.wanted == Some(link.sum) {
            self.wanted = None;
        }
        self.verdict.first.get_or_insert(link.seq);
        self.verdict.lines += 1;
        self.last = Some(*link);
    }

    fn bad(&mut self, piece: &[u8], bad: Bad) {
        let what = match bad {
            Bad::OtherSeal => What::OtherSeal,
            _ if !piece.ends_with(b"\n") => What::Truncated,
            _ => What::Changed,
        };
        let line = self.line;
        let garbage = self.garbage.get_or_insert_with(|| {
            let sum = digest::Context::new(&digest::SHA256);
            Garbage { line, what, bytes: 0, sum }
        });
        garbage.bytes += piece.len() as u64;
        garbage.sum.update(piece);
    }

    /// The line at hand may say what the garbage before it is.
    fn settle(&mut self, opened: Option<&Opened>) {
        let Some(garbage) = self.garbage.take() else { return };
        let sum = to_sum(garbage.sum.finish().as_ref());
        let told = opened.and_then(|opened| opened.torn.as_ref());
        match told.is_some_and(|torn| torn.bytes == garbage.bytes && torn.sha256 == hex(&sum)) {
            true => self.verdict.torn += 1,
            false => self.found(garbage.line, garbage.what),
        }
    }

    fn end_file(&mut self) {
        self.settle(None);
    }

    fn found(&mut self, line: u64, what: What) {
        let file = &self.file;
        self.verdict.broken.get_or_insert_with(|| Break { file: file.clone(), line, what });
    }

    fn what_was_found(&self) -> Option<What> {
        self.verdict.broken.as_ref().map(|broken| broken.what)
    }

    fn revise(&mut self, what: What) {
        if let Some(broken) = &mut self.verdict.broken {
            broken.what = what;
        }
    }
}

impl Link {
    /// For people: its number, and the seal to note.
    pub(crate) fn named(&self) -> String {
        format!("{} (seal {})", self.seq, hex(&self.sum))
    }
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed => f.write_str("changed: this line does not fit its own seal"),
            Self::OtherSeal => f.write_str(
                "another seal: lines with `mac` need the `key` they were written with, and lines with `hash` \
                 were written without one",
            ),
            Self::Missing { after, found } => {
                write!(f, "missing: line {after} is followed by {found}; {} are gone", found - after - 1)
            }
            Self::Reordered { after, found } => {
                write!(f, "reordered: line {after} is followed by {found}; name files oldest first")
            }
            Self::Relinked => f.write_str("changed: this line is not the one that followed the line before it"),
            Self::NoBeginning => f.write_str("missing: the first lines of this file are gone"),
            Self::Truncated => f.write_str(
                "truncated: the last line is cut off; Transom marks it as such when it starts again",
            ),
            Self::NotContained => f.write_str("missing: the line that --contains names is not in here"),
        }
    }
}
