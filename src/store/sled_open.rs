//! Opens sled so that a leftover, a second process or another format can't do harm.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use fs2::FileExt;
use sled::{Db, Tree};

use super::codec::{RESTORE, decode_counter};
use super::sled_place::{Copy, LOG, Place};
use super::sled_trees::Trees;
use super::tally::{Tally, TallyFile};
use super::{JobId, StoreError, migrate, mirror};
use crate::private;

/// The trees of an open store, and the handle that makes them survive power loss.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) trees: Trees,
    /// sled's log. sled's own `flush` commits neither its metadata nor the disk's cache.
    pub(super) log: File,
    pub(super) counters: Counters,
    /// As it was before.
    pub(super) tally: Tally,
    /// Something that there was is gone.
    pub(super) suspect: bool,
}

/// What the store counts for itself; both only grow.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    pub(super) revision: u64,
    pub(super) last_job: u64,
}

/// Opening a damaged store makes it worse, as sled overwrites what it can't read. So a store that was not closed as it
/// is now is opened as a copy first; `again`: this process had it open a moment ago.
pub(super) fn open(place: &Place, again: bool) -> Result<Opened, StoreError> {
    let path = &*place.sled;
    private::folder(path).map_err(|error| io_error(path, "can't be created", &error))?;
    clean(path)?;
    let told = |error: io::Error| io_error(path, "can't be looked at", &error);
    let tally = Tally::read(&place.tally).map_err(told)?;
    let suspect = !again && !place.is_copy && check(place, tally.as_ref())?;
    let mut tally = tally.unwrap_or_default();
    let suspect = suspect || tally.suspect;
    let before = Tally { closed: None, suspect, ..tally.clone() };
    TallyFile::open(&place.tally)
        .and_then(|mut file| file.write(&before).and_then(|()| file.sync()))
        .map_err(|error| io_error(path, "can't be written", &error))?;
    tally.closed = None;
    let (trees, counters) = open_folder(path, path)?;
    trees.db.flush().map_err(|error| explain(path, &error))?;
    let log = sync_files(path).map_err(|error| io_error(path, "can't be made durable", &error))?;
    Ok(Opened { trees, log, counters, tally, suspect })
}

/// `shown`: where the operator knows the store to be.
pub(super) fn open_folder(path: &Path, shown: &Path) -> Result<(Trees, Counters), StoreError> {
    let db = sled::Config::new()
        .path(path)
        .cache_capacity(CACHE_BYTES)
        // The store thread flushes after every group of writes.
        .flush_every_ms(None)
        .open()
        .map_err(|error| explain(shown, &error))?;
    // sled makes its files as the umask has it, in a folder that nobody else may enter.
    private::content(path);
    let trees = open_trees(shown, db)?;
    let counters = read_counters(&trees).map_err(|error| in_folder(shown, error))?;
    Ok((trees, counters))
}

/// Whether the store, which is sound, is not the one that there was. An error where it is damaged.
fn check(place: &Place, tally: Option<&Tally>) -> Result<bool, StoreError> {
    let path = &*place.sled;
    let told = |error: io::Error| io_error(path, "can't be looked at", &error);
    place.remove_copies();
    let mirrored = mirror::last_revision(&place.mirror()).map_err(told)?;
    let tallied = tally.map_or(0, |tally| tally.revision);
    if !place.is_there() && mirrored.is_none() {
        if tallied > 0 {
            tracing::warn!(
                path = %path.display(),
                "the store is new, although there was one of {tallied} changes; nothing that it waits for is removed"
            );
        }
        return Ok(tallied > 0);
    }
    // Of before there were tallies.
    if tallied == 0 && mirrored.is_none() {
        return Ok(false);
    }
    if let Some(sum) = tally.and_then(|tally| tally.closed)
        && place.checksum().map_err(told)? == sum
    {
        return Ok(false);
    }
    let copy = match place.copy() {
        Ok(copy) => copy,
        Err(error) => {
            tracing::warn!(%error, "the store is opened without a look at a copy first, for which there is no room");
            return Ok(false);
        }
    };
    let (_, found) = guarded(|| open_folder(&copy.place.sled, path)).unwrap_or_else(|fault| {
        Err(StoreError::Corrupt(format!(
            "the store in {} can't be read ({fault}); {RESTORE}",
            path.display()
        )))
    })?;
    let known = mirrored.unwrap_or(tallied);
    if found.revision < known {
        return Err(StoreError::Corrupt(format!(
            "the store in {} is damaged: of {known} changes that were written only the first {} can be read; \
             {RESTORE}",
            path.display(),
            found.revision
        )));
    }
    if found.revision < tallied {
        tracing::warn!(
            path = %path.display(),
            "the store is older than it was: it has {} changes, and there were {tallied}; nothing that it waits for \
             is removed",
            found.revision
        );
    }
    Ok(found.revision < tallied)
}

