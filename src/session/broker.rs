//! Sessions, minted once and handed out while they have life left.
//!
//! A session belongs to a user, a document and permissions. Callers whom no identity names share one: DWS learns of
//! nobody either way, and each is authorised before it is handed out.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use quick_cache::Equivalent;
use secrecy::ExposeSecret;
use tokio::runtime::Handle;
use tracing::warn;

use super::flights::Flights;
use super::liveness::Liveness;
use super::renewals::Renewals;
use super::{OnRecord, Session, on_record, renewals};
use crate::backend::{Backend, BackendError, BackendErrorKind, SessionRequest, SessionToken};
use crate::cache::Cache;
use crate::config::Permissions;
use crate::reason::{Because, Reason};
use crate::store::now_ms;
use crate::telemetry::Metrics;
use crate::weight;

/// Mints sessions, one at a time for the same holder, document and permissions.
#[derive(Clone, Debug)]
pub(crate) struct Broker {
    backend: Arc<dyn Backend>,
    metrics: Arc<Metrics>,
    cache: Arc<Cache<Key, Minted>>,
    flights: Flights<Key, Result<Minted, Reason>>,
    liveness: Liveness,
    renewals: Arc<Renewals>,
    several_identities: bool,
    pause: Arc<Pause>,
    /// Where mints run; the runtime of a request may be another.
    background: Handle,
}

/// Who gets a session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    /// A user whom an identity vouches for.
    User { identity: Arc<str>, user: Arc<str> },
    /// Somebody known by nothing but the credentials that the app accepts (their SHA-256).
    Credentials([u8; 32]),
}

/// The session that a caller should get.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) holder: &'a Holder,
    pub(crate) document_id: &'a str,
    /// When DWS got the document, in Unix milliseconds.
    pub(crate) stored_at: u64,
    pub(crate) permissions: Permissions,
    pub(crate) ttl: Duration,
    /// End of the caller's own token, in Unix seconds.
    pub(crate) until: Option<u64>,
    /// The one handed out before is of no use any more (revoked, as the viewer found out).
    pub(crate) anew: bool,
}

#[derive(Clone, Debug)]
struct Minted {
    session: Arc<Session>,
    at: Instant,
}

impl Wanted<'_> {
    /// When the session has to end at the latest: it outlives neither `ttl` nor the caller's own token.
    pub(crate) fn end(&self, now: u64) -> Result<u64, Reason> {
        // A session that shows nothing is of no use, however much it lets its holder change.
        if !self.permissions.read {
            return Err(Reason::DeniedByPolicy);
        }
        let until = (now + self.ttl.as_secs()).min(self.until.unwrap_or(u64::MAX));
        if until <= now {
            return Err(Reason::TokenExpired);
        }
        Ok(until)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    /// `None`: whoever is known by credentials alone.
    user: Option<Holder>,
    document_id: String,
    permissions: Permissions,
}

/// A key that is only looked for. Hashed as the key, field by field.
#[derive(PartialEq, Eq, Hash)]
struct KeyRef<'a> {
    user: Option<&'a Holder>,
    document_id: &'a str,
    permissions: Permissions,
}

impl<'a> KeyRef<'a> {
    fn of(wanted: &Wanted<'a>) -> Self {
        let Wanted { holder, document_id, permissions, .. } = *wanted;
        Self { user: holder.user(), document_id, permissions }
    }

    fn to_key(&self) -> Key {
        let (user, document_id) = (self.user.cloned(), self.document_id.to_owned());
        Key { user, document_id, permissions: self.permissions }
    }
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        let Key { user, document_id, permissions } = key;
        *self == KeyRef { user: user.as_ref(), document_id, permissions: *permissions }
    }
}

impl Minted {
    /// Whether it serves somebody who wants one until `until`, and perhaps another than the one of before.
    fn is_good(&self, now: u64, until: u64, anew: bool) -> bool {
        let Self { session, at } = self;
        let age = at.elapsed();
        let lasts = session.token.expires.saturating_sub(now) >= (until - now) / 2 && age < LONGEST;
        session.token.expires <= until && lasts && !(anew && age >= renewals::FIRST)
    }
}

impl Broker {
    /// With `several_identities`, DWS is told of users by their identity too.
    ///
    /// # Panics
    /// Must be called within a tokio runtime.
    pub(crate) fn new(
        backend: Arc<dyn Backend>,
        metrics: Arc<Metrics>,
        several_identities: bool,
    ) -> Self {
        let cache = Arc::new(Cache::new(CACHE_BYTES, weight));
        let liveness = Liveness::new(backend.clone());
        let (pause, background) = (Arc::default(), Handle::current());
        let (flights, renewals) = (Flights::default(), Arc::new(Renewals::new()));
        Self {
            backend,
            metrics,
            cache,
            flights,
            liveness,
            renewals,
            several_identities,
            pause,
            background,
        }
    }

