//! `transom run`: the proxy, from its configuration to the last request.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::runtime::{self, Runtime};

use crate::config::{Config, RuntimeModel};
use crate::http::downstream::signal::{Hangups, Signals, Upgrades};
use crate::http::downstream::workers::BLOCKING_THREADS;
use crate::proxy::sockets::{Inherited, Sockets};
use crate::proxy::start::{RunningProxy, start_proxy};
use crate::proxy::upgrade::Program;
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
        let inherited = match Inherited::take() {
            Ok(inherited) => inherited,
            Err(error) => {
                eprintln!("transom: a socket in LISTEN_FDS can't be used: {error}");
                return ExitCode::FAILURE;
            }
        };
        let result = runtime(&config).map_err(Into::into).and_then(|runtime| {
            let result = runtime.block_on(serve(config, self.config.clone(), inherited));
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
async fn serve(
    mut config: Config,
    file: PathBuf,
    mut inherited: Inherited,
) -> Result<ExitCode, Box<dyn Error>> {
    // Before anything else starts, so that a signal during the start is not lost.
    let (mut signals, mut upgrades, _) = (Signals::new()?, Upgrades::new()?, Hangups::new()?);
    let program = Program::own()?;
    let sockets = Sockets::open(&config, &mut inherited)?;
    let mut predecessor = inherited.predecessor();
    loop {
        let proxy = start(config, &file, &sockets).await?;
        if let Some(predecessor) = predecessor.take() {
            predecessor.relieve();
        }
        tell_systemd(&[NotifyState::Ready, NotifyState::Status("serving")]);
        let signal = loop {
            tokio::select! {
                signal = signals.next() => break Some(signal),
                () = upgrades.next() => {}
            }
            match may_be_replaced(&program, &file).await {
                Ok(()) => break None,
                Err(why) => tracing::error!("SIGUSR2: this process goes on: {why}"),
            }
        };
        if let Some(signal) = signal {
            return Ok(stop(proxy, signal, &mut signals).await);
        }
        tracing::info!("SIGUSR2: {} is started, and takes over", program.path().display());
        let released = proxy.release().await;
        match program.take_over(&sockets).await {
            Ok(next) => {
                tracing::info!("process {next} serves; finishing what is in progress here");
                tell_systemd(&[NotifyState::MainPid(next)]);
                drop(sockets);
                released.drained().await;
                tracing::info!("stopped");
                return Ok(ExitCode::SUCCESS);
            }
            Err(why) => {
                tracing::error!("the upgrade failed, this process goes on: {why}");
                tokio::spawn(released.drained());
                config = load_again(&file).await;
            }
        }
    }
}

/// A file that was good a moment ago: what is wrong with it now must not end the process.
async fn load_again(file: &Path) -> Config {
    loop {
        match Config::load_for_proxy(file) {
            Ok(config) => return config,
            Err(problems) => tracing::error!("nothing is served until it is mended: {problems}"),
        }
        tokio::time::sleep(LOAD_EVERY).await;
    }
}

async fn start(
    config: Config,
    file: &Path,
    sockets: &Sockets,
) -> Result<RunningProxy, Box<dyn Error>> {
    let hangups = Hangups::new()?;
    let app = config.app.address();
    let scheme = if config.server.tls.is_some() { "https" } else { "http" };
    let proxy = start_proxy(config, sockets.again()?).await?;
    proxy.follow(file.to_owned(), hangups);
    let admin = proxy.admin_address().map_or("off".to_owned(), |at| format!("http://{at}"));
    tracing::info!(
        "transom {} listens on {scheme}://{}, in front of {app}; admin: {admin}",
        env!("CARGO_PKG_VERSION"),
        proxy.address(),
    );
    Ok(proxy)
}

async fn stop(proxy: RunningProxy, signal: &str, signals: &mut Signals) -> ExitCode {
    tracing::info!("{signal}: finishing what is in progress; once more stops at once");
    tell_systemd(&[NotifyState::Stopping]);
    tokio::select! {
        () = proxy.stop() => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        signal = signals.next() => {
            tracing::warn!("{signal} again: stopped with work in progress");
            ExitCode::FAILURE
        }
    }
}

/// Whether another process could go on in the place of this one; else a sentence for the operator.
async fn may_be_replaced(program: &Program, config: &Path) -> Result<(), String> {
    // The kernel ends all processes of a container with its first.
    if std::process::id() == 1 {
        return Err(
            "it is the first process of a container, which ends with it: start another container"
                .to_owned(),
        );
    }
    program.check(config).await
}

const LOAD_EVERY: Duration = Duration::from_secs(1);

/// Where systemd has started this (`Type=notify`), and nothing elsewhere.
fn tell_systemd(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd could not be told");
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
