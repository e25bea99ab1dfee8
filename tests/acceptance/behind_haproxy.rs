//! HAProxy in front of the binary, saying who its clients are.

use std::net::{IpAddr, Ipv4Addr};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::sleep;

use crate::support::app::{App, reply};
use crate::support::missing::missing;
use crate::support::{Form, World, process};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_is_whom_haproxy_names() {
    if Command::new("haproxy").arg("-v").output().await.is_err() {
        missing("haproxy is not installed (Debian package haproxy)");
        return;
    }
    let app = App::answering(|_, seen| {
        let told = seen.headers.get("x-forwarded-for").and_then(|value| value.to_str().ok());
        reply(200, &[], told.unwrap_or("nobody").to_owned())
    });
    let world = World::with("")
        .server_settings("proxy_protocol = [\"127.0.0.1/32\"]")
        .app(app)
        .start(Form::Binary)
        .await;
    let (v1, v2) = (process::free_address(), process::free_address());
    let config = world.dir().join("haproxy.cfg");
    let text = format!(
        "defaults\n mode tcp\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n\
         listen v1\n bind {v1}\n server transom {to} send-proxy\n\
         listen v2\n bind {v2}\n server transom {to} send-proxy-v2 proxy-v2-options unique-id check\n",
        to = world.address
    );
    std::fs::write(&config, text).unwrap();
    let _haproxy = Command::new("haproxy")
        .arg("-f")
        .arg(&config)
        .args(["-db", "-q"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    for entrance in [v1, v2] {
        for _ in 0..200 {
            if TcpStream::connect(entrance).await.is_ok() {
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
        // Another address than HAProxy's own.
        let client = reqwest::Client::builder()
            .local_address(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)))
            .build()
            .unwrap();
        let told = client.get(format!("http://{entrance}/")).send().await.unwrap();
        assert_eq!(told.text().await.unwrap(), "127.0.0.2");
        // From there, past HAProxy, it is an ordinary client.
        let told = client.get(world.url("/")).send().await.unwrap();
        assert_eq!(told.text().await.unwrap(), "127.0.0.2");
    }

    let mut stranger = TcpStream::connect(world.address).await.unwrap();
    stranger.write_all(b"GET / HTTP/1.1\r\nHost: d\r\n\r\n").await.unwrap();
    let mut said = Vec::new();
    let _ = stranger.read_to_end(&mut said).await;
    assert_eq!(said, b"");
    world.logged("\"code\":\"proxy_header_invalid\",\"peer\":\"127.0.0.1:").await;
}
