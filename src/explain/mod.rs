//! Why Transom does with a request what it does.
//!
//! The lanes themselves tell, step by step, to a [`Trail`](crate::trail::Trail) that travels with the request; nothing
//! in here decides anything a second time. There are two ways to get one without a request of a client:
//!
//! - `run` sends a request through the lanes in which nothing is real but the configuration and the decisions:
//!   `pretend` stands in for the app and the store. The configuration's own tests (`cases`) run so too.
//! - `ask` puts the same question to a running Transom, whose keys, store and app are the real ones.

mod ask;
mod cases;
mod dry_run;
mod pretend;
mod read_only;
mod run;

pub(crate) use ask::{Asked, Harmless, Questions};
pub use cases::TestOutcome;
#[cfg(feature = "cli")]
pub(crate) use cases::case_of;
#[cfg(feature = "cli")]
pub(crate) use run::{Case, Document, Explainer};
