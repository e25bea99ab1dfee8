//! Where documents are brought to: the Transom that is running, or one of this command's own around the store.

use std::sync::Arc;

use crate::backfill::{Backfill, BackfillError, Bring, Brought, ListPage, Look, Standing, Turn};
use crate::cli::remote::Admin;
use crate::cli::store::{CommandError, StoreArgs};
use crate::config::Config;
use crate::engine::Transom;
use crate::explain::Explainer;
use crate::proxy::way::app_alone;
use crate::store::{DocumentStore, sled_path};

pub(super) enum Destination {
    Running(Admin),
    Here(Here),
}

pub(super) struct Here {
    backfill: Backfill,
    /// Delivers what is brought; `None` where nothing is.
    transom: Option<Transom>,
    _looks: Option<Explainer>,
}

impl Destination {
    /// Delivers to DWS as `transom run` does, without any listener.
    pub(super) async fn here(config: Config, store: &StoreArgs) -> Result<Self, CommandError> {
        let store = Arc::new(store.open_or_create()?);
        let transom = Transom::start_with(config, store).await.map_err(CommandError::failed)?;
        let backfill = backfill(&transom)?;
        Ok(Self::Here(Here { backfill, transom: Some(transom), _looks: None }))
    }

    /// Only looks.
    pub(super) async fn to_look_at(
        config: Config,
        store: &StoreArgs,
    ) -> Result<Self, CommandError> {
        // Before the first start there is none, and nothing is known.
        let exists = sled_path(&config.store.path).join("db").exists();
        let store = exists.then(|| store.open()).transpose()?;
        let store = store.map(|store| Arc::new(store) as Arc<dyn DocumentStore>);
        let looks = Explainer::start(config, store, false).await.map_err(CommandError::Failed)?;
        let backfill = backfill(&looks.transom())?;
        Ok(Self::Here(Here { backfill, transom: None, _looks: Some(looks) }))
    }

    pub(super) async fn look(&self, look: &Look) -> Result<Vec<Standing>, CommandError> {
        match self {
            Self::Running(admin) => admin.post("/backfill/look", look).await,
            Self::Here(here) => here.backfill.look(look).await.map_err(told),
        }
    }

    pub(super) async fn bring(&self, bring: &Bring) -> Result<Brought, CommandError> {
        match self {
            Self::Running(admin) => admin.post("/backfill/bring", bring).await,
            Self::Here(here) => here.backfill.bring(bring).await.map_err(told),
        }
    }

    pub(super) async fn page(&self, turn: &Turn) -> Result<ListPage, CommandError> {
        match self {
            Self::Running(admin) => admin.post("/backfill/page", turn).await,
            Self::Here(here) => here.backfill.page(turn).await.map_err(told),
        }
    }

    /// Whether the running Transom does not answer.
    pub(super) async fn is_gone(&self) -> bool {
        match self {
            Self::Running(admin) => admin.status().await.is_none(),
            Self::Here(_) => false,
        }
    }

    /// Lets what is being sent come to its end.
    pub(super) async fn leave(self) {
        if let Self::Here(Here { transom: Some(transom), .. }) = self {
            let drain = transom.engine().config.server.drain;
            transom.stop(drain).await;
        }
    }
}

fn backfill(transom: &Transom) -> Result<Backfill, CommandError> {
    let engine = transom.engine();
    let app = app_alone(&engine.config, engine.metrics.clone()).map_err(CommandError::failed)?;
    Ok(Backfill::new(transom.clone(), move || app.clone()))
}

fn told(error: BackfillError) -> CommandError {
    match error {
        BackfillError::Asked(told) => CommandError::Usage(told),
        error => CommandError::failed(error),
    }
}
