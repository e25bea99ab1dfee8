//! The configuration as the rest of Transom uses it: parsed, compiled and checked.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode, Uri};
use ipnet::IpNet;
use secrecy::SecretString;
use serde_json_path::JsonPath;

use super::SpoolLimits;
use crate::auth::Identity;
use crate::document::DocumentKey;
use crate::reason::Reason;
use crate::route::{IdForm, Outgoing};
use crate::rules::{RouteTable, ViewRule};

/// A checked configuration. Load one with [`Config::load`].
#[derive(Debug)]
pub struct Config {
    pub(crate) server: ServerConfig,
    pub(crate) app: AppConfig,
    pub(crate) backend: BackendConfig,
    pub(crate) store: StoreConfig,
    pub(crate) viewer: ViewerConfig,
    /// `None`: no record is kept of grants.
    pub(crate) audit: Option<AuditConfig>,
    pub(crate) identities: Vec<Identity>,
    /// In the order of the file; a rule names its kind by index.
    pub(crate) kinds: Vec<Arc<Kind>>,
    pub(crate) routes: RouteTable,
    pub(crate) tests: Vec<TestCase>,
    pub(crate) warnings: Vec<super::ConfigWarning>,
    /// For telling this configuration from the next one.
    pub(crate) written: super::Written,
    pub(super) source: Source,
}

impl Config {
    /// The kind of a document, unless it is of another configuration.
    pub(crate) fn kind_of(&self, key: &DocumentKey) -> Option<&Arc<Kind>> {
        self.kinds.iter().find(|kind| &*kind.name == key.kind())
    }
}

/// The file, as far as it may be shown, for problems that are found later.
#[derive(Debug, Default)]
pub(super) struct Source {
    pub(super) shown: String,
    pub(super) path: PathBuf,
}

#[derive(Debug, Clone)]
pub(crate) struct ServerConfig {
    pub(crate) listen: SocketAddr,
    /// `None` when `admin = "off"`.
    pub(crate) admin: Option<SocketAddr>,
    /// Names under which the admin listener answers besides addresses and `localhost`, in lower case.
    pub(crate) admin_hosts: Vec<String>,
    /// Default: one per core.
    pub(crate) workers: usize,
    pub(crate) runtime: RuntimeModel,
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// Whose connections begin with a header of the PROXY protocol.
    pub(crate) proxy_protocol: Vec<IpNet>,
    /// Where Transom's own answers live: `/.transom`, without a trailing slash.
    pub(crate) prefix: String,
    /// How long requests in flight may take after SIGTERM (default 60 s).
    pub(crate) drain: Duration,
    pub(crate) limits: ServerLimits,
    /// `None`: plain HTTP.
    pub(crate) tls: Option<TlsConfig>,
    /// `None`: requests are not logged one by one.
    pub(crate) access_log: Option<AccessLogTo>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AccessLogTo {
    Stdout,
    File(PathBuf),
}

/// Files in PEM, read by whoever listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsConfig {
    /// The certificate, and those that lead from it to a root that clients know.
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    /// Where they are written, for problems that reading them shows.
    pub(crate) place: Range<usize>,
}

/// What clients may take. No duration is zero.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServerLimits {
    pub(crate) header_time: Duration,
    /// Bytes of a request's head.
    pub(crate) header_size: u32,
    pub(crate) header_count: usize,
    /// In a request body, without a byte from the client.
    pub(crate) receive_idle: Duration,
    /// In a reply, without a byte taken by the client.
    pub(crate) send_idle: Duration,
    /// Bytes per second, on average over `rate_grace`; 0 is no limit.
    pub(crate) rate: u64,
    pub(crate) rate_grace: Duration,
    pub(crate) keep_alive: Duration,
    /// Of all workers together.
    pub(crate) connections: usize,
}

/// What the app is asked to bear. No duration is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AppLimits {
    pub(crate) connect: Duration,
    pub(crate) first_byte: Option<Duration>,
    /// In a reply that has begun.
    pub(crate) reply_idle: Option<Duration>,
    /// On their way at the same time, until the end of their replies.
    pub(crate) requests: usize,
    pub(crate) queue: usize,
    pub(crate) queue_time: Duration,
    /// Connections that wait for another request, of each worker and kind. No setting.
    pub(crate) idle: usize,
    /// Documents that one caller may have fetched from a `source` in an hour.
    pub(crate) fetches: Option<u32>,
}

