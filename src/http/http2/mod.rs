//! The two halves of a stream of HTTP/2 (RFC 9113 section 5), which are the same with clients and with the app.

mod pour;
mod received;

pub(crate) use pour::{Cut, Notes, pour};
pub(crate) use received::Received;
