//! Figures that only listeners count.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::metrics::{Metrics, ResultLabels};

#[derive(Debug)]
pub(super) struct ListenerMetrics {
    in_flight: Gauge,
    access_lines: [Counter; 2],
}

/// Counts a request as being answered until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlight(Gauge);

impl ListenerMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let in_flight = Gauge::default();
        let access_lines = Family::<ResultLabels, Counter>::default();
        registry.register(
            "requests_in_flight",
            "Requests whose reply has not started",
            in_flight.clone(),
        );
        registry.register(
            "access_lines",
            "Lines of the access log, by whether they could be written",
            access_lines.clone(),
        );
        let access_lines = ["dropped", "written"]
            .map(|result| access_lines.get_or_create_owned(&ResultLabels { result }));
        Self { in_flight, access_lines }
    }
}

impl Metrics {
    /// `transom_requests_in_flight`
    pub(crate) fn in_flight(&self) -> InFlight {
        self.listeners.in_flight.inc();
        InFlight(self.listeners.in_flight.clone())
    }

    /// `transom_access_lines_total{result="written|dropped"}`
    pub(crate) fn access_lines(&self, written: u64, dropped: u64) {
        self.listeners.access_lines[0].inc_by(dropped);
        self.listeners.access_lines[1].inc_by(written);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}