    /// Whom sessions are asked for.
    pub(crate) fn backend(&self) -> Arc<dyn Backend> {
        self.backend.clone()
    }

    /// Where the viewers of its sessions connect to, as far as is known.
    pub(crate) fn data_planes(&self) -> Arc<Vec<String>> {
        self.backend.data_planes()
    }

    /// Whether DWS gave a session when it was last asked for one. Asks nobody.
    pub(crate) fn is_well(&self) -> bool {
        self.pause.state.load(Ordering::Relaxed) == 0
    }

    /// A session with at least half the life that a new one would have. Who wants one anew gets it, unless that
    /// goes on (see [`Renewals`]), and else the one of a moment ago.
    ///
    /// With `patience`, an app's reply waits for it: then the answer comes within that time, and not at all
    /// for a moment after DWS failed. The mint itself goes on and serves whoever asks next.
    ///
    /// # Errors
    /// `dws_unavailable`, `quota_exhausted`, `session_too_wide`, `document_lost`, or `token_expired` when no life is left.
    pub(crate) async fn session(
        &self,
        wanted: &Wanted<'_>,
        patience: Option<Duration>,
    ) -> Result<Arc<Session>, Reason> {
        let refused = wanted.anew;
        let anew = wanted.anew && self.may_renew(wanted);
        let wanted = &Wanted { anew, ..*wanted };
        if let Some(known) = self.recall(wanted) {
            return known.inspect(|_| self.metrics.session_cache(true));
        }
        let now = unix_now();
        let until = wanted.end(now)?;
        let key = KeyRef::of(wanted).to_key();
        let good = move |minted: &Minted| minted.is_good(now, until, anew);
        let trust = Trust::of(wanted.stored_at, refused);
        // Boxed, since it is rare, and would be a part of every view otherwise.
        let minted = Box::pin(self.minted(key, until, patience, trust, good)).await;
        // At its end, so that a caller who asks anew instead of waiting is counted once.
        self.metrics.session_cache(false);
        minted
    }

    /// The same without asking DWS for one: `None` if it has to be. Not counted as a look into the cache.
    pub(crate) fn recall(&self, wanted: &Wanted<'_>) -> Option<Result<Arc<Session>, Reason>> {
        let now = unix_now();
        let until = match wanted.end(now) {
            Ok(until) => until,
            Err(reason) => return Some(Err(reason)),
        };
        let minted = self.cache.get(&KeyRef::of(wanted))?;
        minted.is_good(now, until, wanted.anew).then_some(Ok(minted.session))
    }

    /// Where there is none to replace, or a new one, there is nothing to renew.
    fn may_renew(&self, wanted: &Wanted<'_>) -> bool {
        let known = self.cache.get(&KeyRef::of(wanted));
        known.is_some_and(|known| known.at.elapsed() >= renewals::FIRST)
            && self.renewals.admit(wanted.holder, wanted.document_id)
    }

    async fn minted(
        &self,
        key: Key,
        until: u64,
        patience: Option<Duration>,
        trust: Trust,
        good: impl Fn(&Minted) -> bool + Send + Sync + 'static,
    ) -> Result<Arc<Session>, Reason> {
        if patience.is_some() {
            self.pause.check()?;
        }
        // A task of its own: a caller that goes away neither stops the mint nor blocks the others.
        let mint = self.background.spawn(self.clone().mint(key, until, trust, good));
        let outcome = match patience {
            Some(patience) => tokio::time::timeout(patience, mint).await.unwrap_or_else(|_| {
                self.pause.begin(Reason::BackendUnavailable);
                Ok(Err(Reason::BackendUnavailable))
            }),
            None => mint.await,
        };
        outcome.because(Reason::BackendUnavailable, "minting a session")?
    }

    async fn mint(
        self,
        key: Key,
        until: u64,
        trust: Trust,
        good: impl Fn(&Minted) -> bool,
    ) -> Result<Arc<Session>, Reason> {
        self.cache.remove_if(&key, |minted| !good(minted));
        let flight = self.flights.join(&key, || match self.cache.get(&key) {
            Some(minted) => Err(minted),
            None => Ok(self.clone().fly(key.clone(), until, trust)),
        });
        match flight {
            Ok(flight) => flight.await.map(|minted| minted.session),
            Err(minted) => Ok(minted.session),
        }
    }

