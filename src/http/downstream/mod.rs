//! Connections of clients: listening, TLS, the PROXY header, HTTP/1.1 and HTTP/2, and the limits that all are held to.

mod activity;
pub(crate) mod arriving;
pub(crate) mod client_body;
mod client_stream;
mod connection;
pub(crate) mod expect;
mod http2;
mod interim;
pub(crate) mod limits;
mod linger;
mod listen;
mod observer;
pub(crate) mod pace;
mod presence;
pub(crate) mod proxy_protocol;
mod replying;
pub(crate) mod room;
mod seats;
pub(crate) mod signal;
pub(crate) mod workers;

#[cfg(test)]
pub(crate) use activity::REST_AFTER;
pub(crate) use client_stream::FIRST_REQUEST;
pub(crate) use limits::{ClientLimits, Limit, Limits};
pub(crate) use listen::{Entrance, serve};
pub(crate) use observer::{Observer, ReplyObserver};
