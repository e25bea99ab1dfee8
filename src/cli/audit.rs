//! `transom audit`: whether the record of grants is whole.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use secrecy::ExposeSecret;

use super::store::{CommandError, exit_code, progress_bar};
use crate::audit::{MAX_LINE, Seal, Verdict, Verifier, unhex};
use crate::config::Config;

/// Works on audit logs. May be used while `transom run` is at work.
#[derive(Debug, clap::Args)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Checks that no line was changed, removed or moved.
    ///
    /// Ends with 0 when the chain is whole, and with 1 when not. What was cut off at the end is found only with
    /// `--contains`.
    Verify(VerifyArgs),
}

#[derive(Debug, clap::Args)]
struct VerifyArgs {
    /// Oldest first; `-` for standard input [default: the file that the configuration names]
    files: Vec<PathBuf>,
    /// The configuration that names the file and its key [default: config.toml, if no files are named]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The key that the lines were written with, without reading a configuration
    #[arg(long, value_name = "FILE", conflicts_with = "config", requires = "files")]
    key_file: Option<PathBuf>,
    /// The seal of a line that was noted before, and has to be there
    #[arg(long, value_name = "SEAL", value_parser = seal)]
    contains: Option<[u8; 32]>,
}

impl AuditArgs {
    pub(crate) fn run(self) -> ExitCode {
        let Command::Verify(args) = self.command;
        exit_code("audit verify", async { args.run() })
    }
}

impl VerifyArgs {
    fn run(mut self) -> Result<(), CommandError> {
        let key = self.key()?;
        let mut verifier = Verifier::new(Seal::new(key.as_deref()), self.contains);
        let bar = progress_bar();
        let sizes = self.files.iter().filter_map(|file| std::fs::metadata(file).ok());
        bar.set_length(sizes.map(|metadata| metadata.len()).sum());
        for file in &self.files {
            verifier.begin_file(&file.display().to_string());
            let read = lines(file, |line| {
                verifier.feed(line);
                bar.inc(line.len() as u64);
            });
            read.map_err(|error| CommandError::Failed(format!("{}: {error}", file.display())))?;
        }
        bar.finish_and_clear();
        let verdict = verifier.finish();
        println!("{}", summary(&verdict));
        verdict.broken.map_or(Ok(()), |broken| Err(CommandError::failed(broken)))
    }

    /// The key; and the file, where none is named. A configuration needs secrets that whoever checks a log need
    /// not have, so it is read only where it is wanted.
    fn key(&mut self) -> Result<Option<Vec<u8>>, CommandError> {
        let default = || self.files.is_empty().then(|| PathBuf::from("config.toml"));
        if let Some(path) = self.config.clone().or_else(default) {
            let config = Config::load_for_proxy(&path);
            let config = config.map_err(|error| CommandError::Usage(error.to_string()))?;
            let audit = config.audit.ok_or_else(|| {
                CommandError::Usage(format!("{} has no `[audit]`", path.display()))
            })?;
            if self.files.is_empty() {
                self.files.push(audit.path);
            }
            return Ok(audit.key.map(|key| key.expose_secret().as_bytes().to_vec()));
        }
        let Some(file) = &self.key_file else { return Ok(None) };
        let text = std::fs::read(file);
        let text =
            text.map_err(|error| CommandError::Usage(format!("{}: {error}", file.display())))?;
        let text = text.strip_suffix(b"\n").unwrap_or(&text);
        Ok(Some(text.strip_suffix(b"\r").unwrap_or(text).to_vec()))
    }
}

/// Each line with its newline; of one that is longer than any can be, a piece at a time.
fn lines(file: &Path, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let mut input: BufReader<Box<dyn Read>> = BufReader::new(match file.as_os_str() == "-" {
        true => Box::new(io::stdin().lock()),
        false => Box::new(File::open(file)?),
    });
    let mut line = Vec::new();
    loop {
        line.clear();
        input.by_ref().take(MAX_LINE as u64).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(());
        }
        each(&line);
    }
}

fn summary(verdict: &Verdict) -> String {
    let Verdict { lines, first, last, torn, .. } = verdict;
    let mut text = match (first, last) {
        (Some(first), Some(last)) => format!("{lines} lines, from {first} to {}", last.named()),
        _ => "no lines".to_owned(),
    };
    if first.is_some_and(|first| first != 1) {
        text.push_str("; older ones are not in these files");
    }
    if *torn > 0 {
        text.push_str(&format!("; writes that were cut off and marked as such: {torn}"));
    }
    text
}

fn seal(text: &str) -> Result<[u8; 32], String> {
    unhex(text.as_bytes()).ok_or_else(|| "a seal has 64 hex digits in lower case".to_owned())
}
