//! `[audit]`: the record of grants.

use secrecy::{ExposeSecret, SecretString};

use super::AuditConfig;
use super::problem::Problem;
use super::secret::secret;
use super::tree::Table;

pub(super) fn audit(root: &Table<'_>) -> Option<AuditConfig> {
    let table = root.get("audit")?.table("`[audit]`")?;
    let path = table.require("path").and_then(|value| value.text());
    let key = table.get("key").and_then(|value| {
        let key = secret(&value)?;
        if key.expose_secret().len() < LEAST_KEY {
            let message = format!("this key has fewer than {LEAST_KEY} bytes");
            let problem = Problem::error(value.span.clone(), message).label("it could be guessed");
            value.report(problem.help("make one with `openssl rand -hex 32`"));
        }
        Some(key)
    });
    let per = table.get("line_per");
    let per = per.and_then(|value| value.choice(&[("session", false), ("hand_out", true)]));
    let sync = table.get("sync").and_then(|value| value.bool());
    let directory = table.reader.directory;
    table.finish();
    let (every_hand_out, sync) = (per.unwrap_or(false), sync.unwrap_or(false));
    Some(AuditConfig { path: directory.join(path?), key, every_hand_out, sync })
}

impl AuditConfig {
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let Self { path, key, every_hand_out, sync } = self;
        let exposed =
            |key: &Option<SecretString>| key.as_ref().map(|key| key.expose_secret().to_owned());
        *path == other.path
            && exposed(key) == exposed(&other.key)
            && (*every_hand_out, *sync) == (other.every_hand_out, other.sync)
    }
}

/// That of the hash (RFC 2104, section 3).
const LEAST_KEY: usize = 32;
