//! Document viewing in front of an app that nobody may touch.

mod capture;
mod client;
mod document;
mod inject;
pub mod mapping;
mod problem;
mod reason;
mod telemetry;

pub use client::ClientInfo;
pub use document::{DocumentKey, InvalidId};
pub use reason::Reason;

