//! What is refused before anyone sees it: requests that two programs could read differently.
//!
//! `framing.rs` finds them in a connection's bytes, without I/O, and `guarded.rs` applies it to a stream.
//! `strict.rs` judges what is left once a head is parsed: target, host, codings and names.

mod framing;
mod guarded;
pub(crate) mod strict;

pub(crate) use guarded::{Guarded, Tunnel};
