//! The directory where captured bytes rest until DWS has them.

mod limits;
mod usage;
mod writer;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

pub(crate) use self::limits::SpoolLimits;
use self::usage::{Claim, Usage, counted};
pub(crate) use self::writer::Writer;
use crate::private;
use crate::reason::Reason;
use crate::telemetry::Metrics;

/// Where captured bytes rest until DWS has them: `<store.path>/spool`. Cheap to clone.
///
/// The methods do blocking I/O.
#[derive(Debug, Clone)]
pub(crate) struct Spool {
    dir: Arc<Path>,
    usage: Arc<Usage>,
    /// Whose files are written through this handle.
    client: Option<IpAddr>,
    /// How the names of this process's files begin.
    own: u64,
    was_made: Arc<AtomicBool>,
}

impl Spool {
    /// Opens (creating) the directory, for this user alone.
    #[cfg(test)]
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        let spool = Self::new(dir);
        spool.make()?;
        Ok(spool)
    }

    /// The spool in this directory, which is made when there is something to write at the latest.
    pub(crate) fn new(dir: &Path) -> Self {
        let usage = Arc::new(Usage::new(SpoolLimits::default(), None));
        let (own, was_made) = (crate::random::u64(), Arc::default());
        Self { dir: dir.into(), usage, client: None, own, was_made }
    }

    pub(crate) fn make(&self) -> io::Result<()> {
        let dir = &*self.dir;
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
            builder.mode(0o700).create(dir)?;
            fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
        }
        #[cfg(not(unix))]
        builder.create(dir)?;
        self.was_made.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// The same within these limits, shown by `metrics`.
    pub(crate) fn within(self, limits: SpoolLimits, metrics: Arc<Metrics>) -> Self {
        Self { usage: Arc::new(Usage::new(limits, Some(metrics))), ..self }
    }

    /// From now on, for all handles.
    pub(crate) fn set_limits(&self, limits: SpoolLimits) {
        self.usage.set_limits(limits);
    }

    /// The longest that an upload waits for the disk.
    pub(crate) fn set_hold(&self, hold: Duration) {
        self.usage.set_hold(hold);
    }

    fn hold(&self) -> Duration {
        self.usage.hold()
    }

    /// A handle for what this client sends; `None` where its address is not known.
    pub(crate) fn of_client(&self, client: Option<IpAddr>) -> Self {
        Self { client: client.map(counted), ..self.clone() }
    }

    /// What went wrong last, unless a file was kept since.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.usage.trouble_told()
    }

    /// The app took an upload, and the journal did not.
    pub(crate) fn not_journalled(&self, reason: Reason) {
        self.usage.not_journalled(reason);
    }

    /// `spool_full` or `spool_failed`.
    fn gave_up(&self, error: &io::Error) -> Reason {
        self.usage.gave_up(&self.dir, error)
    }

    /// Removes every file of ours that `keep` does not know: leftovers of a crash. Returns how many.
    /// Only for a start, as it would also remove what is being captured.
    pub(crate) fn sweep(&self, keep: &dyn Fn(&str) -> bool) -> io::Result<usize> {
        self.clear(keep, &|name| remove(&self.path(name)))
    }

    /// The same, but that they go to a folder beside the spool, which is returned with their number.
    pub(crate) fn put_aside(&self, keep: &dyn Fn(&str) -> bool) -> io::Result<(usize, PathBuf)> {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let mut name = self.dir.file_name().unwrap_or_default().to_os_string();
        name.push(format!("-aside-{}", since_1970.map_or(0, |time| time.as_secs())));
        let aside = self.dir.with_file_name(name);
        let moved = self.clear(keep, &|name| {
            private::folder(&aside)?;
            fs::rename(self.path(name), aside.join(name))
        })?;
        Ok((moved, aside))
    }

    /// Whether this process has written the file.
    pub(crate) fn is_own(&self, name: &str) -> bool {
        name.starts_with(&format!("{:016x}", self.own))
    }

    fn clear(
        &self,
        keep: &dyn Fn(&str) -> bool,
        clear: &dyn Fn(&str) -> io::Result<()>,
    ) -> io::Result<usize> {
        let (mut removed, mut kept) = (0, 0);
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            // Whatever else somebody put here is not ours to remove.
            let Some(name) = name.to_str().filter(|name| is_ours(name)) else { continue };
            if keep(name) {
                kept += entry.metadata().map_or(0, |file| file.len());
            } else {
                clear(name)?;
                removed += 1;
            }
        }
        self.usage.found(kept);
        Ok(removed)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Removes a delivered file; a missing one is fine.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.path(name);
        let size = fs::metadata(&path).map(|file| file.len());
        remove(&path)?;
        if let Ok(size) = size {
            self.usage.removed(size);
        }
        Ok(())
    }

    /// A new file under a name that nobody can guess.
    fn create(&self) -> io::Result<Unkept> {
        let name = format!("{:016x}{:016x}", self.own, crate::random::u64());
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        // One that could not be made at the start.
        if !self.was_made.load(Ordering::Relaxed) {
            self.make()?;
        }
        let file = options.open(self.path(&name))?;
        let claim = Some(Claim::new(self.usage.clone(), self.client));
        Ok(Unkept { spool: self.clone(), name, file: Some(file), claim })
    }
}

