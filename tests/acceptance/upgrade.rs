//! Another version in the place of the one that runs, and sockets from systemd.

use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use http::Method;
use tokio::process::Command;

use crate::support::app::App;
use crate::support::{CONFIG, Form, World, files, process};

/// Ended with the test, as the process that started it is.
struct Successor(String);

impl Successor {
    async fn of(world: &World) -> Self {
        world.logged(" serves; finishing what is in progress here").await;
        let log = world.log();
        let (before, _) = log.rsplit_once(" serves; finishing").unwrap();
        Self(before.rsplit_once("process ").unwrap().1.to_owned())
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        let _ = std::process::Command::new("kill").args(["-KILL", &self.0]).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_refuses_no_connection_and_loses_no_upload() {
    let mut world = World::usual().start(Form::Binary).await;
    let before = world.upload_as("ann", "before.pdf").await;
    let over = Arc::new(AtomicBool::new(false));
    let uploads = (0..4).map(|client| {
        // Each on a connection of its own.
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
        let head = format!(
            "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{client}.pdf\"\r\n\r\n"
        );
        let form = [head.as_bytes(), &files::pdf("x"), b"\r\n--b--\r\n"].concat();
        let request = world.request_as("ann", Method::POST, "/api/files").body(form);
        let request = request.header("content-type", "multipart/form-data; boundary=b");
        let over = Arc::clone(&over);
        tokio::spawn(async move {
            let mut ids = Vec::new();
            while !over.load(Ordering::Relaxed) || ids.len() < 3 {
                let reply = http.execute(request.try_clone().unwrap().build().unwrap()).await;
                let reply: serde_json::Value = reply.expect("a reply").json().await.expect("JSON");
                ids.push(reply["data"]["id"].to_string());
            }
            ids
        })
    });
    let uploads: Vec<_> = uploads.collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.signal("USR2").await;
    let _successor = Successor::of(&world).await;
    over.store(true, Ordering::Relaxed);
    assert!(world.ended().await.success(), "{}", world.log());
    world.session_in_the_end("ann", &before).await;
    for upload in uploads {
        for id in upload.await.expect("no connection was refused") {
            world.session_in_the_end("ann", &id).await;
        }
    }
    world.spool_is_empty_in_the_end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_reply_is_not_cut_and_does_not_hold_up_the_others() {
    let (more, body) = tokio::sync::mpsc::unbounded_channel::<&'static str>();
    let body = std::sync::Mutex::new(Some(body));
    let app = App::answering(move |_, seen| match seen.uri.path() {
        "/long" => {
            let mut body = body.lock().unwrap().take().unwrap();
            let frames = futures_util::stream::poll_fn(move |cx| body.poll_recv(cx));
            let frames = futures_util::StreamExt::map(frames, Ok::<_, std::io::Error>);
            axum::response::Response::new(axum::body::Body::from_stream(frames))
        }
        _ => crate::support::app::reply(200, &[], "short"),
    });
    let mut world = World::with(CONFIG).app(app).start(Form::Binary).await;
    more.send("begun").unwrap();
    let mut long = world.http.get(world.url("/long")).send().await.unwrap();
    assert_eq!(long.chunk().await.unwrap().unwrap(), "begun");
    world.signal("USR2").await;
    let _successor = Successor::of(&world).await;
    let fresh = reqwest::Client::new();
    let short = fresh.get(world.url("/short")).send().await.unwrap().text().await.unwrap();
    assert_eq!(short, "short");
    more.send(", ended").unwrap();
    drop(more);
    assert_eq!(long.text().await.unwrap(), ", ended");
    assert!(world.ended().await.success(), "{}", world.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_not_start_takes_nothing_over() {
    let world = World::usual().start(Form::Binary).await;
    world.rewrite_config(|text| format!("{text}\nwrong = true\n"));
    world.signal("USR2").await;
    world.logged("SIGUSR2: this process goes on").await;
    assert!(world.log().contains("wrong"), "{}", world.log());
    let id = world.upload_as("ann", "a.pdf").await;
    world.session_in_the_end("ann", &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_passes_sockets_and_is_told_of_start_and_end() {
    let world = World::usual().start(Form::Binary).await;
    let other = tempfile::tempdir().unwrap();
    let (data, config) = (other.path().join("data"), other.path().join("config.toml"));
    let text = std::fs::read_to_string(world.dir().join("config.toml")).unwrap();
    let own = format!("path = \"{}\"", world.dir().join("data").display());
    let text = text.replace(&own, &format!("path = \"{}\"", data.display()));
    std::fs::write(&config, text).unwrap();
    // On addresses other than those of the configuration, which the first process has.
    let clients = TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = TcpListener::bind("127.0.0.1:0").unwrap();
    let (client_address, admin_address) =
        (clients.local_addr().unwrap(), admin.local_addr().unwrap());
    let systemd = UnixDatagram::bind(other.path().join("notify")).unwrap();
    systemd.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_transom"));
    command.arg("run").arg("--config").arg(&config);
    command.env("LISTEN_FDS", "2").env("LISTEN_FDNAMES", "admin:transom.socket");
    command.env("NOTIFY_SOCKET", other.path().join("notify"));
    let mapped = vec![
        FdMapping { parent_fd: admin.into(), child_fd: 3 },
        FdMapping { parent_fd: clients.into(), child_fd: 4 },
    ];
    command.as_std_mut().fd_mappings(mapped).unwrap();
    let mut process = process::Process::listening(command, client_address).await;
    assert!(told(&systemd).contains("READY=1"));
    let ready = reqwest::get(format!("http://{admin_address}/readyz")).await.unwrap();
    assert_eq!(ready.status(), 200);
    assert!(process.terminate().await.success());
    assert!(told(&systemd).contains("STOPPING=1"));
}

fn told(systemd: &UnixDatagram) -> String {
    let mut read = [0; 1024];
    let length = systemd.recv(&mut read).expect("a word");
    String::from_utf8_lossy(&read[..length]).into_owned()
}
