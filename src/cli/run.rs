//! `transom run`: the proxy, from its configuration to the last request.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use tokio::runtime::{self, Runtime};

use crate::config::{Config, RuntimeModel};
use crate::http::downstream::signal::{Hangups, Signals};
use crate::http::downstream::workers::BLOCKING_THREADS;
use crate::proxy::start::start_proxy;
use crate::telemetry::log;

use super::EXIT_USAGE;

#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "config.toml")]
    pub(super) config: PathBuf,
}

impl RunArgs {
    pub(crate) fn run(self) -> ExitCode {
        log::start();
        let config = match Config::load_for_proxy(&self.config) {
            Ok(config) => config,
            Err(problems) => {
                eprintln!("{problems}");
                return ExitCode::from(EXIT_USAGE);
            }
        };
        for warning in config.warnings() {
            eprintln!("{warning}");
        }
        let result = runtime(&config).map_err(Into::into).and_then(|runtime| {
            let result = runtime.block_on(serve(config, self.config.clone()));
            // What is still at work after the drain was given its time.
            runtime.shutdown_background();
            result
        });
        match result {
            Ok(exit) => exit,
            Err(error) => {
                eprintln!("transom: {error}");
                ExitCode::FAILURE
            }
        }
    }
}

/// `file` is where `config` was read from.
async fn serve(config: Config, file: PathBuf) -> Result<ExitCode, Box<dyn Error>> {
    // Before anything else starts, so that a signal during the start is not lost.
    let (mut signals, hangups) = (Signals::new()?, Hangups::new()?);
    let app = config.app.address();
    let scheme = if config.server.tls.is_some() { "https" } else { "http" };
    let proxy = start_proxy(config).await?;
    proxy.follow(file, hangups);
    let admin = proxy.admin_address().map_or("off".to_owned(), |at| format!("http://{at}"));
    tracing::info!(
        "transom {} listens on {scheme}://{}, in front of {app}; admin: {admin}",
        env!("CARGO_PKG_VERSION"),
        proxy.address(),
    );

    let signal = signals.next().await;
    tracing::info!("{signal}: finishing what is in progress; once more stops at once");
    tokio::select! {
        () = proxy.stop() => {
            tracing::info!("stopped");
            Ok(ExitCode::SUCCESS)
        }
        signal = signals.next() => {
            tracing::warn!("{signal} again: stopped with work in progress");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// For everything, or for what goes on in the background when workers have runtimes of their own.
fn runtime(config: &Config) -> std::io::Result<Runtime> {
    let workers = match config.server.runtime {
        RuntimeModel::PerCore => 1,
        RuntimeModel::Shared => config.server.workers.max(1),
    };
    runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .max_blocking_threads(2 * BLOCKING_THREADS)
        .enable_all()
        .build()
}
