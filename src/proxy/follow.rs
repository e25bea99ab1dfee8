//! Takes the configuration file into use again when it has changed, or when asked to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::config::{Config, ConfigError};
use crate::dependencies::{Dependency, Status};
use crate::stamp::Stamp;

use super::reload::Stacks;
use crate::http::downstream::signal::{Hangups, Shutdown};

/// A configuration file, and the secrets that it names.
pub(super) struct Follower {
    path: PathBuf,
    stacks: Arc<Stacks>,
    state: Arc<State>,
    /// Files that it named when it was read last, in use or not; their change may mend it.
    named: Vec<PathBuf>,
}

/// What `/readyz` tells of the file.
#[derive(Debug, Default)]
pub(super) struct State(ArcSwapOption<Told>);

#[derive(Debug)]
struct Told {
    /// All that is wrong; `None` when it is in use.
    refused: Option<String>,
    detail: String,
}

/// Why a file is not taken into use.
struct Refusal {
    problems: String,
    summary: String,
}

/// The files that count, each as it was found.
type Stamps = BTreeMap<PathBuf, Option<Stamp>>;

impl Follower {
    pub(super) fn new(path: PathBuf, stacks: Arc<Stacks>, state: Arc<State>) -> Self {
        state.tell(None, format!("{} is in use", path.display()));
        Self { path, stacks, state, named: Vec::new() }
    }

    /// One reload at a time, until `shutdown`.
    pub(super) async fn run(mut self, mut hangups: Hangups, mut shutdown: Shutdown) {
        // As it was read last, and as it was found last. The first look reads it, since it may have changed
        // after the start read it.
        let (mut read, mut found): (Option<Stamps>, _) = (None, None);
        loop {
            let asked = tokio::select! {
                () = sleep(POLL) => false,
                () = hangups.next() => true,
                () = shutdown.requested() => return,
            };
            let now = self.stamps().await;
            // Whoever writes it may be in the middle of it, until it stays as it is.
            let settled = now == found;
            found.clone_from(&now);
            if asked || (settled && now != read) {
                read = now;
                self.reload(asked).await;
            }
        }
    }

    async fn reload(&mut self, asked: bool) {
        let path = self.path.clone();
        let loaded = spawn_blocking(move || Config::load_for_proxy(path)).await;
        let Ok(loaded) = loaded else { return };
        self.named = match &loaded {
            Ok(config) => files_of(config),
            Err(error) => error.files().to_vec(),
        };
        let outcome = match loaded {
            Ok(config) => self.take(config, asked).await,
            Err(error) => Err(Refusal::of(&error)),
        };
        if let Err(refusal) = outcome {
            self.refuse(refusal, asked);
        }
    }

    async fn take(&self, config: Config, asked: bool) -> Result<(), Refusal> {
        let warnings: Vec<_> = config.warnings().iter().map(ToString::to_string).collect();
        let routes = config.routes.rules().len();
        let reloaded = self.stacks.reload(config).await.map_err(Refusal::whole)?;
        let (file, metrics) = (self.path.display(), self.stacks.transom.metrics());
        let Some(reloaded) = reloaded else {
            let mended = self.state.refused().is_some();
            if mended {
                self.state.tell(None, format!("{file} is in use"));
            }
            if mended || asked {
                metrics.config_reload(true);
                tracing::info!(%file, "the configuration says what is in use already");
            }
            return Ok(());
        };
        metrics.config_reload(true);
        let (changed, later) = (reloaded.changed().join(", "), reloaded.at_next_start());
        tracing::info!(%file, changed, routes, "the new configuration is in use");
        for warning in warnings {
            tracing::warn!(%file, "{warning}");
        }
        for setting in later {
            tracing::warn!(%file, setting, "`{setting}` has changed; it takes effect at the next start");
        }
        let detail = match later {
            [] => format!("{file} is in use"),
            later => format!("{file} is in use; at the next start also {}", later.join(", ")),
        };
        self.state.tell(None, detail);
        Ok(())
    }

    /// The same refusal is told once, unless somebody asks.
    fn refuse(&self, Refusal { problems, summary }: Refusal, asked: bool) {
        if !asked && self.state.refused().as_ref() == Some(&problems) {
            return;
        }
        self.stacks.transom.metrics().config_reload(false);
        let file = self.path.display();
        tracing::error!(%file, "the new configuration is refused, and the old one stays in use:\n{problems}");
        let detail = format!("{summary}; the configuration of before stays in use");
        self.state.tell(Some(problems), detail);
    }

    /// `None` if they can't be had.
    async fn stamps(&self) -> Option<Stamps> {
        let mut files = files_of(&self.stacks.transom.engine().config);
        files.extend_from_slice(&self.named);
        files.push(self.path.clone());
        let stamp = |file: PathBuf| {
            let stamp = Stamp::of(&file);
            (file, stamp)
        };
        // Apart, since file systems may hang.
        spawn_blocking(move || files.into_iter().map(stamp).collect()).await.ok()
    }
}

/// Whose change may make a difference.
fn files_of(config: &Config) -> Vec<PathBuf> {
    let tls = config.server.tls.iter().flat_map(|tls| [tls.cert.clone(), tls.key.clone()]);
    config.written.files().map(Path::to_owned).chain(tls).collect()
}

impl State {
    /// Nothing as long as no file is followed.
    pub(super) fn dependency(&self) -> Option<Dependency> {
        let told = self.0.load_full()?;
        let status = if told.refused.is_some() { Status::Degraded } else { Status::Ok };
        Some(Dependency { name: "config", status, detail: told.detail.clone() })
    }

    fn tell(&self, refused: Option<String>, detail: String) {
        self.0.store(Some(Arc::new(Told { refused, detail })));
    }

    fn refused(&self) -> Option<String> {
        self.0.load_full()?.refused.clone()
    }
}

impl Refusal {
    fn of(error: &ConfigError) -> Self {
        Self { problems: error.to_string(), summary: error.summary().to_owned() }
    }

    /// One that has no place in the file.
    fn whole(problem: String) -> Self {
        Self { summary: problem.clone(), problems: problem }
    }
}

/// Between two looks; a change is taken into use at the second one that finds it.
const POLL: Duration = Duration::from_millis(500);
