//! `transom mappings`: what Transom knows of the app's documents, as JSON lines.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Subcommand;

use super::store::{CommandError, StoreArgs, exit_code, print_line, progress_bar, shown_whole};
use crate::document::DocumentKey;
use crate::outbox::forget;
use crate::store::transfer::{self, Line, Pass, TransferError};
use crate::store::{DocumentStore, now_ms};

/// Lists, moves and removes mappings. Needs the store for itself: stop `transom run` first.
#[derive(Debug, clap::Args)]
pub(crate) struct MappingsArgs {
    #[command(flatten)]
    store: StoreArgs,
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
    /// Removes mappings, and their documents at DWS as soon as `transom run` runs again.
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
            let Self { store, command } = self;
            match command {
                Command::List { kind } => {
                    let store = store.look()?;
                    list(&store, kind.as_deref()).await?;
                    shown_whole(&store)
                }
                Command::Show { kind, id, host } => {
                    show(&store.look()?, &document_key(&kind, &id, host.as_deref())?).await
                }
                Command::Export { file } => {
                    let store = store.look()?;
                    export(&store, &file).await?;
                    shown_whole(&store)
                }
                Command::Import { file } => import(&store.open_or_create()?, &file).await,
                Command::Remove { kind, ids, keep_document, host } => {
                    let keys = ids.iter().map(|id| document_key(&kind, id, host.as_deref()));
                    let keys = keys.collect::<Result<Vec<_>, _>>()?;
                    remove(&store.open()?, &keys, !keep_document).await
                }
            }
        })
    }
}

async fn list(store: &dyn DocumentStore, kind: Option<&str>) -> Result<(), CommandError> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut after = None;
    loop {
        let page = store.list(after.as_ref(), PAGE).await.map_err(CommandError::failed)?;
        let Some(last) = page.last() else { break };
        after = Some(last.key.clone());
        for mapping in page {
            if kind.is_none_or(|kind| kind == mapping.key.kind()) {
                print_line(&mut out, &Line::from(mapping))?;
            }
        }
    }
    out.flush().map_err(CommandError::failed)
}

async fn show(store: &dyn DocumentStore, key: &DocumentKey) -> Result<(), CommandError> {
    match store.get(key).await.map_err(CommandError::failed)? {
        Some(mapping) => {
            let mapping = Arc::unwrap_or_clone(mapping);
            print_line(&mut io::stdout().lock(), &Line::from(mapping))
        }
        None => Err(CommandError::Failed(format!("no mapping for {key}"))),
    }
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
    let exported = exported.map_err(CommandError::failed)?;
    eprintln!("exported {} mappings", exported.mappings);
    if exported.pending > 0 {
        eprintln!(
            "{} of them are still on their way to DWS: an import leaves those out, since their bytes \
             are not in this file; let `transom run` deliver them first",
            exported.pending
        );
    }
    Ok(())
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
    let imported = transfer::import(store, &mut BufReader::new(input), &mut progress).await;
    bar.finish_and_clear();
    let imported = imported.map_err(|error| match error {
        TransferError::Bad(..) => CommandError::Failed(format!("{}: {error}", file.display())),
        error => CommandError::failed(error),
    })?;
    eprintln!(
        "imported {} mappings; {} were there already, {} left out as they were still on their way to DWS",
        imported.added, imported.unchanged, imported.pending
    );
    Ok(())
}

async fn remove(
    store: &dyn DocumentStore,
    keys: &[DocumentKey],
    remove_documents: bool,
) -> Result<(), CommandError> {
    let mut missing = Vec::new();
    for key in keys {
        let forgotten = forget(store, std::slice::from_ref(key), remove_documents, now_ms()).await;
        if forgotten.map_err(CommandError::failed)?.names == 0 {
            missing.push(key.to_string());
        }
    }
    eprintln!("removed {} mappings", keys.len() - missing.len());
    if missing.is_empty() {
        return Ok(());
    }
    Err(CommandError::Failed(format!("no mapping for {}", missing.join(", "))))
}

/// An import reads its input twice.
fn copy_of_stdin() -> io::Result<File> {
    let path = std::env::temp_dir().join(format!("transom-import-{}", std::process::id()));
    let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
    let copied = io::copy(&mut io::stdin().lock(), &mut file);
    // The open file stays readable; its name is needed no more.
    std::fs::remove_file(&path)?;
    copied?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

fn document_key(kind: &str, id: &str, host: Option<&str>) -> Result<DocumentKey, CommandError> {
    let key = DocumentKey::new(kind, id).and_then(|key| match host {
        Some(host) => key.at_host(host.to_ascii_lowercase()),
        None => Ok(key),
    });
    key.map_err(|error| CommandError::Usage(format!("{id:?} is {error}")))
}

fn in_file(file: &Path, error: &io::Error) -> CommandError {
    CommandError::Failed(format!("{}: {error}", file.display()))
}

fn is_standard(file: &Path) -> bool {
    file.as_os_str() == "-"
}

const PAGE: usize = 500;
