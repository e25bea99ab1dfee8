//! Work that is done once for all who want it at the same time.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

/// What is under way, by what it is for. Cheap to clone.
pub(super) struct Flights<K, T>(Arc<Mutex<Flying<K, T>>>);

type Flying<K, T> = HashMap<K, Shared<BoxFuture<'static, T>>>;

impl<K, T> Flights<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// The flight for this key, or a new one; none where `begin` finds that there is what it would bring.
    ///
    /// Nothing can land between the look for a flight and `begin`.
    pub(super) fn join<F, E>(
        &self,
        key: &K,
        begin: impl FnOnce() -> Result<F, E>,
    ) -> Result<Shared<BoxFuture<'static, T>>, E>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut flying = self.flying();
        if let Some(flight) = flying.get(key) {
            return Ok(flight.clone());
        }
        let work = begin()?;
        let landing = Landing { flights: Self(self.0.clone()), key: key.clone() };
        let flight = async move {
            let _landing = landing;
            work.await
        };
        let flight = flight.boxed().shared();
        flying.insert(key.clone(), flight.clone());
        Ok(flight)
    }

    fn flying(&self) -> MutexGuard<'_, Flying<K, T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of a flight, also of one that panics. Whoever joins has to see it through.
struct Landing<K: Clone + Eq + Hash + Send + 'static, T: Clone + Send + Sync + 'static> {
    flights: Flights<K, T>,
    key: K,
}

impl<K: Clone + Eq + Hash + Send + 'static, T: Clone + Send + Sync + 'static> Drop
    for Landing<K, T>
{
    fn drop(&mut self) {
        let landed = self.flights.flying().remove(&self.key);
        // Outside of the lock.
        drop(landed);
    }
}

impl<K, T> Clone for Flights<K, T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, T> Default for Flights<K, T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K, T> fmt::Debug for Flights<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::panic::AssertUnwindSafe;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn many_at_once_are_one_flight_and_the_next_is_another() {
        let flights = Flights::<u8, usize>::default();
        let begun = Arc::new(AtomicUsize::new(0));
        let join = |key: u8| {
            let begun = begun.clone();
            let flight = flights.join(&key, || {
                Ok::<_, ()>(async move {
                    let count = begun.fetch_add(1, Ordering::Relaxed) + 1;
                    tokio::task::yield_now().await;
                    count
                })
            });
            flight.unwrap()
        };
        let many: Vec<_> = (0..100).map(|_| join(7)).collect();
        assert_eq!(join_all(many).await, [1; 100]);
        assert_eq!(join(7).await, 2);
        assert_eq!(join_all([join(7), join(8)]).await, [3, 4], "each key has its own");
        assert!(flights.flying().is_empty());
    }

    #[tokio::test]
    async fn there_is_no_flight_for_what_is_there() {
        let flights = Flights::<u8, u8>::default();
        let there = flights.join(&7, || Err::<std::future::Ready<u8>, _>("there"));
        assert_eq!(there.unwrap_err(), "there");
        assert!(flights.flying().is_empty());
    }

    #[tokio::test]
    async fn a_panic_ends_the_flight() {
        let flights = Flights::<u8, u8>::default();
        let crash = flights.join(&7, || Ok::<_, ()>(async { panic!("as tests do") })).unwrap();
        assert!(AssertUnwindSafe(crash).catch_unwind().await.is_err());
        let next = flights.join(&7, || Ok::<_, ()>(std::future::ready(1))).unwrap();
        assert_eq!(next.await, 1);
    }
}
