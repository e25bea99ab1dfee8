//! Clients that take their time, at the binary.

use std::time::{Duration, Instant};

use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::support::app::{App, reply};
use crate::support::missing::missing;
use crate::support::{Form, World};

/// Short, since each mode has to run into its limit.
const LIMITS: &str = r#"
[server.limits]
header_time = "2s"
receive_idle = "2s"
send_idle = "2s"
rate = "1 KiB"
rate_grace = "2s"
keep_alive = "2s"
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slowhttptest_takes_nothing_from_others_in_any_of_its_modes() {
    if Command::new("slowhttptest").arg("-h").output().await.is_err() {
        missing("slowhttptest is not installed (Debian package slowhttptest)");
        return;
    }
    // More than the sockets on the way hold.
    let large = bytes::Bytes::from(vec![b'a'; 8 << 20]);
    let app = App::answering(move |_, seen| match seen.uri.path() {
        "/large" => reply(200, &[], large.clone()),
        _ => reply(200, &[], "ok"),
    });
    let world = World::with(LIMITS).app(app).start(Form::Binary).await;
    for (mode, path, struck) in [
        (&["-H", "-i", "1"][..], "/", &["header_time"][..]),
        (&["-B", "-i", "1", "-s", "100000"], "/", &["rate", "receive_idle"]),
        (&["-R", "-t", "GET", "-a", "1", "-b", "1000"], "/", &[]),
        (&["-X", "-w", "1", "-y", "16", "-n", "4", "-z", "4"], "/large", &["send_idle", "rate"]),
    ] {
        let before = struck_so_far(&world, struck).await;
        let url = world.url(path);
        let attack = Command::new("slowhttptest")
            .args(mode)
            .args(["-c", "60", "-r", "60", "-l", "12", "-p", "2", "-v", "1", "-u", &url])
            .output();
        let mut attack = std::pin::pin!(timeout(Duration::from_secs(60), attack));
        let mut slowest = Duration::ZERO;
        let output = loop {
            tokio::select! {
                output = &mut attack => break output.expect("an end").unwrap(),
                () = sleep(Duration::from_millis(200)) => {
                    let asked = Instant::now();
                    assert_eq!(world.get_as("ann", "/").await.status(), 200, "{mode:?}");
                    slowest = slowest.max(asked.elapsed());
                }
            }
        };
        let told = String::from_utf8_lossy(&output.stdout);
        // A debug build on a busy machine is slow too; who is starved waits for the end of the attack.
        assert!(slowest < Duration::from_secs(8), "{mode:?}: {slowest:?}");
        let after = struck_so_far(&world, struck).await;
        assert!(struck.is_empty() || after >= before + 40, "{mode:?}: {before} -> {after}\n{told}");
    }
    let in_flight = async {
        while !world.metrics().await.contains("transom_requests_in_flight 0\n") {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(10), in_flight).await.expect("nobody is waited for in the end");
}

async fn struck_so_far(world: &World, limits: &[&str]) -> u64 {
    let text = world.metrics().await;
    let of = |limit: &&str| {
        let series = format!("transom_limits_reached_total{{limit=\"server.limits.{limit}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(series.as_str())?.parse::<u64>().ok())
    };
    limits.iter().filter_map(of).sum()
}
