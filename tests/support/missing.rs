//! Tests that need a program of others.

/// Says that a test ran without what it needs, or fails it: package registries bring all of these programs, so in
/// CI a missing one hides a fault in the script that installs them.
pub(crate) fn missing(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "{what}");
    println!("SKIPPED: {what}");
}
