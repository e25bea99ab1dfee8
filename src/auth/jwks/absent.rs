//! Names of keys that the issuer was just found not to have.

use std::time::Duration;

use crate::cache::Recent;

/// Bounded in number and time. A name in here starts no fetch; a set that comes for another reason
/// and has it counts all the same.
#[derive(Debug)]
pub(super) struct Absent(Recent<Box<str>, ()>);

impl Absent {
    pub(super) fn new() -> Self {
        Self(Recent::new(MOST, LIFE))
    }

    pub(super) fn contains(&self, kid: &str) -> bool {
        self.0.contains(kid)
    }

    pub(super) fn insert(&self, kid: &str) {
        self.0.insert(kid.into(), ());
    }
}

const MOST: u64 = 1000;
const LIFE: Duration = Duration::from_secs(5 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_name_is_forgotten_after_five_minutes() {
        let absent = Absent::new();
        absent.insert("a");
        assert!(absent.contains("a") && !absent.contains("b"));
        tokio::time::advance(LIFE - Duration::from_millis(1)).await;
        assert!(absent.contains("a"));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!absent.contains("a"));
    }
}