/// How workers share their work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RuntimeModel {
    /// A worker keeps what the kernel gives it: cheapest per request.
    PerCore,
    /// One scheduler moves work between workers: steadier where some requests are heavy.
    Shared,
}

#[derive(Debug, Clone)]
pub(crate) struct AppConfig {
    /// Scheme and authority, and a path prefix if there is one. Of an app behind a socket `http://localhost`. A proxy
    /// has one; `None` where the configuration is that of a layer, and does not say it.
    pub(crate) url: Option<Uri>,
    /// The Unix socket that it listens on; `None` for TCP.
    #[cfg(feature = "cli")]
    pub(crate) socket: Option<PathBuf>,
    pub(crate) tls: AppTls,
    /// HTTP/2 where the app speaks it.
    pub(crate) http2: bool,
    pub(crate) origins: Vec<String>,
    pub(crate) rewrite_origin: bool,
    /// `Host` is the app's own authority, not the client's.
    pub(crate) rewrite_host: bool,
    pub(crate) via: bool,
    pub(crate) fold_case: bool,
    pub(crate) fold_trailing_slash: bool,
    /// `%2F` stays part of its segment.
    pub(crate) encoded_slash: bool,
    pub(crate) limits: AppLimits,
    pub(crate) remember: Remember,
}

impl Default for AppConfig {
    fn default() -> Self {
        Self {
            url: None,
            #[cfg(feature = "cli")]
            socket: None,
            tls: AppTls::default(),
            http2: false,
            origins: Vec::new(),
            rewrite_origin: true,
            rewrite_host: false,
            via: false,
            fold_case: false,
            fold_trailing_slash: false,
            encoded_slash: false,
            limits: AppLimits::default(),
            remember: Remember::default(),
        }
    }
}

impl AppConfig {
    /// The app at this address, and defaults for all the rest.
    pub(crate) fn at(url: Uri) -> Self {
        Self { url: Some(url), ..Self::default() }
    }

    /// Its address as the operator writes it.
    #[cfg(feature = "cli")]
    pub(crate) fn address(&self) -> String {
        let url = self.url.clone().unwrap_or_default();
        let Some(socket) = &self.socket else { return url.to_string() };
        match url.path() {
            "/" => format!("unix:{}", socket.display()),
            prefix => format!("unix:{}:{prefix}", socket.display()),
        }
    }
}

/// How an `https` app shows that it is the app.
#[derive(Debug, Clone, Default)]
pub(crate) struct AppTls {
    /// The only ones that are believed; `None`: those that browsers believe.
    #[cfg(feature = "cli")]
    pub(crate) roots: Option<std::sync::Arc<rustls::RootCertStore>>,
    /// The name in its certificate, where that is not the host of its address.
    #[cfg(feature = "cli")]
    pub(crate) server_name: Option<rustls::pki_types::ServerName<'static>>,
}

/// For how long a yes of the app to a probe counts.
#[derive(Debug, Clone)]
pub(crate) struct Remember {
    /// Zero: not at all. Default: 5 s.
    pub(crate) life: Duration,
}

impl Remember {
    pub(crate) const NOTHING: Self = Self { life: Duration::ZERO };
}

impl Default for Remember {
    fn default() -> Self {
        Self { life: Duration::from_secs(5) }
    }
}

/// The service that stores documents for viewing.
#[derive(Debug, Clone)]
pub(crate) struct BackendConfig {
    /// Its section of the configuration.
    pub(crate) name: &'static str,
    /// Without a trailing slash.
    pub(crate) url: String,
    pub(crate) api_key: SecretString,
    /// For how long an upload may make no progress. An upload without a clear end counts as absent only if it is not
    /// found twice, this time twice over apart.
    pub(crate) upload_idle: Duration,
    /// For how long the bytes of refused documents are kept.
    pub(crate) refused_keep: Duration,
}

impl BackendConfig {
    pub(crate) const UPLOAD_IDLE: Duration = Duration::from_secs(120);
    pub(crate) const REFUSED_KEEP: Duration = Duration::from_secs(7 * 24 * 3600);
}

#[derive(Debug, Clone)]
pub(crate) struct StoreConfig {
    pub(crate) path: PathBuf,
    /// The longest that an app's reply waits until what it brought is durable.
    pub(crate) hold: Duration,
    pub(crate) spool: SpoolLimits,
}

