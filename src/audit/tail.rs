//! Where a chain ends that is on file already.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use super::chain::{Link, Opened, Seal, Torn, hex, read_line, sha256};

/// The end of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tail {
    /// The last good line; `None` for an empty file.
    pub(super) last: Option<Link>,
    /// What follows it, with the newline that is still to be written if the file has none at its end.
    pub(super) torn: Vec<u8>,
    pub(super) unterminated: bool,
    /// Of the whole file.
    pub(super) len: u64,
}

/// `None`: the file is not empty, and nothing near its end is a line of this seal.
pub(super) fn read_tail(mut file: &File, seal: &Seal) -> io::Result<Option<Tail>> {
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() == 0 {
        return Ok(Some(Tail::default()));
    }
    let len = metadata.len();
    let start = len.saturating_sub(WINDOW);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(len - start).read_to_end(&mut bytes)?;
    let unterminated = !bytes.ends_with(b"\n");
    if unterminated {
        // What lacks nothing but this is a line once it has it.
        bytes.push(b'\n');
    }
    let found = last_line(&bytes, seal, unterminated);
    Ok(found.map(|(last, torn)| Tail { last, torn: torn.to_vec(), unterminated, len }))
}

/// The last good line, and what follows it. A file that holds less than one line may be a first line that was
/// cut off.
fn last_line<'b>(
    bytes: &'b [u8],
    seal: &Seal,
    unterminated: bool,
) -> Option<(Option<Link>, &'b [u8])> {
    let mut found = None;
    let mut end = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        end += line.len();
        if let Ok(sealed) = read_line(line, seal) {
            found = Some((Some(sealed.link), bytes.get(end..)?));
        }
    }
    let fragment = bytes.strip_suffix(b"\n").filter(|_| unterminated);
    let only_a_beginning = fragment.is_some_and(|fragment| {
        let start = fragment.get(..FIRST.len()).unwrap_or(fragment);
        !fragment.contains(&b'\n') && FIRST.starts_with(start)
    });
    found.or_else(|| only_a_beginning.then_some((None, bytes)))
}

impl Tail {
    /// What the next line of this file says, and what has to be written before it.
    pub(super) fn opened(&self) -> (&'static str, Opened) {
        let newline = if self.unterminated { "\n" } else { "" };
        let torn = (!self.torn.is_empty())
            .then(|| Torn { bytes: self.torn.len() as u64, sha256: hex(&sha256(&self.torn)) });
        (newline, Opened { offset: self.len + newline.len() as u64, torn })
    }
}

/// More than one batch of lines can be.
const WINDOW: u64 = 2 << 20;
/// What each line begins with.
const FIRST: &[u8] = br#"{"seq":"#;
