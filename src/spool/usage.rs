//! How many bytes rest in the spool, for whom, and whether there is room for more.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, io};

use super::SpoolLimits;
use crate::reason::Reason;
use crate::telemetry::Metrics;

/// The books of one spool.
#[derive(Debug)]
pub(super) struct Usage {
    held: Mutex<Held>,
    /// So many bytes may be written until the free space is looked at again.
    unlooked: AtomicU64,
    /// In milliseconds.
    hold: AtomicU64,
    trouble: Mutex<Trouble>,
    metrics: Option<Arc<Metrics>>,
}

#[derive(Debug)]
struct Held {
    limits: SpoolLimits,
    /// Of uploads that the app has not taken yet.
    unaccepted: u64,
    kept: u64,
    /// Parts of `unaccepted`; those that hold nothing have no entry.
    clients: HashMap<IpAddr, u64>,
}

#[derive(Debug, Default)]
struct Trouble {
    /// What failed last, unless something was captured since.
    told: Option<String>,
    warned: Option<Instant>,
}

impl Usage {
    pub(super) fn new(limits: SpoolLimits, metrics: Option<Arc<Metrics>>) -> Self {
        let held = Held { limits, unaccepted: 0, kept: 0, clients: HashMap::new() };
        let (held, trouble) = (Mutex::new(held), Mutex::default());
        Self { held, unlooked: AtomicU64::new(0), hold: AtomicU64::new(HOLD), trouble, metrics }
    }

    pub(super) fn set_limits(&self, limits: SpoolLimits) {
        self.held().limits = limits;
        // The reserve may be another.
        self.unlooked.store(0, Ordering::Relaxed);
    }

    pub(super) fn set_hold(&self, hold: Duration) {
        let hold = u64::try_from(hold.as_millis()).unwrap_or(u64::MAX);
        self.hold.store(hold, Ordering::Relaxed);
    }

    pub(super) fn hold(&self) -> Duration {
        Duration::from_millis(self.hold.load(Ordering::Relaxed))
    }

    /// What a start found.
    pub(super) fn found(&self, kept: u64) {
        let mut held = self.held();
        held.kept = kept;
        self.show(&held);
    }

    /// A kept file was removed.
    pub(super) fn removed(&self, bytes: u64) {
        let mut held = self.held();
        held.kept = held.kept.saturating_sub(bytes);
        self.show(&held);
    }

    /// Why an upload is given up; tells the log, at most once a minute, and `/readyz`.
    pub(super) fn gave_up(&self, dir: &Path, error: &io::Error) -> Reason {
        let full = error.get_ref().and_then(|error| error.downcast_ref::<Full>());
        let code = if full.is_some() { Reason::SpoolFull } else { Reason::SpoolFailed };
        if let Some(full) = full
            && let Some(metrics) = &self.metrics
        {
            metrics.limit(full.setting());
        }
        if let Some(metrics) = &self.metrics {
            metrics.spool_gave_up(code);
        }
        let spool = dir.display();
        let mut trouble = self.trouble();
        trouble.told = Some(format!("an upload passed uncaptured: {error}"));
        if trouble.warned.is_none_or(|warned| warned.elapsed() >= WARN_EVERY) {
            trouble.warned = Some(Instant::now());
            tracing::warn!(%code, %spool, %error, "an upload passes uncaptured; more within a minute are not told");
        } else {
            tracing::debug!(%code, %spool, %error, "an upload passes uncaptured");
        }
        code
    }

    pub(super) fn not_journalled(&self, reason: Reason) {
        self.trouble().told = Some(format!("an upload could not be journalled: {reason}"));
    }

    pub(super) fn captured(&self) {
        self.trouble().told = None;
    }

    pub(super) fn trouble_told(&self) -> Option<String> {
        self.trouble().told.clone()
    }

    fn take(&self, client: Option<IpAddr>, bytes: u64) -> Result<(), Full> {
        let mut held = self.held();
        let limits = held.limits;
        let of_client = client.and_then(|client| held.clients.get(&client)).copied().unwrap_or(0);
        if held.unaccepted + held.kept + bytes > limits.limit {
            return Err(Full::Limit);
        }
        if held.unaccepted + bytes > limits.unaccepted {
            return Err(Full::Unaccepted);
        }
        if client.is_some() && of_client + bytes > limits.per_client {
            return Err(Full::PerClient);
        }
        held.unaccepted += bytes;
        if let Some(client) = client {
            held.clients.insert(client, of_client + bytes);
        }
        self.show(&held);
        Ok(())
    }

    fn give_back(&self, client: Option<IpAddr>, bytes: u64, kept: bool) {
        let mut held = self.held();
        held.unaccepted = held.unaccepted.saturating_sub(bytes);
        if kept {
            held.kept += bytes;
        }
        if let Some(client) = client {
            let rest = held.clients.get(&client).copied().unwrap_or(0).saturating_sub(bytes);
            match rest {
                0 => held.clients.remove(&client),
                rest => held.clients.insert(client, rest),
            };
        }
        self.show(&held);
    }

