//! Document viewing in front of an app that nobody may touch.
//!
//! Transom takes document uploads off the routes that the operator names, gets them into Nutrient's DWS
//! Viewer API, and hands a viewer session to requests that the app itself answers with a yes. This crate is
//! the engine as a [tower] layer; the `transom` command is the same layer in front of a forwarder.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use axum::Router;
//! use transom::{Config, Transom};
//!
//! # async fn serve(router: Router) -> Result<(), Box<dyn std::error::Error>> {
//! let transom = Transom::start(Config::load("transom.toml")?).await?;
//! let app = Router::new().fallback_service(transom.around(router));
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//! axum::serve(listener, app).await?;
//! transom.stop(Duration::from_secs(10)).await;
//! # Ok(()) }
//! ```
//!
//! `router` is the whole app, with its state, its nested routers and the layers that recognise callers: Transom
//! asks it whether this caller may see that document, by requests of its own that carry the caller's cookies,
//! `Authorization` and tokens, and of the request's extensions nothing but a [`ClientInfo`]. The outer
//! `Router::new()` has no routes; it takes further layers, and is what `axum::serve` knows how to serve. axum's
//! `Router::layer` is no place for Transom, since it wraps the routes one by one: there, as below a `nest`, the
//! first request has an error logged that says what to write, and no session is given.
//!
//! Any other service is taken too, as long as it is `Clone` and takes any request body ([`RequestBody`]).
//! A handler behind a view route whose `session` names a `request_header` finds
//! `Extension<`[`ViewerSession`]`>`.
//!
//! [`Config::builder`] makes a configuration in code. [`Config::reference`] describes the configuration language; the
//! reason codes are in the README, and in [`Reason`].
//!
//! [tower]: https://docs.rs/tower

mod admin;
mod audit;
mod auth;
mod backend;
mod backfill;
mod body;
mod cache;
mod coding;
mod condition;
mod config;
mod cookies;
#[cfg(feature = "cli")]
pub(crate) mod demo;
mod dependencies;
mod document;
mod engine;
mod events;
mod explain;
mod extract;
#[cfg(test)]
#[path = "../tests/fuzz/mod.rs"]
mod fuzz;
mod health;
mod http;
mod in_flight;
mod inject;
mod lane;
mod layer;
mod locate;
#[cfg(test)]
#[path = "../tests/support/missing.rs"]
mod missing;
mod mount;
mod nearest;
mod outbox;
mod private;
mod problem;
#[cfg(feature = "cli")]
mod proxy;
mod random;
mod reading;
mod reason;
mod reload;
mod route;
mod rules;
#[cfg(any(feature = "cli", feature = "testing"))]
mod sandbox;
mod service;
mod session;
mod session_token;
mod source;
mod spool;
mod stamp;
pub mod store;
mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
mod trail;
mod viewer;
mod weight;

pub use admin::{AdminBody, AdminService};
pub use body::{RequestBody, ResponseBody};
pub use config::{
    Config, ConfigBuilder, ConfigError, ConfigWarning, DeleteRoute, Documents, ReferenceFormat,
    TokenIssuer, UploadRoute, ViewRoute,
};
pub use dependencies::{Dependency, Status};
pub use document::{DocumentKey, InvalidId};
pub use engine::{StartError, Transom};
pub use explain::TestOutcome;
pub use http::ClientInfo;
pub use lane::ResponseFuture;
pub use layer::TransomLayer;
pub use outbox::{OutboxError, OutboxHandle};
pub use reason::{Reason, Side};
pub use reload::Reloaded;
pub use service::TransomService;
pub use session::ViewerSession;
pub use telemetry::OutboxFigures;

#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
