//! Document viewing in front of an app that nobody may touch.

mod auth;
mod body;
mod capture;
mod client;
mod condition;
mod config;
mod correlate;
mod deliver;
mod document;
mod dws;
mod inject;
pub mod mapping;
mod problem;
mod reason;
mod route;
mod session;
mod telemetry;
mod viewer;

pub use body::{RequestBody, ResponseBody};
pub use client::ClientInfo;
pub use config::{Config, ConfigError, ConfigWarning};
pub use document::{DocumentKey, InvalidId};
pub use reason::Reason;
pub use session::ViewerSession;

