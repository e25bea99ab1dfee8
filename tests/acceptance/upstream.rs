//! A real nginx as the app, reached in each way.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use crate::support::dws::{self, Dws};
use crate::support::missing::missing;
use crate::support::process::{self, Process};

/// nginx with compression, behind a port, a Unix socket, and a port with TLS and HTTP/2.
struct Nginx {
    dir: tempfile::TempDir,
    plain: SocketAddr,
    tls: SocketAddr,
    dws: Dws,
    _process: Child,
}

impl Nginx {
    /// `None` where it is not installed.
    async fn start() -> Option<Self> {
        if Command::new("nginx").arg("-v").stderr(Stdio::null()).status().await.is_err() {
            missing("nginx is not installed (Debian package nginx-light)");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let (plain, tls) = (process::free_address(), process::free_address());
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["app.internal".to_owned()]).unwrap();
        let certificate = certificate.self_signed(&key).unwrap();
        std::fs::write(dir.path().join("key.pem"), key.serialize_pem()).unwrap();
        std::fs::write(dir.path().join("cert.pem"), certificate.pem()).unwrap();
        let config = dir.path().join("nginx.conf");
        std::fs::write(&config, configuration(dir.path(), plain, tls)).unwrap();
        let process = Command::new("nginx")
            .args(["-e", "stderr", "-p"])
            .arg(dir.path())
            .arg("-c")
            .arg(&config)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        for _ in 0..200 {
            if tokio::net::TcpStream::connect(tls).await.is_ok() {
                let dws = Dws::start().await;
                return Some(Self { dir, plain, tls, dws, _process: process });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("nginx never listened");
    }

    /// What a GET through a Transom with these lines in `[app]` is answered.
    async fn answers(&self, app: &str) -> (reqwest::header::HeaderMap, String) {
        let (address, admin) = (process::free_address(), process::free_address());
        let text = format!(
            "[server]\nlisten = \"{address}\"\nadmin = \"{admin}\"\n\n[app]\n{app}\n\n\
             [dws]\nurl = \"http://{}/viewer\"\napi_key = \"{}\"\n\n[store]\npath = \"data\"\n",
            self.dws.address,
            dws::KEY
        );
        let config = self.dir.path().join("transom.toml");
        std::fs::write(&config, text).unwrap();
        let transom = Process::run(&config, address).await;
        let http = reqwest::Client::new();
        let request = http.get(format!("http://{address}/x")).header("host", "docs.example");
        let reply = request.header("accept-encoding", "gzip").send().await.unwrap();
        assert_eq!(reply.status(), 200, "{}", transom.log());
        let headers = reply.headers().clone();
        let body = reply.bytes().await.unwrap();
        (headers, String::from_utf8_lossy(&body).into_owned())
    }
}

fn configuration(dir: &Path, plain: SocketAddr, tls: SocketAddr) -> String {
    let mut text =
        "daemon off;\nmaster_process off;\npid nginx.pid;\nevents {}\nhttp {\naccess_log off;\n"
            .to_owned();
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        let _ = writeln!(text, "{kind}_temp_path {kind};");
    }
    let _ = write!(
        text,
        "gzip on;\ngzip_types text/plain;\ngzip_min_length 1;\ndefault_type text/plain;\n\
         add_header X-Asked \"$server_protocol $http_host $request_uri\";\n\
         server {{ listen {plain}; listen unix:{}/app.sock; location / {{ return 200 \"{}\"; }} }}\n\
         server {{ listen {tls} ssl http2; gzip off; ssl_certificate cert.pem; ssl_certificate_key key.pem;\n\
         add_header X-Asked \"$server_protocol $host $request_uri\"; location / {{ return 200 ok; }} }}\n}}\n",
        dir.display(),
        "text that is worth compressing ".repeat(20),
    );
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_app_goes_on_compressing_unless_via_is_asked_for() {
    let Some(nginx) = Nginx::start().await else { return };
    let url = format!("url = \"http://{}\"", nginx.plain);
    let (headers, _) = nginx.answers(&url).await;
    assert_eq!(headers["content-encoding"], "gzip");
    assert!(!headers.contains_key("via"));
    let (headers, _) = nginx.answers(&format!("{url}\nvia = true")).await;
    assert!(!headers.contains_key("content-encoding"), "nginx's gzip_proxied is off by default");
    assert_eq!(headers["via"], "1.1 transom");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_behind_a_socket_and_over_http2_with_a_ca_of_its_own() {
    let Some(nginx) = Nginx::start().await else { return };
    let (headers, _) = nginx.answers("url = \"unix:app.sock:/base\"").await;
    assert_eq!(headers["x-asked"], "HTTP/1.1 docs.example /base/x");
    let secure = format!(
        "url = \"https://{}\"\ntls = {{ ca = \"cert.pem\", server_name = \"app.internal\" }}",
        nginx.tls
    );
    let (headers, _) = nginx.answers(&secure).await;
    assert_eq!(headers["x-asked"], "HTTP/1.1 docs.example /x");
    let (headers, body) = nginx.answers(&format!("{secure}\nhttp2 = true")).await;
    assert_eq!(headers["x-asked"], "HTTP/2.0 docs.example /x");
    assert_eq!(body, "ok");
    let (headers, _) = nginx.answers(&format!("{secure}\nhttp2 = true\nrewrite_host = true")).await;
    assert_eq!(headers["x-asked"], format!("HTTP/2.0 {} /x", nginx.tls.ip()));
}
