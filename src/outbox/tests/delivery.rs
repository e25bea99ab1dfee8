//! From journal to DWS, with a DWS that does as scripted.

use std::time::Duration;

use super::support::{Act, World, key};
use crate::backend::BackendErrorKind;
use crate::outbox::Known;
use crate::reason::Reason;
use crate::store::{DocumentState, Progress, Task};

#[tokio::test(start_paused = true)]
async fn a_capture_arrives_and_its_file_goes() {
    let mut world = World::new().await;
    assert_eq!(world.capture(&key("1"), b"one").await, Reason::Captured);
    world.settle().await;
    assert_eq!(world.delivered(&key("1")).await.unwrap(), b"one");
    assert_eq!((world.jobs().await, world.files.names()), (vec![], vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_replacement_retires_the_document_before_it() {
    let mut world = World::new().await;
    world.capture(&key("1"), b"one").await;
    world.settle().await;
    assert_eq!(world.capture(&key("1"), b"two").await, Reason::Replaced);
    world.settle().await;
    assert_eq!(world.delivered(&key("1")).await.unwrap(), b"two");
    assert_eq!(world.dws.documents().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_stored_is_repeated_until_it_is() {
    use BackendErrorKind::*;
    let mut world = World::new().await;
    let failures = [Unreachable, RateLimited, Busy, KeyRefused, Forbidden, Quota, NotFound];
    world.dws.script_uploads(failures.map(Act::Fail));
    world.capture(&key("1"), b"one").await;
    world.settle().await;
    assert_eq!(world.delivered(&key("1")).await.unwrap(), b"one");
    assert_eq!(world.dws.documents().len(), 1);
    assert_eq!(world.dws.calls(), failures.len() + 1);
}

#[tokio::test(start_paused = true)]
async fn an_unclear_outcome_is_looked_for_and_never_repeated() {
    let mut world = World::new().await;
    world.dws.script_uploads([Act::LoseReply]);
    world.capture(&key("1"), b"one").await;
    world.settle().await;
    tokio::time::sleep(Duration::from_secs(48 * 3600)).await;
    assert_eq!(world.delivered(&key("1")).await.unwrap(), b"one");
    assert_eq!((world.dws.calls(), world.dws.documents().len()), (1, 1));
    assert_eq!((world.jobs().await, world.files.names()), (vec![], vec![]));
    let heard = world.heard();
    assert_eq!(heard[..3], ["upload Queued", "upload Unclear", "uploads opened"]);
    assert_eq!(heard[3..], ["settle Done"]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_ends_it_and_takes_the_old_document_along() {
    let mut world = World::new().await;
    world.capture(&key("1"), b"one").await;
    world.settle().await;
    world.dws.script_uploads([Act::Fail(BackendErrorKind::Refused)]);
    world.capture(&key("1"), b"not a document").await;
    world.settle().await;
    let state = world.mapping(&key("1")).await.unwrap().state;
    assert_eq!(state, DocumentState::Refused { detail: "scripted".to_owned() });
    assert_eq!((world.jobs().await, world.files.names()), (vec![], vec![]));
    assert!(world.dws.documents().is_empty(), "nothing refers to the old one any more");
}

#[tokio::test(start_paused = true)]
async fn lost_or_changed_bytes_are_parked_unsent() {
    for bytes in [None, Some(b"shorter")] {
        let mut world = World::new().await;
        let kept = world.spool(&key("1"), b"the captured bytes");
        match bytes {
            Some(bytes) => world.files.write(&kept.spool, bytes),
            None => {
                use crate::outbox::remote::Files as _;
                world.files.remove(&kept.spool).unwrap();
            }
        }
        world.capture_all(vec![kept], Known::Any).await.unwrap();
        world.settle().await;
        let jobs = world.jobs().await;
        assert_eq!(jobs[0].progress, Progress::Parked { reason: Reason::SpoolLost });
        assert_eq!(world.dws.calls(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_removal_goes_on_through_every_failure() {
    use BackendErrorKind::*;
    let mut world = World::new().await;
    world.capture(&key("1"), b"one").await;
    world.settle().await;
    let failures = [Unreachable, Unclear, Refused, KeyRefused, Quota, Busy].map(Act::Fail);
    world.dws.script_removals(failures.into_iter().chain([Act::LoseReply, Act::Work]));
    assert_eq!(world.outbox().delete(&key("1"), false).await, Ok(1));
    world.settle().await;
    assert!(world.dws.documents().is_empty());
    assert_eq!(world.jobs().await, []);
}

#[tokio::test(start_paused = true)]
async fn a_removal_of_what_is_gone_already_is_done() {
    let mut world = World::new().await;
    world.capture(&key("1"), b"one").await;
    world.settle().await;
    world.dws.script_removals([Act::Fail(BackendErrorKind::NotFound)]);
    world.outbox().delete(&key("1"), false).await.unwrap();
    world.settle().await;
    assert_eq!(world.jobs().await, []);
}

#[tokio::test(start_paused = true)]
async fn an_outage_costs_few_calls_and_the_backlog_arrives_after_it() {
    let mut world = World::new().await;
    world.dws.set_down(Some(BackendErrorKind::Unreachable));
    for id in 0..2000 {
        world.capture(&key(&id.to_string()), id.to_string().as_bytes()).await;
    }
    tokio::time::sleep(Duration::from_secs(3 * 24 * 3600)).await;
    let (uploads, looks) = (world.dws.calls(), world.dws.looks());
    assert!((5..50).contains(&uploads), "{uploads} uploads in three days");
    assert!((100..9000).contains(&looks), "{looks} questions in three days");
    world.dws.set_down(None);
    world.settle().await;
    for id in 0..2000 {
        let id = id.to_string();
        assert_eq!(world.delivered(&key(&id)).await.unwrap(), id.as_bytes());
    }
    assert_eq!(world.dws.documents().len(), 2000);
}

#[tokio::test(start_paused = true)]
async fn another_dws_is_tried_at_once() {
    let mut world = World::new().await;
    world.dws.set_down(Some(BackendErrorKind::KeyRefused));
    for id in ["1", "2", "3"] {
        world.capture(&key(id), b"x").await;
    }
    tokio::time::sleep(Duration::from_secs(3 * 3600)).await;
    world.dws.set_down(None);
    world.outbox().begin_anew();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(world.dws.documents().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_unclear_answers_parks_nothing() {
    let mut world = World::new().await;
    world.dws.set_down(Some(BackendErrorKind::Unclear));
    for id in 0..500 {
        world.capture(&key(&id.to_string()), b"x").await;
    }
    tokio::time::sleep(Duration::from_secs(1800)).await;
    assert_eq!(world.jobs().await.len(), 500, "nothing got through");
    assert!(world.dws.calls() < 100, "{} uploads in half an hour", world.dws.calls());
    world.dws.set_down(None);
    world.settle().await;
    assert_eq!((world.jobs().await.len(), world.dws.documents().len()), (0, 500));
}

#[tokio::test(start_paused = true)]
async fn removals_go_on_while_the_plan_takes_no_uploads() {
    let mut world = World::new().await;
    world.capture(&key("1"), b"one").await;
    world.settle().await;
    world.dws.script_uploads([Act::Fail(BackendErrorKind::Quota); 50]);
    world.capture(&key("2"), b"two").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.outbox().delete(&key("1"), false).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(world.dws.documents().is_empty());
}

#[tokio::test(start_paused = true)]
async fn stopping_waits_for_what_is_under_way_and_no_longer() {
    let mut world = World::new().await;
    world.dws.set_latency(Duration::from_secs(10));
    world.capture(&key("1"), b"one").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.outbox().stop(Duration::from_secs(60)).await;
    assert_eq!(world.delivered(&key("1")).await.unwrap(), b"one");
    world.capture(&key("2"), b"two").await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.dws.calls(), 1, "nothing new is begun");

    world.restart().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.outbox().stop(Duration::from_secs(2)).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let jobs = world.jobs().await;
    assert!(matches!(jobs[0].task, Task::Upload { .. }));
    assert_eq!(jobs[0].progress, Progress::Sending, "cut off");
}
