//! Tells what is wrong with a store, without touching it.

use super::failed;
use super::state::State;
use crate::store::StoreError;
use crate::store::codec::RESTORE;
use crate::store::sled_open::{self, guarded, open_folder};
use crate::store::sled_place::Place;
use crate::store::tally::Tally;

/// What was found.
#[cfg(feature = "cli")]
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) counted: super::Counted,
    /// Each a sentence; none: all is well.
    pub(crate) problems: Vec<String>,
}

/// Everything that is known of a store below `store.path`.
pub(super) struct Evidence {
    pub(super) tally: Option<Tally>,
    /// Sled's files are not those of the last clean end.
    pub(super) changed: bool,
    pub(super) mirror: Option<State>,
    pub(super) trees: Result<State, String>,
}

impl Evidence {
    pub(super) fn gather(place: &Place) -> Result<Self, StoreError> {
        let told = |error: std::io::Error| failed(&place.sled, "can't be looked at", error);
        let tally = Tally::read(&place.tally).map_err(told)?;
        let copy = sled_open::copy(place)?;
        let changed = match tally.as_ref().and_then(|tally| tally.closed) {
            Some(sum) => place.checksum().map_err(told)? != sum,
            None => false,
        };
        let mirror = State::of_mirror(&place.mirror()).map_err(told)?;
        let trees = guarded(|| {
            let (trees, counters) = open_folder(&copy.place.sled, &place.sled)?;
            Ok::<_, StoreError>(State::of_trees(&trees, counters))
        });
        let trees = match trees {
            Ok(trees) => trees.map_err(|error| error.to_string().replace(RESTORE, "")),
            Err(fault) => Err(format!("the store can't be read ({fault})")),
        };
        Ok(Self { tally, changed, mirror, trees })
    }

    /// The last change that is known to have been made.
    pub(super) fn known(&self) -> u64 {
        let tallied = self.tally.as_ref().map_or(0, |tally| tally.revision);
        let mirrored = self.mirror.as_ref().map_or(0, |mirror| mirror.revision);
        let found = self.trees.as_ref().map_or(0, |trees| trees.revision);
        tallied.max(mirrored).max(found)
    }

    pub(super) fn mirror_is_sound(&self) -> bool {
        self.mirror
            .as_ref()
            .is_some_and(|mirror| mirror.is_sound() && mirror.revision == self.known())
    }

    pub(super) fn trees_are_sound(&self) -> bool {
        self.trees.as_ref().is_ok_and(|trees| trees.is_sound() && trees.revision == self.known())
    }

    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        match &self.trees {
            Err(error) => problems.push(error.trim_end_matches([';', ' ']).to_owned()),
            Ok(trees) => {
                if trees.revision < self.known() {
                    let (known, found) = (self.known(), trees.revision);
                    problems.push(format!("of {known} changes only the first {found} can be read"));
                }
                problems.extend(trees.damage.iter().cloned());
            }
        }
        if self.changed {
            problems.push("sled's files are not as they were when the store was closed".to_owned());
        }
        if let Some(mirror) = &self.mirror {
            problems.extend(mirror.damage.iter().cloned());
            if let Ok(trees) = &self.trees
                && self.mirror_is_sound()
                && self.trees_are_sound()
                && (trees.documents.len(), trees.jobs.len())
                    != (mirror.documents.len(), mirror.jobs.len())
            {
                problems.push(format!(
                    "the mirror has {} documents and {} jobs, the store {} and {}",
                    mirror.documents.len(),
                    mirror.jobs.len(),
                    trees.documents.len(),
                    trees.jobs.len()
                ));
            }
        }
        problems
    }
}

/// Blocks.
#[cfg(feature = "cli")]
pub(crate) fn verify(folder: &std::path::Path) -> Result<Verified, StoreError> {
    use super::Counted;
    use crate::store::{Job, spool_path};

    let place = Place::below(folder);
    let evidence = Evidence::gather(&place)?;
    let mut problems = evidence.problems();
    let mut counted = Counted::default();
    if let Ok(trees) = &evidence.trees {
        counted = Counted { documents: trees.documents.len(), jobs: trees.jobs.len(), files: 0 };
        for (id, text) in &trees.jobs {
            let job = serde_json::from_str::<Job>(text).ok();
            let Some(name) = job.as_ref().and_then(Job::spool) else { continue };
            counted.files += 1;
            if !spool_path(folder).join(name).exists() {
                problems.push(format!("the file of job {} is not in the spool", id.0));
            }
        }
    }
    Ok(Verified { counted, problems })
}
