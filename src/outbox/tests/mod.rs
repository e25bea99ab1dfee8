#![allow(clippy::unwrap_used)]

#[cfg(feature = "store-sled")]
mod crash;
mod delivery;
mod events;
mod fake;
mod flaky;
mod leases;
mod model;
mod names;
#[cfg(feature = "cli")]
mod parked;
mod request_path;
mod settling;
mod support;
mod trouble;
