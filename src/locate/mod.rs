//! Reads the app's answer: did it accept the upload, and under which id?
//!
//! Replies are tapped, not delayed; only their end waits, until what follows from them is durable.

mod ids;
mod locator;
mod variables;

pub(crate) use ids::{Found, ReplyFacts, RequestFacts, find};
pub(crate) use locator::{JsonLocator, Locator, TextLocator, UrlPattern};
pub(crate) use variables::{form_value, reply_value, request_value};
