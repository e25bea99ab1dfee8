//! What a request goes through on its way to the app, from the client's side down.

use std::sync::Arc;

use tower::ServiceBuilder;

use super::edge::Edge;
use super::forward::Forwarder;
use super::gate::{self, Gate};
use crate::TransomLayer;
use crate::engine::Engine;
use crate::explain::Harmless;
use crate::http::BoxError;
use crate::service::TransomService;

/// Serves clients. It stays with one configuration in all of its parts.
pub(super) type Stack = Edge<TransomService<Gate<Forwarder>>>;

/// Serves what operators ask about.
pub(super) type Asking = Edge<TransomService<Harmless<Gate<Forwarder>>>>;

/// # Errors
/// Connections to the app can't be set up.
pub(super) fn serving(
    engine: &Arc<Engine>,
    gate: &Arc<gate::Shared>,
    app: &Forwarder,
) -> Result<Stack, BoxError> {
    let stack = ServiceBuilder::new()
        // Outermost, since nothing further in may read a head that the app could read differently, and since each
        // reply, also one of ours, is to bear the request's id.
        .layer(Edge::layer(engine, engine.config.server.access_log.is_some()))
        // Around the gate, so that what the lanes answer themselves waits for no room at the app.
        .layer(TransomLayer::of(Arc::clone(engine)))
        // Below the lanes, so that their probes and fetches count among the requests that the app gets.
        .layer(Gate::layer(gate))
        // Of this worker alone, so that no two cores share connections.
        .service(app.sibling(&engine.config.app)?);
    Ok(stack)
}

/// The same way for a request that is only asked about.
///
/// # Errors
/// As [`serving`].
pub(super) fn asking(
    engine: &Engine,
    gate: &Arc<gate::Shared>,
    app: &Forwarder,
) -> Result<Asking, BoxError> {
    let engine = Arc::new(engine.dry_run());
    let stack = ServiceBuilder::new()
        // As for clients, so that a request that would be refused is told to be. A question is none for the access log.
        .layer(Edge::layer(&engine, false))
        // The same lanes, with services that do nothing.
        .layer(TransomLayer::of(Arc::clone(&engine)))
        // Between the lanes and the app, which gets nothing that could change something there.
        .layer(Harmless::layer(&engine))
        // The app is not told questions from requests, and has no more room for them.
        .layer(Gate::layer(gate))
        .service(app.sibling(&engine.config.app)?);
    Ok(stack)
}
