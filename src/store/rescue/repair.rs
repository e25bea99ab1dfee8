//! Puts a store together from what is whole.

use std::fs;
use std::path::{Path, PathBuf};

use super::build::{Built, build, sync_name};
use super::verify::Evidence;
use super::{Counted, failed, seconds};
use crate::store::sled_place::Place;
use crate::store::tally::{Tally, TallyFile};
use crate::store::{StoreError, scrub};

/// What was done.
#[derive(Debug)]
pub(crate) struct Repaired {
    pub(crate) counted: Counted,
    /// Where the damaged store was put; `None` if there was nothing to repair in it.
    pub(crate) kept: Option<PathBuf>,
    /// What could not be brought back, in words.
    pub(crate) lost: Vec<String>,
}

/// Blocks. The damaged store is kept beside the new one.
pub(crate) fn repair(folder: &Path) -> Result<Repaired, StoreError> {
    let place = Place::below(folder);
    let evidence = Evidence::gather(&place)?;
    let known = evidence.known();
    if evidence.trees_are_sound() {
        return accept(&place, &evidence, known);
    }
    let complete = evidence.mirror_is_sound();
    let mut lost = Vec::new();
    let state = match (evidence.mirror, evidence.trees) {
        (Some(mirror), _) if complete => mirror,
        (Some(mirror), Ok(trees)) => mirror.joined(trees),
        (Some(mirror), Err(_)) => mirror,
        (None, Ok(trees)) => trees,
        (None, Err(error)) => return Err(StoreError::Corrupt(error)),
    };
    if !complete {
        lost.extend(state.damage.iter().cloned());
        if state.revision < known {
            lost.push(format!("the changes after {} of {known}", state.revision));
        }
    }
    let name = format!("sled-new-{}", seconds());
    let new = Place { sled: folder.join(name), ..place.clone() };
    let mut state = state;
    // What the spool's files, and the names of jobs, were counted by must not be given again.
    state.revision = known;
    state.last_job = state.last_job.max(evidence.tally.as_ref().map_or(0, |tally| tally.last_job));
    let Built { counted, left_out } = build(&new.sled, &state, !complete)?;
    lost.extend(left_out);
    let kept = folder.join(format!("sled-damaged-{}", seconds()));
    fs::rename(&place.sled, &kept).map_err(|error| failed(&place.sled, "can't be moved", error))?;
    fs::rename(&new.sled, &place.sled)
        .map_err(|error| failed(&new.sled, "can't be moved", error))?;
    let (revision, last_job, suspect) = (known, state.last_job, !lost.is_empty());
    note(&place, &Tally { revision, last_job, suspect, ..Tally::default() })?;
    lost.truncate(scrub::MAX_NAMED);
    Ok(Repaired { counted, kept: Some(kept), lost })
}

/// The store itself is sound: only what stands beside it is put right.
fn accept(place: &Place, evidence: &Evidence, revision: u64) -> Result<Repaired, StoreError> {
    let mut counted = Counted::default();
    if let Ok(trees) = &evidence.trees {
        counted = Counted { documents: trees.documents.len(), jobs: trees.jobs.len(), files: 0 };
    }
    if !evidence.problems().is_empty() {
        let before = evidence.tally.clone().unwrap_or_default();
        // The mirror is written anew at the next start.
        note(place, &Tally { revision, mirror: None, closed: None, ..before })?;
    }
    Ok(Repaired { counted, kept: None, lost: Vec::new() })
}

pub(super) fn note(place: &Place, tally: &Tally) -> Result<(), StoreError> {
    let written = TallyFile::open(&place.tally).and_then(|mut file| {
        file.write(tally)?;
        file.sync()
    });
    written
        .and_then(|()| sync_name(&place.sled))
        .map_err(|error| failed(&place.tally, "can't be written", error))
}
