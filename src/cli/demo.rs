//! `transom demo`: an app, a stand-in for DWS and Transom between them, in one process.

use std::fmt::Display;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;

use crate::config::{Config, ConfigError};
use crate::demo::{LegacyApp, ServiceDocument, USERS, Watch, sample_pdf};
use crate::sandbox::{Sandbox, SandboxOptions};
use crate::server::start_proxy;

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
        let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return failed(&error),
        };
        match runtime.block_on(self.show()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(Failure::Config(error)) => {
                eprintln!("{error}");
                ExitCode::from(BAD_CONFIG)
            }
            Err(Failure::Start(what)) => failed(&what),
        }
    }

    async fn show(self) -> Result<(), Failure> {
        let scratch = Scratch::create().map_err(start("no temporary folder"))?;
        let secrets = Secrets::new();
        let mut config = configure(self.config.as_deref(), &secrets)?;

        let app = LegacyApp::start(free(3000)?, &secrets.app).await.map_err(start("the app"))?;
        let options = SandboxOptions {
            listen: free(8090)?,
            key: secrets.dws.clone(),
            ..SandboxOptions::default()
        };
        let sandbox = Sandbox::start(options).await.map_err(start("the sandbox"))?;

        config.server.listen = free(self.port)?;
        config.server.admin = Some(free(9090)?);
        config.server.drain = Duration::from_secs(2);
        config.app.url = format!("http://{}", app.address()).parse().map_err(start("the app"))?;
        config.dws.url = sandbox.url();
        config.dws.api_key = SecretString::from(secrets.dws.clone());
        config.store.path = scratch.path.join("store");
        config.viewer.sdk = self.sdk.unwrap_or_else(|| sandbox.sdk_url());
        let kind = config.kinds.first().map_or(String::new(), |kind| kind.name.clone());
        let session = format!("{}/session/{kind}", config.server.prefix);
        let admin = config.server.admin;
        let proxy = start_proxy(config).await.map_err(start("the proxy"))?;

        let sample = scratch.path.join("sample.pdf");
        std::fs::write(&sample, sample_pdf(&SAMPLE)).map_err(start("the sample"))?;
        print_guide(&format!("http://{}", proxy.address()), &sample, &session);
        println!("Behind it:");
        println!("  the app               http://{}", app.address());
        println!("  the sandbox of DWS    {}", sandbox.control_url());
        if let Some(admin) = admin {
            println!("  health and metrics    http://{admin}/readyz http://{admin}/metrics");
        }
        println!("\nWhat happens to uploads (Ctrl-C ends everything):");
        tokio::select! {
            () = tell(&app, &sandbox) => {}
            _ = stop_signal() => {}
        }

        proxy.stop().await;
        sandbox.stop().await;
        app.stop().await;
        println!("\nStopped, and nothing left behind.");
        Ok(())
    }
}

fn configure(path: Option<&Path>, secrets: &Secrets) -> Result<Config, Failure> {
    let (text, path) = match path {
        Some(path) => (std::fs::read_to_string(path), path),
        None => (Ok(SHIPPED.to_owned()), Path::new("config.toml")),
    };
    let text = text.map_err(start(&format!("can't read {}", path.display())))?;
    let environment = |name: &str| match name {
        "NUTRIENT_DWS_VIEWER_API_KEY" => Some(secrets.dws.clone()),
        "APP_JWT_SECRET" => Some(secrets.app.clone()),
        name => std::env::var(name).ok(),
    };
    Config::parse_with(&text, path, &environment).map_err(Failure::Config)
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
    dws: String,
}

impl Secrets {
    fn new() -> Self {
        let random = || format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>());
        Self { app: random(), dws: random() }
    }
}

/// A folder of our own, readable by nobody else, removed at the end.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn create() -> io::Result<Self> {
        let name = format!("transom-demo-{:016x}", rand::random::<u64>());
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
            eprintln!("transom demo: {} is left behind: {error}", self.path.display());
        }
    }
}

/// A loopback address with this port, or any free one.
fn free(port: u16) -> io::Result<SocketAddr> {
    let probe = |port| TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port)));
    probe(port).or_else(|_| probe(0))?.local_addr()
}

fn print_guide(url: &str, sample: &Path, session: &str) {
    let [(ann, anns, _), (bob, bobs, _)] = USERS;
    let token = |name: &str, password: &str| {
        format!(
            "$(curl -s -H 'Accept: application/json' -d 'username={name}&password={password}' \
             {url}/login | cut -d'\"' -f4)"
        )
    };
    println!("Open {url}");
    println!("  as {ann} (password {anns}): upload a file, open it, and see it in the viewer");
    println!("  as {bob} (password {bobs}): {ann}'s files stay closed\n");
    println!("Or with curl:");
    println!("  ANN={}", token(ann, anns));
    println!("  BOB={}", token(bob, bobs));
    println!("  # the app's own upload, and the app's own answer");
    println!(
        "  curl -H \"Authorization: Bearer $ANN\" -F file=@{} {url}/api/files",
        sample.display()
    );
    println!("  # a viewer session for its owner, and none for anybody else");
    println!("  curl -H \"Authorization: Bearer $ANN\" {url}{session}/1");
    println!("  curl -H \"Authorization: Bearer $BOB\" {url}{session}/1\n");
}

/// Looks twice a second, for ever.
async fn tell(app: &LegacyApp, sandbox: &Sandbox) {
    let mut watch = Watch::default();
    let client = reqwest::Client::new();
    let state = format!("{}state", sandbox.control_url());
    loop {
        let files = app.files();
        if let Some(documents) = list(&client, &state).await {
            for line in watch.look(&files, &documents) {
                println!("  {line}");
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

/// Ctrl-C or SIGTERM.
async fn stop_signal() -> io::Result<()> {
    #[cfg(unix)]
    {
        let mut terminate =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            result = tokio::signal::ctrl_c() => result,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

const SHIPPED: &str = include_str!("../../config.toml");
const SAMPLE: [&str; 3] =
    ["A document that came", "over the transom.", "Upload me through the app."];
const BAD_CONFIG: u8 = 64;
