//! Documents that Transom has not seen: each is fetched from the app once, however many ask.
//!
//! What a fetch does is `lane::fetch`; here is when there is one. The fetch carries the credentials of
//! one caller, and whoever else waits for it must have been authorised for himself before.

mod allowance;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout_at};

use self::allowance::{Allowance, Spender};
use crate::cache::Recent;
use crate::document::DocumentKey;
use crate::reason::Reason;
use crate::session::Holder;

/// Fetches under way, and those that failed a moment ago. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sources {
    shared: Arc<Shared>,
    client: Option<IpAddr>,
    /// Fetches that one caller may begin in an hour.
    most: Option<u32>,
}

struct Shared {
    slots: Semaphore,
    flights: Mutex<HashMap<DocumentKey, Arc<Flight>>>,
    failures: Recent<Failed, (Reason, Instant)>,
    /// When the app last changed a document, which ends what failed before.
    changed: Recent<DocumentKey, Instant>,
    allowance: Allowance,
}

/// What failed, and for whom; `None` is everybody.
type Failed = (DocumentKey, Option<Holder>);

impl Sources {
    pub(crate) fn new() -> Self {
        let failures = Recent::new(FAILURES, REMEMBERED);
        let changed = Recent::new(FAILURES, REMEMBERED);
        let flights = Mutex::default();
        let (slots, allowance) = (Semaphore::new(AT_A_TIME), Allowance::new());
        let shared = Shared { slots, flights, failures, changed, allowance };
        Self { shared: Arc::new(shared), client: None, most: None }
    }

    /// The same for a caller at this address (where it is known), who may begin `most` fetches in an
    /// hour. One whom no identity vouches for is counted by the address.
    pub(crate) fn asked_by(&self, client: Option<IpAddr>, most: Option<u32>) -> Self {
        Self { shared: self.shared.clone(), client, most }
    }

    /// Waits until the document has been fetched: by whoever began before, else by `work` in a task of
    /// its own, which goes on when nobody waits any more. `patience`: until when, for a fetch that
    /// began then; after that it is `document_pending`.
    ///
    /// Returns when the fetch began: it says nothing of what the app has been told since.
    ///
    /// # Errors
    /// Why there is no document; for the next 30 s without asking again. `quota_exhausted` where the
    /// caller has begun too many.
    pub(crate) async fn fetched<F>(
        &self,
        key: &DocumentKey,
        holder: &Holder,
        patience: impl Fn(Instant) -> Instant,
        mut work: impl FnMut(Arc<Flight>) -> F,
    ) -> Result<Instant, Reason>
    where
        F: Future<Output = Result<(), Reason>> + Send + 'static,
    {
        loop {
            let flight = self.join(key, holder, &mut work)?;
            let landed = timeout_at(patience(flight.began), flight.landed()).await;
            match landed.unwrap_or(Err(Reason::DocumentPending)) {
                // What the app told another says nothing about this caller.
                Err(reason) if flight.holder != *holder && is_personal(reason) => {}
                outcome => return outcome.map(|()| flight.began),
            }
        }
    }

    /// The app has changed or deleted the document: what is being fetched are not its bytes any more.
    /// `below`: and every document whose id starts with `id + "/"`.
    ///
    /// To be called before the change is journalled, so that no fetch is journalled after it.
    pub(crate) async fn outdate(&self, key: &DocumentKey, below: bool) {
        let is_meant = |other: &DocumentKey| {
            other == key
                || below
                    && other.is_below(key)
                    && other.id().get(key.id().len()..).is_some_and(|rest| rest.starts_with('/'))
        };
        let outdated: Vec<_> = self
            .flights()
            .extract_if(|other, _| is_meant(other))
            .map(|(_, flight)| flight)
            .collect();
        self.shared.changed.insert(key.clone(), Instant::now());
        for flight in outdated {
            *flight.outdated.lock().await = true;
        }
    }

    /// Waits for a place among the fetches that load the app, for a read that is shared with no other caller.
    pub(crate) async fn slot(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        self.shared.slots.acquire().await.ok()
    }

    /// Whatever failed may be tried again at once.
    pub(crate) fn forget_failures(&self) {
        self.shared.failures.clear();
    }

