//! Listeners, what every request goes through on its way in, and the whole proxy in one piece.

pub(crate) mod access_log;
pub(crate) mod admin;
mod arriving;
mod attended;
mod client_body;
mod descriptors;
mod edge;
mod expect;
mod follow;
mod gate;
mod health;
mod http2;
mod interim;
#[cfg(test)]
mod interim_tests;
#[cfg(test)]
mod limit_tests;
mod limits;
mod linger;
mod listen;
mod operator;
mod pace;
mod page;
pub(crate) mod proxy;
mod proxy_protocol;
#[cfg(test)]
mod proxy_protocol_tests;
mod replying;
mod resting;
mod room;
mod seats;
pub(crate) mod signal;
mod speak;
mod stack;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub(crate) mod tls;
mod watch;
pub(crate) mod workers;

pub(crate) use crate::client::ClientInfo;
pub(crate) use limits::Limits;
pub(crate) use listen::{Entrance, serve};