    /// Asks the disk every few MiB only.
    fn check_free(&self, dir: &Path, bytes: u64) -> Result<(), Full> {
        let spend = |left: u64| left.checked_sub(bytes);
        if self.unlooked.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).is_ok() {
            return Ok(());
        }
        let reserve = self.held().limits.reserve;
        // A disk that does not tell how much is free shows it by refusing to write.
        let Ok(free) = fs2::available_space(dir) else { return Ok(()) };
        let room = free.saturating_sub(reserve);
        if room < bytes {
            return Err(Full::Reserve);
        }
        self.unlooked.store((room - bytes).min(LOOK_EVERY), Ordering::Relaxed);
        Ok(())
    }

    fn show(&self, held: &Held) {
        if let Some(metrics) = &self.metrics {
            metrics.spool(held.unaccepted, held.kept);
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where it is not set.
const HOLD: u64 = 10_000;

/// The bytes of one file that the app has not taken yet; given back on drop.
#[derive(Debug)]
pub(super) struct Claim {
    usage: Arc<Usage>,
    client: Option<IpAddr>,
    bytes: u64,
}

impl Claim {
    pub(super) fn new(usage: Arc<Usage>, client: Option<IpAddr>) -> Self {
        Self { usage, client, bytes: 0 }
    }

    /// For `bytes` that are about to be written. Blocking I/O.
    pub(super) fn grow(&mut self, dir: &Path, bytes: u64) -> io::Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        self.usage.check_free(dir, bytes).map_err(io::Error::other)?;
        self.usage.take(self.client, bytes).map_err(io::Error::other)?;
        self.bytes += bytes;
        Ok(())
    }

    /// The app has taken it, and the file stays.
    pub(super) fn keep(mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.usage.give_back(self.client, bytes, true);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.usage.give_back(self.client, self.bytes, false);
        }
    }
}

/// An address as it is counted: a host has a whole /64 of IPv6 to itself.
pub(super) fn counted(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => {
            let prefix = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(prefix))
        }
        address => address,
    }
}

/// Which limit leaves no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    Limit,
    Unaccepted,
    PerClient,
    Reserve,
}

impl Full {
    fn setting(self) -> &'static str {
        match self {
            Self::Limit => "store.spool.limit",
            Self::Unaccepted => "store.spool.unaccepted",
            Self::PerClient => "store.spool.per_client",
            Self::Reserve => "store.spool.reserve",
        }
    }
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = match self {
            Self::Limit => "the spool is full; it empties as DWS takes documents",
            Self::Unaccepted => "too much is on its way that the app has not taken yet",
            Self::PerClient => "one client has too much on its way that the app has not taken yet",
            Self::Reserve => "the disk has too little free space left",
        };
        write!(f, "{told} (`{}`)", self.setting())
    }
}

impl std::error::Error for Full {}

const LOOK_EVERY: u64 = 8 << 20;
const WARN_EVERY: Duration = Duration::from_secs(60);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: SpoolLimits =
        SpoolLimits { limit: 100, unaccepted: 60, per_client: 40, reserve: 0 };

    #[test]
    fn each_limit_holds_and_what_is_given_back_can_be_taken_again() {
        let usage = Arc::new(Usage::new(LIMITS, None));
        let claim = |client: u8| Claim::new(usage.clone(), Some([10, 0, 0, client].into()));
        let full = |result: io::Result<()>| {
            *result.unwrap_err().get_ref().unwrap().downcast_ref::<Full>().unwrap()
        };
        let dir = Path::new("/");
        let (mut first, mut second, mut third) = (claim(1), claim(1), claim(2));
        first.grow(dir, 30).unwrap();
        assert_eq!(full(second.grow(dir, 11)), Full::PerClient);
        second.grow(dir, 10).unwrap();
        assert_eq!(full(third.grow(dir, 21)), Full::Unaccepted);
        third.grow(dir, 20).unwrap();
        first.keep();
        drop(second);
        claim(1).grow(dir, 40).unwrap();
        let mut fourth = claim(1);
        fourth.grow(dir, 40).unwrap();
        third.keep();
        drop(fourth);
        assert_eq!(full(claim(3).grow(dir, 41)), Full::PerClient);
        let mut unknown = Claim::new(usage.clone(), None);
        assert_eq!(full(unknown.grow(dir, 51)), Full::Limit);
        usage.removed(30);
        unknown.grow(dir, 51).unwrap();
    }

    #[test]
    fn the_disk_keeps_its_reserve() {
        let usage = Arc::new(Usage::new(SpoolLimits { reserve: u64::MAX, ..LIMITS }, None));
        let mut claim = Claim::new(usage.clone(), None);
        let refused = claim.grow(Path::new("/"), 1).unwrap_err();
        assert!(refused.to_string().contains("store.spool.reserve"), "{refused}");
        usage.set_limits(LIMITS);
        claim.grow(Path::new("/"), 1).unwrap();
    }

    #[test]
    fn clients_are_counted_by_the_network_that_they_have_to_themselves() {
        let counted = |text: &str| super::counted(text.parse().unwrap()).to_string();
        assert_eq!(counted("10.0.0.1"), "10.0.0.1");
        assert_eq!(counted("::ffff:10.0.0.1"), "10.0.0.1");
        assert_eq!(counted("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }

    proptest! {
        #[test]
        fn nothing_stays_on_the_books(steps in prop::collection::vec((0u8..4, 0u64..50, any::<bool>()), 0..60)) {
            let usage = Arc::new(Usage::new(LIMITS, None));
            let mut open = Vec::new();
            let mut kept = 0;
            for (client, bytes, keep) in steps {
                let mut claim = Claim::new(usage.clone(), Some([10, 0, 0, client].into()));
                if claim.grow(Path::new("/"), bytes).is_err() {
                    open.clear();
                    usage.removed(std::mem::take(&mut kept));
                } else if keep {
                    claim.keep();
                    kept += bytes;
                } else {
                    open.push(claim);
                }
                let held = usage.held();
                prop_assert!(held.unaccepted <= LIMITS.unaccepted);
                prop_assert!(held.kept + held.unaccepted <= LIMITS.limit);
                prop_assert_eq!(held.kept, kept);
            }
            open.clear();
            let held = usage.held();
            prop_assert_eq!((held.unaccepted, held.clients.len()), (0, 0));
        }
    }
}
