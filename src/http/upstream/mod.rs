//! The client's side of the server behind us: connections, their pools, and one exchange after the other.
//!
//! `parameters.rs` is what this room is told. `origin.rs` holds what is edited on the way, `noted.rs` what has to be
//! known of a head for that, both without I/O. `client.rs` does the exchange; `connections.rs` chooses what it goes
//! over: `bodiless` for most requests, `http1.rs` for those with a body (`pool.rs` holds the idle ones of both), `http2`
//! where the upstream speaks it. `upgrade.rs` is the tunnel after a 101, `failure.rs` says what went wrong.

mod bodiless;
mod body;
mod client;
mod connect;
mod connections;
mod failure;
mod http1;
mod http2;
mod noted;
mod origin;
mod parameters;
mod pool;
mod stream;
mod upgrade;

pub(crate) use body::UpstreamBody;
pub(crate) use client::{Exchange, UpstreamClient};
pub(crate) use connect::{CertificateProblem, ConnectTimedOut, TlsFailed};
#[cfg(test)]
pub(crate) use connections::SHORT_IDLE_TIMEOUT;
pub(crate) use failure::{Failure, UpstreamError};
pub(crate) use parameters::UpstreamParameters;
