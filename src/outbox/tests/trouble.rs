//! DWS in trouble: what is thrown away, what waits, and how soon it goes on.

use std::time::Duration;

use super::support::{Act, World, key};
use crate::backend::BackendErrorKind::{Gateway, Overloaded, Refused, Unclear, Unreachable};
use crate::outbox::parked::{discard, retry};
use crate::reason::Reason;
use crate::store::{DocumentState, Progress};

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

async fn state(world: &World, id: &str) -> DocumentState {
    world.mapping(&key(id)).await.unwrap().state
}

fn is_refused(state: &DocumentState) -> bool {
    matches!(state, DocumentState::Refused { .. })
}

async fn refused() -> World {
    let mut world = World::new().await;
    world.dws.set_refused_keep(WEEK);
    world.dws.script_uploads([Act::Fail(Refused)]);
    world.capture(&key("1"), b"one").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(is_refused(&state(&world, "1").await));
    assert!(matches!(world.jobs().await[0].progress, Progress::Refused { .. }));
    world
}

#[tokio::test(start_paused = true)]
async fn the_bytes_of_a_refused_document_are_kept_for_a_while() {
    let mut world = refused().await;
    tokio::time::sleep(WEEK / 2).await;
    world.restart().await;
    assert_eq!(world.files.names().len(), 1);
    tokio::time::sleep(WEEK).await;
    assert_eq!((world.jobs().await, world.files.names()), (vec![], vec![]));
    assert!(is_refused(&state(&world, "1").await));
}

#[tokio::test(start_paused = true)]
async fn a_refused_document_can_be_sent_again_or_given_up_or_replaced() {
    let mut world = refused().await;
    let id = world.jobs().await[0].id;
    retry(&*world.store, id, world.now()).await.unwrap();
    world.restart().await;
    world.settle().await;
    assert_eq!(world.delivered(&key("1")).await.unwrap(), b"one");

    let world = refused().await;
    let id = world.jobs().await[0].id;
    let file = discard(&*world.store, id, world.now()).await.unwrap().file;
    assert_eq!((world.jobs().await, file), (vec![], world.files.names().pop()));

    let mut world = refused().await;
    assert_eq!(world.capture(&key("1"), b"two").await, Reason::Replaced);
    world.settle().await;
    assert_eq!(world.delivered(&key("1")).await.unwrap(), b"two");
    assert_eq!((world.jobs().await, world.files.names()), (vec![], vec![]));
}

#[tokio::test(start_paused = true)]
async fn where_everything_is_refused_alike_nothing_is() {
    let mut world = World::new().await;
    world.dws.set_refused_keep(WEEK);
    world.dws.set_down(Some(Refused));
    for id in 0..20 {
        world.capture(&key(&id.to_string()), id.to_string().as_bytes()).await;
    }
    tokio::time::sleep(Duration::from_secs(3 * 3600)).await;
    for id in 0..20 {
        assert!(!is_refused(&state(&world, &id.to_string()).await), "{id}");
    }
    assert!(world.dws.calls() < 500, "{}", world.dws.calls());
    world.dws.set_down(None);
    world.settle().await;
    assert_eq!(world.dws.documents().len(), 20);
}

#[tokio::test(start_paused = true)]
async fn bad_documents_among_good_ones_are_refused_in_the_end() {
    let mut world = World::new().await;
    world.dws.script_uploads([Act::Fail(Refused); 5]);
    for id in 0..5 {
        world.capture(&key(&id.to_string()), b"bad").await;
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    world.capture(&key("good"), b"good").await;
    world.settle().await;
    assert!(world.delivered(&key("good")).await.is_some());
    assert!(is_refused(&state(&world, "0").await) && is_refused(&state(&world, "1").await));
}

#[tokio::test(start_paused = true)]
async fn one_document_that_a_gateway_does_not_let_through_holds_up_no_other() {
    let mut world = World::new().await;
    world.dws.bar(b"barred", Gateway);
    world.capture(&key("bad"), b"barred").await;
    for id in 0..50 {
        world.capture(&key(&id.to_string()), id.to_string().as_bytes()).await;
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.dws.documents().len(), 50);
    assert_eq!(world.jobs().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_first_delivery_is_within_a_minute_of_the_end_of_an_outage() {
    for kind in [Unreachable, Unclear, Overloaded, Gateway] {
        let mut world = World::new().await;
        world.dws.set_down(Some(kind));
        for id in 0..50 {
            world.capture(&key(&id.to_string()), id.to_string().as_bytes()).await;
        }
        tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
        assert!(world.dws.calls() < 60, "{} uploads meanwhile, {kind:?}", world.dws.calls());
        world.dws.set_down(None);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(!world.dws.documents().is_empty(), "{kind:?}");
        world.settle().await;
        assert_eq!((world.jobs().await, world.dws.documents().len()), (vec![], 50), "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_is_waited_for_goes_before_all_others() {
    let mut world = World::new().await;
    world.dws.set_latency(Duration::from_secs(10));
    for id in 0..2000 {
        world.capture(&key(&id.to_string()), id.to_string().as_bytes()).await;
    }
    let last = key("1999");
    let settled = world.outbox().settled(&last, Duration::from_secs(25)).await.unwrap().unwrap();
    assert!(settled.pending_job().is_none());
    assert!(world.dws.documents().len() < 20);
}

#[tokio::test(start_paused = true)]
async fn dws_is_asked_nothing_when_there_is_nothing_to_send() {
    let mut world = World::new().await;
    world.dws.script_uploads([Act::LoseReply]);
    world.capture(&key("1"), b"one").await;
    world.settle().await;
    let looks = world.dws.looks();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(world.dws.looks() <= looks + 1, "{}", world.dws.looks());
}
