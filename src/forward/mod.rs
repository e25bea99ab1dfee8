//! Passes requests on to the app, and its replies back.
//!
//! `headers.rs` and `origin.rs` hold what is edited on the way, without I/O; `client.rs` does the
//! sending, `upgrade.rs` the tunnel after a 101, `fault.rs` says what went wrong. What a request says
//! about its client is settled before, in `server/edge.rs`, so that everybody decides on the same.

mod body;
mod client;
mod connect;
mod fault;
pub(crate) mod headers;
mod origin;
mod stream;
mod upgrade;

#[cfg(test)]
mod tests;

pub(crate) use body::BoxError;
pub(crate) use client::Forwarder;
