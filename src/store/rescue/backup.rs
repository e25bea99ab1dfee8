//! Writes a store and the uploads that wait in its spool to one file. It may be in use meanwhile: its mirror is read.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::state::State;
use super::verify::Evidence;
use super::{Counted, failed};
use crate::store::mirror::LineText;
use crate::store::sled_place::Place;
use crate::store::tally::Tally;
use crate::store::{Job, StoreError, spool_path};

/// What follows the records: each file's name and size, its bytes, and their checksum; then the end.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Part {
    File { name: String, size: u64 },
    End { documents: usize, jobs: usize, files: usize },
}

/// Blocks. The file takes its name when it is complete.
pub(crate) fn backup(folder: &Path, to: &Path) -> Result<Counted, StoreError> {
    let place = Place::below(folder);
    let told = |error: io::Error| failed(to, "can't be written", error);
    let partial = to.with_extension("partial");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&partial).map_err(told)?;
    let written = (|| {
        let mut out = BufWriter::new(file);
        let counted = write(&place, folder, &mut out, &told)?;
        let file = out.into_inner().map_err(|error| told(error.into_error()))?;
        file.sync_all().map_err(told)?;
        fs::rename(&partial, to).map_err(told)?;
        Ok(counted)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&partial);
    }
    written
}

fn write(
    place: &Place,
    folder: &Path,
    out: &mut impl Write,
    told: &dyn Fn(io::Error) -> StoreError,
) -> Result<Counted, StoreError> {
    let mut state = read(place)?;
    let mut counted = Counted::default();
    let mut held = Vec::new();
    // Uploads that are delivered meanwhile take their files along; the mirror knows what became of them.
    for _ in 0..MAX_READS {
        let gone;
        (held, gone) = open_files(&state, &spool_path(folder));
        if !gone {
            break;
        }
        state = read(place)?;
    }
    for page in pages(&state) {
        out.write_all(&page).map_err(told)?;
    }
    for (name, size, mut file) in held {
        put(out, &Part::File { name, size }).map_err(told)?;
        copy(&mut file, size, out).map_err(told)?;
        counted.files += 1;
    }
    (counted.documents, counted.jobs) = (state.documents.len(), state.jobs.len());
    let Counted { documents, jobs, files } = counted;
    put(out, &Part::End { documents, jobs, files }).map_err(told)?;
    Ok(counted)
}

/// The store's records: from its mirror, which tells them while it is in use, else from a copy.
fn read(place: &Place) -> Result<State, StoreError> {
    let told = |error: io::Error| failed(&place.mirror(), "can't be read", error);
    // In this order, since a group of writes comes to the mirror first.
    let tally = Tally::read(&place.tally).map_err(told)?;
    let tallied = tally.map_or(0, |tally| tally.revision);
    let mirror = State::of_mirror(&place.mirror()).map_err(told)?;
    let is_sound =
        |mirror: &State| mirror.whole && mirror.damage.is_empty() && mirror.revision >= tallied;
    if let Some(mirror) = mirror.filter(is_sound) {
        return Ok(mirror);
    }
    let evidence = Evidence::gather(place).map_err(|error| match error {
        StoreError::Locked(_) => StoreError::Locked(format!(
            "the store in {} is in use, and its mirror, which is what a backup is made of then, is being written; try \
             again in a minute",
            place.sled.display()
        )),
        error => error,
    })?;
    if !evidence.trees_are_sound() {
        let problem = evidence.problems().into_iter().next().unwrap_or_default();
        return Err(StoreError::Corrupt(format!(
            "no backup is made of a damaged store ({problem}): see `transom store verify`"
        )));
    }
    evidence.trees.map_err(StoreError::Corrupt)
}

type Held = (String, u64, File);

/// The files that jobs need, open, so that they stay readable; and whether some are missing.
fn open_files(state: &State, spool: &Path) -> (Vec<Held>, bool) {
    let (mut held, mut gone) = (Vec::new(), false);
    for text in state.jobs.values() {
        let job = serde_json::from_str::<Job>(text).ok();
        let Some(name) = job.as_ref().and_then(Job::spool) else { continue };
        let opened =
            File::open(spool.join(name)).and_then(|file| Ok((file.metadata()?.len(), file)));
        match opened {
            Ok((size, file)) => held.push((name.to_owned(), size, file)),
            Err(_) => gone = true,
        }
    }
    (held, gone)
}

/// As the mirror has them.
fn pages(state: &State) -> impl Iterator<Item = Vec<u8>> {
    let (revision, last_job) = (state.revision, state.last_job);
    let documents: Vec<_> = state.documents.values().map(|(_, text)| &**text).collect();
    let jobs: Vec<_> = state.jobs.values().map(|text| &**text).collect();
    let line = move |texts: &[&str], is_jobs: bool| {
        let mut line = LineText::default();
        for text in texts {
            if is_jobs { line.job_text(text) } else { line.document_text(text) }
        }
        let mut page = Vec::new();
        line.end(revision, last_job, false, &mut page);
        page
    };
    let documents: Vec<_> = documents.chunks(PAGE).map(|page| line(page, false)).collect();
    let jobs: Vec<_> = jobs.chunks(PAGE).map(|page| line(page, true)).collect();
    let mut end = Vec::new();
    LineText::default().end(revision, last_job, true, &mut end);
    documents.into_iter().chain(jobs).chain([end])
}

fn put(out: &mut impl Write, part: &Part) -> io::Result<()> {
    let json = serde_json::to_string(part)?;
    writeln!(out, "{:08x} {json}", crc32fast::hash(json.as_bytes()))
}

fn copy(file: &mut File, size: u64, out: &mut impl Write) -> io::Result<()> {
    let (mut sum, mut left, mut buffer) = (crc32fast::Hasher::new(), size, vec![0; 256 * 1024]);
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let read = file.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        sum.update(&buffer[..read]);
        out.write_all(&buffer[..read])?;
        left -= read as u64;
    }
    writeln!(out, "\n{:08x}", sum.finalize())
}

const PAGE: usize = 500;
const MAX_READS: usize = 5;
