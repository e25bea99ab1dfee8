use std::sync::Mutex;

use http::{Extensions, HeaderMap};

use super::*;
use crate::reason::Reason;
use crate::telemetry::Visit;

struct Hearing(Arc<Mutex<Vec<Reason>>>, bool);

impl Listener for Hearing {
    fn hear(&self, event: &Event<'_>, _: &Origin<'_>) {
        self.0.lock().expect("no test panics with it").extend(event.decision());
    }

    fn hears_hypothetical(&self) -> bool {
        self.1
    }
}

#[test]
fn what_is_told_once_reaches_every_listener() {
    let (metrics, heard) = (Arc::new(Metrics::new()), Arc::default());
    let events = Events::new(metrics.clone(), vec![Box::new(Hearing(Arc::clone(&heard), false))]);
    let (mut extensions, headers) = (Extensions::new(), HeaderMap::new());
    let visit = Visit::default();
    extensions.insert(visit.clone());
    let event = Event::SessionDecided { document: None, reason: Reason::DeniedByApp };
    events.tell(&event, &Origin::at(&extensions, &headers));
    assert_eq!(*heard.lock().expect("no test panics with it"), [Reason::DeniedByApp]);
    #[cfg(feature = "server")]
    assert_eq!(visit.decision(), Some(Reason::DeniedByApp));
    let line = "transom_outcomes_total{step=\"session\",reason=\"denied_by_app\"} 1\n";
    assert!(metrics.render().contains(line));
}

#[test]
fn what_is_only_asked_about_reaches_those_alone_who_hear_of_that() {
    let (metrics, heard, unheard) = (Arc::new(Metrics::new()), Arc::default(), Arc::default());
    let events = Events::new(
        metrics.clone(),
        vec![
            Box::new(Hearing(Arc::clone(&heard), true)),
            Box::new(Hearing(Arc::clone(&unheard), false)),
        ],
    );
    let (mut extensions, headers) = (Extensions::new(), HeaderMap::new());
    extensions.insert(Hypothetical);
    let event = Event::SessionDecided { document: None, reason: Reason::SessionGiven };
    events.tell(&event, &Origin::at(&extensions, &headers));
    assert_eq!(heard.lock().expect("no test panics with it").len(), 1);
    assert!(unheard.lock().expect("no test panics with it").is_empty());
    assert!(!metrics.render().contains("session_given"));
}
