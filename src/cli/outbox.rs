//! `transom outbox`: what is still to be told to DWS, and what waits for the operator's decision.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use super::print::{Row, Rows, is_terminal, print_one, span};
use super::remote::{Admin, segment};
use super::store::{CommandError, StoreArgs, exit_code, print_line, shown_whole};
use super::target::{Target, TargetArgs};
use crate::admin::outbox::Decision;
use crate::outbox::{JobLine, OutboxError, PAUSED, Pause, bind, discard, retry};
use crate::store::{DocumentStore, JobId, find_job, now_ms, spool_path};

/// Shows and decides what is on its way to DWS: at the Transom that is running, or in the store when none is.
#[derive(Debug, clap::Args)]
pub(crate) struct OutboxArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints every job, oldest first; parked ones with their reason.
    List,
    /// Prints one job.
    Show {
        #[arg(value_name = "JOB")]
        job: u64,
    },
    /// Sends parked uploads again.
    Retry {
        #[arg(required = true, value_name = "JOB")]
        jobs: Vec<u64>,
    },
    /// Gives parked uploads up, with the mappings that wait for them.
    Drop {
        #[arg(required = true, value_name = "JOB")]
        jobs: Vec<u64>,
    },
    /// Takes a document that is at DWS already for what a parked upload has stored.
    Bind {
        #[arg(value_name = "JOB")]
        job: u64,
        #[arg(value_name = "DOCUMENT_ID")]
        document_id: String,
    },
    /// Makes no new attempts until `resume`, across restarts too. Captures go on.
    Pause,
    /// Goes on with deliveries.
    Resume,
}

impl OutboxArgs {
    pub(crate) fn run(self) -> ExitCode {
        exit_code("outbox", async {
            match self.target.find().await? {
                Target::Running(admin) => self.command.ask(&admin).await,
                Target::Store(store) => self.command.work_on(store).await,
            }
        })
    }
}

impl Command {
    /// The Transom that is running does it.
    async fn ask(self, admin: &Admin) -> Result<(), CommandError> {
        let decide = async |job: u64, what: &str, decision: Decision| {
            let path = format!("/outbox/{job}/{what}");
            let done: Value = admin.post(&path, &decision).await?;
            told(job, &done)
        };
        match self {
            Self::List => {
                let lines = admin.lines("/outbox").await?;
                if Rows::of::<JobLine>().print_all::<JobLine>(lines).await? == 0 {
                    eprintln!("nothing is left to deliver");
                }
                Ok(())
            }
            Self::Show { job } => show(&admin.get(&format!("/outbox/{job}")).await?),
            Self::Retry { jobs } => {
                let one = |job| decide(job, "retry", Decision::default());
                each(jobs, one).await
            }
            Self::Drop { jobs } => each(jobs, |job| decide(job, "drop", Decision::default())).await,
            Self::Bind { job, document_id } => {
                decide(job, "bind", Decision { document_id: Some(document_id) }).await
            }
            Self::Pause | Self::Resume => {
                let pauses = matches!(self, Self::Pause);
                let path = format!("/outbox/{}", segment(if pauses { "pause" } else { "resume" }));
                let _: Value = admin.post(&path, &json!({})).await?;
                paused(pauses)
            }
        }
    }

    async fn work_on(self, args: StoreArgs) -> Result<(), CommandError> {
        if let Self::Pause | Self::Resume = self {
            let pauses = matches!(self, Self::Pause);
            let folder = args.folder()?;
            // Nothing else may change it at the same time.
            let _store = args.open()?;
            let pause = Pause::at(spool_path(&folder).join(PAUSED));
            pause.set(pauses).map_err(CommandError::failed)?;
            return paused(pauses);
        }
        if let Self::List = self {
            let store = args.look()?;
            list(&store).await?;
            return shown_whole(&store);
        }
        let store = if let Self::Show { .. } = self { args.look()? } else { args.open()? };
        let decided = |job: u64, outcome: &str, done: Result<(), OutboxError>| {
            done.map_err(CommandError::failed)?;
            told(job, &json!({ "id": job, "outcome": outcome }))
        };
        match self {
            Self::List => Ok(()),
            Self::Show { job } => match find_job(&store, JobId(job)).await {
                Ok(Some(job)) => show(&JobLine::from(&job)),
                Ok(None) => Err(CommandError::failed(OutboxError::Missing(JobId(job)))),
                Err(error) => Err(CommandError::failed(error)),
            },
            Self::Retry { jobs } => {
                let one = async |job| {
                    let done = retry(&store, JobId(job), now_ms()).await;
                    decided(job, "retried", done.map(drop))
                };
                each(jobs, one).await
            }
            Self::Drop { jobs } => {
                let one = async |job| {
                    let done = discard(&store, JobId(job), now_ms()).await;
                    decided(job, "dropped", done.map(drop))
                };
                each(jobs, one).await
            }
            Self::Bind { job, document_id } => {
                let done = bind(&store, JobId(job), &document_id, now_ms()).await;
                decided(job, "bound", done.map(drop))
            }
            Self::Pause | Self::Resume => Ok(()),
        }
    }
}

impl Row for JobLine {
    const COLUMNS: &'static [&'static str] =
        &["JOB", "TASK", "STATE", "DOCUMENT", "TITLE", "AGE", "TRIES", "WHY"];

    fn cells(&self) -> Vec<String> {
        let host = self.host.as_ref().map(|host| format!("@{host}")).unwrap_or_default();
        let why = [self.reason.as_deref(), self.last_error.as_deref()];
        vec![
            self.id.to_string(),
            self.task.clone(),
            self.state.clone(),
            format!("{}/{}{host}", self.kind, self.document),
            self.title.clone().unwrap_or_default(),
            span(now_ms().saturating_sub(self.created_at)),
            self.attempts.to_string(),
            why.into_iter().flatten().collect::<Vec<_>>().join(": "),
        ]
    }
}

async fn list(store: &dyn DocumentStore) -> Result<(), CommandError> {
    let mut rows = Rows::of::<JobLine>();
    let mut after = None;
    loop {
        let page = store.jobs(after, PAGE).await.map_err(CommandError::failed)?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for job in &page {
            rows.print(&JobLine::from(job))?;
        }
    }
    rows.finish()?;
    if after.is_none() {
        eprintln!("nothing is left to deliver");
    }
    Ok(())
}

/// All that is known of it.
fn show(job: &JobLine) -> Result<(), CommandError> {
    if !is_terminal() {
        return print_line(&mut std::io::stdout(), job);
    }
    let text = serde_json::to_string_pretty(job).map_err(CommandError::failed)?;
    println!("{text}");
    Ok(())
}

fn told(job: u64, done: &Value) -> Result<(), CommandError> {
    let outcome = done["outcome"].as_str().unwrap_or("done");
    print_one(done, &format!("job {job}: {outcome}"))
}

fn paused(paused: bool) -> Result<(), CommandError> {
    let sentence = match paused {
        true => "deliveries are paused; `transom outbox resume` lets them go on",
        false => "deliveries go on",
    };
    print_one(&json!({ "paused": paused }), sentence)
}

/// One job's problem is no reason to leave the others.
async fn each<F>(jobs: Vec<u64>, work: impl Fn(u64) -> F) -> Result<(), CommandError>
where
    F: Future<Output = Result<(), CommandError>>,
{
    let mut problems = Vec::new();
    for job in jobs {
        match work(job).await {
            Ok(()) => {}
            Err(CommandError::Failed(problem)) => problems.push(problem),
            Err(usage) => return Err(usage),
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(CommandError::Failed(problems.join("; "))) }
}

const PAGE: usize = 500;