#[derive(Debug, Clone)]
pub(crate) struct ViewerConfig {
    /// Address of `nutrient-viewer.js`: absolute, or a path of the app's own origin.
    pub(crate) sdk: String,
}

#[derive(Debug, Clone)]
pub(crate) struct AuditConfig {
    pub(crate) path: PathBuf,
    /// Without it, the chain shows accidents and careless changes only.
    pub(crate) key: Option<SecretString>,
    /// A line for each hand-out, and not for each session alone.
    pub(crate) every_hand_out: bool,
    /// Lines outlive the machine too.
    pub(crate) sync: bool,
}

/// One `[documents.<name>]`.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) name: Arc<str>,
    /// Its rules are for these hosts only; empty: for all.
    pub(crate) hosts: Arc<[String]>,
    /// The host is a part of a document's name.
    pub(crate) per_host: bool,
    pub(crate) ids: IdForm,
    /// Where the app serves the bytes; `None` when not configured.
    pub(crate) source: Option<Outgoing>,
    /// Where the app lists its documents.
    pub(crate) list: Option<ListRequest>,
    /// What is taken from there: up to the largest `max_size` (100 MiB without upload rules), and all
    /// the types of the upload rules (without them: what DWS can show).
    pub(crate) max_size: u64,
    pub(crate) types: Vec<String>,
    /// Requests that tell whether a caller may; the first 2xx counts. Resolved default: `source` with
    /// `Range: bytes=0-0`, else the first view route. Empty: the app can't be asked.
    pub(crate) probe: Vec<Outgoing>,
    /// How changes that did not come by are noticed; `None`: not at all.
    pub(crate) validate: Option<Validate>,
    /// What Transom's own addresses, which no view route governs, may go by: the view rules in their order. Never
    /// empty: without any it is the defaults.
    pub(crate) views: Vec<Arc<ViewRule>>,
}

impl Kind {
    /// The view of this name; the first one where none is asked for.
    pub(crate) fn view(&self, name: Option<&str>) -> Option<&Arc<ViewRule>> {
        match name {
            None => self.views.first(),
            Some(name) => self.views.iter().find(|view| view.view == name),
        }
    }
}

/// How the app lists its documents, page by page.
#[derive(Debug, Clone)]
pub(crate) struct ListRequest {
    /// With `{page}`, or without.
    pub(crate) request: Outgoing,
    pub(crate) ids: JsonPath,
    pub(crate) next: Option<JsonPath>,
}

/// The request whose reply has the validators of a document's bytes.
#[derive(Debug, Clone)]
pub(crate) struct Validate {
    pub(crate) request: Outgoing,
    /// It asks for the bytes, or for the first of them.
    pub(crate) of_bytes: bool,
}

impl Validate {
    /// What the reply to this request says.
    pub(crate) fn reads(&self, request: &Outgoing) -> Reads {
        match request.is_at(&self.request) {
            false => Reads::Nothing,
            true if self.of_bytes => Reads::Bytes,
            true => Reads::About,
        }
    }
}

/// What a reply of the app says of a document's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reads {
    Nothing,
    /// Their validators.
    About,
    /// Their validators and their length.
    Bytes,
}

/// One `[[test]]`.
#[derive(Debug, Clone)]
pub(crate) struct TestCase {
    pub(crate) name: String,
    pub(crate) method: Method,
    pub(crate) target: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) caller: TestCaller,
    /// What the app answers, whatever it is asked.
    pub(crate) app: StatusCode,
    pub(crate) document: TestDocument,
    pub(crate) attributes: BTreeMap<String, serde_json::Value>,
    /// A user of the same identity as the caller.
    pub(crate) uploader: Option<String>,
    pub(crate) expect: Vec<Expected>,
}

#[derive(Debug, Clone)]
pub(crate) enum TestCaller {
    /// No good token came, and why it is none.
    Refused(Reason),
    /// Signed by the identity with this index.
    Claims { identity: usize, claims: serde_json::Map<String, serde_json::Value> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TestDocument {
    Ready,
    Pending,
    Refused,
    Unknown,
}

/// A part of `expect`.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    pub(crate) what: Expectation,
    /// Bytes of the configuration.
    pub(crate) place: Range<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expectation {
    Lane(&'static str),
    /// Whether there is a session.
    Session(bool),
    Reason(Reason),
    /// In any order.
    Permissions(Vec<&'static str>),
}
