//! How far a store has come, kept beside it: one that is new, empty, or older than it was is noticed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Overwritten in place after each group of writes, once that is durable; not synced then, so that after a power failure
/// it may be behind the store, and never ahead of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    /// Of the last batch.
    pub(super) revision: u64,
    pub(super) last_job: u64,
    /// Of the mirror, in bytes; and of that what was written at once, as the state of a moment.
    #[serde(default)]
    pub(super) mirror: Option<(u64, u64)>,
    /// Of sled's files, after a clean end.
    #[serde(default)]
    pub(super) closed: Option<u32>,
    /// Something of what the store had is lost, and the spool has not been looked through since.
    #[serde(default)]
    pub(super) suspect: bool,
}

impl Tally {
    /// `None` where there is none, or none that can be read.
    pub(super) fn read(path: &Path) -> io::Result<Option<Self>> {
        let text = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        Ok(parse(&text))
    }

    fn text(&self) -> Vec<u8> {
        // A struct of numbers can always be written.
        let json = serde_json::to_string(self).unwrap_or_default();
        let sum = crc32fast::hash(json.as_bytes());
        format!("{sum:08x} {json:<LENGTH$}\n").into_bytes()
    }
}

fn parse(text: &[u8]) -> Option<Tally> {
    let (sum, json) = std::str::from_utf8(text).ok()?.split_once(' ')?;
    let json = json.trim_end();
    (u32::from_str_radix(sum, 16).ok()? == crc32fast::hash(json.as_bytes()))
        .then(|| serde_json::from_str(json).ok())?
}

/// An open tally.
#[derive(Debug)]
pub(super) struct TallyFile {
    file: File,
}

impl TallyFile {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(Self { file: options.open(path)? })
    }

    pub(super) fn write(&mut self, tally: &Tally) -> io::Result<()> {
        use std::io::{Seek, SeekFrom, Write};

        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&tally.text())
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

/// Longer than any, so that one overwrites the other as a whole.
const LENGTH: usize = 240;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_is_read_back_and_any_flipped_bit_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tally");
        assert_eq!(Tally::read(&path).unwrap(), None);
        let full = u64::MAX;
        let tally = Tally {
            revision: full,
            last_job: full,
            mirror: Some((full, full)),
            closed: Some(7),
            suspect: true,
        };
        let mut file = TallyFile::open(&path).unwrap();
        file.write(&tally).unwrap();
        let length = fs::metadata(&path).unwrap().len();
        assert_eq!(Tally::read(&path).unwrap(), Some(tally));
        file.write(&Tally::default()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), length);
        assert_eq!(Tally::read(&path).unwrap(), Some(Tally::default()));
        let text = Tally::default().text();
        for bit in 0..text.trim_ascii_end().len() * 8 {
            let mut text = text.clone();
            text[bit / 8] ^= 1 << (bit % 8);
            let read = parse(&text);
            // A sum in capitals is the same.
            assert!(read.is_none() || read == Some(Tally::default()), "bit {bit}: {read:?}");
        }
    }
}
