//! What listeners hear of deliveries, and what is counted of them.

use std::time::Duration;

use super::support::{Act, World, key};
use crate::backend::BackendErrorKind;

#[tokio::test(start_paused = true)]
async fn a_delivery_is_told_from_its_beginning_to_its_end() {
    let mut world = World::new().await;
    world.capture(&key("1"), b"one").await;
    world.settle().await;
    assert_eq!(world.heard(), ["upload Queued", "upload Done"]);
    world.capture(&key("1"), b"two").await;
    world.settle().await;
    let replaced = ["upload Queued", "remove Queued", "upload Done", "remove Done"];
    assert_eq!(world.heard(), replaced);
    let counted = world.metrics.render();
    for (reason, times) in [("delivered", 2), ("removed", 1)] {
        let line =
            format!("transom_outcomes_total{{step=\"deliver\",reason=\"{reason}\"}} {times}\n");
        assert!(counted.contains(&line), "{line}{counted}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_told_as_one_of_its_lane() {
    let mut world = World::new().await;
    world.dws.script_uploads([Act::Fail(BackendErrorKind::Busy)]);
    world.capture(&key("1"), b"one").await;
    world.settle().await;
    let told =
        ["upload Queued", "upload Retried", "uploads opened", "upload Done", "uploads closed"];
    assert_eq!(world.heard(), told);
}

#[tokio::test(start_paused = true)]
async fn what_ends_without_a_delivery_is_told() {
    let mut world = World::new().await;
    world.dws.set_latency(Duration::from_secs(60));
    world.capture(&key("1"), b"one").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.restart().await;
    world.dws.set_latency(Duration::ZERO);
    world.settle().await;
    let told = ["upload Queued", "upload Unclear", "settle Absent", "upload Done"];
    assert_eq!(world.heard(), told, "the process died while it sent");
    world.dws.script_uploads([Act::Fail(BackendErrorKind::Refused)]);
    world.capture(&key("2"), b"two").await;
    world.settle().await;
    assert_eq!(world.heard(), ["upload Queued", "upload Refused"]);
    world.dws.set_down(Some(BackendErrorKind::Busy));
    world.capture(&key("3"), b"three").await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    world.heard();
    world.capture(&key("3"), b"four").await;
    let heard = world.heard();
    assert!(
        heard.ends_with(&["upload Queued".to_owned(), "upload Dropped".to_owned()]),
        "{heard:?}"
    );
}
