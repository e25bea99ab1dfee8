//! The app's yes, remembered for a moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::digest;

use crate::cache::Recent;
use crate::config::Remember;
use crate::reason::Reason;
use crate::store::{JobId, Mapping};
use crate::weight;

/// Asks once where many ask the same at once, and spares the app the same question for a moment.
///
/// Only a yes is remembered: whoever was refused is asked about again each time, so that a right just
/// given counts at once, and an app in trouble is no verdict.
#[derive(Debug)]
pub(crate) struct Decisions {
    /// `None`: every question reaches the app.
    yes: Option<Recent<Key, Result<(), Reason>>>,
    /// Documents changed hands so often.
    epoch: Arc<AtomicU64>,
    /// Versions that the app was seen to have.
    valid: Option<Recent<JobId, ()>>,
}

/// SHA-256 over all that a probe carries, so that no two credentials share an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Question([u8; 32]);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    epoch: u64,
    question: Question,
}

impl Decisions {
    pub(crate) fn new(remember: &Remember) -> Self {
        let life = Some(remember.life).filter(|life| *life > Duration::ZERO);
        let yes = life.map(|life| Recent::new(MAX_ENTRIES, life));
        let valid = life.map(|life| Recent::new(MAX_ENTRIES, life));
        Self { yes, epoch: Arc::default(), valid }
    }

    /// Whether the app was seen a moment ago to have just these bytes.
    pub(crate) fn is_valid(&self, mapping: &Mapping) -> bool {
        self.valid.as_ref().is_some_and(|valid| valid.contains(&mapping.captured_by))
    }

    /// The app has just these bytes. Those of before the journal named them are looked at each time.
    pub(crate) fn found_valid(&self, mapping: &Mapping) {
        if let Some(valid) = self.valid.as_ref().filter(|_| mapping.captured_by != JobId(0)) {
            valid.insert(mapping.captured_by, ());
        }
    }

    /// Remembers nothing of what this one does. A change that either is told of counts for both, since
    /// requests of before a reload may end after it.
    pub(crate) fn renewed(&self, remember: &Remember) -> Self {
        Self { epoch: self.epoch.clone(), ..Self::new(remember) }
    }

    /// The remembered yes, or what `ask` says. `None` is a question that is like no other.
    pub(crate) async fn recall(
        &self,
        question: Option<Question>,
        ask: impl Future<Output = Result<(), Reason>>,
    ) -> Result<(), Reason> {
        let (Some(yes), Some(question)) = (&self.yes, question) else { return ask.await };
        // A yes given before a change is filed under an epoch that nobody asks for any more.
        let key = Key { epoch: self.epoch.load(Ordering::Acquire), question };
        yes.once(&key, ask).await
    }

    /// A document was replaced or deleted: whatever the app said before may be untrue now.
    pub(crate) fn forget(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }
}

impl Question {
    /// Each item with its length, so that no two lists look alike.
    pub(crate) fn of<'a>(items: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut hash = digest::Context::new(&digest::SHA256);
        for item in items {
            hash.update(&(item.len() as u64).to_be_bytes());
            hash.update(item);
        }
        let mut sum = [0; 32];
        sum.copy_from_slice(hash.finish().as_ref());
        Self(sum)
    }
}

const MAX_ENTRIES: u64 = (CACHE_BYTES / (weight::ENTRY + size_of::<Key>())) as u64;
const CACHE_BYTES: usize = 8 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    fn decisions(life: Duration) -> Decisions {
        Decisions::new(&Remember { life })
    }

    fn question(text: &str) -> Option<Question> {
        Some(Question::of([text.as_bytes()].into_iter()))
    }

    #[tokio::test]
    async fn a_yes_is_remembered_and_nothing_else() {
        let decisions = decisions(Duration::from_secs(60));
        let asked = AtomicUsize::new(0);
        let ask = |answer: Result<(), Reason>| {
            asked.fetch_add(1, Ordering::Relaxed);
            std::future::ready(answer)
        };
        let no = Err(Reason::DeniedByApp);
        for answer in [no, Err(Reason::AppUnavailable), Ok(())] {
            assert_eq!(decisions.recall(question("a"), ask(answer)).await, answer);
        }
        assert_eq!(decisions.recall(question("a"), ask(no)).await, Ok(()), "remembered");
        assert_eq!(decisions.recall(question("b"), ask(no)).await, no, "somebody else");
        assert_eq!(decisions.recall(None, ask(no)).await, no);
        decisions.forget();
        assert_eq!(decisions.recall(question("a"), ask(no)).await, no, "forgotten");
    }

    #[tokio::test]
    async fn a_yes_from_before_a_change_does_not_count_after_it() {
        let decisions = decisions(Duration::from_secs(60));
        let slow = async {
            decisions.forget();
            Ok(())
        };
        assert_eq!(decisions.recall(question("a"), slow).await, Ok(()));
        let no = std::future::ready(Err(Reason::DeniedByApp));
        assert_eq!(decisions.recall(question("a"), no).await, Err(Reason::DeniedByApp));
    }

    #[tokio::test]
    async fn a_change_before_a_reload_ends_counts_after_it() {
        let remember = Remember { life: Duration::from_secs(60) };
        let before = Decisions::new(&remember);
        let yes = || std::future::ready(Ok(()));
        let no = || std::future::ready(Err(Reason::DeniedByApp));
        assert_eq!(before.recall(question("a"), yes()).await, Ok(()));
        let after = before.renewed(&remember);
        assert_eq!(after.recall(question("a"), no()).await, Err(Reason::DeniedByApp));
        assert_eq!(after.recall(question("a"), yes()).await, Ok(()));
        before.forget();
        assert_eq!(after.recall(question("a"), no()).await, Err(Reason::DeniedByApp));
    }

    #[tokio::test]
    async fn many_at_once_ask_once() {
        let decisions = decisions(Duration::from_secs(60));
        let asked = AtomicUsize::new(0);
        let ask = || async {
            asked.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(())
        };
        let answers = (0..100).map(|_| decisions.recall(question("a"), ask()));
        assert!(futures_util::future::join_all(answers).await.iter().all(Result::is_ok));
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn off_asks_each_time() {
        let decisions = decisions(Duration::ZERO);
        assert_eq!(decisions.recall(question("a"), async { Ok(()) }).await, Ok(()));
        let no = std::future::ready(Err(Reason::DeniedByApp));
        assert_eq!(decisions.recall(question("a"), no).await, Err(Reason::DeniedByApp));
    }

    #[test]
    fn lists_that_run_together_differ() {
        let of = |items: &[&str]| Question::of(items.iter().map(|item| item.as_bytes()));
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["ab"]), of(&["ab", ""]));
    }
}
