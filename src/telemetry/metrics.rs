use std::array;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

#[cfg(feature = "cli")]
use super::listeners::ListenerMetrics;
use crate::reason::{Reason, Step};

/// Every figure that Transom counts. Labels are bounded: lanes, steps, reason codes, operations.
///
/// A series shows up once it was counted, lanes at once. Counting takes no lock after a series' first time.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: [Counter; Lane::ALL.len()],
    #[cfg(feature = "cli")]
    pub(super) listeners: ListenerMetrics,
    outcomes: Family<OutcomeLabels, Counter>,
    outcome: Outcomes,
    captured_files: Counter,
    captured_bytes: Counter,
    outbox: OutboxGauges,
    outbox_oldest: Gauge<f64, AtomicU64>,
    sessions_minted: Counter,
    session_cache: [Counter; 2],
    backend_requests: Family<BackendLabels, Histogram>,
    dependencies: Family<DependencyLabels, Gauge>,
    limits: Family<LimitLabels, Counter>,
    reloads: Family<ReloadLabels, Counter>,
    config_in_use: Gauge,
    config_taken: Gauge<f64, AtomicU64>,
    audit_lines: [Counter; 2],
    spool: [Gauge; 2],
    spool_given_up: Family<ReasonLabels, Counter>,
    store_failures: Counter,
}

/// Which way a request went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    Pass,
    Capture,
    View,
    Own,
}

/// Which call of a backend was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum BackendCall {
    Upload,
    Remove,
    Session,
    List,
    Properties,
}

/// How many jobs the outbox has, by state. Uploads that a look at the app has to confirm are not counted: they may never
/// be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutboxFigures {
    /// To be sent now or later.
    pub due: u64,
    /// An attempt is being made.
    pub sending: u64,
    /// Wait for an operator.
    pub parked: u64,
    /// The age of the oldest of them.
    pub oldest: Duration,
}

#[derive(Debug)]
struct OutboxGauges {
    due: Gauge,
    sending: Gauge,
    parked: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("transom");
        let requests = Family::<LaneLabels, Counter>::default();
        let outcomes = Family::<OutcomeLabels, Counter>::default();
        let captured_files = Counter::default();
        let captured_bytes = Counter::default();
        let outbox = Family::<StateLabels, Gauge>::default();
        let outbox_oldest = Gauge::<f64, AtomicU64>::default();
        let sessions_minted = Counter::default();
        let session_cache = Family::<ResultLabels, Counter>::default();
        let backend_requests = Family::<BackendLabels, Histogram>::new_with_constructor(|| {
            Histogram::new(exponential_buckets(0.01, 2.0, 14)) // 10 ms to 82 s
        });
        let dependencies = Family::<DependencyLabels, Gauge>::default();
        let limits = Family::<LimitLabels, Counter>::default();
        let reloads = Family::<ReloadLabels, Counter>::default();
        let config_in_use = Gauge::default();
        config_in_use.set(1);
        let config_taken = Gauge::<f64, AtomicU64>::default();
        config_taken.set(unix_now());
        let audit_lines = Family::<ResultLabels, Counter>::default();
        let spool = Family::<StateLabels, Gauge>::default();
        let spool_given_up = Family::<ReasonLabels, Counter>::default();
        let store_failures = Counter::default();

        registry.register("requests", "Requests, by the lane they took", requests.clone());
        #[cfg(feature = "cli")]
        let listeners = ListenerMetrics::new(&mut registry);
        registry.register(
            "outcomes",
            "What became of captures, deletions, deliveries, sessions and fetches, by reason code",
            outcomes.clone(),
        );
        registry.register(
            "captured_files",
            "Files that rest in the journal",
            captured_files.clone(),
        );
        registry.register_with_unit(
            "captured",
            "Bytes of the files that rest in the journal",
            Unit::Bytes,
            captured_bytes.clone(),
        );
        registry.register("outbox_jobs", "Journal entries, by state", outbox.clone());
        registry.register_with_unit(
            "outbox_oldest",
            "Age of the oldest journal entry that is not parked",
            Unit::Seconds,
            outbox_oldest.clone(),
        );
        registry.register(
            "sessions_minted",
            "Sessions that DWS was asked for and gave",
            sessions_minted.clone(),
        );
        registry.register("session_cache", "Lookups of cached sessions", session_cache.clone());
        registry.register_with_unit(
            "backend_request",
            "Duration of calls to DWS, by call and class of status",
            Unit::Seconds,
            backend_requests.clone(),
        );
        registry.register(
            "dependency_up",
            "Whether a dependency was in order when it was last asked (1) or not (0)",
            dependencies.clone(),
        );
        registry.register(
            "limits_reached",
            "Connections and requests that ran into a limit, by the setting's name",
            limits.clone(),
        );
        registry.register(
            "reloads",
            "Files that changed, by whether they could be taken into use",
            reloads.clone(),
        );
        registry.register(
            "config_last_reload_successful",
            "Whether the configuration was taken into use when it was last read (1) or not (0)",
            config_in_use.clone(),
        );
        registry.register_with_unit(
            "config_last_reload_success_timestamp",
            "When the configuration was last taken into use, since 1970",
            Unit::Seconds,
            config_taken.clone(),
        );
        registry.register(
            "audit_lines",
            "Lines of the audit log, by whether they could be written",
            audit_lines.clone(),
        );
        registry.register_with_unit(
            "spool",
            "Bytes in the spool, by whether the app has taken them",
            Unit::Bytes,
            spool.clone(),
        );
        registry.register(
            "spool_given_up",
            "Uploads that passed uncaptured for want of room or of a disk, by reason code",
            spool_given_up.clone(),
        );
        registry.register(
            "store_failures",
            "How often the store's disk failed, after which the store is opened again",
            store_failures.clone(),
        );

