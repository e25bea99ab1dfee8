//! One reading of a request: what servers and frameworks could read differently is unclear, and decides nothing.

mod address;
pub(crate) mod decode;
mod host;
#[cfg(test)]
mod interop;
mod json;
#[cfg(test)]
mod models;
mod names;
mod parameters;

pub(crate) use address::Address;
pub(crate) use host::{host, is_among, written};
#[allow(unused_imports, reason = "for what edits JSON behind a prefix")]
pub(crate) use json::json_start;
pub(crate) use json::read_json;
pub(crate) use names::{may_be, same_in_cgi};
pub(crate) use parameters::{
    Parameter, field, fields, has_odd_charset, is_urlencoded, meant, parameter, parameters,
};
