#![allow(clippy::unwrap_used)]

#[cfg(feature = "store-sled")]
mod crash;
mod delivery;
mod events;
mod flaky;
mod model;
mod names;
#[cfg(feature = "cli")]
mod parked;
mod request_path;
mod support;
