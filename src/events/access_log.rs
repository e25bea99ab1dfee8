use super::{Event, Listener, Origin};

/// Notes the decision for the request's line. That a document is in doubt is none: the request passes. The code of a
/// refusal is in its reply.
pub(super) struct Noting;

impl Listener for Noting {
    fn hear(&self, event: &Event<'_>, origin: &Origin<'_>) {
        match event {
            Event::InDoubt { .. } => return,
            #[cfg(feature = "cli")]
            Event::Refused { .. } => return,
            _ => {}
        }
        if let (Some(reason), Some(visit)) = (event.decision(), origin.visit()) {
            visit.decide(reason);
        }
    }
}
