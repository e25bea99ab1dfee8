//! `transom mappings`: what Transom knows of the app's documents.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Subcommand;

use super::print::{Row, Rows, is_terminal, span};
use super::remote::{Admin, segment};
use super::store::{CommandError, StoreArgs, exit_code, print_line, progress_bar, shown_whole};
use super::target::{Target, TargetArgs};
use crate::admin::mappings::{Removal, Removed, key};
use crate::document::DocumentKey;
use crate::outbox::forget;
use crate::private;
use crate::store::transfer::{self, Exported, Imported, Line, Pass, TransferError};
use crate::store::{DocumentStore, now_ms};

/// Lists, moves and removes mappings: at the Transom that is running, or in the store when none is.
#[derive(Debug, clap::Args)]
pub(crate) struct MappingsArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints every mapping.
    List {
        /// Only of this kind of document.
        #[arg(long)]
        kind: Option<String>,
    },
    /// Prints one mapping.
    Show {
        kind: String,
        id: String,
        /// The tenant's, of a kind with `per_host`.
        #[arg(long)]
        host: Option<String>,
    },
    /// Writes all mappings to a file that `import` reads.
    Export {
        /// `-` for standard output.
        #[arg(default_value = "-")]
        file: PathBuf,
    },
    /// Reads mappings from a file: all, or none if a line is bad.
    Import {
        /// `-` for standard input.
        file: PathBuf,
    },
    /// Removes mappings, and their documents at DWS; where none runs, as soon as `transom run` does again.
    Remove {
        kind: String,
        #[arg(required = true)]
        ids: Vec<String>,
        /// Only forget the mapping: the document stays at DWS.
        #[arg(long)]
        keep_document: bool,
        /// The tenant's, of a kind with `per_host`.
        #[arg(long)]
        host: Option<String>,
    },
}

impl MappingsArgs {
    pub(crate) fn run(self) -> ExitCode {
        exit_code("mappings", async {
            match self.target.find().await? {
                Target::Running(admin) => self.command.ask(&admin).await,
                Target::Store(store) => self.command.work_on(&store).await,
            }
        })
    }
}

impl Command {
    /// The Transom that is running does it.
    async fn ask(self, admin: &Admin) -> Result<(), CommandError> {
        match self {
            Self::List { kind } => {
                let wanted = kind.map(|kind| format!("?kind={}", segment(&kind)));
                let lines =
                    admin.lines(&format!("/mappings{}", wanted.unwrap_or_default())).await?;
                Rows::of::<Line>().print_all::<Line>(lines).await.map(drop)
            }
            Self::Show { kind, id, host } => {
                let host = host.map(|host| format!("?host={}", segment(&host)));
                let (kind, id) = (segment(&kind), segment(&id));
                let path = format!("/mappings/{kind}/{id}{}", host.unwrap_or_default());
                show(&admin.get(&path).await?)
            }
            Self::Export { file } => export_from(admin, &file).await,
            Self::Import { file } => {
                let input = if is_standard(&file) { copy_of_stdin() } else { File::open(&file) };
                let input = input.map_err(|error| in_file(&file, &error))?;
                let input = reqwest::Body::from(tokio::fs::File::from_std(input));
                imported(admin.post_lines("/mappings/import", input).await?);
                Ok(())
            }
            Self::Remove { kind, ids, keep_document, host } => {
                let removal = Removal { kind, ids, host, keep_document };
                removal.keys().map_err(CommandError::Usage)?;
                removed(admin.post("/mappings/remove", &removal).await?)
            }
        }
    }

    async fn work_on(self, store: &StoreArgs) -> Result<(), CommandError> {
        match self {
            Self::List { kind } => {
                let store = store.look()?;
                list(&store, kind.as_deref()).await?;
                shown_whole(&store)
            }
            Self::Show { kind, id, host } => {
                let key = key(&kind, &id, host.as_deref());
                let key = key.map_err(|error| CommandError::Usage(format!("{id:?} is {error}")))?;
                find(&store.look()?, &key).await
            }
            Self::Export { file } => {
                let store = store.look()?;
                export(&store, &file).await?;
                shown_whole(&store)
            }
            Self::Import { file } => import(&store.open_or_create()?, &file).await,
            Self::Remove { kind, ids, keep_document, host } => {
                let removal = Removal { kind, ids, host, keep_document };
                let keys = removal.keys().map_err(CommandError::Usage)?;
                remove(&store.open()?, &keys, !keep_document).await
            }
        }
    }
}

impl Row for Line {
    const COLUMNS: &'static [&'static str] =
        &["DOCUMENT", "STATE", "AT DWS", "TITLE", "TYPE", "BYTES", "CHANGED"];

    fn cells(&self) -> Vec<String> {
        let changed = format!("{} ago", span(now_ms().saturating_sub(self.updated_at)));
        vec![
            self.name(),
            self.state().to_owned(),
            self.at_backend(),
            self.title.clone().unwrap_or_default(),
            self.content_type.clone(),
            self.size.to_string(),
            changed,
        ]
    }
}

