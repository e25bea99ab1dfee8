//! The connections of a listener, some of which make room when there is none left.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::{Duration, Instant};

use super::watch::Watch;

/// Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Seats(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    watches: HashMap<u64, Watch>,
    /// How many there have been.
    count: u64,
}

/// A connection that is there until this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Seats,
    number: u64,
}

impl Seats {
    pub(super) fn take(&self, watch: &Watch) -> Seat {
        let mut taken = self.taken();
        taken.count += 1;
        let number = taken.count;
        taken.watches.insert(number, watch.clone());
        drop(taken);
        Seat { seats: self.clone(), number }
    }

    /// Asks those to leave that have been without a request for longest. A connection under a request is never among
    /// them, nor one that may be about to send its first.
    pub(super) fn make_room(&self, now: Instant) {
        let taken = self.taken();
        let silent = taken.watches.values().filter_map(|watch| {
            let since = watch.silent_since().filter(|_| !watch.is_asked_to_leave())?;
            (now.saturating_duration_since(since) >= GRACE).then_some((since, watch))
        });
        let mut silent: Vec<_> = silent.collect();
        // Some at once, since to find them takes a look at all.
        let most = (taken.watches.len() / SHARE).max(1);
        if silent.len() > most {
            silent.select_nth_unstable_by_key(most - 1, |(since, _)| *since);
            silent.truncate(most);
        }
        for (_, watch) in silent {
            watch.ask_to_leave();
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.taken().watches.remove(&self.number);
    }
}

/// For a request to be on its way, since a connection is opened in order to ask.
pub(super) const GRACE: Duration = Duration::from_secs(1);
/// One of so many leaves at a time.
const SHARE: usize = 64;

#[cfg(test)]
mod tests {
    use http::Version;

    use crate::config::ServerLimits;

    use super::super::Limits;
    use super::*;

    fn watch() -> Watch {
        Watch::new(&Limits { of_clients: ServerLimits::USUAL, drain: Duration::ZERO })
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_silent_one_makes_room_and_none_under_a_request() {
        let seats = Seats::default();
        let watches: Vec<_> = (0..4).map(|_| watch()).collect();
        let mut taken: Vec<_> = watches.iter().map(|watch| seats.take(watch)).collect();
        let asked = || watches.iter().map(Watch::is_asked_to_leave).collect::<Vec<_>>();
        seats.make_room(Instant::now());
        assert_eq!(asked(), [false; 4], "all of them may be about to ask");
        tokio::time::advance(GRACE).await;
        let answering = watches[0].request(Version::HTTP_11);
        drop(watches[1].request(Version::HTTP_11));
        seats.make_room(Instant::now());
        assert!(matches!(asked()[..], [false, false, true, false] | [false, false, false, true]));
        seats.make_room(Instant::now());
        assert_eq!(asked(), [false, false, true, true]);
        tokio::time::advance(GRACE).await;
        seats.make_room(Instant::now());
        assert_eq!(asked(), [false, true, true, true]);
        seats.make_room(Instant::now());
        assert!(!watches[0].is_asked_to_leave(), "it is under a request");
        drop(answering);
        tokio::time::advance(GRACE).await;
        taken.clear();
        seats.make_room(Instant::now());
        assert!(!watches[0].is_asked_to_leave(), "it is gone");
    }
}
