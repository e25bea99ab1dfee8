//! `transom check`: is this configuration sound, and what does it say?

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::{Action, Config, Identity};
use crate::proxy::tls::Certificate;
use crate::rules::Rule;

/// Lists every problem of a configuration, and what it makes of it
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// The configuration file
    #[arg(long, value_name = "PATH", default_value = "config.toml")]
    config: PathBuf,
}

impl CheckArgs {
    pub(crate) fn run(self) -> ExitCode {
        let config = match Config::load_for_proxy(&self.config) {
            Ok(config) => config,
            Err(error) => {
                eprint!("{error}");
                return ExitCode::from(EX_USAGE);
            }
        };
        for warning in config.warnings() {
            eprintln!("{warning}");
        }
        let unusable = unusable_certificate(&config);
        if let Some(problem) = &unusable {
            eprintln!("{problem}");
        }
        print!("{}", summary(&config));
        let tests = if config.tests.is_empty() { ExitCode::SUCCESS } else { test(config) };
        if unusable.is_some() { ExitCode::from(EX_USAGE) } else { tests }
    }
}

/// A start reads these files too. A running proxy only does when they change, and then stays with the
/// last good ones, so that reading a configuration must not fail for them.
fn unusable_certificate(config: &Config) -> Option<String> {
    let tls = config.server.tls.as_ref()?;
    let error = Certificate::load(tls).err()?;
    Some(config.unusable_certificate(tls, &error.to_string()))
}

/// Runs the configuration's own tests, and tells of each that fails as of any other problem.
fn test(config: Config) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let all = config.tests.len();
    let outcome = match runtime.map_err(|error| error.to_string()) {
        Ok(runtime) => runtime.block_on(config.run_tests()).map_err(|error| error.to_string()),
        Err(error) => Err(error),
    };
    match outcome {
        Ok(outcome) => {
            println!("\ntests: {} of {all} passed", outcome.passed);
            outcome.failures.iter().for_each(|failure| eprintln!("{failure}"));
            if outcome.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(EX_USAGE) }
        }
        Err(error) => {
            eprintln!("transom check: the tests can't be run: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Kinds with their rules, and identities, as two tables.
fn summary(config: &Config) -> String {
    let mut text = format!("{} -> {}\n", config.server.listen, config.app.address());
    for (index, kind) in config.kinds.iter().enumerate() {
        let _ = writeln!(text, "\ndocuments.{}", kind.name);
        let rules: Vec<_> =
            config.routes.rules().iter().filter(|rule| rule.kind == index).collect();
        let width = rules.iter().map(|rule| route(rule).chars().count()).max().unwrap_or(0);
        for rule in rules {
            let _ = writeln!(
                text,
                "  {:<7}  {:<width$}  {}",
                action(rule),
                route(rule),
                condition(rule)
            );
        }
    }
    for identity in &config.identities {
        let _ = writeln!(text, "\nidentity {}\n  {}", identity.name, vouches(identity));
    }
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn action(rule: &Rule) -> &'static str {
    match &rule.action {
        Action::Upload(upload) if upload.only_known => "replace",
        Action::Upload(_) => "upload",
        Action::Delete(_) => "delete",
        Action::View(_) => "view",
    }
}

fn route(rule: &Rule) -> String {
    format!("{} {}", rule.method, rule.pattern.text())
}

fn condition(rule: &Rule) -> String {
    rule.when.as_ref().map_or(String::new(), |when| format!("when {}", when.source()))
}

fn vouches(identity: &Identity) -> String {
    let algorithms: Vec<_> = identity.algorithms.iter().map(|name| format!("{name:?}")).collect();
    let issuer = identity.issuer.as_deref().unwrap_or("any issuer");
    format!("{}, {issuer}, user in `{}`", algorithms.join(" "), identity.user.0)
}

/// `EX_USAGE` of sysexits.h.
const EX_USAGE: u8 = 64;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_summary_lists_rules_in_order_of_precedence() {
        let text = "
            app = { url = \"http://127.0.0.1:3000\" }
            dws = { api_key = { env = \"K\" } }
            documents.files.source = \"GET /f/{id}\"
            documents.files.delete = [{ route = \"DELETE /f/{id}\" }]
            documents.files.upload = [
                { route = \"POST /f/{id}\", when = \"form.a == '1'\" },
                { route = \"POST /f/new\", id = { json = \"$.id\" } },
            ]";
        let env = |_: &str| Some("key".to_owned());
        let config = Config::parse_with(text, Path::new("config.toml"), &env).unwrap();
        assert_eq!(
            summary(&config),
            "127.0.0.1:8080 -> http://127.0.0.1:3000/

documents.files
  upload   POST /f/new
  upload   POST /f/{id}    when form.a == '1'
  delete   DELETE /f/{id}
"
        );
    }

    #[test]
    fn a_missing_file_is_a_usage_error() {
        let status = CheckArgs { config: PathBuf::from("no such file") }.run();
        assert_eq!(status, ExitCode::from(64));
    }
}