/// A missing one is fine.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn is_ours(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|b| b.is_ascii_hexdigit())
}

/// A file of the spool that is removed on drop unless it was kept.
#[derive(Debug)]
struct Unkept {
    spool: Spool,
    /// Empty once kept.
    name: String,
    /// `None` once put away.
    file: Option<File>,
    /// `None` once kept.
    claim: Option<Claim>,
}

impl Unkept {
    fn write_all(&mut self, content: &[u8]) -> io::Result<()> {
        let Some((file, claim)) = self.file.as_mut().zip(self.claim.as_mut()) else {
            return Ok(());
        };
        claim.grow(&self.spool.dir, content.len() as u64)?;
        file.write_all(content)
    }

    /// Syncs its content and closes it, so that an upload of many files has one of them open.
    fn put_away(&mut self) -> io::Result<()> {
        self.file.take().map_or(Ok(()), |file| file.sync_all())
    }

    fn sync(&self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), File::sync_all)?;
        // The name has to last as well. Elsewhere a directory can't be synced.
        #[cfg(unix)]
        File::open(&self.spool.dir)?.sync_all()?;
        Ok(())
    }

    fn keep(mut self) -> String {
        self.file = None;
        if let Some(claim) = self.claim.take() {
            claim.keep();
        }
        self.spool.usage.captured();
        std::mem::take(&mut self.name)
    }
}

impl Drop for Unkept {
    fn drop(&mut self) {
        if self.name.is_empty() {
            return;
        }
        let (path, file) = (self.spool.path(&self.name), self.file.take());
        let claim = self.claim.take();
        let remove = move || {
            // What fails to go now goes with the sweep of the next start.
            let _ = remove(&path);
            drop(file);
            // Only now is the room there again.
            drop(claim);
        };
        // To free a large file takes a while, at its removal or when it is closed.
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

/// A file that rests in the spool. Dropping it removes it, unless it was kept.
#[derive(Debug)]
pub(crate) struct SpooledFile {
    pub(crate) title: Option<String>,
    /// By sniffing.
    pub(crate) content_type: String,
    pub(crate) size: u64,
    pub(crate) sha256: [u8; 32],
    unkept: Unkept,
}

impl SpooledFile {
    /// fsyncs file and directory, gives up the removal on drop, and returns the name in the spool.
    pub(crate) async fn keep(self) -> io::Result<String> {
        let spool = self.unkept.spool.clone();
        let synced = spawn_blocking(move || {
            self.unkept.sync()?;
            Ok::<_, io::Error>(self.unkept)
        });
        // Only now, so that a caller who stopped waiting leaves nothing behind.
        match synced.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(unkept) => Ok(unkept.keep()),
            Err(error) => {
                spool.gave_up(&error);
                Err(error)
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_removes_only_what_is_ours_and_unknown() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(&dir.path().join("deep/spool")).unwrap();
        let known = spool.create().unwrap().keep();
        let unknown = spool.create().unwrap().keep();
        fs::write(spool.path("README"), "").unwrap();

        assert_eq!(spool.sweep(&|name| name == known).unwrap(), 1);
        assert!(spool.path(&known).exists() && spool.path("README").exists());
        assert!(!spool.path(&unknown).exists());

        spool.remove(&known).unwrap();
        spool.remove(&known).unwrap();
        assert!(!spool.path(&known).exists());
    }

    #[test]
    fn what_is_not_kept_goes() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(dir.path()).unwrap();
        let file = spool.create().unwrap();
        let path = spool.path(&file.name);
        assert!(path.exists());
        drop(file);
        assert!(!path.exists());
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_may_read() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let spool = Spool::open(dir.path()).unwrap();
        let file = spool.create().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(dir.path()), mode(&spool.path(&file.name))), (0o700, 0o600));
    }
}