/// sled meets some kinds of damage with a panic.
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a fault").to_owned()
    })
}

/// Writes the log anew from what is read of it. After a sync that failed, the disk may lack what the page cache has, and no
/// later sync tells.
pub(super) fn rewrite(path: &Path) -> Result<(), StoreError> {
    let (log, copy) = (path.join(LOG), path.join("db.rewritten"));
    let rewritten = || {
        fs::copy(&log, &copy)?;
        File::open(&copy)?.sync_all()?;
        fs::rename(&copy, &log)
    };
    rewritten().map_err(|error| io_error(path, "can't be written anew after a failed sync", &error))
}

/// A copy of a store that no process has open.
pub(super) fn copy(place: &Place) -> Result<Copy, StoreError> {
    let _locked = lock_out(place)?;
    let copied = place.copy();
    copied.map_err(|error| io_error(&place.sled, "can't be copied to be looked at", &error))
}

/// Whether a store of this revision lacks what it once had, in words.
#[cfg(feature = "cli")]
pub(super) fn behind(place: &Place, revision: u64) -> Option<String> {
    let mirrored = mirror::last_revision(&place.mirror()).ok().flatten().unwrap_or(0);
    let tallied = Tally::read(&place.tally).ok().flatten().map_or(0, |tally| tally.revision);
    let known = mirrored.max(tallied);
    (revision < known).then(|| format!("of {known} changes only the first {revision} can be read"))
}

/// Keeps every process from opening the store, until it is dropped.
pub(super) fn lock_out(place: &Place) -> Result<Option<File>, StoreError> {
    // Without the right to write where the disk is read-only.
    let log = OpenOptions::new().read(true).open(place.log());
    let Ok(log) = log else { return Ok(None) };
    lock(&place.sled, &log)?;
    Ok(Some(log))
}

/// Removes half-written snapshots, which sled would take for the newest one and refuse to open.
/// Done under sled's own lock: a process that has the store open may be writing one just now.
fn clean(path: &Path) -> Result<(), StoreError> {
    let Ok(db) = OpenOptions::new().read(true).write(true).open(path.join(LOG)) else {
        return Ok(());
    };
    lock(path, &db)?;
    let cleaned = remove_stale_snapshots(path);
    // Closing releases the lock too, this only says when.
    let unlocked = FileExt::unlock(&db);
    cleaned.and(unlocked).map_err(|error| io_error(path, "can't be cleaned", &error))
}

fn lock(path: &Path, db: &File) -> Result<(), StoreError> {
    for attempt in 0..LOCK_ATTEMPTS {
        match db.try_lock_exclusive() {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() != fs2::lock_contended_error().kind() => {
                return Err(io_error(path, "can't be locked", &error));
            }
            // A process that is just ending lets go a moment later.
            Err(_) if attempt + 1 < LOCK_ATTEMPTS => sleep(LOCK_PAUSE),
            Err(_) => {}
        }
    }
    Err(locked(path))
}

