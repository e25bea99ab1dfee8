//! Why Transom does with a request what it does.
//!
//! The lanes themselves tell, step by step, to a [`Trail`] that travels with the request; nothing in here
//! decides anything a second time. There are three ways to get one:
//!
//! - `run` sends a request through the lanes in which nothing is real but the configuration and the decisions:
//!   `pretend` stands in for the app and the store. The configuration's own tests (`cases`) run so too.
//! - `ask` puts the same question to a running Transom, whose keys, store and app are the real ones.
//! - `watch` has the next real request of a kind tell.

mod ask;
mod cases;
mod pretend;
mod read_only;
mod run;
mod trail;
mod values;
mod watch;

pub(crate) use ask::{Asked, Harmless, Questions};
pub use cases::TestOutcome;
#[cfg(feature = "cli")]
pub(crate) use cases::case_of;
#[cfg(feature = "cli")]
pub(crate) use run::{Case, Document, Explainer};
#[cfg(feature = "cli")]
pub(crate) use trail::Explanation;
pub(crate) use trail::{Finding, Following, Trail};
pub(crate) use values::looked_at;
pub(crate) use watch::{Progress, Wanted, Watch};
