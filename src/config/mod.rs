//! What the operator wrote, and what it means.
//!
//! `keys/` is the table of what may be written. `tree.rs` walks a file along it, with places; the readers beside it
//! (one per section) turn what they find into the structs of `resolved.rs`, which hold nothing that is still to be
//! parsed. All problems are collected and shown together, each with its place and its remedy. `reference/` prints the
//! table.

mod audit;
mod build;
mod cases;
mod changes;
mod diagnose;
mod documents;
mod identity;
mod identity_key;
mod keys;
mod limits;
mod locate;
mod names;
mod problem;
mod reference;
mod resolved;
mod routes;
mod rules;
mod secret;
mod server;
mod spool;
mod tenants;
mod tree;
mod units;
mod upstream;
mod view;

#[cfg(test)]
#[path = "../../tests/fuzz/configuration.rs"]
mod fuzz;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::path::Path;

use toml::de::DeTable;

pub(crate) use crate::auth::{Algorithm, ClaimPath, Identity, KeySource, TokenPlace};
pub(crate) use crate::rules::{
    Action, AppSays, Authorize, Confirm, DeleteRule, Grant, UploadRule, ViewRule,
};
pub(crate) use crate::session_token::Permissions;
pub(crate) use crate::spool::SpoolLimits;
pub use build::{ConfigBuilder, DeleteRoute, Documents, TokenIssuer, UploadRoute, ViewRoute};
pub(crate) use changes::Written;
pub use diagnose::{ConfigError, ConfigWarning};
#[cfg(feature = "cli")]
pub(crate) use reference::Reference;
pub use reference::ReferenceFormat;
pub use resolved::Config;
pub(crate) use resolved::*;
pub(crate) use tree::sounds_secret;
#[cfg(feature = "cli")]
pub(crate) use units::size;

use problem::{Problem, Problems, Severity};
use rules::Reading;
use tree::{Deployment, Reader, Table};

impl Config {
    /// Reads a configuration file. Relative paths in it start at its directory.
    ///
    /// `[app]` may be missing, since the layer is around the app. The `transom` command needs it.
    ///
    /// # Errors
    /// Every problem of the file at once, each with its place and its remedy.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        Self::parse(&text_of(path)?, path)
    }

    /// Reads a configuration from `text`; `path` is where it is said to be.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        Self::parse_as(Deployment::Layer, text, path, &process_env)
    }

    /// The same for a proxy, which has to know where the app is.
    #[cfg(feature = "cli")]
    pub(crate) fn load_for_proxy(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        Self::parse_as(Deployment::Proxy, &text_of(path)?, path, &process_env)
    }

    /// For a proxy, with other environment variables than the process's own.
    #[cfg(any(test, feature = "cli"))]
    pub(crate) fn parse_with(
        text: &str,
        path: &Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        Self::parse_as(Deployment::Proxy, text, path, env)
    }

    fn parse_as(
        deployment: Deployment,
        text: &str,
        path: &Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let (root, syntax) = DeTable::parse_recoverable(text);
        if !syntax.is_empty() {
            let problems = Problems::default();
            syntax.iter().for_each(|error| syntax_problem(error, text, &problems));
            let shown = problems.masked(text);
            return Err(ConfigError::new(&problems.into_sorted(), &shown, path));
        }
        let directory = path.parent().unwrap_or(Path::new(""));
        let reader = Reader {
            text,
            directory,
            deployment,
            env,
            problems: Problems::default(),
            files: RefCell::default(),
        };
        let config = read(Table::root(&reader, &root));
        let shown = reader.problems.masked(text);
        let written = Written::new(text, reader.files.into_inner());
        let problems = reader.problems.into_sorted();
        match config {
            Some(config) if problems.iter().all(|p| p.severity == Severity::Warning) => {
                let warning = |problem| ConfigWarning::new(problem, &shown, path);
                let warnings = problems.iter().map(warning).collect();
                let source = Source { shown, path: path.to_owned() };
                Ok(Self { warnings, written, source, ..config })
            }
            _ => Err(ConfigError::new(&problems, &shown, path).naming(&written)),
        }
    }

    /// A test that failed, shown like other problems: at what it expected, with what came instead.
    pub(crate) fn failed_test(&self, name: &str, expected: &Expected, came: &str) -> String {
        let path = self.source.path.display();
        let help = format!("each step: transom explain --config {path} --test {name:?}");
        let message = format!("the test {name:?} fails");
        let problem = Problem::error(expected.place.clone(), message);
        self.show(problem.label(format!("came instead: {came}")).help(help))
    }

    /// That nobody could connect with this certificate.
    #[cfg(feature = "cli")]
    pub(crate) fn unusable_certificate(&self, tls: &TlsConfig, why: &str) -> String {
        let problem = Problem::error(tls.place.clone(), "the certificate can't be used");
        self.show(problem.label(why))
    }

    /// A problem that only a closer look shows, as all others are shown.
    fn show(&self, problem: Problem) -> String {
        let Source { shown, path } = &self.source;
        ConfigError::new(&[problem], shown, path).to_string()
    }

    /// What deserves a second look.
    #[must_use]
    pub fn warnings(&self) -> &[ConfigWarning] {
        &self.warnings
    }
}

/// `None` only after an error was reported.
fn read(root: Table<'_>) -> Option<Config> {
    let server = server::server(&root);
    let app = server::app(&root, server.listen);
    let backend = server::backend(&root);
    let store = server::store(&root);
    let viewer = server::viewer(&root);
    let audit = audit::audit(&root);
    let (identities, identity_names) = identity::identities(&root);
    let reading = Reading {
        identities: &identities,
        identity_names: &identity_names,
        prefix: &server.prefix,
        fold_case: app.fold_case,
    };
    let (kinds, rules) = documents::kinds(&root, &reading);
    tenants::hint(&root, &app, &kinds);
    let tests = cases::tests(&root, &reading);
    let routes = routes::table(rules, &kinds, &app, &root.reader.problems);
    root.finish();
    let (backend, warnings, written) = (backend?, Vec::new(), Written::default());
    Some(Config {
        server,
        app,
        backend,
        store,
        viewer,
        audit,
        identities,
        kinds,
        routes,
        tests,
        warnings,
        written,
        source: Source::default(),
    })
}

fn text_of(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|error| ConfigError::unreadable(path, &error))
}

fn process_env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn syntax_problem(error: &toml::de::Error, text: &str, problems: &Problems) {
    let span = error.span().unwrap_or(text.len()..text.len());
    let start = text.get(..span.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let line = text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    if let Some((key, value)) = line.split_once('=')
        && tree::sounds_secret(key.trim())
    {
        let end = start + line.len();
        problems.hide(end - value.trim_start().len()..end);
    }
    problems.push(Problem::error(span, format!("not TOML: {}", error.message())));
}

/// The content types that DWS can show, by the names that sniffing gives them.
pub(crate) const VIEWABLE_TYPES: &[&str] = &[
    "application/pdf",
    "image/png",
    "image/jpeg",
    "image/tiff",
    "application/msword",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.ms-excel",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.ms-powerpoint",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
];