    async fn fly(self, key: Key, until: u64, trust: Trust) -> Result<Minted, Reason> {
        let user_id = key.user.as_ref().and_then(|user| user.user_id(self.several_identities));
        let request = SessionRequest {
            document_id: &key.document_id,
            permissions: key.permissions,
            expires: until,
            user_id: user_id.as_deref(),
        };
        let session = self.session_of_what_is_there(request, trust).await;
        let session = session.and_then(|session| match session.permissions.read {
            true => Ok(session),
            false => Err(BackendError {
                kind: BackendErrorKind::Unreadable,
                status: None,
                retry_after: None,
                detail: "the session does not let its holder read".to_owned(),
            }),
        });
        match session {
            Ok(token) => {
                self.metrics.minted();
                let session = Session { token, on_record: OnRecord::default() };
                let minted = Minted { session: Arc::new(session), at: Instant::now() };
                self.cache.insert(key, minted.clone());
                self.pause.end();
                Ok(minted)
            }
            Err(error) => {
                let reason = reason_of(&error);
                self.pause.begin(reason);
                warn!(code = %reason, document_id = key.document_id, error = %error, "DWS gave no session");
                Err(reason)
            }
        }
    }

    /// DWS mints for documents that it no longer has: nobody would know until the viewer fails.
    async fn session_of_what_is_there(
        &self,
        request: SessionRequest<'_>,
        trust: Trust,
    ) -> Result<SessionToken, BackendError> {
        let document_id = request.document_id;
        let is_lost = async |suspected: bool| {
            trust != Trust::JustStored && self.liveness.is_lost(document_id, suspected).await
        };
        // At the same time, so that it costs the caller nothing.
        let (session, lost) =
            tokio::join!(self.backend.session(request), is_lost(trust == Trust::Suspected));
        match session {
            session if lost => Err(BackendError {
                kind: BackendErrorKind::NotFound,
                status: session.err().and_then(|error| error.status),
                retry_after: None,
                detail: "DWS no longer has the document".to_owned(),
            }),
            Err(error) if error.kind == BackendErrorKind::NotFound && !is_lost(true).await => {
                Err(BackendError { kind: BackendErrorKind::Unclear, ..error })
            }
            session => session,
        }
    }

    /// Whether DWS has a document again that it had lost.
    pub(crate) async fn is_back(&self, document_id: &str) -> bool {
        self.liveness.is_back(document_id).await
    }
}

/// How far it goes without saying that DWS still has a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// It may not find yet what it has just stored; and so no document is ever fetched again in short order.
    JustStored,
    Settled,
    /// A viewer was refused with the session handed out before.
    Suspected,
}

impl Trust {
    fn of(stored_at: u64, refused: bool) -> Self {
        match now_ms().saturating_sub(stored_at) >= SETTLED_AFTER {
            false => Self::JustStored,
            true if refused => Self::Suspected,
            true => Self::Settled,
        }
    }
}

impl Holder {
    /// Itself, if a name is known.
    fn user(&self) -> Option<&Self> {
        matches!(self, Self::User { .. }).then_some(self)
    }

    /// What DWS calls the user: the user claim; with several identities `identity:claim`, since the same
    /// claim of two issuers is two people. A `:` in the identity's name is written `%3A`, so that no two
    /// users come to the same text.
    fn user_id(&self, several_identities: bool) -> Option<Cow<'_, str>> {
        match self {
            Self::User { identity, user } if several_identities => {
                let identity = identity.replace('%', "%25").replace(':', "%3A");
                Some(Cow::Owned(format!("{identity}:{user}")))
            }
            Self::User { user, .. } => Some(Cow::Borrowed(user)),
            Self::Credentials(_) => None,
        }
    }
}

fn reason_of(error: &BackendError) -> Reason {
    match error.kind {
        BackendErrorKind::TooWide => Reason::SessionTooWide,
        BackendErrorKind::Unreadable => Reason::SessionUnreadable,
        BackendErrorKind::Quota => Reason::QuotaExhausted,
        BackendErrorKind::NotFound => Reason::DocumentLost,
        _ => Reason::BackendUnavailable,
    }
}

/// A moment after a failure in which replies of the app don't wait for DWS.
#[derive(Debug)]
struct Pause {
    born: Instant,
    /// Milliseconds since `born`, and the reason, in one word: `until << 8 | reason`.
    state: AtomicU64,
}

impl Pause {
    fn check(&self) -> Result<(), Reason> {
        let state = self.state.load(Ordering::Relaxed);
        if self.elapsed() < state >> 8 {
            return Err(match state & 0xff {
                1 => Reason::QuotaExhausted,
                _ => Reason::BackendUnavailable,
            });
        }
        Ok(())
    }