    fn join<F>(
        &self,
        key: &DocumentKey,
        holder: &Holder,
        work: &mut impl FnMut(Arc<Flight>) -> F,
    ) -> Result<Arc<Flight>, Reason>
    where
        F: Future<Output = Result<(), Reason>> + Send + 'static,
    {
        let mut flights = self.flights();
        if let Some(flight) = flights.get(key) {
            return Ok(flight.clone());
        }
        if let Some(reason) = self.failure(key, holder) {
            return Err(reason);
        }
        if flights.len() >= UNDER_WAY {
            return Err(Reason::DocumentPending);
        }
        if let Some(most) = self.most {
            self.shared.allowance.spend(&Spender::new(holder, self.client), most)?;
        }
        let flight = Arc::new(Flight::new(holder.clone()));
        let outcome = Err(Reason::SourceFailed);
        let landing =
            Landing { sources: self.clone(), key: key.clone(), flight: flight.clone(), outcome };
        flights.insert(key.clone(), flight.clone());
        tokio::spawn(landing.after(work(flight.clone())));
        Ok(flight)
    }

    fn failure(&self, key: &DocumentKey, holder: &Holder) -> Option<Reason> {
        let failures = &self.shared.failures;
        let changed = self.shared.changed.get(key);
        let of = |holder| {
            let (reason, at) = failures.get(&(key.clone(), holder))?;
            changed.is_none_or(|changed| changed < at).then_some(reason)
        };
        of(None).or_else(|| of(Some(holder.clone())))
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<DocumentKey, Arc<Flight>>> {
        self.shared.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}

/// One fetch of one document.
pub(crate) struct Flight {
    /// Whose credentials it carries.
    holder: Holder,
    began: Instant,
    /// Held while the fetched bytes are journalled.
    outdated: tokio::sync::Mutex<bool>,
    outcome: watch::Sender<Option<Result<(), Reason>>>,
}

impl Flight {
    fn new(holder: Holder) -> Self {
        let outdated = tokio::sync::Mutex::new(false);
        let outcome = watch::Sender::new(None);
        Self { holder, began: Instant::now(), outdated, outcome }
    }

    /// Journals what was fetched, unless the app has changed the document meanwhile; a change that
    /// comes now waits for it.
    pub(crate) async fn journal<T>(
        &self,
        journalled: impl Future<Output = Result<T, Reason>>,
    ) -> Result<T, Reason> {
        let outdated = self.outdated.lock().await;
        match *outdated {
            true => Err(Reason::DocumentPending),
            false => journalled.await,
        }
    }

    async fn landed(&self) -> Result<(), Reason> {
        let mut outcome = self.outcome.subscribe();
        let landed = outcome.wait_for(Option::is_some).await;
        landed.ok().and_then(|outcome| *outcome).unwrap_or(Err(Reason::SourceFailed))
    }
}

/// The end of a flight, also of one that is cut off with its runtime or by a panic.
struct Landing {
    sources: Sources,
    key: DocumentKey,
    flight: Arc<Flight>,
    outcome: Result<(), Reason>,
}

impl Landing {
    async fn after(mut self, work: impl Future<Output = Result<(), Reason>>) {
        // Of a semaphore that is never closed.
        let sources = self.sources.clone();
        let _slot = sources.shared.slots.acquire().await;
        self.outcome = work.await;
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if let Err(reason) = self.outcome
            && !matches!(reason, Reason::DocumentPending | Reason::Superseded)
        {
            let holder = is_personal(reason).then(|| self.flight.holder.clone());
            let failed = (self.key.clone(), holder);
            self.sources.shared.failures.insert(failed, (reason, self.flight.began));
        }
        let mut flights = self.sources.flights();
        // An outdated flight has left already, and another may have its place.
        if flights.get(&self.key).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight)) {
            flights.remove(&self.key);
        }
        drop(flights);
        self.flight.outcome.send_replace(Some(self.outcome));
    }
}

/// Whether another caller may fare better: what the app answers hangs on who asks, the type too (a
/// login page with 200), and some apps answer 500 to a user without the right.
fn is_personal(reason: Reason) -> bool {
    use Reason::{DeniedByApp, DocumentUnknown, SourceFailed, TypeNotCaptured};
    matches!(reason, DeniedByApp | DocumentUnknown | SourceFailed | TypeNotCaptured)
}

/// Fetches that load the app at the same time; others wait their turn.
const AT_A_TIME: usize = 8;
/// With those that wait. Whoever comes on top is told `document_pending`.
const UNDER_WAY: usize = 256;
const REMEMBERED: Duration = Duration::from_secs(30);
const FAILURES: u64 = 10_000;
