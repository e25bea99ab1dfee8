//! What the replies of this DWS tell of it, remembered for its address and key.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use crate::backend::Honours;
use crate::private;

/// Whether this DWS heeds the ids and titles that uploads ask for: what its last reply told.
#[derive(Debug)]
pub(super) struct Learnt {
    account: String,
    /// Where it outlives the process.
    file: Option<PathBuf>,
    told: Mutex<Told>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Told {
    ids: Option<bool>,
    titles: Option<bool>,
}

impl Learnt {
    /// What is remembered of this account; one that can't be read is one of which nothing is known.
    pub(super) fn of(url: &str, key: &str, folder: Option<&Path>) -> Self {
        let account = fingerprint(url, key);
        let file = folder.map(|folder| folder.join(format!("dws-{account}.json")));
        let read = |file: &PathBuf| serde_json::from_slice(&fs::read(file).ok()?).ok();
        let told = file.as_ref().and_then(read).unwrap_or_default();
        Self { account, file, told: Mutex::new(told) }
    }

    pub(super) fn account(&self) -> &str {
        &self.account
    }

    /// Of ids, and of titles.
    pub(super) fn honours(&self) -> (Honours, Honours) {
        let told = *self.told.lock().unwrap_or_else(PoisonError::into_inner);
        (told.ids.into(), told.titles.into())
    }

    /// What a reply told; `None`: nothing.
    pub(super) async fn note(&self, ids: Option<bool>, titles: Option<bool>) {
        let told = {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Told { ids: ids.or(told.ids), titles: titles.or(told.titles) };
            if *told == now {
                return;
            }
            *told = now;
            now
        };
        info!(ids = ?told.ids, titles = ?told.titles, "whether DWS heeds ids and titles of ours");
        let Some(file) = self.file.clone() else { return };
        let written = spawn_blocking(move || write(&file, told)).await;
        if let Err(error) = written.unwrap_or_else(|error| Err(io::Error::other(error))) {
            warn!(%error, "what DWS heeds could not be written down; it is learnt again after a restart");
        }
    }
}

/// Either the former content or this, whatever ends the process.
fn write(file: &Path, told: Told) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        private::folder(folder)?;
    }
    let partial = file.with_extension("partial");
    let mut content = private::file(&partial)?;
    content.write_all(&serde_json::to_vec(&told)?)?;
    content.sync_all()?;
    fs::rename(partial, file)
}

/// Tells accounts apart without telling address or key.
fn fingerprint(url: &str, key: &str) -> String {
    let hash = digest(&SHA256, format!("transom account\0{url}\0{key}").as_bytes());
    hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_learnt_outlives_the_process_and_belongs_to_one_address_and_key() {
        let folder = tempfile::tempdir().unwrap();
        let of = |url: &str, key: &str| Learnt::of(url, key, Some(&folder.path().join("backend")));
        let learnt = of("http://a/viewer", "k");
        assert_eq!(learnt.honours(), (Honours::Unknown, Honours::Unknown));
        learnt.note(Some(true), None).await;
        learnt.note(None, Some(false)).await;
        assert_eq!(of("http://a/viewer", "k").honours(), (Honours::Yes, Honours::No));
        learnt.note(Some(false), None).await;
        assert_eq!(of("http://a/viewer", "k").honours(), (Honours::No, Honours::No));
        for other in [of("http://b/viewer", "k"), of("http://a/viewer", "l")] {
            assert_eq!(other.honours(), (Honours::Unknown, Honours::Unknown));
            assert_ne!(other.account(), learnt.account());
        }
    }
}
