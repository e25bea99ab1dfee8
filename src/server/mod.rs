//! Listeners, what every request goes through on its way in, and the whole proxy in one piece.

pub(crate) mod admin;
mod edge;
mod health;
mod listen;
pub(crate) mod proxy;
pub(crate) mod signal;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub(crate) use crate::client::ClientInfo;
pub(crate) use listen::{Limits, serve};
