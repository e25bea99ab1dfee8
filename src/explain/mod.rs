//! Why Transom does with a request what it does.
//!
//! The lanes themselves tell, step by step, to a [`Trail`] that travels with the request; nothing in here
//! decides anything a second time. `run` sends a request through them in which nothing is real but the
//! configuration and the decisions: `pretend` stands in for the app and the store, and no session is minted.

#[cfg(feature = "cli")]
mod pretend;
#[cfg(feature = "cli")]
mod run;
mod trail;

#[cfg(feature = "cli")]
pub(crate) use run::{Case, Document, Explanation, explain};
pub(crate) use trail::{Finding, Trail};
