//! What the commands that work on the store have in common.

use std::fmt;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::config::Config;
use crate::store::{SledStore, sled_path};

/// Which store to work on.
#[derive(Debug, clap::Args)]
pub(crate) struct StoreArgs {
    /// The configuration that names the store.
    #[arg(long, value_name = "FILE", default_value = "config.toml", global = true)]
    pub(super) config: PathBuf,
    /// The store's folder, without reading a configuration.
    #[arg(long, value_name = "FOLDER", global = true)]
    pub(super) store: Option<PathBuf>,
}

impl StoreArgs {
    /// Opens the store, which must exist: a mistyped folder is no empty store.
    pub(crate) fn open(&self) -> Result<SledStore, CommandError> {
        SledStore::open_below(&self.existing()?).map_err(CommandError::failed)
    }

    /// Opens a copy, so that looking changes nothing, even if the store is damaged.
    pub(crate) fn look(&self) -> Result<SledStore, CommandError> {
        SledStore::look_below(&self.existing()?).map_err(CommandError::failed)
    }

    fn existing(&self) -> Result<PathBuf, CommandError> {
        let folder = self.folder()?;
        if sled_path(&folder).join("db").exists() {
            return Ok(folder);
        }
        Err(CommandError::Usage(format!(
            "there is no store in {}; name its folder with --store, or run `transom run` first",
            folder.display()
        )))
    }

    /// Opens the store, or begins a new one.
    pub(crate) fn open_or_create(&self) -> Result<SledStore, CommandError> {
        SledStore::open_below(&self.folder()?).map_err(CommandError::failed)
    }

    pub(super) fn folder(&self) -> Result<PathBuf, CommandError> {
        if let Some(folder) = &self.store {
            return Ok(folder.clone());
        }
        let config = Config::load_for_proxy(&self.config);
        Ok(config.map_err(|error| CommandError::Usage(error.to_string()))?.store.path)
    }
}

/// What was shown is all that there is, or the command fails.
pub(crate) fn shown_whole(store: &SledStore) -> Result<(), CommandError> {
    let damage = store.damage();
    if damage.is_empty() {
        return Ok(());
    }
    Err(CommandError::Failed(format!(
        "this is not all, as the store is damaged: {}; see `transom store verify`",
        damage.join("; ")
    )))
}

/// Why a command ended without having done its work.
#[derive(Debug)]
pub(crate) enum CommandError {
    /// The command line or the configuration is wrong.
    Usage(String),
    Failed(String),
}

impl CommandError {
    pub(crate) fn failed(error: impl fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Runs a command's work to its exit code: 0, 1 when it failed, 64 when it was asked wrongly.
pub(crate) fn exit_code(
    command: &str,
    work: impl Future<Output = Result<(), CommandError>>,
) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => Err(CommandError::failed(error)),
    };
    let (text, code) = match ended {
        Ok(()) => return ExitCode::SUCCESS,
        Err(CommandError::Usage(text)) => (text, EX_USAGE),
        Err(CommandError::Failed(text)) => (text, 1),
    };
    eprintln!("transom {command}: {text}");
    ExitCode::from(code)
}

/// One JSON value per line.
pub(crate) fn print_line(out: &mut dyn Write, value: &impl Serialize) -> Result<(), CommandError> {
    serde_json::to_writer(&mut *out, value).map_err(CommandError::failed)?;
    out.write_all(b"\n").map_err(CommandError::failed)
}

/// A bar on a terminal, nothing elsewhere. It appears only when the work takes a while.
pub(crate) fn progress_bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(4));
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}, {eta} to go");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// As in BSD's sysexits.h.
const EX_USAGE: u8 = 64;
