//! Deliveries that an operator has stopped until further notice.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::private;

/// Whether new attempts are made. Rests as a file in the spool, so that a restart does not end it.
#[derive(Debug)]
pub(crate) struct Pause {
    file: PathBuf,
    is_on: AtomicBool,
}

impl Pause {
    /// As the last [`set`](Self::set) left it.
    pub(crate) fn at(file: PathBuf) -> Self {
        let is_on = AtomicBool::new(file.exists());
        Self { file, is_on }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Acquire)
    }

    /// Does blocking I/O.
    ///
    /// # Errors
    /// The file can't be written or removed. Until the next start it counts all the same.
    pub(crate) fn set(&self, on: bool) -> io::Result<()> {
        self.is_on.store(on, Ordering::Release);
        if on {
            private::file(&self.file)?;
        } else if let Err(error) = fs::remove_file(&self.file)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        // Its name in the folder is what counts.
        self.file.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }
}

/// Its name in the spool, where it is no name of a captured file.
pub(crate) const PAUSED: &str = "paused";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_outlives_the_process_until_it_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(PAUSED);
        let pause = Pause::at(file.clone());
        assert!(!pause.is_on());
        pause.set(true).unwrap();
        pause.set(true).unwrap();
        assert!(pause.is_on() && Pause::at(file.clone()).is_on());
        pause.set(false).unwrap();
        pause.set(false).unwrap();
        assert!(!pause.is_on() && !Pause::at(file).is_on());
    }
}
