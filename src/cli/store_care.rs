//! `transom store`: is it whole, and what to do if it is not.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::store::{CommandError, StoreArgs, exit_code};
use crate::store::rescue::{Counted, Repaired, backup, repair, restore, verify};

/// Looks at the store, repairs it, backs it up, and brings it back.
#[derive(Debug, clap::Args)]
pub(crate) struct StoreCareArgs {
    #[command(flatten)]
    store: StoreArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tells whether the store is whole, and changes nothing.
    ///
    /// Ends with 0 when it is, and with 1 when something is damaged or missing. Needs the store for itself: a running
    /// Transom looks for damage itself, and `/readyz` tells what it found.
    Verify,
    /// Puts the store together from what is whole, and names what is lost.
    ///
    /// The damaged store is kept beside the new one. Needs the store for itself; a Transom that could not open it may run.
    Repair,
    /// Writes documents, jobs and waiting uploads to one file, also while Transom runs.
    Backup { file: PathBuf },
    /// Brings a backup back. What was there before is kept beside it.
    ///
    /// Refuses over a store that is in use.
    Restore { file: PathBuf },
}

impl StoreCareArgs {
    pub(crate) fn run(self) -> ExitCode {
        exit_code("store", async {
            let folder = self.store.folder()?;
            match self.command {
                Command::Verify => {
                    let verified = verify(&folder).map_err(CommandError::failed)?;
                    if !verified.problems.is_empty() {
                        return Err(CommandError::Failed(format!(
                            "{}\n`transom store repair` puts together what is whole",
                            verified.problems.join("\n")
                        )));
                    }
                    eprintln!("the store is whole: {}", told(verified.counted));
                }
                Command::Repair => {
                    let Repaired { counted, kept, lost } =
                        repair(&folder).map_err(CommandError::failed)?;
                    match kept {
                        Some(kept) => eprintln!(
                            "the store was put together anew: {}; the damaged one is {}",
                            told(counted),
                            kept.display()
                        ),
                        None => eprintln!("there is nothing to repair: {}", told(counted)),
                    }
                    lost.iter().for_each(|what| eprintln!("lost: {what}"));
                }
                Command::Backup { file } => {
                    let counted = backup(&folder, &file).map_err(CommandError::failed)?;
                    eprintln!("backed up {}", told(counted));
                }
                Command::Restore { file } => {
                    let counted = restore(&folder, &file).map_err(CommandError::failed)?;
                    eprintln!("restored {}", told(counted));
                }
            }
            Ok(())
        })
    }
}

fn told(counted: Counted) -> String {
    let Counted { documents, jobs, files } = counted;
    format!("{documents} documents, {jobs} jobs, {files} waiting uploads")
}
