//! `transom status`: how Transom is, at a glance.

use std::process::ExitCode;

use super::print::{is_terminal, span};
use super::store::{CommandError, StoreArgs, exit_code, print_line};
use super::target::{Target, TargetArgs};
use crate::admin::status::{JobCounts, StatusReport, shown};
use crate::outbox::{PAUSED, Pause, figures};
use crate::store::{now_ms, spool_path};

/// Shows how Transom is: what it depends on, what is on its way to DWS, and what waits for you.
///
/// Ends with 0 when one runs and is ready or degraded, and with 1 otherwise.
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    target: TargetArgs,
}

impl StatusArgs {
    pub(crate) fn run(self) -> ExitCode {
        let mut serves = false;
        let code = exit_code("status", async {
            let report = match self.target.find().await? {
                Target::Running(admin) => admin.get("/status").await?,
                Target::Store(store) => of_store(store).await?,
            };
            serves = matches!(report.status.as_str(), "ready" | "degraded");
            print(&report)
        });
        if code == ExitCode::SUCCESS && !serves { ExitCode::FAILURE } else { code }
    }
}

/// Where none runs.
async fn of_store(args: StoreArgs) -> Result<StatusReport, CommandError> {
    let folder = args.folder()?;
    let paused = Pause::at(spool_path(&folder).join(PAUSED)).is_on();
    let store = args.open()?;
    let figures = figures(&store, now_ms()).await.map_err(CommandError::failed)?;
    Ok(StatusReport {
        transom: env!("CARGO_PKG_VERSION").to_owned(),
        status: "stopped".to_owned(),
        store: shown(&folder),
        dependencies: Vec::new(),
        outbox: Some(JobCounts::new(&figures, paused)),
    })
}

fn print(report: &StatusReport) -> Result<(), CommandError> {
    if !is_terminal() {
        return print_line(&mut std::io::stdout(), report);
    }
    print!("{}", text(report));
    Ok(())
}

fn text(report: &StatusReport) -> String {
    let StatusReport { transom, status, store, dependencies, outbox } = report;
    let mut text = format!("transom {transom}: {status}; its store is {store}\n\n");
    for state in dependencies {
        let detail: String = state.detail.chars().filter(|letter| !letter.is_control()).collect();
        text += &format!("{:<10} {:<9} {detail}\n", state.name, state.status);
    }
    if let Some(JobCounts { due, sending, parked, oldest_seconds, paused }) = outbox {
        let oldest = span(oldest_seconds * 1000);
        text += &format!("{:<10} {due} due, {sending} being sent, {parked} parked", "jobs");
        if due + sending + parked > 0 {
            text += &format!("; the oldest waits for {oldest}");
        }
        text += if *paused { "; PAUSED\n" } else { "\n" };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::status::DependencyState;

    #[test]
    fn the_table_names_what_is_wrong() {
        let state = |name: &str, status: &str, detail: &str| DependencyState {
            name: name.to_owned(),
            status: status.to_owned(),
            detail: detail.to_owned(),
        };
        let report = StatusReport {
            transom: "1.0.0".to_owned(),
            status: "degraded".to_owned(),
            store: "/data".to_owned(),
            dependencies: vec![state("store", "ok", "fine"), state("outbox", "degraded", "1\njob")],
            outbox: Some(JobCounts {
                due: 1,
                sending: 0,
                parked: 2,
                oldest_seconds: 300,
                paused: true,
            }),
        };
        assert_eq!(
            text(&report),
            "transom 1.0.0: degraded; its store is /data\n\n\
             store      ok        fine\n\
             outbox     degraded  1job\n\
             jobs       1 due, 0 being sent, 2 parked; the oldest waits for 5 min; PAUSED\n"
        );
    }
}
