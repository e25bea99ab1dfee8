//! Names of keys that the issuer was just found not to have.

use std::time::Duration;

use moka::sync::Cache;
use tokio::time::Instant;

/// Bounded in number and time. A name in here starts no fetch; a set that comes for another reason
/// and has it counts all the same.
#[derive(Debug)]
pub(super) struct Absent(Cache<Box<str>, Instant>);

impl Absent {
    pub(super) fn new() -> Self {
        Self(Cache::new(MOST))
    }

    pub(super) fn contains(&self, kid: &str) -> bool {
        self.0.get(kid).is_some_and(|since| since.elapsed() < LIFE)
    }

    pub(super) fn insert(&self, kid: &str) {
        self.0.insert(kid.into(), Instant::now());
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

    #[test]
    fn no_more_than_a_thousand() {
        let absent = Absent::new();
        for index in 0..10_000 {
            absent.insert(&index.to_string());
        }
        absent.0.run_pending_tasks();
        assert!(absent.0.entry_count() <= MOST);
    }
}
