//! `transom demo`: an app, a stand-in for DWS and Transom between them, in one process.

use std::fmt::Display;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;

use super::EXIT_USAGE;
use crate::config::{Config, ConfigError, RuntimeModel};
use crate::demo::{Guide, LegacyApp, ServiceDocument, Watch, sample_pdf};
use crate::http::downstream::signal::Signals;
use crate::proxy::sockets::Sockets;
use crate::proxy::start::{RunningProxy, start_proxy};
use crate::sandbox::{Sandbox, SandboxOptions};
use crate::telemetry::log;

/// Shows everything on this machine: a small app, a stand-in for DWS, and Transom in front.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// Use the routes of this file; addresses and keys are the demo's all the same.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Preferred port to open in the browser; any other if it is taken.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Address of another `nutrient-viewer.js` than the sandbox's simple one.
    #[arg(long, value_name = "URL")]
    sdk: Option<String>,
}

impl DemoArgs {
    pub(crate) fn run(self) -> ExitCode {
        // The terminal belongs to the story; who wants the log asks for it.
        if std::env::var_os("TRANSOM_LOG").is_some() {
            log::start();
        }
        let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return failed(&error),
        };
        match runtime.block_on(self.show()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(Failure::Config(error)) => {
                eprintln!("{error}");
                ExitCode::from(EXIT_USAGE)
            }
            Err(Failure::Start(what)) => failed(&what),
        }
    }

    async fn show(self) -> Result<(), Failure> {
        // Before anything is there that would have to be cleaned up.
        let mut signals = Signals::new()?;
        let scratch = Scratch::create().map_err(start("no temporary folder"))?;
        let stage = tokio::select! {
            stage = Stage::set(&self, &scratch) => stage?,
            _ = signals.next() => return Ok(()),
        };
        say(&stage.guide)?;
        tokio::select! {
            // Nobody reads any more.
            _ = tell(&stage.app, &stage.sandbox) => {}
            _ = signals.next() => {}
            () = hangup() => {}
        }
        stage.clear().await;
        drop(scratch);
        let _ = say("\nStopped, and nothing left behind.");
        Ok(())
    }
}

/// Everything that runs.
struct Stage {
    app: LegacyApp,
    sandbox: Sandbox,
    proxy: RunningProxy,
    guide: String,
}

impl Stage {
    async fn set(args: &DemoArgs, scratch: &Scratch) -> Result<Self, Failure> {
        let secrets = Secrets::new();
        let mut config = configure(args.config.as_deref(), &secrets)?;
        let app = on_port(3000, |at| LegacyApp::start(at, &secrets.app));
        let app = app.await.map_err(start("the app"))?;
        let sandbox = on_port(8090, |listen| {
            let key = secrets.backend.clone();
            Sandbox::start(SandboxOptions { listen, key, ..SandboxOptions::default() })
        });
        let sandbox = sandbox.await.map_err(start("the sandbox"))?;

        config.server.drain = Duration::from_secs(2);
        config.app.socket = None;
        let url = format!("http://{}", app.address()).parse().map_err(start("the app"))?;
        config.app.url = Some(url);
        config.backend.url = sandbox.url();
        config.backend.api_key = SecretString::from(secrets.backend.clone());
        config.store.path = scratch.path.join("store");
        config.viewer.sdk = args.sdk.clone().unwrap_or_else(|| sandbox.sdk_url());
        let kind = config.kinds.first().map_or(String::new(), |kind| kind.name.to_string());
        let sessions = format!("{}/session/{kind}", config.server.prefix);
        let listener = on_port(args.port, bind).await.map_err(start("the proxy"))?;
        let admin = on_port(9090, bind).await.map_err(start("the proxy"))?;
        // One socket was bound, so one runtime serves it.
        config.server.runtime = RuntimeModel::Shared;
        let proxy =
            start_proxy(config, Sockets { clients: vec![listener], admin: Some(admin) }).await;
        let proxy = proxy.map_err(start("the proxy"))?;

        let sample = scratch.path.join("sample.pdf");
        std::fs::write(&sample, sample_pdf(&SAMPLE)).map_err(start("the sample"))?;
        let guide = Guide {
            proxy: proxy.address(),
            app: app.address(),
            admin: proxy.admin_address(),
            sandbox: &sandbox.control_url(),
            sample: &sample,
            sessions: &sessions,
        };
        let guide = guide.to_string();
        Ok(Self { app, sandbox, proxy, guide })
    }

