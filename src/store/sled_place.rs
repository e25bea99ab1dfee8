//! Where a store is on the disk: sled's folder, its mirror, and the tally beside both.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::private;

/// The files of one store.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) sled: PathBuf,
    pub(super) tally: PathBuf,
    /// To be looked at only: nothing is kept beside it.
    pub(super) is_copy: bool,
}

impl Place {
    /// All in one folder.
    pub(super) fn alone(folder: &Path) -> Self {
        Self { sled: folder.to_owned(), tally: folder.join("tally"), is_copy: false }
    }

    /// Below `store.path`, where the tally outlives a folder of sled's that is taken away.
    pub(super) fn below(path: &Path) -> Self {
        Self { sled: super::sled_path(path), tally: path.join("store.tally"), is_copy: false }
    }

    pub(super) fn log(&self) -> PathBuf {
        self.sled.join(LOG)
    }

    /// Whether sled has been here.
    pub(super) fn is_there(&self) -> bool {
        self.log().exists()
    }

    pub(super) fn mirror(&self) -> PathBuf {
        self.sled.join("mirror")
    }

    /// The checksum of all that sled would read.
    pub(super) fn checksum(&self) -> io::Result<u32> {
        let mut sum = crc32fast::Hasher::new();
        for name in files(&self.sled)? {
            sum.update(name.as_bytes());
            let mut file = File::open(self.sled.join(name))?;
            let mut buffer = vec![0; 256 * 1024];
            loop {
                match file.read(&mut buffer)? {
                    0 => break,
                    read => sum.update(&buffer[..read]),
                }
            }
        }
        Ok(sum.finalize())
    }

    /// A copy of what sled would read, for this user alone. Beside the store, where there may be more room and a copy
    /// costs less; else where temporary files go.
    pub(super) fn copy(&self) -> io::Result<Copy> {
        let beside = self.sled.parent().map(|parent| self.copy_to(parent));
        match beside {
            Some(Ok(copy)) => Ok(copy),
            _ => self.copy_to(&std::env::temp_dir()),
        }
    }

    fn copy_to(&self, folder: &Path) -> io::Result<Copy> {
        let path = folder.join(format!("{COPY}{:016x}", crate::random::u64()));
        let copy = Copy { place: Self { is_copy: true, ..Self::alone(&path) } };
        private::folder(&path)?;
        for name in files(&self.sled)? {
            let to = path.join(&name);
            if let Some(parent) = to.parent() {
                private::folder(parent)?;
            }
            fs::copy(self.sled.join(&name), to)?;
        }
        Ok(copy)
    }

    /// Changes when something is written there. For a store that was refused, so that it is not looked at in vain.
    pub(super) fn stamp(&self) -> Vec<Option<(u64, SystemTime)>> {
        let stamp = |path: PathBuf| {
            let found = fs::metadata(path).ok()?;
            Some((found.len(), found.modified().ok()?))
        };
        [self.log(), self.mirror(), self.tally.clone(), self.sled.clone()].map(stamp).into()
    }

    /// Copies that a kill left behind.
    pub(super) fn remove_copies(&self) {
        let Some(entries) = self.sled.parent().and_then(|parent| fs::read_dir(parent).ok()) else {
            return;
        };
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with(COPY) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// To look at; it goes when it is dropped.
#[derive(Debug)]
pub(super) struct Copy {
    pub(super) place: Place,
}

impl Drop for Copy {
    fn drop(&mut self) {
        // One that stays goes at the next start.
        let _ = fs::remove_dir_all(&self.place.sled);
    }
}

/// By name. Large values are files of their own.
fn files(sled: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for folder in ["", "blobs/"] {
        let entries = match fs::read_dir(sled.join(folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !folder.is_empty() => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_sleds = !folder.is_empty()
                || [LOG, "conf"].contains(&name.as_str())
                || name.starts_with("snap.") && !name.ends_with(".generating");
            if is_sleds && entry.file_type()?.is_file() {
                names.push(format!("{folder}{name}"));
            }
        }
    }
    names.sort();
    Ok(names)
}

/// sled's name for its log.
pub(super) const LOG: &str = "db";
const COPY: &str = "look-at-";
