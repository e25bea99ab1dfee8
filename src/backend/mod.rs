//! The services that store documents for viewing and mint sessions.

pub(crate) mod dws;
