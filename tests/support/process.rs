//! The `transom` command as a process.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

pub struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Process {
    /// `transom run`, until it accepts connections.
    pub async fn run(config: &Path, address: SocketAddr) -> Self {
        Self::start(&["run", "--config", &config.display().to_string()], address).await
    }

    /// The same as a process that may have so many open files and no more, under this umask.
    pub async fn run_confined(config: &Path, address: SocketAddr, files: u32, umask: &str) -> Self {
        let script = format!("umask {umask}; ulimit -n {files}; exec \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_transom")]);
        command.args(["run", "--config", &config.display().to_string()]);
        Self::listening(command, address).await
    }

    /// Any command that listens.
    pub async fn start(arguments: &[&str], address: SocketAddr) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_transom"));
        command.args(arguments);
        Self::listening(command, address).await
    }

    /// Any program that listens.
    pub async fn listening(mut command: Command, address: SocketAddr) -> Self {
        let mut child = command
            .env("TRANSOM_LOG", "debug,hyper=info,reqwest=info,hyper_util=info,h2=info")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the command starts");
        let log = Arc::new(Mutex::new(String::new()));
        keep(child.stdout.take().unwrap(), log.clone());
        keep(child.stderr.take().unwrap(), log.clone());
        for _ in 0..600 {
            if tokio::net::TcpStream::connect(address).await.is_ok() {
                return Self { child, log };
            }
            if let Some(status) = child.try_wait().unwrap() {
                tokio::time::sleep(Duration::from_millis(100)).await;
                panic!("{command:?} ended with {status}:\n{}", log.lock().unwrap());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{command:?} never listened:\n{}", log.lock().unwrap());
    }

    pub async fn kill(&mut self) {
        self.child.kill().await.expect("killed");
    }

    pub async fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM").await;
        self.ended().await
    }

    pub async fn ended(&mut self) -> ExitStatus {
        let ended = tokio::time::timeout(Duration::from_secs(60), self.child.wait()).await;
        ended.expect("an end").unwrap()
    }

    pub async fn signal(&self, name: &str) {
        let pid = self.child.id().expect("running").to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &pid]).status().await.unwrap();
        assert!(sent.success());
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn id(&self) -> u32 {
        self.child.id().expect("running")
    }
}

/// Runs a command to its end.
pub async fn run(arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_transom")).args(arguments).output().await.expect("it runs")
}

/// Given out once, and from below what the system takes for the near end of outgoing connections, so that
/// nobody has it by the time the command listens there.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(131);
    let ports = std::iter::repeat_with(|| first.wrapping_add(NEXT.fetch_add(1, Relaxed)) % PORTS.1);
    let mut addresses = ports.map(|port| SocketAddr::from(([127, 0, 0, 1], PORTS.0 + port as u16)));
    addresses.find(|address| TcpListener::bind(address).is_ok()).expect("a free port")
}

fn keep(stream: impl AsyncRead + Unpin + Send + 'static, log: Arc<Mutex<String>>) {
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let mut log = log.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
        }
    });
}

/// The first, and how many.
const PORTS: (u16, u32) = (12_000, 20_000);
