//! What happens, as the admin listener tells it.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::support::{CONFIG, Form, World};

/// curl, reading the live feed.
struct Feed {
    _curl: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Feed {
    /// From now on nothing is missed.
    async fn of(world: &World) -> Self {
        let mut curl = Command::new("curl")
            .args(["-sN", "--max-time", "120", &format!("http://{}/events", world.admin)])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("curl is installed");
        let mut lines = BufReader::new(curl.stdout.take().unwrap()).lines();
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some(":"));
        Self { _curl: curl, lines }
    }

    /// The events until there was one of each name.
    async fn until(&mut self, names: &[&str]) -> Vec<Value> {
        let mut events: Vec<Value> = Vec::new();
        let reading = async {
            while !names.iter().all(|name| events.iter().any(|event| event["event"] == *name)) {
                let line = self.lines.next_line().await.unwrap().expect("the feed goes on");
                events.extend(
                    line.strip_prefix("data: ").map(|data| serde_json::from_str(data).unwrap()),
                );
            }
        };
        timeout(Duration::from_secs(60), reading).await.expect("they come in time");
        events
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_watches_an_upload_go_through() {
    let world = World::with(CONFIG).start(Form::Binary).await;
    let mut feed = Feed::of(&world).await;
    let id = world.upload_as("ann", "a.pdf").await;
    let events = feed.until(&["captured", "job_queued", "job_done"]).await;
    let event = |name: &str| events.iter().find(|event| event["event"] == name).unwrap();
    for name in ["captured", "job_queued", "job_done"] {
        assert_eq!(
            (&event(name)["kind"], &event(name)["id"]),
            (&"files".into(), &id.clone().into())
        );
    }
    assert_eq!(event("captured")["code"], "captured");
    assert_eq!(event("job_done")["code"], "delivered");
    assert_eq!(event("job_done")["job"], event("job_queued")["job"]);
    assert!(event("captured")["request_id"].is_string());

    let session = world.session_in_the_end("ann", &id).await;
    let events = feed.until(&["session_decided"]).await;
    assert_eq!(events.last().unwrap()["code"], "session_given", "{events:#?}");
    let text = serde_json::to_string(&events).unwrap();
    assert!(!text.contains(session["session"].as_str().unwrap()), "no session is told");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_that_is_read_does_not_hold_up_the_end() {
    let mut world = World::with(CONFIG).start(Form::Binary).await;
    let mut feed = Feed::of(&world).await;
    assert!(world.stop().await.success());
    while timeout(Duration::from_secs(20), feed.lines.next_line()).await.unwrap().unwrap().is_some()
    {
    }
}
