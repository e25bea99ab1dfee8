//! What DWS has is compared with what is known of it.

use std::time::Duration;

use super::support::{World, key};
use crate::outbox::{Finding, OutboxHandle};
use crate::store::DocumentState;

async fn settle(world: &World, dry_run: bool) -> Vec<(String, String, bool)> {
    let handle = OutboxHandle::new(world.outbox().clone());
    let told = |one: Finding| (one.finding, one.document_id, one.done);
    let mut findings: Vec<_> =
        handle.settle(dry_run).await.unwrap().into_iter().map(told).collect();
    findings.sort();
    findings
}

fn found(finding: &str, id: &str, done: bool) -> (String, String, bool) {
    (finding.to_owned(), id.to_owned(), done)
}

async fn held(world: &World, id: &str) -> String {
    world.mapping(&key(id)).await.unwrap().held_document().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn what_is_there_once_too_often_goes_and_what_others_have_stored_stays() {
    let mut world = World::new().await;
    world.capture(&key("1"), b"one").await;
    world.settle().await;
    world.dws.put("ORPHAN", b"one", "report.pdf");
    world.dws.put("OTHER-TITLE", b"one", "mine.pdf");
    world.dws.put("OTHER-BYTES", b"another", "report.pdf");
    tokio::time::sleep(Duration::from_secs(2 * 24 * 3600)).await;
    // The schedule has come by.
    assert!(!world.dws.documents().contains_key("ORPHAN"));
    world.dws.put("LATER", b"one", "report.pdf");
    let others = ["LATER", "OTHER-BYTES", "OTHER-TITLE"];
    assert_eq!(settle(&world, false).await, others.map(|id| found("unknown", id, false)));
    world.settle().await;
    assert_eq!(world.dws.documents().len(), 4);
    assert_eq!(world.delivered(&key("1")).await.unwrap(), b"one");
}

#[tokio::test(start_paused = true)]
async fn looking_alone_changes_nothing() {
    let mut world = World::new().await;
    for id in ["1", "2"] {
        world.capture(&key(id), id.as_bytes()).await;
    }
    world.settle().await;
    let gone = held(&world, "2").await;
    world.dws.lose(&gone);
    world.dws.put("ORPHAN", b"1", "report.pdf");
    let mut both = vec![found("gone", &gone, false), found("orphan", "ORPHAN", false)];
    assert_eq!(settle(&world, true).await, both);
    assert_eq!((world.jobs().await, world.dws.documents().len()), (vec![], 2));
    both.iter_mut().for_each(|one| one.2 = true);
    assert_eq!(settle(&world, false).await, both);
    world.settle().await;
    assert_eq!(world.dws.documents().len(), 1);
    let state = world.mapping(&key("2")).await.unwrap().state;
    assert_eq!(state, DocumentState::Lost { document_id: gone });
    assert_eq!(settle(&world, false).await, []);
}

#[tokio::test(start_paused = true)]
async fn documents_of_another_key_are_not_touched() {
    let mut world = World::new().await;
    world.capture(&key("1"), b"one").await;
    world.settle().await;
    let id = held(&world, "1").await;
    world.dws.lose(&id);
    world.dws.put("ALIEN", b"another", "report.pdf");
    let both = [found("other_key", &id, false), found("unknown", "ALIEN", false)];
    assert_eq!(settle(&world, false).await, both);
    let state = world.mapping(&key("1")).await.unwrap().state;
    assert_eq!(state, DocumentState::Ready { document_id: id });
}
