use std::sync::Mutex;

use futures_util::FutureExt;
use http::{Extensions, HeaderMap};

use super::*;
use crate::reason::Reason;
use crate::telemetry::Visit;

struct Hearing(Arc<Mutex<Vec<Reason>>>);

impl Listener for Hearing {
    fn hear(&self, event: &Event<'_>, _: &Origin<'_>) {
        self.0.lock().expect("no test panics with it").extend(event.decision());
    }
}

#[test]
fn what_is_told_once_reaches_every_listener() {
    let (metrics, heard) = (Arc::new(Metrics::new()), Arc::default());
    let events = Events::new(metrics.clone(), vec![Box::new(Hearing(Arc::clone(&heard)))]);
    let (mut extensions, headers) = (Extensions::new(), HeaderMap::new());
    let visit = Visit::default();
    extensions.insert(visit.clone());
    let event = Event::SessionDecided { document: None, reason: Reason::DeniedByApp };
    events.tell(&event, &Origin::at(&extensions, &headers));
    assert_eq!(*heard.lock().expect("no test panics with it"), [Reason::DeniedByApp]);
    #[cfg(feature = "cli")]
    assert_eq!(visit.decision(), Some(Reason::DeniedByApp));
    let line = "transom_outcomes_total{step=\"session\",reason=\"denied_by_app\"} 1\n";
    assert!(metrics.render().contains(line));
}

#[test]
fn what_is_only_asked_about_reaches_one_listener_and_is_not_counted() {
    let heard = Arc::default();
    let events = Events::only(Box::new(Hearing(Arc::clone(&heard))));
    let (mut extensions, headers) = (Extensions::new(), HeaderMap::new());
    let visit = Visit::default();
    extensions.insert(visit.clone());
    let mut reader = events.feed().subscribe().expect("the first reader has a place");
    let event = Event::SessionDecided { document: None, reason: Reason::SessionGiven };
    events.tell(&event, &Origin::at(&extensions, &headers));
    assert_eq!(*heard.lock().expect("no test panics with it"), [Reason::SessionGiven]);
    assert!(reader.next().now_or_never().is_none(), "nothing of it is in the live feed");
    #[cfg(feature = "cli")]
    assert_eq!(visit.decision(), None);
}

#[cfg(feature = "cli")]
#[test]
fn a_refusal_is_told_without_a_word_to_the_access_log() {
    let (metrics, heard) = (Arc::new(Metrics::new()), Arc::default());
    let events = Events::new(metrics, vec![Box::new(Hearing(Arc::clone(&heard)))]);
    let (mut extensions, headers) = (Extensions::new(), HeaderMap::new());
    let visit = Visit::default();
    extensions.insert(visit.clone());
    let event = Event::Refused { reason: Reason::TargetUnclear, peer: None };
    events.tell(&event, &Origin::at(&extensions, &headers));
    assert_eq!(*heard.lock().expect("no test panics with it"), [Reason::TargetUnclear]);
    assert_eq!(visit.decision(), None, "its reply has the code");
}