        Self {
            registry,
            requests: Lane::ALL
                .map(|lane| requests.get_or_create_owned(&LaneLabels { lane: lane.name() })),
            #[cfg(feature = "cli")]
            listeners,
            outcome: array::from_fn(|_| array::from_fn(|_| OnceLock::new())),
            outcomes,
            captured_files,
            captured_bytes,
            outbox: OutboxGauges {
                due: outbox.get_or_create_owned(&StateLabels { state: "due" }),
                sending: outbox.get_or_create_owned(&StateLabels { state: "sending" }),
                parked: outbox.get_or_create_owned(&StateLabels { state: "parked" }),
            },
            outbox_oldest,
            sessions_minted,
            session_cache: ["miss", "hit"]
                .map(|result| session_cache.get_or_create_owned(&ResultLabels { result })),
            backend_requests,
            dependencies,
            limits,
            reloads,
            config_in_use,
            config_taken,
            audit_lines: ["failed", "written"]
                .map(|result| audit_lines.get_or_create_owned(&ResultLabels { result })),
            spool: ["unaccepted", "kept"]
                .map(|state| spool.get_or_create_owned(&StateLabels { state })),
            spool_given_up,
            store_failures,
        }
    }

    /// `transom_requests_total{lane}`
    pub(crate) fn request(&self, lane: Lane) {
        self.requests[lane as usize].inc();
    }

    /// `transom_outcomes_total{step,reason}`
    pub(crate) fn outcome(&self, step: Step, reason: Reason) {
        self.outcome[step as usize][reason as usize]
            .get_or_init(|| {
                let labels = OutcomeLabels { step: step.name(), reason: reason.code() };
                self.outcomes.get_or_create_owned(&labels)
            })
            .inc();
    }

    /// `transom_captured_files_total`, `transom_captured_bytes_total`
    pub(crate) fn captured(&self, bytes: u64) {
        self.captured_files.inc();
        self.captured_bytes.inc_by(bytes);
    }

    /// One more is parked than were counted last.
    pub(crate) fn job_parked(&self) {
        self.outbox.parked.inc();
    }

    /// As they were counted last, with those parked since.
    pub(crate) fn jobs_parked(&self) -> u64 {
        u64::try_from(self.outbox.parked.get()).unwrap_or_default()
    }

    /// `transom_outbox_jobs{state="due|sending|parked"}`, `transom_outbox_oldest_seconds`
    pub(crate) fn outbox(&self, figures: &OutboxFigures) {
        let OutboxFigures { due, sending, parked, oldest } = *figures;
        let OutboxGauges { due: of_due, sending: of_sending, parked: of_parked } = &self.outbox;
        for (gauge, jobs) in [(of_due, due), (of_sending, sending), (of_parked, parked)] {
            gauge.set(i64::try_from(jobs).unwrap_or(i64::MAX));
        }
        self.outbox_oldest.set(oldest.as_secs_f64());
    }

    /// `transom_sessions_minted_total`
    pub(crate) fn minted(&self) {
        self.sessions_minted.inc();
    }

    /// `transom_session_cache_total{result="hit|miss"}`
    pub(crate) fn session_cache(&self, hit: bool) {
        self.session_cache[usize::from(hit)].inc();
    }

    /// `transom_backend_request_seconds{backend,call,status}`: histogram; status is a class such as `2xx`, or
    /// `none` when no reply came.
    pub(crate) fn backend(
        &self,
        backend: &'static str,
        call: BackendCall,
        status: Option<u16>,
        took: Duration,
    ) {
        let class = match status.map(|status| status / 100) {
            Some(class @ 1..=5) => usize::from(class),
            _ => 0,
        };
        let labels = BackendLabels { backend, call: call.name(), status: STATUS_CLASS[class] };
        self.backend_requests.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// `transom_dependency_up{dependency}`
    pub(crate) fn dependency(&self, dependency: &'static str, up: bool) {
        self.dependencies.get_or_create(&DependencyLabels { dependency }).set(i64::from(up));
    }

    /// `transom_limits_reached_total{limit}`
    pub(crate) fn limit(&self, limit: &'static str) {
        self.limits.get_or_create(&LimitLabels { limit }).inc();
    }

    /// `transom_reloads_total{what,result="taken|refused"}`
    pub(crate) fn reload(&self, what: &'static str, taken: bool) {
        let result = if taken { "taken" } else { "refused" };
        self.reloads.get_or_create(&ReloadLabels { what, result }).inc();
    }

    /// `transom_reloads_total{what="config",result}`, `transom_config_last_reload_successful`,
    /// `transom_config_last_reload_success_timestamp_seconds`
    pub(crate) fn config_reload(&self, taken: bool) {
        self.reload("config", taken);
        self.config_in_use.set(i64::from(taken));
        if taken {
            self.config_taken.set(unix_now());
        }
    }

    /// `transom_audit_lines_total{result="written|failed"}`
    pub(crate) fn audit(&self, written: bool, lines: u64) {
        self.audit_lines[usize::from(written)].inc_by(lines);
    }

    /// `transom_spool_bytes{state="unaccepted|kept"}`
    pub(crate) fn spool(&self, unaccepted: u64, kept: u64) {
        for (gauge, bytes) in self.spool.iter().zip([unaccepted, kept]) {
            gauge.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
    }

    /// `transom_store_failures_total`: so many since the start.
    pub(crate) fn store_failures(&self, all: u64) {
        self.store_failures.inner().fetch_max(all, std::sync::atomic::Ordering::Relaxed);
    }

    /// `transom_spool_given_up_total{reason="spool_full|spool_failed"}`
    pub(crate) fn spool_gave_up(&self, reason: Reason) {
        self.spool_given_up.get_or_create(&ReasonLabels { reason: reason.code() }).inc();
    }

    /// OpenMetrics text, which Prometheus reads.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string can't fail.
        let _ = text::encode(&mut text, &self.registry);
        text
    }
}

