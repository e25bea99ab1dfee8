//! The command line: one file per command.

mod audit;
mod backfill;
mod check;
mod demo;
mod explain;
mod guide;
mod mappings;
mod outbox;
mod print;
mod reference;
mod remote;
mod run;
mod sandbox;
mod settle;
mod status;
mod store;
mod store_care;
mod target;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => cli.run(),
        Err(error) => {
            // Help and version come this way too. There is nowhere left to tell that printing failed.
            let _ = error.print();
            if error.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS }
        }
    }
}

/// Document viewing in front of an app that nobody may touch.
///
/// Transom is a reverse proxy. It sends the documents that users upload to the app behind it to
/// Nutrient's DWS Viewer API as well, and gives viewing sessions to those whom the app would let
/// see them. `transom demo` shows all of it with nothing to set up.
#[derive(Debug, Parser)]
#[command(name = "transom", version, propagate_version = true)]
struct Cli {
    /// The configuration file [default: config.toml]
    // Never read here: clap hands it down to the `config` of the command, which knows its own default.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy until SIGTERM or Ctrl-C
    ///
    /// Requests in progress and deliveries may finish first; a second signal stops at once.
    Run(run::RunArgs),
    /// Read the configuration and list everything that is wrong with it
    ///
    /// Ends with 0 when it can be used, and with 64 when not.
    Check(check::CheckArgs),
    /// Tell what Transom would do with a request, and why
    Explain(explain::ExplainArgs),
    /// Read on, where README ends: sessions, identities, policies, operation
    Guide(guide::GuideArgs),
    /// Try it: a small app, a local DWS and Transom in front, with nothing to set up
    Demo(demo::DemoArgs),
    /// Run a local stand-in for the DWS Viewer API, for tests and staging
    Sandbox(sandbox::SandboxArgs),
    /// Show how Transom is, and what waits for you
    Status(status::StatusArgs),
    /// Show, export, import or remove what is known about documents
    Mappings(mappings::MappingsArgs),
    /// Show deliveries to DWS that are waiting or parked, and decide on them
    Outbox(outbox::OutboxArgs),
    /// Verify, repair, back up or restore what Transom keeps on the disk
    Store(store_care::StoreCareArgs),
    /// Compare what DWS has with what is known of it, and put it right
    Settle(settle::SettleArgs),
    /// Check the record of the sessions that were handed out
    Audit(audit::AuditArgs),
    /// Print every key of the configuration: type, default, meaning, example
    ///
    /// With a name only that section, key or chapter of the grammar.
    Reference(reference::ReferenceArgs),
    /// Print a JSON Schema of the configuration file, for editors
    Schema,
    /// Get documents into DWS that the app had before Transom came
    Backfill(backfill::BackfillArgs),
}

impl Cli {
    fn run(self) -> ExitCode {
        match self.command {
            Command::Run(args) => args.run(),
            Command::Check(args) => args.run(),
            Command::Explain(args) => args.run(),
            Command::Guide(args) => args.run(),
            Command::Demo(args) => args.run(),
            Command::Sandbox(args) => args.run(),
            Command::Status(args) => args.run(),
            Command::Mappings(args) => args.run(),
            Command::Outbox(args) => args.run(),
            Command::Store(args) => args.run(),
            Command::Settle(args) => args.run(),
            Command::Audit(args) => args.run(),
            Command::Reference(args) => args.run(),
            Command::Schema => reference::schema(),
            Command::Backfill(args) => args.run(),
        }
    }
}

/// A wrong command line or configuration (EX_USAGE of sysexits).
pub(crate) const EXIT_USAGE: u8 = 64;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn config_may_stand_on_either_side_of_the_command() {
        for line in
            [["transom", "--config", "a.toml", "run"], ["transom", "run", "--config", "a.toml"]]
        {
            let Command::Run(args) = Cli::try_parse_from(line).unwrap().command else {
                panic!("not a run: {line:?}");
            };
            assert_eq!(args.config.to_str(), Some("a.toml"));
        }
        let Command::Run(args) = Cli::try_parse_from(["transom", "run"]).unwrap().command else {
            panic!("not a run");
        };
        assert_eq!(args.config.to_str(), Some("config.toml"));
    }
}
