//! A file that lines are appended to, and that others may move away meanwhile.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Open for appending, by its path.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    file: File,
}

impl LogFile {
    /// Opens it, or makes a new one that others than owner and group can't read.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.append(true).read(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
        Ok(Self { path: path.to_owned(), file: options.open(path)? })
    }

    /// Whether its path leads to another file by now, or to none, as after a rotation by renaming.
    #[cfg(unix)]
    pub(crate) fn is_elsewhere(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        let (Ok(ours), named) = (self.file.metadata(), std::fs::metadata(&self.path)) else {
            return true;
        };
        !named.is_ok_and(|named| (named.dev(), named.ino()) == (ours.dev(), ours.ino()))
    }

    /// Files that are open can't be renamed here.
    #[cfg(not(unix))]
    pub(crate) fn is_elsewhere(&self) -> bool {
        false
    }

    pub(crate) fn append(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.file).write_all(bytes)
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_moved_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, moved) = (dir.path().join("a.log"), dir.path().join("a.log.1"));
        let log = LogFile::open(&path).unwrap();
        log.append(b"one\n").unwrap();
        assert!(!log.is_elsewhere());
        std::fs::rename(&path, &moved).unwrap();
        assert!(log.is_elsewhere(), "no file there");
        std::fs::write(&path, "").unwrap();
        assert!(log.is_elsewhere(), "another file there");
        log.append(b"two\n").unwrap();
        assert_eq!(std::fs::read_to_string(moved).unwrap(), "one\ntwo\n");
    }
}