impl Lane {
    pub(crate) const ALL: [Self; 4] = [Self::Pass, Self::Capture, Self::View, Self::Own];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Capture => "capture",
            Self::View => "view",
            Self::Own => "own",
        }
    }
}

impl BackendCall {
    fn name(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Remove => "remove",
            Self::Session => "session",
            Self::List => "list",
            Self::Properties => "properties",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LaneLabels {
    lane: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    step: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ResultLabels {
    pub(super) result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BackendLabels {
    backend: &'static str,
    call: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DependencyLabels {
    dependency: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabels {
    limit: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    what: &'static str,
    result: &'static str,
}

type Outcomes = [[OnceLock<Counter>; Reason::ALL.len()]; Step::COUNT];

fn unix_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

const STATUS_CLASS: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_show_up_in_the_text() {
        let metrics = Metrics::new();
        metrics.request(Lane::Capture);
        metrics.outcome(Step::Capture, Reason::Captured);
        metrics.outcome(Step::Capture, Reason::Captured);
        metrics.captured(4096);
        let oldest = Duration::from_millis(1500);
        metrics.outbox(&OutboxFigures { due: 3, sending: 1, parked: 2, oldest });
        metrics.minted();
        metrics.session_cache(true);
        metrics.backend("dws", BackendCall::Upload, Some(503), Duration::from_millis(15));
        metrics.backend("dws", BackendCall::List, None, Duration::from_millis(15));
        metrics.dependency("dws", false);
        metrics.limit("server.limits.rate");
        let answering = metrics.in_flight();

        let text = metrics.render();
        for line in [
            "transom_requests_total{lane=\"capture\"} 1",
            "transom_requests_total{lane=\"pass\"} 0",
            "transom_requests_in_flight 1",
            "transom_outcomes_total{step=\"capture\",reason=\"captured\"} 2",
            "transom_captured_files_total 1",
            "transom_captured_bytes_total 4096",
            "transom_outbox_jobs{state=\"due\"} 3",
            "transom_outbox_jobs{state=\"sending\"} 1",
            "transom_outbox_jobs{state=\"parked\"} 2",
            "transom_outbox_oldest_seconds 1.5",
            "transom_sessions_minted_total 1",
            "transom_session_cache_total{result=\"hit\"} 1",
            "transom_session_cache_total{result=\"miss\"} 0",
            "transom_backend_request_seconds_count{backend=\"dws\",call=\"upload\",status=\"5xx\"} 1",
            "transom_backend_request_seconds_count{backend=\"dws\",call=\"list\",status=\"none\"} 1",
            "transom_backend_request_seconds_bucket{le=\"0.02\",backend=\"dws\",call=\"upload\",status=\"5xx\"} 1",
            "transom_dependency_up{dependency=\"dws\"} 0",
            "transom_limits_reached_total{limit=\"server.limits.rate\"} 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing from\n{text}");
        }

        drop(answering);
        assert!(metrics.render().contains("transom_requests_in_flight 0"));
    }

    #[test]
    fn an_outcome_is_counted_under_its_own_code() {
        let metrics = Metrics::new();
        for reason in Reason::ALL {
            metrics.outcome(Step::Session, *reason);
        }
        let text = metrics.render();
        for reason in Reason::ALL {
            let line =
                format!("transom_outcomes_total{{step=\"session\",reason=\"{reason}\"}} 1\n");
            assert!(text.contains(&line), "{line}");
        }
    }
}
