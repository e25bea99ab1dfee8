//! Reads the app's answer: did it accept the upload, and under which id?
//!
//! Replies are tapped, not delayed; only their end waits, until what follows from them is durable.

mod held;
mod ids;
mod locator;
mod variables;

pub(crate) use held::{HeldReply, ReplyEnd};
pub(crate) use ids::{Found, ReplyFacts, RequestFacts, find};
pub(crate) use locator::{JsonLocator, Locator, TextLocator, UrlPattern};
pub(crate) use variables::{form_value, reply_value, request_value};

/// How much of a reply is read for ids and conditions.
pub(crate) const MAX_REPLY: usize = 1024 * 1024;
