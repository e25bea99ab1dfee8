//! `transom settle`: what DWS has and Transom does not know, and the other way round.

use std::process::ExitCode;

use serde_json::json;

use super::print::{Row, Rows};
use super::store::{CommandError, StoreArgs, exit_code};
use super::target::{Target, TargetArgs};
use crate::backend;
use crate::config::Config;
use crate::outbox::{Finding, reconcile};
use crate::store::{backend_path, now_ms};
use crate::telemetry::Metrics;

/// Compares what DWS has with what is known of it: removes what an upload of ours left there twice, and marks
/// documents as lost that are gone, so that the next view reads them from the app. What others stored with the same key,
/// and what was stored with another key, stays as it is.
#[derive(Debug, clap::Args)]
pub(crate) struct SettleArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Tells what would be done, and does nothing
    #[arg(long)]
    dry_run: bool,
}

impl SettleArgs {
    pub(crate) fn run(self) -> ExitCode {
        exit_code("settle", async {
            let dry_run = self.dry_run;
            let findings: Vec<Finding> = match self.target.find().await? {
                Target::Running(admin) if dry_run => admin.get("/settle").await?,
                Target::Running(admin) => admin.post("/settle", &json!({})).await?,
                Target::Store(args) => at_the_store(args, dry_run).await?,
            };
            let mut rows = Rows::of::<Finding>();
            findings.iter().try_for_each(|finding| rows.print(finding))?;
            rows.finish()?;
            if findings.is_empty() {
                eprintln!("DWS has just what is known of it");
            }
            Ok(())
        })
    }
}

async fn at_the_store(args: StoreArgs, dry_run: bool) -> Result<Vec<Finding>, CommandError> {
    let config = Config::load_for_proxy(&args.config);
    let config = config.map_err(|error| CommandError::Usage(error.to_string()))?;
    let folder = backend_path(&args.store.clone().unwrap_or(config.store.path));
    let store = args.open()?;
    let metrics = std::sync::Arc::new(Metrics::new());
    let backend = backend::connect(&config.backend, metrics, Some(&folder));
    let backend = backend.map_err(CommandError::failed)?;
    let reconciled = reconcile(&store, &*backend, now_ms(), dry_run).await;
    Ok(reconciled.map_err(CommandError::failed)?.findings)
}

impl Row for Finding {
    const COLUMNS: &'static [&'static str] =
        &["FINDING", "DOCUMENT AT DWS", "TITLE", "KIND", "ID", "ACTION", "DONE"];

    fn cells(&self) -> Vec<String> {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        vec![
            self.finding.clone(),
            self.document_id.clone(),
            text(&self.title),
            text(&self.kind),
            text(&self.document),
            self.action.clone(),
            if self.done { "yes" } else { "no" }.to_owned(),
        ]
    }
}