fn remove_stale_snapshots(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            tracing::warn!(path = %entry.path().display(), "removing a half-written snapshot of the store");
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn open_trees(path: &Path, db: Db) -> Result<Trees, StoreError> {
    let explain = |error: sled::Error| explain(path, &error);
    let meta = db.open_tree("meta").map_err(explain)?;
    match format_of(path, &db, &meta)? {
        Format::New => {
            let trees = Trees::open(db).map_err(explain)?;
            trees.meta.insert(FORMAT_KEY, FORMAT).map_err(explain)?;
            Ok(trees)
        }
        Format::Former => {
            tracing::info!(path = %path.display(), "the store is brought to format 3");
            let trees = Trees::open(db).map_err(explain)?;
            let log =
                open_log(path).map_err(|error| io_error(path, "can't be made durable", &error))?;
            migrate::run(&trees, &log, &mut || ()).map_err(|error| in_folder(path, error))?;
            Ok(trees)
        }
        Format::Current => {
            let trees = Trees::open(db).map_err(explain)?;
            migrate::tidy(&trees).map_err(|error| in_folder(path, error))?;
            trees.meta.insert(FORMAT_KEY, FORMAT).map_err(explain)?;
            Ok(trees)
        }
    }
}

/// What opening has to do about the format.
enum Format {
    New,
    Former,
    Current,
}

fn format_of(path: &Path, db: &Db, meta: &Tree) -> Result<Format, StoreError> {
    let found = meta.get(FORMAT_KEY).map_err(|error| explain(path, &error))?;
    let Some(found) = found else {
        return match is_empty(path, db)? {
            true => Ok(Format::New),
            false => Err(StoreError::Corrupt(format!(
                "the store in {} holds records but no format; {RESTORE}",
                path.display()
            ))),
        };
    };
    match &*found {
        FORMAT | UNCHECKED => return Ok(Format::Current),
        migrate::FORMER => return Ok(Format::Former),
        _ => {}
    }
    let written = String::from_utf8_lossy(&found);
    Err(StoreError::Format(match written.parse::<u32>() {
        Ok(_) => format!(
            "the store in {} was written by a newer Transom: it has format {written}, and this one reads \
             formats 1 to 3. Nothing was changed. Run the Transom that wrote it; or take its `transom \
             mappings export` to a file, and `transom mappings import` that here into an empty folder, once \
             its `transom outbox list` is empty",
            path.display()
        ),
        Err(_) => format!(
            "the store in {} has format {written:?}, which no Transom writes. Nothing was changed: see \
             that `[store] path` names the right folder, or restore a backup",
            path.display()
        ),
    }))
}

fn is_empty(path: &Path, db: &Db) -> Result<bool, StoreError> {
    for name in db.tree_names() {
        let tree = db.open_tree(name).map_err(|error| explain(path, &error))?;
        if !tree.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn read_counters(trees: &Trees) -> Result<Counters, StoreError> {
    let counter = |name: &str| match trees.meta.get(name) {
        Ok(Some(bytes)) => decode_counter(name, &bytes),
        Ok(None) => Ok(0),
        Err(error) => Err(read_error(&error)),
    };
    let newest = trees.jobs.last().map_err(|error| read_error(&error))?;
    let newest = newest.map_or(Ok(0), |(key, _)| decode_counter("job key", &key))?;
    Ok(Counters {
        revision: counter(REVISION_KEY)?,
        last_job: counter(LAST_JOB_KEY)?.max(JobId(newest).0),
    })
}

fn open_log(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path.join(LOG))
}

/// Makes what opening created survive power loss: the files, and their names in the folders.
fn sync_files(path: &Path) -> io::Result<File> {
    let log = open_log(path)?;
    log.sync_all()?;
    File::open(path.join("conf"))?.sync_all()?;
    #[cfg(unix)]
    for folder in [Some(path), path.parent()].into_iter().flatten() {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        File::open(folder)?.sync_all()?;
    }
    Ok(log)
}

/// An error of sled's while opening, in words for the operator.
fn explain(path: &Path, error: &sled::Error) -> StoreError {
    match error {
        sled::Error::Io(io) if io.to_string().contains("could not acquire lock") => locked(path),
        sled::Error::Io(io) => io_error(path, "can't be opened", io),
        other => StoreError::Corrupt(format!(
            "the store in {} can't be read ({other}); {RESTORE}",
            path.display()
        )),
    }
}

/// An error of sled's while reading.
pub(super) fn read_error(error: &sled::Error) -> StoreError {
    match error {
        sled::Error::Corruption { .. } => {
            StoreError::Corrupt(format!("the store can't be read ({error}); {RESTORE}"))
        }
        _ => StoreError::Io(format!("the store failed: {error}")),
    }
}

fn in_folder(path: &Path, error: StoreError) -> StoreError {
    match error {
        StoreError::Corrupt(text) => StoreError::Corrupt(format!("{}: {text}", path.display())),
        StoreError::Io(text) => StoreError::Io(format!("{}: {text}", path.display())),
        other => other,
    }
}

fn locked(path: &Path) -> StoreError {
    StoreError::Locked(format!(
        "the store in {} is open in another process, most likely a running `transom run`; stop that \
         one first, or name another folder",
        path.display()
    ))
}

fn io_error(path: &Path, what: &str, error: &io::Error) -> StoreError {
    StoreError::Io(format!("the store in {} {what}: {error}", path.display()))
}

pub(super) const REVISION_KEY: &str = "revision";
pub(super) const LAST_JOB_KEY: &str = "last_job";
pub(super) const FORMAT_KEY: &str = "format";
/// Documents and names, with checksums.
pub(super) const FORMAT: &[u8] = b"3";
/// Without checksums; each record gets its own when it is written the next time. Format 1 had one record for both.
const UNCHECKED: &[u8] = b"2";
const CACHE_BYTES: u64 = 64 * 1024 * 1024;
const LOCK_ATTEMPTS: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(100);