    /// A wide session, or a lost document, is one document's trouble, and no reason to spare the others.
    fn begin(&self, reason: Reason) {
        let code = match reason {
            Reason::SessionTooWide | Reason::SessionUnreadable | Reason::DocumentLost => return,
            Reason::QuotaExhausted => 1,
            _ => 0,
        };
        let until = self.elapsed() + PAUSE.as_millis() as u64;
        self.state.store(until << 8 | code, Ordering::Relaxed);
    }

    fn end(&self) {
        self.state.store(0, Ordering::Relaxed);
    }

    fn elapsed(&self) -> u64 {
        self.born.elapsed().as_millis() as u64
    }
}

impl Default for Pause {
    fn default() -> Self {
        Self { born: Instant::now(), state: AtomicU64::new(0) }
    }
}

fn weight(key: &Key, minted: &Minted) -> u32 {
    let holder = match &key.user {
        // Shared with the token's entry while that lives.
        Some(Holder::User { user, .. }) => user.len() + ARC,
        _ => on_record::MOST_BYTES,
    };
    let SessionToken { jwt, header, document_id, server_url, .. } = &minted.session.token;
    let session = size_of::<Session>() + ARC + jwt.expose_secret().len() + header.len();
    let session = session + document_id.len() + server_url.as_ref().map_or(0, String::len);
    let fixed = weight::ENTRY + size_of::<(Key, Minted)>();
    weight::of([fixed, holder, key.document_id.len(), session])
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

const CACHE_BYTES: u64 = 32 * 1024 * 1024;
/// The counts of an `Arc`.
const ARC: usize = 16;
/// No session is kept longer than a day, whatever it says.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
const PAUSE: Duration = Duration::from_secs(5);
/// In milliseconds.
const SETTLED_AFTER: u64 = 10 * 60 * 1000;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_session_weighs_all_that_it_holds() {
        let weight = |user: &str, jwt: &str, document_id: &str| {
            let key = Key {
                user: Some(Holder::User { identity: "app".into(), user: user.into() }),
                document_id: document_id.to_owned(),
                permissions: Permissions { read: true, write: false, download: false },
            };
            let token = SessionToken {
                jwt: jwt.to_owned().into(),
                header: HeaderValue::from_str(jwt).unwrap(),
                document_id: document_id.to_owned(),
                expires: 0,
                permissions: key.permissions,
                server_url: None,
            };
            let session = Session { token, on_record: OnRecord::default() };
            weight(&key, &Minted { session: Arc::new(session), at: Instant::now() })
        };
        let (nothing, text) = (weight("", "", ""), "x".repeat(1000));
        assert!(nothing > 500, "the cache's own part, {nothing}");
        assert_eq!(weight(&text, "", ""), nothing + 1000);
        assert_eq!(weight("", &text, ""), nothing + 2000, "as text and as a header");
        assert_eq!(weight("", "", &text), nothing + 2000, "in the key and in the session");
    }

    #[test]
    fn a_session_is_found_by_what_is_wanted() {
        let cache = Cache::new(CACHE_BYTES, |_: &Key, (): &()| 1);
        let holders =
            ["ann", "ben"].map(|user| Holder::User { identity: "app".into(), user: user.into() });
        fn wanted<'a>(holder: &'a Holder, document_id: &'a str, write: bool) -> KeyRef<'a> {
            let permissions = Permissions { read: true, write, download: false };
            KeyRef { user: holder.user(), document_id, permissions }
        }
        cache.insert(wanted(&holders[0], "D1", false).to_key(), ());
        assert!(cache.get(&wanted(&holders[0], "D1", false)).is_some());
        for other in [
            wanted(&holders[1], "D1", false),
            wanted(&holders[0], "D2", false),
            wanted(&holders[0], "D1", true),
            wanted(&Holder::Credentials([0; 32]), "D1", false),
        ] {
            assert!(cache.get(&other).is_none());
        }
        let (one, other) = (Holder::Credentials([1; 32]), Holder::Credentials([2; 32]));
        cache.insert(wanted(&one, "D1", false).to_key(), ());
        assert!(cache.get(&wanted(&other, "D1", false)).is_some(), "of callers without a name");
    }

    #[test]
    fn one_claim_of_two_identities_is_two_people() {
        let id = |identity: &str, user: &str, several: bool| {
            let holder = Holder::User { identity: identity.into(), user: user.into() };
            holder.user_id(several).unwrap().into_owned()
        };
        assert_eq!(id("app", "ann", false), "ann");
        assert_eq!(id("app", "ann", true), "app:ann");
        let mut all: Vec<_> =
            [("a", "b:c"), ("a:b", "c"), ("a%3Ab", "c"), ("a%3A", "b:c"), ("", "a:b:c")]
                .iter()
                .map(|(identity, user)| id(identity, user, true))
                .collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 5, "{all:?}");
        assert_eq!(Holder::Credentials([0; 32]).user_id(true), None);
    }
}
