//! Keys of a file, read again when the file changes.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::task::JoinHandle;

use super::keys::{self, KeySet};
use crate::stamp::Stamp;

/// Watches until it is dropped.
#[derive(Debug)]
pub(super) struct FileKeys {
    keys: Arc<ArcSwap<KeySet>>,
    changes: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

/// Makes keys of what is in the file; the error is half a sentence.
pub(super) type Read = Box<dyn Fn(&str) -> Result<KeySet, String> + Send + Sync>;

struct Watch {
    identity: String,
    path: PathBuf,
    read: Read,
    keys: Arc<ArcSwap<KeySet>>,
    changes: Arc<AtomicU64>,
    seen: Option<Stamp>,
}

impl FileKeys {
    /// `keys` are those in use until the file is found to have changed. It is read once more at once,
    /// since it may have changed after the configuration was read.
    pub(super) fn watch(
        identity: &str,
        path: &Path,
        keys: KeySet,
        read: Read,
        every: Duration,
    ) -> Result<Self, String> {
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|_| "a key file can be watched only within a tokio runtime".to_owned())?;
        let keys = Arc::new(ArcSwap::from_pointee(keys));
        let changes = Arc::default();
        let watch = Watch {
            identity: identity.to_owned(),
            path: path.to_owned(),
            read,
            keys: Arc::clone(&keys),
            changes: Arc::clone(&changes),
            seen: None,
        };
        Ok(Self { keys, changes, task: runtime.spawn(watch.run(every)) })
    }

    pub(super) fn keys(&self) -> Arc<KeySet> {
        self.keys.load_full()
    }

    /// How often the keys have been read anew.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }
}

impl Drop for FileKeys {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watch {
    async fn run(mut self, every: Duration) {
        loop {
            self.look().await;
            tokio::time::sleep(every).await;
        }
    }

    /// A file that can't be read or used leaves the keys as they are, and is told of once.
    async fn look(&mut self) {
        let stamp = tokio::fs::metadata(&self.path).await.ok().map(|of| Stamp::new(&of));
        let first = self.seen.is_none();
        if stamp.is_some() && stamp == self.seen {
            return;
        }
        let (identity, file) = (self.identity.as_str(), self.path.display());
        match self.read().await {
            Ok(keys) => {
                self.keys.store(Arc::new(keys));
                self.changes.fetch_add(1, Ordering::Release);
                if !first {
                    tracing::info!(identity, %file, "the key file has changed; its keys are in use");
                }
            }
            Err(error) if stamp.is_some() || !first => {
                tracing::warn!(identity, %file, error, "the key file can't be used; the keys of before serve on");
            }
            Err(_) => {}
        }
        self.seen = stamp;
    }

    async fn read(&self) -> Result<KeySet, String> {
        let metadata = tokio::fs::metadata(&self.path).await.map_err(|error| error.to_string())?;
        if metadata.len() > keys::MAX_BYTES as u64 {
            return Err(format!("it is longer than {} bytes", keys::MAX_BYTES));
        }
        let text =
            tokio::fs::read_to_string(&self.path).await.map_err(|error| error.to_string())?;
        (self.read)(text.strip_prefix('\u{feff}').unwrap_or(&text))
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("path", &self.path).finish_non_exhaustive()
    }
}

/// How often a file is looked at.
pub(super) const EVERY: Duration = Duration::from_secs(5);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{self, Pair};
    use super::super::verifier::Verifier;
    use super::*;
    use crate::auth::{Algorithm, Identity, KeySource};

    #[tokio::test]
    async fn a_changed_file_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.json");
        let (old, new) = (testing::pair(Algorithm::ES256), Pair::ec(Algorithm::ES256));
        let verifier = verifier(&path, old);
        assert!(knows(&verifier, old).await && !knows(&verifier, &new).await);

        std::fs::write(&path, set(&new)).unwrap();
        until(|| async { knows(&verifier, &new).await && !knows(&verifier, old).await }).await;
    }

    #[tokio::test]
    async fn a_file_renamed_into_place_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.json");
        let (old, new) = (testing::pair(Algorithm::ES256), Pair::ec(Algorithm::ES256));
        let verifier = verifier(&path, old);
        let next = dir.path().join("next.json");
        std::fs::write(&next, set(&new)).unwrap();
        std::fs::rename(&next, &path).unwrap();
        until(|| async { knows(&verifier, &new).await }).await;
    }

    #[tokio::test]
    async fn a_bad_or_missing_file_leaves_the_keys_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.json");
        let old = testing::pair(Algorithm::ES256);
        let verifier = verifier(&path, old);
        let long = format!("{{\"x\":\"{}\"}}", "y".repeat(keys::MAX_BYTES));
        for bad in ["", "{\"keys\": []}", "garbage", &long] {
            std::fs::write(&path, bad).unwrap();
            tokio::time::sleep(QUICK * 5).await;
            assert!(knows(&verifier, old).await, "{bad:.20}");
        }
        std::fs::remove_file(&path).unwrap();
        tokio::time::sleep(QUICK * 5).await;
        assert!(knows(&verifier, old).await);

        let new = Pair::ec(Algorithm::ES256);
        std::fs::write(&path, set(&new)).unwrap();
        until(|| async { knows(&verifier, &new).await }).await;
    }

    #[tokio::test]
    async fn a_pem_file_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        let (old, new) = (testing::pair(Algorithm::ES256), Pair::ec(Algorithm::ES256));
        std::fs::write(&path, old.pem()).unwrap();
        let key = KeySource::PublicKey(old.pem());
        let identity = Identity { key, key_file: Some(path.clone()), ..identity() };
        let verifier = Verifier::start_watching(&identity, QUICK).unwrap();
        assert!(knows(&verifier, old).await);
        std::fs::write(&path, new.pem()).unwrap();
        until(|| async { knows(&verifier, &new).await }).await;
    }

    fn verifier(path: &Path, pair: &Pair) -> Verifier {
        std::fs::write(path, set(pair)).unwrap();
        let key = KeySource::JwksText(set(pair));
        let identity = Identity { key, key_file: Some(path.to_owned()), ..identity() };
        Verifier::start_watching(&identity, QUICK).unwrap()
    }

    fn identity() -> Identity {
        testing::identity("app", Algorithm::ES256)
    }

    fn set(pair: &Pair) -> String {
        json!({"keys": [pair.jwk(&json!({"kid": "a"}))]}).to_string()
    }

    async fn knows(verifier: &Verifier, pair: &Pair) -> bool {
        let header: Value = json!({"alg": "ES256", "kid": "a"});
        let token = pair.sign(Algorithm::ES256, &header, &json!({"sub": "ann", "exp": 1}));
        verifier.verify(token.as_bytes(), 0, &http::Extensions::new()).await.is_ok()
    }

    async fn until<F: Future<Output = bool>>(holds: impl Fn() -> F) {
        for _ in 0..2000 {
            if holds().await {
                return;
            }
            tokio::time::sleep(QUICK).await;
        }
        panic!("it never came to be");
    }

    const QUICK: Duration = Duration::from_millis(5);
}
