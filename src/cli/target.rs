//! Where a command does its work: at the Transom that is running, or at the store when none is.

use super::remote::Admin;
use super::store::{CommandError, StoreArgs};
use crate::admin::status::shown;
use crate::config::Config;

/// Which documents and jobs to work on.
#[derive(Debug, clap::Args)]
pub(crate) struct TargetArgs {
    #[command(flatten)]
    pub(super) store: StoreArgs,
    /// Asks the Transom that is running at this admin address, as http://127.0.0.1:9090
    #[arg(long, value_name = "URL", global = true, conflicts_with = "store")]
    pub(super) admin: Option<String>,
}

pub(super) enum Target {
    Running(Admin),
    Store(StoreArgs),
}

impl TargetArgs {
    /// Asks `[server] admin` whether one is running.
    pub(super) async fn find(self) -> Result<Target, CommandError> {
        if let Some(url) = &self.admin {
            return Admin::at(url).map(Target::Running);
        }
        if self.store.store.is_some() {
            return Ok(Target::Store(self.store));
        }
        let config = Config::load_for_proxy(&self.store.config);
        let config = config.map_err(|error| CommandError::Usage(error.to_string()))?;
        let Some(address) = config.server.admin else { return Ok(Target::Store(self.store)) };
        let admin = Admin::at(&format!("http://{address}"))?;
        let Some(status) = admin.status().await else { return Ok(Target::Store(self.store)) };
        let store = shown(&config.store.path);
        if status.store != store {
            return Err(CommandError::Usage(format!(
                "the Transom at {} has its store in {}, and {} names {store}: ask that one with --admin {}, \
                 or work on this store with --store {store}",
                admin.url(),
                status.store,
                self.store.config.display(),
                admin.url(),
            )));
        }
        Ok(Target::Running(admin))
    }
}
