//! HTTP itself, with no word of the product: `downstream` serves connections of clients, `guard` refuses what two
//! programs could read in two ways, `upstream` is the client's side of the server behind us.
//!
//! Nothing here knows a configuration, a reason code or a metric. Parameters come as plain structs, and what
//! happens is told to a trait that a room above implements.

#[cfg(feature = "cli")]
pub(crate) mod causes;
mod client;
#[cfg(feature = "cli")]
pub(crate) mod downstream;
#[cfg(feature = "cli")]
pub(crate) mod guard;
#[cfg(feature = "cli")]
pub(crate) mod headers;
#[cfg(feature = "cli")]
mod http2;
#[cfg(feature = "cli")]
pub(crate) mod interim;
pub(crate) mod nominated;
#[cfg(all(test, feature = "cli"))]
pub(crate) mod testing;
#[cfg(feature = "cli")]
pub(crate) mod upstream;
#[cfg(feature = "cli")]
mod write;

pub use client::ClientInfo;
pub(crate) use client::first_client;

/// Any error.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
