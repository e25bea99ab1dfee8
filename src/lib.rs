//! Document viewing in front of an app that nobody may touch.

mod auth;
mod body;
mod capture;
mod client;
mod condition;
mod config;
mod correlate;
mod deliver;
#[cfg(feature = "cli")]
pub(crate) mod demo;
mod document;
mod dws;
mod engine;
mod explain;
#[cfg(feature = "server")]
mod forward;
mod health;
mod inject;
mod lane;
mod layer;
pub mod mapping;
mod problem;
mod reason;
mod route;
#[cfg(feature = "cli")]
mod sandbox;
#[cfg(feature = "server")]
mod server;
mod service;
mod session;
mod source;
mod telemetry;
mod viewer;

pub use body::{RequestBody, ResponseBody};
pub use client::ClientInfo;
pub use config::{Config, ConfigError, ConfigWarning};
pub use document::{DocumentKey, InvalidId};
pub use engine::{StartError, Transom};
pub use layer::TransomLayer;
pub use reason::Reason;
pub use service::{ResponseFuture, TransomService};
pub use session::ViewerSession;

#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
