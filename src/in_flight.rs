//! How many requests need more than the inner service: those of every lane but the pass lane.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
#[cfg(feature = "cli")]
use std::time::Duration;

/// Shared by all engines of one Transom.
#[derive(Clone, Debug, Default)]
pub(crate) struct InFlight(Arc<AtomicUsize>);

/// One that is under way, until the last clone is dropped: a capture is, until it is durable.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<AtomicUsize>);

impl InFlight {
    pub(crate) fn begin(&self) -> UnderWay {
        self.0.fetch_add(1, Ordering::Relaxed);
        UnderWay(Arc::clone(&self.0))
    }

    #[cfg(feature = "cli")]
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Waits until none is under way. New ones are not kept from beginning.
    #[cfg(feature = "cli")]
    pub(crate) async fn none(&self) {
        while self.count() > 0 {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Clone for UnderWay {
    fn clone(&self) -> Self {
        InFlight(Arc::clone(&self.0)).begin()
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(feature = "cli")]
const LOOK_EVERY: Duration = Duration::from_millis(20);

#[cfg(all(test, feature = "cli"))]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn none_is_under_way_when_the_last_clone_is_gone() {
        let in_flight = InFlight::default();
        let first = in_flight.begin();
        let clone = first.clone();
        drop(first);
        assert_eq!(in_flight.count(), 1);
        let none = in_flight.none();
        assert!(tokio::time::timeout(Duration::from_secs(1), none).await.is_err());
        drop(clone);
        in_flight.none().await;
    }
}
