//! Places that are taken and given back, of which there may be more or fewer from now on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

/// Clones are the same room.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    places: Arc<Semaphore>,
    size: Arc<AtomicUsize>,
}

impl Room {
    pub(crate) fn new(size: usize) -> Self {
        let size = size.min(Semaphore::MAX_PERMITS);
        Self { places: Arc::new(Semaphore::new(size)), size: Arc::new(AtomicUsize::new(size)) }
    }

    /// Never closed.
    pub(crate) fn places(&self) -> Arc<Semaphore> {
        Arc::clone(&self.places)
    }

    /// Nobody has to leave; while more are inside than there is room for, nobody enters.
    ///
    /// To be called within a tokio runtime, by one caller at a time.
    pub(crate) fn resize(&self, size: usize) {
        let size = size.min(Semaphore::MAX_PERMITS);
        let before = self.size.swap(size, Ordering::Relaxed);
        if let Some(more) = size.checked_sub(before) {
            return self.places.add_permits(more);
        }
        let taken = (before - size) - self.places.forget_permits(before - size);
        // Far below, since each of them is a socket.
        let Ok(taken @ 1..) = u32::try_from(taken) else { return };
        let places = self.places();
        tokio::spawn(async move {
            if let Ok(left) = places.acquire_many(taken).await {
                left.forget();
            }
        });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::sync::OwnedSemaphorePermit;

    use super::*;

    fn enter(room: &Room) -> Option<OwnedSemaphorePermit> {
        room.places().try_acquire_owned().ok()
    }

    /// Takes all the free places.
    fn fill(room: &Room) -> Vec<OwnedSemaphorePermit> {
        std::iter::from_fn(|| enter(room)).collect()
    }

    #[tokio::test]
    async fn a_room_grows_and_shrinks_while_it_is_empty() {
        let room = Room::new(2);
        for size in [5, 1, usize::MAX, 3, 0, 4] {
            room.resize(size);
            if size < 10 {
                assert_eq!(fill(&room).len(), size);
            }
        }
    }

    #[tokio::test]
    async fn whoever_is_inside_a_smaller_room_leaves_before_another_enters() {
        let room = Room::new(4);
        let mut inside = fill(&room);
        room.resize(2);
        tokio::task::yield_now().await;
        for left in [3, 2, 1] {
            inside.pop();
            tokio::task::yield_now().await;
            assert_eq!(inside.len(), left);
            assert_eq!(enter(&room).is_some(), left < 2, "with {left} inside");
        }
        room.resize(4);
        assert_eq!(fill(&room).len(), 3);
    }
}
