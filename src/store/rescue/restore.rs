//! Brings a backup back.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use super::backup::Part;
use super::build::{build, sync_name};
use super::repair::note;
use super::state::State;
use super::{Counted, failed, seconds};
use crate::private;
use crate::store::mirror::parse;
use crate::store::sled_open::lock_out;
use crate::store::sled_place::Place;
use crate::store::tally::Tally;
use crate::store::{StoreError, spool_path};

/// Blocks. The store and the spool that were there are kept beside.
pub(crate) fn restore(folder: &Path, from: &Path) -> Result<Counted, StoreError> {
    let place = Place::below(folder);
    let _locked = lock_out(&place)?;
    private::folder(folder).map_err(|error| failed(folder, "can't be made", error))?;
    let (new_sled, new_spool) = (
        folder.join(format!("sled-new-{}", seconds())),
        folder.join(format!("spool-new-{}", seconds())),
    );
    let there = Tally::read(&place.tally).ok().flatten().map_or(0, |tally| tally.revision);
    let restored = unpack(from, &new_sled, &new_spool, there).and_then(|(state, counted)| {
        for (old, new) in [(&place.sled, &new_sled), (&spool_path(folder), &new_spool)] {
            let moved = |error| failed(old, "can't be exchanged", error);
            if old.exists() {
                let name = old.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let kept = folder.join(format!("{name}-before-{}", seconds()));
                fs::rename(old, kept).map_err(moved)?;
            }
            fs::rename(new, old).map_err(moved)?;
        }
        let State { revision, last_job, .. } = state;
        note(&place, &Tally { revision, last_job, ..Tally::default() })?;
        Ok(counted)
    });
    if restored.is_err() {
        let _ = fs::remove_dir_all(&new_sled);
        let _ = fs::remove_dir_all(&new_spool);
    }
    restored
}

/// `there`: how far the store is that was there.
fn unpack(
    from: &Path,
    sled: &Path,
    spool: &Path,
    there: u64,
) -> Result<(State, Counted), StoreError> {
    let told = |error: io::Error| failed(from, "can't be read", error);
    let damaged = || {
        StoreError::Corrupt(format!(
            "{} is damaged, or no backup; nothing was changed",
            from.display()
        ))
    };
    private::folder(spool).map_err(|error| failed(spool, "can't be made", error))?;
    let mut input = BufReader::new(File::open(from).map_err(told)?);
    let (mut state, mut counted) = (State::default(), Counted::default());
    loop {
        let mut text = Vec::new();
        input.read_until(b'\n', &mut text).map_err(told)?;
        let line = text.strip_suffix(b"\n").ok_or_else(damaged)?;
        if !state.whole {
            state.take(&parse(line).ok_or_else(damaged)?);
            continue;
        }
        match part(line).ok_or_else(damaged)? {
            Part::File { name, size } => {
                let is_plain =
                    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
                if !is_plain || !unpack_file(&mut input, &spool.join(&name), size).map_err(told)? {
                    return Err(damaged());
                }
                counted.files += 1;
            }
            Part::End { documents, jobs, files } => {
                (counted.documents, counted.jobs) = (state.documents.len(), state.jobs.len());
                if counted != (Counted { documents, jobs, files }) {
                    return Err(damaged());
                }
                break;
            }
        }
    }
    sync_name(spool).map_err(|error| failed(spool, "can't be made durable", error))?;
    // What was to be uploaded then may have been since.
    build(sled, &state, state.revision != there)?;
    Ok((state, counted))
}

fn part(line: &[u8]) -> Option<Part> {
    let (sum, json) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    let sound = u32::from_str_radix(sum, 16).ok()? == crc32fast::hash(json.as_bytes());
    sound.then(|| serde_json::from_str(json).ok())?
}

/// Whether it has its checksum.
fn unpack_file(input: &mut impl BufRead, to: &Path, size: u64) -> io::Result<bool> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(to)?;
    let (mut sum, mut left, mut buffer) = (crc32fast::Hasher::new(), size, vec![0; 256 * 1024]);
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let read = input.read(&mut buffer[..most])?;
        if read == 0 {
            return Ok(false);
        }
        sum.update(&buffer[..read]);
        file.write_all(&buffer[..read])?;
        left -= read as u64;
    }
    file.sync_all()?;
    let mut end = String::new();
    input.read_line(&mut end)?;
    input.read_line(&mut end)?;
    Ok(end.trim() == format!("{:08x}", sum.finalize()))
}
