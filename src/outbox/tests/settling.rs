//! Uploads without a clear end settle themselves.

use std::time::Duration;

use super::fake::Heeds;
use super::support::{Act, World, key};
use crate::backend::BackendErrorKind;
use crate::reason::Reason;
use crate::store::{DocumentState, Progress};

const IDS: Heeds = Heeds { ids: true, titles: true, properties: true, list: true };
const TITLES: Heeds = Heeds { ids: false, ..IDS };
const NOTHING: Heeds = Heeds { titles: false, ..TITLES };
const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";

/// A world whose DWS has told what it heeds by an ordinary reply.
async fn world(heeds: Heeds) -> World {
    let mut world = World::new().await;
    world.dws.set_heeds(heeds);
    world.capture(&key("before"), b"before").await;
    world.settle().await;
    world
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_doubles_nothing_whatever_dws_heeds() {
    for heeds in [IDS, TITLES, NOTHING] {
        let mut world = world(heeds).await;
        world.dws.script_uploads([Act::LoseReply]);
        world.capture(&key("1"), b"one").await;
        world.settle().await;
        assert_eq!(world.delivered(&key("1")).await.unwrap(), b"one", "{heeds:?}");
        assert_eq!((world.dws.calls(), world.dws.documents().len()), (2, 2), "{heeds:?}");
        assert!(world.files.names().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_upload_of_all_is_settled_too() {
    for heeds in [IDS, TITLES, NOTHING] {
        let mut world = World::new().await;
        world.dws.set_heeds(heeds);
        world.dws.script_uploads([Act::LoseReply]);
        world.capture(&key("1"), b"one").await;
        world.settle().await;
        assert_eq!(world.delivered(&key("1")).await.unwrap(), b"one");
        assert_eq!((world.dws.calls(), world.dws.documents().len()), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_stored_is_sent_again() {
    for (heeds, wait) in [(IDS, 0..10), (TITLES, 240..300), (NOTHING, 240..300)] {
        let mut world = world(heeds).await;
        let began = tokio::time::Instant::now();
        world.dws.script_uploads([Act::Fail(BackendErrorKind::Unclear)]);
        world.capture(&key("1"), b"one").await;
        let settled = world.outbox().settled(&key("1"), Duration::from_secs(3600)).await;
        assert!(settled.unwrap().unwrap().pending_job().is_none());
        assert!(wait.contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
        assert_eq!(world.delivered(&key("1")).await.unwrap(), b"one");
        assert_eq!(world.dws.documents().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_arrives_after_the_first_look_is_not_sent_again() {
    for heeds in [TITLES, NOTHING] {
        let mut world = world(heeds).await;
        world.dws.script_uploads([Act::Late(Duration::from_secs(100))]);
        world.capture(&key("1"), b"one").await;
        world.settle().await;
        assert_eq!(world.delivered(&key("1")).await.unwrap(), b"one");
        assert_eq!((world.dws.calls(), world.dws.documents().len()), (2, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn with_ids_that_are_heeded_one_that_arrives_late_collides_with_itself() {
    let mut world = world(IDS).await;
    // The fake counts it as stored at once, and shows it late.
    world.dws.script_uploads([Act::Late(Duration::from_secs(100))]);
    world.capture(&key("1"), b"one").await;
    tokio::time::sleep(Duration::from_secs(200)).await;
    world.settle().await;
    assert_eq!(world.dws.documents().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn equal_bytes_get_a_document_each_and_those_of_others_stay() {
    let mut world = world(TITLES).await;
    world.dws.put("ALIEN", b"another", "report.pdf");
    world.dws.script_uploads([Act::LoseReply; 3]);
    for id in ["1", "2", "3"] {
        world.capture(&key(id), b"same").await;
    }
    world.settle().await;
    let mut ids = std::collections::BTreeSet::new();
    for id in ["1", "2", "3"] {
        let DocumentState::Ready { document_id } = world.mapping(&key(id)).await.unwrap().state
        else {
            panic!("{id} is not ready");
        };
        ids.insert(document_id);
    }
    assert_eq!((ids.len(), world.dws.documents().len()), (3, 5));
    assert!(world.dws.documents().contains_key("ALIEN"));
}

#[tokio::test(start_paused = true)]
async fn what_the_app_deleted_or_replaced_meanwhile_is_looked_for_and_removed() {
    for heeds in [IDS, TITLES, NOTHING] {
        let mut world = world(heeds).await;
        world.dws.script_uploads([Act::LoseReply, Act::LoseReply]);
        world.capture(&key("1"), b"deleted").await;
        world.capture(&key("2"), b"replaced").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        world.outbox().delete(&key("1"), false).await.unwrap();
        world.capture(&key("2"), b"two").await;
        world.settle().await;
        assert_eq!(world.mapping(&key("1")).await, None);
        assert_eq!(world.delivered(&key("2")).await.unwrap(), b"two");
        let mut left: Vec<_> = world.dws.documents().into_values().collect();
        left.sort();
        assert_eq!(left, [b"before".as_slice(), b"two"], "{heeds:?}");
        assert_eq!((world.jobs().await, world.files.names()), (vec![], vec![]));
    }
}

#[tokio::test(start_paused = true)]
async fn equal_bytes_that_replace_each_other_leave_one() {
    let mut world = world(TITLES).await;
    world.dws.set_latency(Duration::from_secs(2));
    world.dws.script_uploads([Act::LoseReply, Act::Work]);
    world.capture(&key("1"), b"same").await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    world.capture(&key("1"), b"same").await;
    world.settle().await;
    assert_eq!(world.delivered(&key("1")).await.unwrap(), b"same");
    assert_eq!(world.dws.documents().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn other_files_go_one_at_a_time_unless_ids_are_heeded() {
    for (heeds, most) in [(IDS, 4), (TITLES, 1), (NOTHING, 1)] {
        let mut world = world(heeds).await;
        world.dws.set_latency(Duration::from_secs(5));
        for id in ["1", "2", "3", "4", "5"] {
            world.capture_as(&key(id), id.as_bytes(), DOCX, &format!("{id}.docx")).await;
        }
        world.settle().await;
        assert_eq!(world.dws.most_uploads_at_a_time(), most, "{heeds:?}");
        assert_eq!(world.dws.documents().len(), 6);
    }
}

#[tokio::test(start_paused = true)]
async fn other_files_settle_by_id_by_title_or_by_count() {
    for heeds in [IDS, TITLES, NOTHING] {
        let mut world = world(heeds).await;
        world.dws.script_uploads([
            Act::LoseReply,
            Act::Work,
            Act::Fail(BackendErrorKind::Unclear),
            Act::LoseReply,
        ]);
        for id in ["1", "2", "3", "4"] {
            world.capture_as(&key(id), id.as_bytes(), DOCX, "same.docx").await;
        }
        world.settle().await;
        for id in ["1", "2", "3", "4"] {
            assert_eq!(world.delivered(&key(id)).await.unwrap(), id.as_bytes(), "{heeds:?}");
        }
        assert_eq!(world.dws.documents().len(), 5, "{heeds:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_properties_a_pdf_is_known_by_its_title() {
    let mut world = world(Heeds { properties: false, ..TITLES }).await;
    world.dws.script_uploads([Act::LoseReply]);
    world.capture(&key("1"), b"one").await;
    world.settle().await;
    assert_eq!(world.delivered(&key("1")).await.unwrap(), b"one");
    assert_eq!(world.dws.documents().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_may_not_list_is_told_to_the_operator() {
    let mut world = world(Heeds { list: false, ..TITLES }).await;
    world.dws.script_uploads([Act::LoseReply]);
    world.capture(&key("1"), b"one").await;
    world.settle().await;
    let jobs = world.jobs().await;
    assert_eq!(jobs[0].progress, Progress::Parked { reason: Reason::OutcomeUnknown });
    assert!(jobs[0].last_error.as_ref().unwrap().contains("right to read"), "{jobs:?}");
    assert_eq!(world.files.names().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn documents_that_can_not_be_told_apart_are_named() {
    let mut world = world(TITLES).await;
    world.dws.script_uploads([Act::LoseReply]);
    world.capture_as(&key("1"), b"one", DOCX, "a.docx").await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    world.dws.put("ALIEN", b"another", "a.docx");
    world.settle().await;
    let jobs = world.jobs().await;
    assert_eq!(jobs[0].progress, Progress::Parked { reason: Reason::OutcomeUnknown });
    let candidates = &jobs[0].sent.as_ref().unwrap().candidates;
    assert!(candidates.len() == 2 && candidates.contains(&"ALIEN".to_owned()), "{candidates:?}");
    world.capture_as(&key("2"), b"two", DOCX, "b.docx").await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(world.delivered(&key("2")).await.is_some(), "a parked one holds up no other");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_absent_again_and_again_is_parked_after_three_times() {
    for heeds in [IDS, TITLES] {
        let mut world = world(heeds).await;
        world.dws.script_uploads([Act::Fail(BackendErrorKind::Unclear); 10]);
        world.capture(&key("1"), b"one").await;
        world.settle().await;
        let job = &world.jobs().await[0];
        assert_eq!(job.progress, Progress::Parked { reason: Reason::OutcomeUnknown });
        assert_eq!(world.dws.calls(), 1 + 4, "sent again three times");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dws_that_says_that_it_is_away_parks_nothing() {
    let mut world = world(TITLES).await;
    world.dws.script_uploads([Act::Away; 30]);
    for id in 0..10 {
        world.capture(&key(&id.to_string()), id.to_string().as_bytes()).await;
    }
    world.settle().await;
    assert_eq!(world.jobs().await, []);
    assert_eq!(world.dws.documents().len(), 11);
}

#[tokio::test(start_paused = true)]
async fn looks_that_can_not_be_made_do_not_count() {
    let mut world = world(TITLES).await;
    world.dws.script_uploads([Act::LoseReply]);
    world.capture(&key("1"), b"one").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    world.dws.set_down(Some(BackendErrorKind::Unclear));
    tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
    assert!(world.dws.looks() < 5000, "{}", world.dws.looks());
    world.dws.set_down(None);
    world.settle().await;
    assert_eq!(world.delivered(&key("1")).await.unwrap(), b"one");
    assert_eq!(world.dws.documents().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_kill_while_looking_looks_again() {
    let mut world = world(TITLES).await;
    world.dws.script_uploads([Act::Fail(BackendErrorKind::Unclear)]);
    world.capture(&key("1"), b"one").await;
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        world.restart().await;
    }
    world.settle().await;
    assert_eq!(world.delivered(&key("1")).await.unwrap(), b"one");
    assert_eq!(world.dws.documents().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_a_former_version_parked_is_settled() {
    let mut world = world(TITLES).await;
    world.dws.script_uploads([Act::LoseReply]);
    world.capture(&key("1"), b"one").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut job = world.jobs().await.remove(0);
    world.crash();
    job.sent = None;
    job.progress = Progress::Parked { reason: Reason::OutcomeUnknown };
    let put_jobs = vec![job];
    let batch = crate::store::Batch { put_jobs, ..crate::store::Batch::default() };
    world.store.apply(batch).await.unwrap();
    world.restart().await;
    world.settle().await;
    assert_eq!(world.delivered(&key("1")).await.unwrap(), b"one");
    assert_eq!(world.dws.documents().len(), 2);
}
