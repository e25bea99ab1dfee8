//! What is to be done about an upload without a clear end, by what the backend heeds and what was found there. Pure.

use crate::backend::{Honours, Properties};

/// The upload, as it was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) document_id: Option<&'a str>,
    /// Hex.
    pub(super) sha256: &'a str,
    pub(super) title: &'a str,
    /// So that the hash of what is stored is that of what was sent.
    pub(super) is_pdf: bool,
    /// Its document waits for it; else it is looked for only so that it can be removed.
    pub(super) is_awaited: bool,
    /// It was looked for before and not found, long enough ago.
    pub(super) was_absent: bool,
    /// How often it was absent for good.
    pub(super) settlements: u32,
}

/// What was found at the backend.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) ids: Honours,
    pub(super) titles: Honours,
    /// What is said of the id that was asked for.
    pub(super) own: Own,
    /// Documents since it was sent that belong to nothing, the oldest first. `None`: the key may not list.
    pub(super) candidates: Option<Vec<Candidate>>,
    /// The backend tells hashes.
    pub(super) tells_hashes: bool,
    /// How many documents more there are than before that belong to nothing; `None`: not known.
    pub(super) more: Option<i64>,
}

/// The document of the id that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Own {
    Absent,
    /// It is listed, and nothing more is said of it.
    Listed,
    There(Properties),
}

/// A document that may be the one that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) id: String,
    pub(super) title: Option<String>,
    pub(super) sha256: Option<String>,
    /// Its hash is that of another upload that is not done yet.
    pub(super) is_anothers: bool,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// The backend has it under this id.
    Stored(String),
    /// It is certainly absent.
    SendAgain,
    /// It was not found, and may still arrive.
    LookAgain,
    /// Only an operator can tell.
    Park(Doubtful),
}

/// Why only an operator can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Doubtful {
    /// The document of our own id has other bytes.
    Foreign(String),
    /// Any of these may be it.
    Several(Vec<String>),
    /// The key may not list documents.
    Unlisted,
    /// It was sent again as often as may be, and was absent each time.
    Hopeless,
}

pub(super) fn decide(wanted: Wanted<'_>, found: &Found) -> Decision {
    let own = wanted.document_id.map(str::to_owned);
    match (&found.own, own) {
        (Own::There(said), Some(id)) => {
            let differs = said.sha256.as_deref().is_some_and(|hash| hash != wanted.sha256);
            return match wanted.is_pdf && differs {
                true => Decision::Park(Doubtful::Foreign(id)),
                false => Decision::Stored(id),
            };
        }
        (Own::Listed, Some(id)) => return Decision::Stored(id),
        // Another upload of this id stores nothing if the first arrives after all.
        _ if found.ids.surely() && wanted.document_id.is_some() => {
            return if wanted.is_awaited { absent(wanted) } else { not_found(wanted) };
        }
        _ => {}
    }
    let Some(candidates) = &found.candidates else { return Decision::Park(Doubtful::Unlisted) };
    let named: Vec<_> = candidates
        .iter()
        .filter(|candidate| candidate.title.as_deref() == Some(wanted.title))
        .collect();
    if wanted.is_pdf && found.tells_hashes {
        // Of equal bytes and title, one is as good as the other.
        let titled = if found.titles.surely() { named } else { candidates.iter().collect() };
        let equal = titled.into_iter().find(|one| one.sha256.as_deref() == Some(wanted.sha256));
        return equal.map_or_else(|| not_found(wanted), |one| Decision::Stored(one.id.clone()));
    }
    let free: Vec<_> = candidates.iter().filter(|candidate| !candidate.is_anothers).collect();
    if found.titles != Honours::No {
        let named: Vec<_> = named.into_iter().filter(|candidate| !candidate.is_anothers).collect();
        match named.as_slice() {
            [one] => return Decision::Stored(one.id.clone()),
            [] if found.titles.surely() => return not_found(wanted),
            [] => {}
            several => return park(several),
        }
    }
    match free.as_slice() {
        [] => not_found(wanted),
        // Weak: somebody else's may be the only one, too, while ours was lost.
        [one] if found.more == Some(1) => Decision::Stored(one.id.clone()),
        several => park(several),
    }
}

fn park(candidates: &[&Candidate]) -> Decision {
    Decision::Park(Doubtful::Several(candidates.iter().map(|one| one.id.clone()).collect()))
}

/// It may still be on its way, unless a while has passed since it was not found before.
fn not_found(wanted: Wanted<'_>) -> Decision {
    if wanted.was_absent { absent(wanted) } else { Decision::LookAgain }
}

fn absent(wanted: Wanted<'_>) -> Decision {
    match wanted.settlements < MAX_SETTLEMENTS {
        true => Decision::SendAgain,
        false => Decision::Park(Doubtful::Hopeless),
    }
}

/// So often an upload is sent again that was absent. Each may count against the plan.
pub(super) const MAX_SETTLEMENTS: u32 = 3;

#[cfg(test)]
#[path = "settlement_tests.rs"]
mod tests;
