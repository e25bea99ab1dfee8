//! `transom backfill`: documents that the app had before Transom came.

mod destination;
mod drive;
mod ids;
mod progress;

use std::fs::File;
use std::io::{self, IsTerminal, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use self::destination::Destination;
use self::drive::{Count, Drive};
use self::ids::IdFile;
use self::progress::{Checkpoint, IdSource, Summary, Totals, write};
use super::print::{is_terminal, print_one, span};
use super::store::{CommandError, StoreArgs, exit_code};
use super::target::{Target, TargetArgs};
use crate::config::Config;
use crate::private;

/// Gets documents into DWS that the app had before Transom came
///
/// Each id of FILE, or of the app's own list (`[documents.<kind>.list]`), is fetched from the kind's `source` with the given
/// headers, and delivered. What is known already is skipped. The Transom that is running does it, or this command
/// where none is. It can be interrupted at any time: the same command goes on where it was.
///
/// Ends with 0 when all are there, with 1 when some are not, and with 64 when it was asked wrongly.
#[derive(Debug, clap::Args)]
pub(crate) struct BackfillArgs {
    /// The kind of documents, as under `[documents]`
    kind: String,
    /// JSON lines such as {"id":"7"}, or CSV whose first row names a column `id`; `-` reads standard input [default: the
    /// app's list]
    file: Option<PathBuf>,
    /// Only tells how many there are, and what they cost
    #[arg(long)]
    dry_run: bool,
    /// A header of the requests to the app, as `Authorization: Bearer …`, or `@FILE` with one on each line; may be repeated
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// The most documents in a second
    #[arg(long, value_name = "COUNT", default_value = "20", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    /// How far it is [default: backfill-KIND.json in the store's folder]
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// What it came to [default: backfill-KIND-summary.json in the store's folder]
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = "config.toml")]
    config: PathBuf,
    /// Asks the Transom that is running at this admin address, as http://127.0.0.1:9090
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
}

impl BackfillArgs {
    pub(crate) fn run(self) -> ExitCode {
        exit_code("backfill", self.bring())
    }

    async fn bring(self) -> Result<(), CommandError> {
        let headers = headers(&self.headers)?;
        let input = self.file.as_deref().map(IdInput::open).transpose()?;
        let source = input.as_ref().map_or(IdSource::List, |input| input.source.clone());
        let all = input.as_ref().map(IdInput::count).transpose()?;
        let place = self.place().await?;
        let bar = bar(all);
        let drive = Drive {
            place: &place,
            kind: &self.kind,
            headers: &headers,
            file: input.as_ref().map(|input| &input.ids),
            bar: &bar,
        };
        if self.dry_run {
            let count = drive.count(Checkpoint::new(&self.kind, source).next).await;
            bar.finish_and_clear();
            return told(&self.kind, &count?);
        }
        let file = self.beside(self.checkpoint.as_deref(), "");
        let mut checkpoint = match Checkpoint::found(&file, &self.kind, &source) {
            Some(found) => {
                eprintln!(
                    "going on after {} documents; see {}",
                    found.totals.documents,
                    file.display()
                );
                found
            }
            None => Checkpoint::new(&self.kind, source),
        };
        bar.set_position(checkpoint.totals.documents);
        bar.reset_eta();
        let began = Instant::now();
        let done = tokio::select! {
            done = drive.run(&mut checkpoint, &file, self.rate) => done,
            () = stopped() => Err(CommandError::Failed("stopped".to_owned())),
        };
        bar.finish_and_clear();
        place.leave().await;
        if let Err(error) = done {
            checkpoint.save(&file).map_err(CommandError::failed)?;
            return Err(match error {
                CommandError::Failed(told) => CommandError::Failed(format!(
                    "{told}; {} documents are done, and the same command goes on from there",
                    checkpoint.totals.documents
                )),
                usage => usage,
            });
        }
        // It is done with: the next one looks at all of them again.
        let _ = std::fs::remove_file(&file);
        self.ended(&checkpoint, began.elapsed())
    }

