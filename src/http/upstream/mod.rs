//! Passes requests on to the app, and its replies back.
//!
//! `framing.rs` and `strict.rs` say which requests are refused, since the app could read them differently.
//! `headers.rs` and `origin.rs` hold what is edited on the way, `noted.rs` what has to be known of a head for
//! that, all without I/O. `client.rs` does the sending;
//! `connections.rs` chooses what it goes over: `bare` for most requests, `http1.rs` for those with a body (`pool.rs`
//! holds what waits of both), `http2` where the app speaks it. `upgrade.rs` is the tunnel after a 101,
//! `fault.rs` says what went wrong. What a request says about its client is settled before, in `server/edge.rs`,
//! so that everybody decides on the same.

mod bare;
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

#[cfg(test)]
mod reach_tests;
#[cfg(test)]
mod reuse_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod upgrade_tests;

pub(crate) use body::AppReply;
pub(crate) use client::{Exchange, UpstreamClient};
pub(crate) use connect::{CertificateProblem, ConnectTimedOut, TlsFailed};
pub(crate) use failure::{Failure, UpstreamError};
pub(crate) use parameters::UpstreamParameters;
