//! Another configuration for a running Transom.

use std::sync::Arc;

use tokio::sync::OwnedMutexGuard;

use crate::config::Config;
use crate::engine::{Engine, StartError, Transom};

/// What a reload did; see [`Transom::reload`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reloaded {
    changed: Vec<String>,
    at_next_start: Vec<&'static str>,
}

impl Reloaded {
    /// Names of settings that differ, such as `app.url`, and of files that hold other secrets than before.
    /// None: the new configuration says what the old one did, and nothing was done.
    #[must_use]
    pub fn changed(&self) -> &[String] {
        &self.changed
    }

    /// Those among them that keep their old values until the next start, such as `store.path`.
    #[must_use]
    pub fn at_next_start(&self) -> &[&'static str] {
        &self.at_next_start
    }
}

/// An engine that waits to be taken into use. Until it is, or is dropped, no other reload begins.
pub(crate) struct Next {
    pub(crate) engine: Arc<Engine>,
    reloaded: Reloaded,
    _turn: OwnedMutexGuard<()>,
}

impl Transom {
    /// Serves new requests under `config`, in all layers of this Transom; requests in progress end
    /// under the configuration that they began with.
    ///
    /// Documents, journal, figures and fetched keys stay. Sessions and decisions given before are not
    /// handed out any more; viewers that have a session keep it until it expires. `[store] path` and the
    /// addresses of listeners count at the next start only.
    ///
    /// # Errors
    /// A key can't be used. The old configuration stays, and nothing has changed.
    pub async fn reload(&self, config: Config) -> Result<Reloaded, StartError> {
        let next = self.prepare(config).await;
        self.metrics().config_reload(next.is_ok());
        Ok(next?.map_or_else(Reloaded::default, |next| self.commit(next)))
    }

    /// All that may fail, or takes time. `None` if `config` says the same as the one in use.
    pub(crate) async fn prepare(&self, mut config: Config) -> Result<Option<Next>, StartError> {
        let turn = Arc::clone(&self.reloading).lock_owned().await;
        let present = self.engine();
        let changed = present.config.written.changes(&config.written);
        if changed.is_empty() {
            return Ok(None);
        }
        let at_next_start = config.keep_what_started(&present.config);
        // Where the tasks belong that it starts, whichever runtime the caller is on.
        let background = present.background.clone();
        let renewed = background.spawn(async move { present.renewed(config).await });
        let interrupted = |_| StartError("the reload was interrupted".into());
        let engine = Arc::new(renewed.await.map_err(interrupted)??);
        let reloaded = Reloaded { changed, at_next_start };
        Ok(Some(Next { engine, reloaded, _turn: turn }))
    }

    pub(crate) fn commit(&self, next: Next) -> Reloaded {
        let before = self.engine.swap(next.engine.clone());
        if !next.engine.config.backend.is_same(&before.config.backend) {
            next.engine.backend.set(next.engine.broker.backend());
            next.engine.outbox.begin_anew();
        }
        next.engine.sources.forget_failures();
        next.reloaded
    }
}