    /// From the front to the back, so that nothing waits for what is gone.
    async fn clear(self) {
        self.proxy.stop().await;
        self.sandbox.stop().await;
        self.app.stop().await;
    }
}

fn configure(path: Option<&Path>, secrets: &Secrets) -> Result<Config, Failure> {
    let (text, path) = match path {
        Some(path) => (std::fs::read_to_string(path), path),
        None => (Ok(SHIPPED.to_owned()), Path::new("config.toml")),
    };
    let text = text.map_err(start(&format!("can't read {}", path.display())))?;
    let environment = |name: &str| match name {
        "NUTRIENT_DWS_VIEWER_API_KEY" => Some(secrets.backend.clone()),
        "APP_JWT_SECRET" => Some(secrets.app.clone()),
        name => std::env::var(name).ok(),
    };
    Config::parse_with(&text, path, &environment).map_err(Failure::Config)
}

/// Starts it on this port, or on a free one if the port is taken.
async fn on_port<T, F>(port: u16, start: impl Fn(SocketAddr) -> F) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    match start(local(port)).await {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => start(local(0)).await,
        started => started,
    }
}

async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

enum Failure {
    Config(ConfigError),
    Start(String),
}

fn start<E: Display>(what: &str) -> impl FnOnce(E) -> Failure {
    move |error| Failure::Start(format!("{what}: {error}"))
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Start(error.to_string())
    }
}

fn failed(error: &dyn Display) -> ExitCode {
    eprintln!("transom demo: {error}");
    ExitCode::FAILURE
}

/// Good for one demo.
struct Secrets {
    app: String,
    backend: String,
}

impl Secrets {
    fn new() -> Self {
        let random = || format!("{:032x}{:032x}", crate::random::u128(), crate::random::u128());
        Self { app: random(), backend: random() }
    }
}

/// A folder of our own, readable by nobody else, removed at the end.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn create() -> io::Result<Self> {
        let name = format!("transom-demo-{:016x}", crate::random::u64());
        let path = std::env::temp_dir().join(name);
        let mut folder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
        folder.create(&path)?;
        Ok(Self { path })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            let path = self.path.display();
            // Nothing is left to be done if that can't be told either.
            let _ = writeln!(io::stderr(), "transom demo: {path} is left behind: {error}");
        }
    }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// A line for whoever watches.
fn say(line: impl Display) -> io::Result<()> {
    writeln!(io::stdout(), "{line}")
}

/// Looks twice a second, until nobody reads what it says.
async fn tell(app: &LegacyApp, sandbox: &Sandbox) -> io::Result<()> {
    let mut watch = Watch::default();
    let client = reqwest::Client::new();
    let state = format!("{}state", sandbox.control_url());
    loop {
        let files = app.files();
        if let Some(documents) = list(&client, &state).await {
            for line in watch.look(&files, &documents) {
                say(format_args!("  {line}"))?;
            }
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// The documents of the sandbox; `None` when it doesn't answer.
async fn list(client: &reqwest::Client, state: &str) -> Option<Vec<ServiceDocument>> {
    let request = client.get(state).timeout(Duration::from_secs(5));
    let state: Value = request.send().await.ok()?.json().await.ok()?;
    let document = |item: &Value| {
        let id = item.get("id")?.as_str()?.to_owned();
        let title = item.get("title").and_then(Value::as_str).unwrap_or_default().to_owned();
        Some(ServiceDocument { id, title })
    };
    state.get("documents")?.as_array().map(|items| items.iter().filter_map(document).collect())
}

/// The terminal was closed.
async fn hangup() {
    #[cfg(unix)]
    if let Ok(mut hangup) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()) {
        hangup.recv().await;
        return;
    }
    std::future::pending::<()>().await;
}

const SHIPPED: &str = include_str!("../../config.toml");
const SAMPLE: [&str; 3] =
    ["A document that came", "over the transom.", "Upload me through the app."];
