//! What differs between two configurations, by the names that the operator gave.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret;
use toml::Value;

use super::{BackendConfig, Config};

/// What a configuration says, to be compared. Hashes only, since values may be secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// By name, such as `app.url`; a list is one setting.
    settings: BTreeMap<String, u64>,
    /// What values were read from. Public keys are not compared, since they are followed by themselves.
    files: BTreeMap<PathBuf, u64>,
}

impl Written {
    pub(super) fn new(text: &str, files: BTreeMap<PathBuf, u64>) -> Self {
        let mut settings = BTreeMap::new();
        // What is no TOML has no settings to compare.
        if let Ok(table) = text.parse() {
            flatten("", &Value::Table(table), &mut settings);
        }
        Self { settings, files }
    }

    /// The names of what differs: settings, and files with secrets.
    pub(crate) fn changes(&self, next: &Self) -> Vec<String> {
        let files = differing(&self.files, &next.files).map(|path| path.display().to_string());
        differing(&self.settings, &next.settings).cloned().chain(files).collect()
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.keys().map(PathBuf::as_path)
    }
}

impl Config {
    /// Leaves at their present values the settings that are read at the start only; the names of those
    /// that would be others.
    pub(crate) fn keep_what_started(&mut self, present: &Self) -> Vec<&'static str> {
        let mut kept = Vec::new();
        let mut keep = |differs: bool, name| {
            if differs {
                kept.push(name);
            }
        };
        let (server, before) = (&mut self.server, &present.server);
        keep(server.listen != before.listen, "server.listen");
        server.listen = before.listen;
        keep(server.admin != before.admin, "server.admin");
        server.admin = before.admin;
        keep(server.workers != before.workers, "server.workers");
        server.workers = before.workers;
        keep(server.runtime != before.runtime, "server.runtime");
        server.runtime = before.runtime;
        if server.tls.is_some() != before.tls.is_some() {
            keep(true, "server.tls");
            server.tls.clone_from(&before.tls);
        }
        keep(server.access_log != before.access_log, "server.access_log");
        server.access_log.clone_from(&before.access_log);
        let same = match (&self.audit, &present.audit) {
            (Some(audit), Some(before)) => audit.is_same(before),
            (audit, before) => audit.is_none() && before.is_none(),
        };
        keep(!same, "audit");
        self.audit.clone_from(&present.audit);
        keep(self.store.path != present.store.path, "store.path");
        self.store.path.clone_from(&present.store.path);
        kept
    }
}

pub(super) fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// In the place of a hash.
pub(super) const NOT_COMPARED: u64 = 0;

impl BackendConfig {
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.name == other.name
            && self.url == other.url
            && self.api_key.expose_secret() == other.api_key.expose_secret()
            && self.upload_idle == other.upload_idle
            && self.refused_keep == other.refused_keep
    }
}

fn flatten(name: &str, value: &Value, settings: &mut BTreeMap<String, u64>) {
    let Value::Table(table) = value else {
        settings.insert(name.to_owned(), hash(&value.to_string()));
        return;
    };
    for (key, value) in table {
        let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
        flatten(&name, value, settings);
    }
}

/// Keys whose values differ, or that one of the two lacks.
fn differing<'m, K: Ord>(
    a: &'m BTreeMap<K, u64>,
    b: &'m BTreeMap<K, u64>,
) -> impl Iterator<Item = &'m K> {
    let changed = a.iter().filter(|(key, value)| b.get(key) != Some(value)).map(|(key, _)| key);
    changed.chain(b.keys().filter(|key| !a.contains_key(key)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TEXT: &str = "
        server = { listen = \"127.0.0.1:1\", drain = \"1s\" }
        app = { url = \"http://127.0.0.1:3000\" }
        dws = { api_key = \"k\" }
        documents.files.view = [{ route = \"GET /f/{id}\", session = { page = true } }]";

    fn parse(text: &str) -> Config {
        Config::parse(text, Path::new("config.toml")).unwrap()
    }

    #[test]
    fn changes_have_names() {
        let changes = |to: &str| parse(TEXT).written.changes(&parse(to).written);
        assert!(changes(TEXT).is_empty());
        assert!(changes(&format!("# words\n{TEXT}\n\n")).is_empty());
        assert_eq!(changes(&TEXT.replace("3000", "3001")), ["app.url"]);
        assert_eq!(changes(&TEXT.replace("\"k\"", "\"l\"")), ["dws.api_key"]);
        assert_eq!(changes(&TEXT.replace("/f/", "/g/")), ["documents.files.view"]);
        assert_eq!(
            changes(&TEXT.replace(", drain = \"1s\" }", " }\nviewer.sdk = \"/v.js\"")),
            ["server.drain", "viewer.sdk"]
        );
    }

    #[test]
    fn a_secret_in_a_file_is_a_change_too() {
        let dir = tempfile::tempdir().unwrap();
        let (path, key) = (dir.path().join("config.toml"), dir.path().join("dws.key"));
        let text = TEXT.replace("\"k\"", "{ file = \"dws.key\" }");
        let missing = Config::parse(&text, &path).unwrap_err();
        assert_eq!(missing.files(), [key.as_path()], "whose coming would mend it");
        std::fs::write(&key, "one").unwrap();
        let first = Config::parse(&text, &path).unwrap();
        std::fs::write(&key, "two").unwrap();
        let second = Config::parse(&text, &path).unwrap();
        assert_eq!(first.written.changes(&second.written), [key.display().to_string()]);
        assert!(first.written.files().eq([key.as_path()]));
    }

    #[test]
    #[cfg(feature = "cli")]
    fn a_bundle_of_cas_is_followed_too() {
        let text = TEXT.replace("3000\" }", "3000\", tls = { ca = \"ca.pem\" } }");
        let missing = Config::parse(&text, Path::new("/nowhere/config.toml")).unwrap_err();
        assert_eq!(missing.files(), [Path::new("/nowhere/ca.pem")], "whose coming would mend it");
    }

    #[test]
    fn what_is_read_at_the_start_alone_is_kept_and_named() {
        let present = parse(TEXT);
        let mut next = parse(&TEXT.replace("127.0.0.1:1", "127.0.0.1:2"));
        assert_eq!(next.keep_what_started(&present), ["server.listen"]);
        assert_eq!(next.server.listen, present.server.listen);
        let tls = "drain = \"1s\", workers = 77, tls = { cert = \"c\", key = \"k\" }";
        let mut next = parse(&(TEXT.replace("drain = \"1s\"", tls) + "\nstore.path = \"/p\""));
        assert_eq!(
            next.keep_what_started(&present),
            ["server.workers", "server.tls", "store.path"]
        );
        assert!(next.server.tls.is_none());
        assert_eq!(parse(TEXT).keep_what_started(&present), [""; 0]);
    }
}
