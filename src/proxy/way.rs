//! The way to the app for requests of our own that no client's belongs to.

use std::sync::Arc;

use tower::ServiceBuilder;

use super::forward::Forwarder;
use super::gate::{self, Gate};
use crate::backfill::{self, App};
use crate::config::{AppConfig, Config};
use crate::http::BoxError;
use crate::telemetry::Metrics;

/// Within the limits that clients' requests are held to, with connections of its own.
pub(super) fn way_to_app(
    forwarder: &Forwarder,
    gate: &Arc<gate::Shared>,
    app: &AppConfig,
) -> Result<App, BoxError> {
    let forwarder = forwarder.sibling(app)?;
    Ok(backfill::app(ServiceBuilder::new().layer(Gate::layer(gate)).service(forwarder)))
}

/// The same where no proxy runs.
///
/// # Errors
/// Connections to the app can't be set up.
pub(crate) fn app_alone(config: &Config, metrics: Arc<Metrics>) -> Result<App, BoxError> {
    let gate = gate::Shared::new(config.app.limits, metrics);
    way_to_app(&Forwarder::new(&config.app)?, &gate, &config.app)
}
