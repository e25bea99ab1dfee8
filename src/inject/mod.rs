//! Puts the session where its user finds it.
//!
//! Each way is a file of its own that says when it has its turn, what it asks of the request and of the reply, how it is
//! done, and what was done. A new way takes such a file, a line in [`WAYS`], and its entry in the reference. Beside them,
//! `splice.rs` edits a reply's bytes where `walk.rs` says, `reply.rs` keeps the headers of such replies true, private and
//! whole, and `owned.rs` keeps clients from sending what only Transom may.

mod cookie;
mod delivery;
mod json;
mod owned;
mod page;
mod pointer;
mod reply;
mod request_header;
mod response_header;
mod splice;
mod walk;

pub(crate) use delivery::{Asks, Deliveries, Delivery, IntoBody, Occupied, Reads, Way};
pub(crate) use owned::Owned;
pub(crate) use pointer::Pointer;
pub(crate) use reply::{
    ask_for_all, describe_edited, forbid_reuse, forbid_storing, is_conditional, vary_by_asker,
};
pub(crate) use splice::Edit;

/// Every way, as messages list them.
pub(crate) const WAYS: &[Way] =
    &[request_header::WAY, response_header::WAY, cookie::WAY, json::WAY, page::WAY];

/// How much of a reply is read for ids and conditions.
pub(crate) const MAX_REPLY: usize = 1024 * 1024;
