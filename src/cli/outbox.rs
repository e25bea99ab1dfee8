//! `transom outbox`: what is still to be told to DWS, and what waits for the operator's decision.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use clap::Subcommand;

use super::store::{CommandError, StoreArgs, exit_code, print_line, shown_whole};
use crate::outbox::{OutboxError, discard, retry};
use crate::store::{DocumentStore, JobId, now_ms};

/// Shows and decides what is on its way to DWS. Needs the store for itself: stop `transom run`
/// first.
#[derive(Debug, clap::Args)]
pub(crate) struct OutboxArgs {
    #[command(flatten)]
    store: StoreArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints every job, oldest first; parked ones with their reason.
    List,
    /// Sends parked uploads again: look first that DWS does not have them.
    Retry {
        #[arg(required = true, value_name = "JOB")]
        jobs: Vec<u64>,
    },
    /// Gives parked uploads up, with the mappings that wait for them.
    Drop {
        #[arg(required = true, value_name = "JOB")]
        jobs: Vec<u64>,
    },
}

impl OutboxArgs {
    pub(crate) fn run(self) -> ExitCode {
        exit_code("outbox", async {
            if let Command::List = self.command {
                let store = self.store.look()?;
                list(&store).await?;
                return shown_whole(&store);
            }
            let store = self.store.open()?;
            match self.command {
                Command::List => Ok(()),
                Command::Retry { jobs } => {
                    let mut problems = Problems::default();
                    for job in jobs {
                        problems.note(retry(&store, JobId(job), now_ms()).await);
                    }
                    problems.end()
                }
                Command::Drop { jobs } => {
                    let mut problems = Problems::default();
                    for job in jobs {
                        problems.note(discard(&store, JobId(job), now_ms()).await);
                    }
                    problems.end()
                }
            }
        })
    }
}

async fn list(store: &dyn DocumentStore) -> Result<(), CommandError> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut after = None;
    loop {
        let page = store.jobs(after, PAGE).await.map_err(CommandError::failed)?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for job in &page {
            print_line(&mut out, job)?;
        }
    }
    out.flush().map_err(CommandError::failed)
}

/// One job's problem is no reason to leave the others.
#[derive(Default)]
struct Problems {
    texts: Vec<String>,
}

impl Problems {
    fn note<T>(&mut self, result: Result<T, OutboxError>) {
        self.texts.extend(result.err().map(|problem| problem.to_string()));
    }

    fn end(self) -> Result<(), CommandError> {
        if self.texts.is_empty() {
            return Ok(());
        }
        Err(CommandError::Failed(self.texts.join("; ")))
    }
}

const PAGE: usize = 500;