async fn list(store: &dyn DocumentStore, kind: Option<&str>) -> Result<(), CommandError> {
    let mut rows = Rows::of::<Line>();
    let mut after = None;
    loop {
        let page = store.list(after.as_ref(), PAGE).await.map_err(CommandError::failed)?;
        let Some(last) = page.last() else { break };
        after = Some(last.key.clone());
        for mapping in page {
            if kind.is_none_or(|kind| kind == mapping.key.kind()) {
                rows.print(&Line::from(mapping))?;
            }
        }
    }
    rows.finish()
}

async fn find(store: &dyn DocumentStore, key: &DocumentKey) -> Result<(), CommandError> {
    match store.get(key).await.map_err(CommandError::failed)? {
        Some(mapping) => show(&Line::from(Arc::unwrap_or_clone(mapping))),
        None => Err(CommandError::Failed(format!("no mapping for {key}"))),
    }
}

/// All that is known of it.
fn show(line: &Line) -> Result<(), CommandError> {
    if !is_terminal() {
        return print_line(&mut io::stdout(), line);
    }
    println!("{}", serde_json::to_string_pretty(line).map_err(CommandError::failed)?);
    Ok(())
}

async fn export_from(admin: &Admin, file: &Path) -> Result<(), CommandError> {
    let mut lines = admin.lines("/mappings/export").await?;
    let mut out: BufWriter<Box<dyn Write>> = BufWriter::new(match is_standard(file) {
        true => Box::new(io::stdout()),
        false => Box::new(File::create(file).map_err(|error| in_file(file, &error))?),
    });
    // The first line is the header.
    let (mut all, mut exported) = (0, Exported::default());
    while let Some(line) = lines.next().await? {
        writeln!(out, "{line}").map_err(|error| in_file(file, &error))?;
        all += 1;
        exported.pending += u64::from(transfer::is_pending(line.get()));
    }
    out.flush().map_err(|error| in_file(file, &error))?;
    drop(out);
    if !is_standard(file) {
        let written = File::open(file).and_then(|file| file.sync_all());
        written.map_err(|error| in_file(file, &error))?;
    }
    exported.mappings = u64::saturating_sub(all, 1);
    told(exported);
    Ok(())
}

async fn export(store: &dyn DocumentStore, file: &Path) -> Result<(), CommandError> {
    let bar = progress_bar();
    let mut progress = |pass: Pass, all, done| {
        bar.set_message(pass.name());
        bar.set_length(all);
        bar.set_position(done);
    };
    let exported = if is_standard(file) {
        let mut out = BufWriter::new(io::stdout().lock());
        transfer::export(store, &mut out, &mut progress).await
    } else {
        let mut out = BufWriter::new(File::create(file).map_err(|error| in_file(file, &error))?);
        let exported = transfer::export(store, &mut out, &mut progress).await;
        out.get_ref().sync_all().map_err(|error| in_file(file, &error))?;
        exported
    };
    bar.finish_and_clear();
    told(exported.map_err(CommandError::failed)?);
    Ok(())
}

fn told(exported: Exported) {
    eprintln!("exported {} mappings", exported.mappings);
    if exported.pending > 0 {
        eprintln!(
            "{} of them are still on their way to DWS: an import leaves those out, since their bytes \
             are not in this file; let `transom run` deliver them first",
            exported.pending
        );
    }
}

async fn import(store: &dyn DocumentStore, file: &Path) -> Result<(), CommandError> {
    let input = if is_standard(file) { copy_of_stdin() } else { File::open(file) };
    let input = input.map_err(|error| in_file(file, &error))?;
    let bar = progress_bar();
    let mut progress = |pass: Pass, all, done| {
        bar.set_message(pass.name());
        bar.set_length(all);
        bar.set_position(done);
    };
    let done = transfer::import(store, &mut BufReader::new(input), &mut progress).await;
    bar.finish_and_clear();
    imported(done.map_err(|error| match error {
        TransferError::Bad(..) => CommandError::Failed(format!("{}: {error}", file.display())),
        error => CommandError::failed(error),
    })?);
    Ok(())
}

fn imported(Imported { added, unchanged, pending }: Imported) {
    eprintln!(
        "imported {added} mappings; {unchanged} were there already, {pending} left out as they were still on \
         their way to DWS"
    );
}

async fn remove(
    store: &dyn DocumentStore,
    keys: &[DocumentKey],
    remove_documents: bool,
) -> Result<(), CommandError> {
    let mut done = Removed::default();
    for key in keys {
        let forgotten = forget(store, std::slice::from_ref(key), remove_documents, now_ms()).await;
        match forgotten.map_err(CommandError::failed)?.names {
            0 => done.missing.push(key.to_string()),
            names => done.removed += names,
        }
    }
    removed(done)
}

fn removed(Removed { removed, missing }: Removed) -> Result<(), CommandError> {
    eprintln!("removed {removed} mappings");
    if missing.is_empty() {
        return Ok(());
    }
    Err(CommandError::Failed(format!("no mapping for {}", missing.join(", "))))
}

/// An import reads its input twice.
fn copy_of_stdin() -> io::Result<File> {
    let mut file = private::scratch()?;
    io::copy(&mut io::stdin().lock(), &mut file)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

fn in_file(file: &Path, error: &io::Error) -> CommandError {
    CommandError::Failed(format!("{}: {error}", file.display()))
}

fn is_standard(file: &Path) -> bool {
    file.as_os_str() == "-"
}

const PAGE: usize = 500;
