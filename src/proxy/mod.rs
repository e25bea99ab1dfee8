//! The whole proxy in one piece: what every request goes through on its way in, and what operators see of it.

pub(crate) mod access_log;
mod descriptors;
mod edge;
mod follow;
pub(crate) mod forward;
mod gate;
mod health;
mod limits;
mod observer;
mod reload;
pub(crate) mod sockets;
mod stack;
pub(crate) mod start;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub(crate) mod tls;
pub(crate) mod upgrade;
pub(crate) mod way;