    fn ended(&self, checkpoint: &Checkpoint, took: Duration) -> Result<(), CommandError> {
        let Checkpoint { kind, totals, failures, .. } = checkpoint;
        let summary = Summary { kind, totals, seconds: took.as_secs(), failures };
        let file = self.beside(self.summary.as_deref(), "-summary");
        write(&file, &summary).map_err(CommandError::failed)?;
        let Totals { documents, sent, known, waiting, failed, bytes } = totals;
        let told = json!({
            "kind": kind, "documents": documents, "sent": sent, "known": known, "waiting": waiting, "failed": failed,
            "bytes": bytes, "seconds": took.as_secs(), "summary": file.display().to_string(),
        });
        let after = span(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        let sentence = format!(
            "{documents} documents in {after}: {sent} sent, {known} known before, {waiting} on their way, {failed} failed; \
             see {}",
            file.display()
        );
        print_one(&told, &sentence)?;
        if failed + waiting == 0 {
            return Ok(());
        }
        let why = failures.first().map(|first| format!("; {}: {}", first.id.id, first.code));
        Err(CommandError::Failed(format!(
            "{} of {documents} documents are not at DWS{}; see {}",
            failed + waiting,
            why.unwrap_or_default(),
            file.display()
        )))
    }

    /// Where it is done.
    async fn place(&self) -> Result<Destination, CommandError> {
        let store = StoreArgs { config: self.config.clone(), store: None };
        let target = TargetArgs { store, admin: self.admin.clone() };
        let store = match target.find().await? {
            Target::Running(admin) => return Ok(Destination::Running(admin)),
            Target::Store(store) => store,
        };
        let config = Config::load_for_proxy(&self.config);
        let config = config.map_err(|error| CommandError::Usage(error.to_string()))?;
        if self.dry_run {
            Destination::to_look_at(config, &store).await
        } else {
            Destination::here(config, &store).await
        }
    }

    /// In the store's folder, or where the command is called if that is elsewhere.
    fn beside(&self, given: Option<&Path>, what: &str) -> PathBuf {
        if let Some(given) = given {
            return given.to_owned();
        }
        let name = format!("backfill-{}{what}.json", self.kind);
        let config =
            if self.admin.is_none() { Config::load_for_proxy(&self.config).ok() } else { None };
        let folder = config.map(|config| config.store.path).filter(|folder| is_writable(folder));
        folder.map_or_else(|| name.clone().into(), |folder| folder.join(&name))
    }
}

/// A file of ids, or what came on the standard input.
struct IdInput {
    ids: IdFile,
    source: IdSource,
    name: PathBuf,
}

impl IdInput {
    fn open(name: &Path) -> Result<Self, CommandError> {
        let wrong = |error: &dyn std::fmt::Display| {
            CommandError::Usage(format!("{}: {error}", name.display()))
        };
        let (file, source) = if name.as_os_str() == "-" {
            let (file, size) = stdin().map_err(|error| wrong(&error))?;
            (file, IdSource::Stdin { size })
        } else {
            let file = File::open(name).map_err(|error| wrong(&error))?;
            let source = IdSource::file(name, &file).map_err(|error| wrong(&error))?;
            (file, source)
        };
        let ids = IdFile::new(file, name).map_err(|error| wrong(&error))?;
        Ok(Self { ids, source, name: name.to_owned() })
    }

    /// Nothing is done while one of them can't be read.
    fn count(&self) -> Result<u64, CommandError> {
        let wrong = |error| CommandError::Usage(format!("{}: {error}", self.name.display()));
        let mut count = 0;
        for id in self.ids.read().map_err(wrong)? {
            id.map_err(wrong)?;
            count += 1;
        }
        Ok(count)
    }
}

/// It is read more than once.
fn stdin() -> io::Result<(File, u64)> {
    let mut file = private::scratch()?;
    let size = io::copy(&mut io::stdin().lock(), &mut file)?;
    file.seek(SeekFrom::Start(0))?;
    Ok((file, size))
}

fn headers(given: &[String]) -> Result<Vec<(String, String)>, CommandError> {
    let mut headers = Vec::new();
    for text in given {
        match text.strip_prefix('@') {
            None => headers.push(header(text)?),
            Some(file) => {
                let lines = std::fs::read_to_string(file);
                let lines =
                    lines.map_err(|error| CommandError::Usage(format!("{file}: {error}")))?;
                let lines = lines.lines().filter(|line| !line.trim().is_empty());
                for line in lines {
                    headers.push(header(line)?);
                }
            }
        }
    }
    Ok(headers)
}

/// The message does not tell it, since it may hold a token.
fn header(text: &str) -> Result<(String, String), CommandError> {
    let expected = || CommandError::Usage("--header: expected `Name: value`".to_owned());
    let (name, value) = text.split_once(':').ok_or_else(expected)?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn told(kind: &str, count: &Count) -> Result<(), CommandError> {
    let Count { documents, known, invalid } = *count;
    let new = documents - known - invalid;
    let told = json!({
        "kind": kind, "documents": documents, "known": known, "invalid": invalid, "new": new,
        "costs": { "documents": new, "uploads": new },
    });
    let invalid =
        if invalid == 0 { String::new() } else { format!(", {invalid} that can be no id") };
    let sentence = format!(
        "{documents} documents: {known} known already{invalid}, {new} to be sent, which costs {new} documents and {new} \
         uploads of the DWS plan"
    );
    print_one(&told, &sentence)
}

/// With rate and time left, on a terminal.
fn bar(all: Option<u64>) -> ProgressBar {
    if !io::stderr().is_terminal() || !is_terminal() && all.is_none() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(all, ProgressDrawTarget::stderr_with_hz(4));
    let template = match all {
        Some(_) => "{wide_bar} {pos}/{len}, {per_sec}, {eta} to go; {msg}",
        None => "{spinner} {pos}, {per_sec}; {msg}",
    };
    let style = ProgressStyle::with_template(template);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn is_writable(folder: &Path) -> bool {
    let probe = folder.join(format!(".backfill-{}", std::process::id()));
    let written = File::create(&probe).is_ok();
    if written {
        let _ = std::fs::remove_file(&probe);
    }
    written
}

/// Done when this process is to end.
async fn stopped() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminated.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
