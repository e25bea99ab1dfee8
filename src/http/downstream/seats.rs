//! The connections of a listener, some of which make room when there is none left.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::{Duration, Instant};

use super::activity::ConnectionActivity;

/// Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Seats(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    activities: HashMap<u64, ConnectionActivity>,
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
    pub(super) fn take(&self, activity: &ConnectionActivity) -> Seat {
        let mut taken = self.taken();
        taken.count += 1;
        let number = taken.count;
        taken.activities.insert(number, activity.clone());
        drop(taken);
        Seat { seats: self.clone(), number }
    }

    /// Asks those to leave that have been without a request for longest. A connection under a request is never among
    /// them, nor one that may be about to send its first.
    pub(super) fn make_room(&self, now: Instant) {
        let taken = self.taken();
        let silent = taken.activities.values().filter_map(|activity| {
            let since = activity.silent_since().filter(|_| !activity.is_asked_to_leave())?;
            (now.saturating_duration_since(since) >= GRACE).then_some((since, activity))
        });
        let mut silent: Vec<_> = silent.collect();
        // Some at once, since to find them takes a look at all.
        let most = (taken.activities.len() / SHARE).max(1);
        if silent.len() > most {
            silent.select_nth_unstable_by_key(most - 1, |(since, _)| *since);
            silent.truncate(most);
        }
        for (_, activity) in silent {
            activity.ask_to_leave();
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.taken().activities.remove(&self.number);
    }
}

/// For a request to be on its way, since a connection is opened in order to ask.
pub(super) const GRACE: Duration = Duration::from_secs(1);
/// One of so many leaves at a time.
const SHARE: usize = 64;

#[cfg(test)]
mod tests {
    use http::Version;

    use super::super::{ClientLimits, Limits};
    use super::*;

    fn activity() -> ConnectionActivity {
        ConnectionActivity::new(&Limits { of_clients: ClientLimits::USUAL, drain: Duration::ZERO })
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_silent_one_makes_room_and_none_under_a_request() {
        let seats = Seats::default();
        let activities: Vec<_> = (0..4).map(|_| activity()).collect();
        let mut taken: Vec<_> = activities.iter().map(|activity| seats.take(activity)).collect();
        let asked =
            || activities.iter().map(ConnectionActivity::is_asked_to_leave).collect::<Vec<_>>();
        seats.make_room(Instant::now());
        assert_eq!(asked(), [false; 4], "all of them may be about to ask");
        tokio::time::advance(GRACE).await;
        let answering = activities[0].request(Version::HTTP_11);
        drop(activities[1].request(Version::HTTP_11));
        seats.make_room(Instant::now());
        assert!(matches!(asked()[..], [false, false, true, false] | [false, false, false, true]));
        seats.make_room(Instant::now());
        assert_eq!(asked(), [false, false, true, true]);
        tokio::time::advance(GRACE).await;
        seats.make_room(Instant::now());
        assert_eq!(asked(), [false, true, true, true]);
        seats.make_room(Instant::now());
        assert!(!activities[0].is_asked_to_leave(), "it is under a request");
        drop(answering);
        tokio::time::advance(GRACE).await;
        taken.clear();
        seats.make_room(Instant::now());
        assert!(!activities[0].is_asked_to_leave(), "it is gone");
    }
}
