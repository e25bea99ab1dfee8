//! Connections of clients: listening, TLS, the PROXY header, HTTP/1.1 and HTTP/2, and the limits that all are held to.

pub(crate) mod arriving;
mod attended;
pub(crate) mod client_body;
pub(crate) mod expect;
mod http2;
mod interim;
#[cfg(test)]
mod interim_tests;
#[cfg(test)]
mod limit_tests;
pub(crate) mod limits;
mod linger;
mod listen;
pub(crate) mod pace;
mod proxy_protocol;
#[cfg(test)]
mod proxy_protocol_tests;
mod replying;
mod resting;
pub(crate) mod room;
mod seats;
pub(crate) mod signal;
mod speak;
#[cfg(test)]
mod tests;
pub(crate) mod tls;
mod watch;
pub(crate) mod workers;

pub(crate) use limits::Limits;
pub(crate) use listen::{Entrance, serve};
