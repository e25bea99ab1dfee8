//! Sets the logs of the `transom` command up.

use std::env;
use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt;

/// Logs to stderr from now on: text for a person at a terminal, JSON lines for anything else.
///
/// `TRANSOM_LOG` (or else `RUST_LOG`) filters, as in `transom=debug,hyper=info`; the default is `info`.
/// A second call changes nothing.
pub(crate) fn start() {
    let written = FILTER_VARIABLES.iter().find_map(|name| Some((*name, env::var(name).ok()?)));
    let (filter, problem) = match written.as_ref().map(|(_, text)| filter(text)) {
        None => (default_filter(), None),
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => (default_filter(), Some(error)),
    };

    let logs = fmt().with_env_filter(filter).with_writer(io::stderr);
    // A subscriber that is already there stays: the caller wanted its own.
    let _ = if io::stderr().is_terminal() {
        logs.with_target(false).try_init()
    } else {
        logs.json().flatten_event(true).try_init()
    };

    if let (Some(error), Some((name, _))) = (problem, written) {
        tracing::warn!("{name} is not a log filter ({error}); logging at `{DEFAULT}`");
    }
}

fn filter(written: &str) -> Result<EnvFilter, ParseError> {
    // sled tells its every segment at info and below. Who names sled wants to hear it.
    let quiet = if written.contains("sled") { "" } else { ",sled=warn" };
    let written = if written.trim().is_empty() { DEFAULT } else { written };
    EnvFilter::try_new(format!("{written}{quiet}"))
}

fn default_filter() -> EnvFilter {
    filter(DEFAULT).unwrap_or_default()
}

const FILTER_VARIABLES: [&str; 2] = ["TRANSOM_LOG", "RUST_LOG"];
const DEFAULT: &str = "info";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn sled_is_quiet_unless_it_is_named() {
        assert_eq!(filter("debug").unwrap().to_string(), "sled=warn,debug");
        assert_eq!(filter("").unwrap().to_string(), "sled=warn,info");
        assert_eq!(filter("sled=debug").unwrap().to_string(), "sled=debug");
        assert!(filter("transom=loud").is_err());
    }
}
