use std::sync::Arc;

use super::{AuditEvent, Event, JobEvent, Listener, Origin};
use crate::telemetry::Metrics;

pub(super) struct Counting(pub(super) Arc<Metrics>);

impl Listener for Counting {
    fn hear(&self, event: &Event<'_>, _: &Origin<'_>) {
        if let Some((step, reason)) = event.outcome() {
            self.0.outcome(step, reason);
        }
        if let Some(bytes) = event.journalled() {
            self.0.captured(bytes);
        }
        match *event {
            Event::JobsCounted(figures) => self.0.outbox(figures),
            Event::Job { what: JobEvent::Parked { .. }, .. } => self.0.job_parked(),
            Event::Audit(AuditEvent::Lines { lines, written }) => self.0.audit(written, lines),
            _ => {}
        }
    }
}
