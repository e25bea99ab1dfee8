//! Puts the session where its user finds it.
//!
//! `json.rs` edits a reply's bytes where `locate.rs` says, `cookie.rs` writes the cookie, `reply.rs` keeps the headers of
//! such replies true, private and whole, and `owned.rs` keeps clients from sending what only Transom may.

mod cookie;
mod json;
mod locate;
mod owned;
mod pointer;
mod reply;

pub(crate) use cookie::set_cookie;
pub(crate) use json::{Edit, SpliceError};
pub(crate) use owned::Owned;
pub(crate) use pointer::Pointer;
pub(crate) use reply::{
    ask_for_all, describe_edited, forbid_reuse, forbid_storing, is_conditional, vary_by_asker,
};
