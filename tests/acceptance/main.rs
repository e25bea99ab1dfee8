//! What Transom promises, seen from outside, in both of its forms.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
#[macro_use]
mod support;

mod access_log;
mod advisories;
mod ambiguous_forms;
mod audit;
mod bad_input;
mod behind_caches;
mod behind_haproxy;
mod caches;
mod capture;
mod confirm;
mod correlate;
mod curl;
mod decisions;
mod delivery;
mod descriptors;
mod disk;
mod durability;
mod edge;
mod events;
mod examples;
mod explain;
mod faults;
mod faults_http2;
mod identity;
mod in_doubt;
mod issuers;
mod judged;
mod lifecycle;
mod lost;
mod matrix;
mod model;
mod mounted;
mod operations;
mod owned;
mod policy;
mod prefetch;
mod reading;
mod refusals;
mod reload;
mod sessions;
mod shipped;
mod slow;
mod source;
mod spool_limits;
mod streams;
mod upgrade;
mod upstream;
mod validators;
mod views;
mod views_named;
mod while_it_runs;
