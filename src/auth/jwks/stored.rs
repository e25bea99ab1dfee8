//! The last good set on disk, for a start while the key server is away.
//!
//! A set from disk is believed as long as it would have been in memory. Only public keys are kept.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::auth::keys;
use crate::private;

/// The place of one identity's set.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct File {
    /// In Unix seconds.
    fetched_at: u64,
    set: Box<RawValue>,
}

impl Stored {
    /// A set belongs to the address that it came from, so an identity whose address changes starts
    /// anew. The name is a hash, since an address may hold credentials.
    pub(super) fn new(dir: &Path, identity: &str, address: &str) -> Self {
        let sum = digest(&SHA256, format!("{identity}\n{address}").as_bytes());
        let name: String = sum.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Self { path: dir.join(format!("{name}.json")) }
    }

    /// The set and its age; `None` if there is none, or its age can't be told.
    pub(super) fn load(&self) -> Option<(Vec<u8>, Duration)> {
        let length = fs::metadata(&self.path).ok()?.len();
        if length > 2 * keys::MAX_BYTES as u64 {
            return None;
        }
        let file: File = serde_json::from_slice(&fs::read(&self.path).ok()?).ok()?;
        let fetched = UNIX_EPOCH.checked_add(Duration::from_secs(file.fetched_at))?;
        // A clock that went back says nothing of the age.
        let age = SystemTime::now().duration_since(fetched).ok()?;
        Some((file.set.get().as_bytes().to_vec(), age))
    }

    /// Blocks. Either the whole new file is there afterwards or the old one still is.
    pub(super) fn save(&self, set: &[u8]) -> io::Result<()> {
        let value: Value = serde_json::from_slice(set)?;
        if holds_secrets(&value) {
            return Err(io::Error::other("the set holds secret keys, which are not kept on disk"));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let file = File { fetched_at: now, set: serde_json::value::to_raw_value(&value)? };
        if let Some(dir) = self.path.parent() {
            private::folder(dir)?;
        }
        let next = self.path.with_extension("tmp");
        let mut written = create(&next)?;
        written.write_all(&serde_json::to_vec(&file)?)?;
        written.sync_all()?;
        fs::rename(&next, &self.path)
    }
}

/// Shared secrets (`k`), and private halves (`d`) that an issuer publishes by mistake.
fn holds_secrets(set: &Value) -> bool {
    let is_secret = |jwk: &Value| ["k", "d"].iter().any(|name| jwk.get(name).is_some());
    let keys = set.get("keys").and_then(Value::as_array);
    is_secret(set) || keys.into_iter().flatten().any(is_secret)
}

/// For the owner alone: whoever may write here chooses whom we believe.
fn create(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    options.write(true).create_new(true).open(path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SET: &[u8] = br#"{"keys":[{"kty":"EC","x":"a"}]}"#;

    #[test]
    fn what_is_saved_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let stored = Stored::new(&dir.path().join("keys"), "app", "https://a/");
        assert!(stored.load().is_none());
        for _ in 0..2 {
            stored.save(SET).unwrap();
            let (set, age) = stored.load().unwrap();
            assert_eq!(set, SET);
            assert!(age < Duration::from_secs(60));
        }
        for (identity, address) in [("app", "https://b/"), ("other", "https://a/")] {
            assert!(Stored::new(&dir.path().join("keys"), identity, address).load().is_none());
        }
        let names = fs::read_dir(dir.path().join("keys")).unwrap();
        assert_eq!(names.count(), 1, "nothing half-written is left");
    }

    #[cfg(unix)]
    #[test]
    fn it_is_the_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let stored = Stored::new(&dir.path().join("keys"), "app", "https://a/");
        stored.save(SET).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&stored.path), 0o600);
        assert_eq!(mode(stored.path.parent().unwrap()), 0o700);
    }

    #[test]
    fn secrets_are_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let stored = Stored::new(dir.path(), "app", "https://a/");
        for secret in [
            r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#,
            r#"{"keys":[{"kty":"EC","x":"a"},{"kty":"RSA","d":"a"}]}"#,
            r#"{"kty":"oct","k":"AAAA"}"#,
            "garbage",
        ] {
            assert!(stored.save(secret.as_bytes()).is_err(), "{secret}");
            assert!(stored.load().is_none());
        }
    }

    #[test]
    fn what_is_not_ours_is_not_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let stored = Stored::new(dir.path(), "app", "https://a/");
        let long = format!(r#"{{"fetched_at":0,"set":"{}"}}"#, "x".repeat(2 * keys::MAX_BYTES));
        let future = r#"{"fetched_at":99999999999,"set":{}}"#;
        for text in ["", "{}", r#"{"fetched_at":18446744073709551615,"set":{}}"#, future, &long] {
            fs::write(&stored.path, text).unwrap();
            assert!(stored.load().is_none(), "{text:.40}");
        }
    }
}
