//! Attempts that take long, and those of owners that say nothing any more.

use std::time::Duration;

use super::support::{Act, World, key};
use crate::outbox::attempt::LEASE;
use crate::outbox::clock::millis;
use crate::store::{Applied, Batch, Job, Progress};

/// A job that the backend has put off for an hour, claimed by another process on the same store.
async fn claimed_elsewhere(world: &World) -> Job {
    tokio::time::sleep(Duration::from_secs(1)).await;
    let claimed = world.jobs().await[0].claimed(world.now() + millis(LEASE));
    assert_eq!(world.store.claim(&claimed, Batch::default()).await.unwrap(), Applied::Done);
    claimed
}

#[tokio::test(start_paused = true)]
async fn an_upload_of_hours_keeps_its_lease() {
    let mut world = World::new().await;
    world.dws.set_latency(6 * LEASE);
    world.capture(&key("1"), b"one").await;
    for _ in 0..11 {
        tokio::time::sleep(LEASE / 2).await;
        let job = &world.jobs().await[0];
        assert_eq!((&job.progress, job.fence), (&Progress::Sending, 1));
        assert!(job.leased_until.unwrap() > world.now());
    }
    world.settle().await;
    assert_eq!(world.delivered(&key("1")).await.unwrap(), b"one");
    assert_eq!(world.heard(), ["upload Queued", "upload Done"]);
}

#[tokio::test(start_paused = true)]
async fn an_upload_whose_owner_says_nothing_is_looked_for_when_its_lease_is_over() {
    let mut world = World::new().await;
    world.dws.script_uploads([Act::PutOff]);
    world.capture(&key("1"), b"one").await;
    let claimed = claimed_elsewhere(&world).await;
    tokio::time::sleep(LEASE / 2).await;
    assert_eq!(world.jobs().await[0], claimed, "it is the other's until then");
    world.settle().await;
    assert_eq!(world.delivered(&key("1")).await.unwrap(), b"one");
    assert_eq!(world.dws.documents().len(), 1);
    let late = world.store.finish(&claimed, Batch::default()).await.unwrap();
    assert_eq!(late, Applied::Fenced, "its end does not count any more");
    let heard = world.heard();
    let of_job: Vec<_> = heard.iter().filter(|told| !told.starts_with("uploads")).collect();
    assert_eq!(of_job[2..], ["upload Unclear", "settle Queued", "settle Absent", "upload Done"]);
}

#[tokio::test(start_paused = true)]
async fn a_removal_whose_owner_says_nothing_is_made_again() {
    let mut world = World::new().await;
    world.capture(&key("1"), b"one").await;
    world.settle().await;
    world.dws.script_removals([Act::PutOff]);
    world.outbox().delete(&key("1"), false).await.unwrap();
    claimed_elsewhere(&world).await;
    world.settle().await;
    assert!(world.dws.documents().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_lost_its_lease_ends_without_a_word() {
    let mut world = World::new().await;
    world.dws.set_latency(6 * LEASE);
    world.capture(&key("1"), b"one").await;
    let claimed = claimed_elsewhere(&world).await;
    tokio::time::sleep(LEASE).await;
    assert_eq!(world.heard(), ["upload Queued", "upload Fenced"]);
    assert_eq!(world.jobs().await[0], claimed);
}
