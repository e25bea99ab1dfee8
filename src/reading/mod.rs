//! One reading of a request: what servers and frameworks could read differently is unclear, and decides nothing.

mod address;
pub(crate) mod decode;
mod names;
mod parameters;

pub(crate) use address::Address;
pub(crate) use names::{may_be, same_in_cgi};
pub(crate) use parameters::{Parameter, field, meant, parameter};
