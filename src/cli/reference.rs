//! `transom reference` and `transom schema`: the configuration language, for people and for editors.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use super::EXIT_USAGE;
use crate::config::{Config, Reference, ReferenceFormat};

/// Print every key of the configuration: type, default, meaning, example
#[derive(Debug, clap::Args)]
pub(crate) struct ReferenceArgs {
    /// A section, a key or a chapter, as `server.limits`, `max_size` or `routes` [default: all]
    name: Option<String>,
    /// How to write it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum Format {
    /// For a terminal
    #[default]
    Text,
    Markdown,
    /// A manual page: transom reference --format man | man -l -
    Man,
}

impl ReferenceArgs {
    pub(crate) fn run(self) -> ExitCode {
        let reference = match &self.name {
            None => Ok(Reference::whole()),
            Some(name) => Reference::part(name),
        };
        let reference = match reference {
            Ok(reference) => reference,
            Err(error) => {
                eprintln!("transom reference: {error}");
                return ExitCode::from(EXIT_USAGE);
            }
        };
        let format = match self.format {
            Format::Text => ReferenceFormat::Text,
            Format::Markdown => ReferenceFormat::Markdown,
            Format::Man => ReferenceFormat::Man,
        };
        // https://no-color.org
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        print(&reference.written(format, std::io::stdout().is_terminal() && !plain))
    }
}

/// Prints the JSON Schema of the configuration file.
pub(crate) fn schema() -> ExitCode {
    print(&format!("{:#}\n", Config::schema()))
}

/// A reader that has seen enough, such as `head`, is no failure.
fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            eprintln!("transom: can't print: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}
