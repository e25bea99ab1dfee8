//! What was captured, deleted or put in doubt is written however long the store is away.

use std::time::Duration;

use tokio::sync::SemaphorePermit;
use tokio::time::sleep;

use super::conclude::STORE_PAUSE;
use super::core::Core;
use super::intake::Failure;
use crate::events::{Event, StoreNeed};
use crate::store::StoreError;

/// A step that is tried again as long as the store is away, unless too many wait for it already. It is to see for itself
/// whether its last try was written all the same.
pub(super) struct Patience<'a> {
    core: &'a Core,
    step: &'static str,
    place: Option<SemaphorePermit<'a>>,
}

impl<'a> Patience<'a> {
    pub(super) fn new(core: &'a Core, step: &'static str) -> Self {
        Self { core, step, place: None }
    }

    /// Waits a moment after a failure that may be none the next time; else it is the last one.
    pub(super) async fn outlast(&mut self, failure: Failure) -> Result<(), Failure> {
        if !failure.passes() {
            return Err(failure);
        }
        if self.place.is_none() {
            let Ok(place) = self.core.waiting.try_acquire() else { return Err(failure) };
            self.place = Some(place);
            let need = StoreNeed::Step(self.step);
            self.core.tell(&Event::StoreFailed { need, error: &failure });
        }
        sleep(STORE_PAUSE).await;
        Ok(())
    }
}

impl Failure {
    /// Whether it may be another answer later.
    fn passes(&self) -> bool {
        use StoreError::{Io, Stopped, Timeout};

        matches!(self, Self::Store(Io(_) | Stopped(_) | Timeout))
    }
}

/// Steps that wait for the store. Each keeps a few KiB, and its file in the spool.
pub(super) const MAX_WAITING: usize = 4096;
/// The longest that a request waits for a step that others than its client need, too.
pub(super) const ANSWER_AT_MOST: Duration = Duration::from_secs(5);
