//! `[server]`, `[app]`, `[dws]`, `[store]` and `[viewer]`.

use std::net::SocketAddr;
use std::time::Duration;

use http::Uri;
use ipnet::IpNet;

use super::keys::{BACKENDS, FILE};
use super::limits;
use super::problem::{Problem, Severity};
use super::secret::api_key;
use super::spool::spool;
use super::tree::{Table, Value};
use super::units::duration;
use super::upstream;
use super::{
    AccessLogTo, AppConfig, BackendConfig, Remember, RuntimeModel, ServerConfig, ServerLimits,
    StoreConfig, TlsConfig, ViewerConfig,
};
use crate::route::Pattern;

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin: Some(SocketAddr::from(([127, 0, 0, 1], 9090))),
            admin_hosts: Vec::new(),
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            runtime: if PER_CORE_WORKS { RuntimeModel::PerCore } else { RuntimeModel::Shared },
            trusted_proxies: Vec::new(),
            proxy_protocol: Vec::new(),
            prefix: "/.transom".to_owned(),
            drain: Duration::from_secs(20),
            limits: ServerLimits::default(),
            tls: None,
            access_log: None,
        }
    }
}

pub(super) fn server(root: &Table<'_>) -> ServerConfig {
    let mut config = ServerConfig::default();
    let Some(table) = root.get("server").and_then(|value| value.table("`[server]`")) else {
        return config;
    };
    if let Some(listen) = table.get("listen").and_then(|value| value.parse(address)) {
        config.listen = listen;
    }
    let admin = table.get("admin");
    if let Some(value) = &admin {
        let admin = if value.as_text() == Some("off") {
            Some(None)
        } else {
            value.parse(|text| address(text).map(Some))
        };
        config.admin = admin.unwrap_or(config.admin);
    }
    if let Some(value) = table.get("admin_hosts") {
        let names = value.array();
        config.admin_hosts = names.iter().filter_map(|item| item.parse(host_name)).collect();
    }
    if config.admin.is_some_and(|admin| collide(admin, config.listen)) {
        let span = admin.map_or(table.span.clone(), |value| value.span);
        let problem = Problem::error(span, "`admin` and `listen` are the same address");
        root.reader.problems.push(problem.label("take another port, or \"off\""));
    }
    if let Some(workers) = table.get("workers").and_then(|value| value.number()) {
        config.workers = workers;
    }
    if let Some(value) = table.get("runtime") {
        let models = [("per_core", RuntimeModel::PerCore), ("shared", RuntimeModel::Shared)];
        match value.choice(&models) {
            Some(RuntimeModel::PerCore) if !PER_CORE_WORKS => {
                value.warn("only Linux spreads connections over workers", "`shared` is used here");
            }
            Some(model) => config.runtime = model,
            None => {}
        }
    }
    let anybody = table.get("allow_any_proxy").and_then(|value| value.bool()).unwrap_or(false);
    let networks = |key| {
        let items = table.get(key).map(|value| value.array()).unwrap_or_default();
        items.iter().filter_map(|item| proxies(item, anybody)).collect()
    };
    config.trusted_proxies = networks("trusted_proxies");
    config.proxy_protocol = networks("proxy_protocol");
    if let Some(prefix) = table.get("prefix").and_then(|value| value.parse(prefix)) {
        config.prefix = prefix;
    }
    if let Some(drain) = table.get("drain").and_then(|value| value.parse(duration)) {
        config.drain = drain;
    }
    if let Some(limits) = table.get("limits").and_then(|value| value.table("`[server.limits]`")) {
        config.limits = limits::of_clients(limits);
    }
    if let Some(value) = table.get("tls") {
        config.tls = value.table("`tls`").and_then(tls);
    }
    config.access_log = table.get("access_log").and_then(|value| access_log(&value));
    table.finish();
    config
}

fn access_log(value: &Value<'_>) -> Option<AccessLogTo> {
    match value.text()? {
        "off" => None,
        "stdout" => Some(AccessLogTo::Stdout),
        "" => value.error("`access_log` is empty", "expected \"stdout\", \"off\" or a file's path"),
        path => Some(AccessLogTo::File(value.reader.directory.join(path))),
    }
}

fn tls(table: Table<'_>) -> Option<TlsConfig> {
    let directory = table.reader.directory;
    let file = |key| table.require(key)?.text().map(|name| directory.join(name));
    let (cert, key, place) = (file("cert"), file("key"), table.span.clone());
    table.finish();
    Some(TlsConfig { cert: cert?, key: key?, place })
}

pub(super) fn app(root: &Table<'_>, listen: SocketAddr) -> AppConfig {
    let proxied = root.reader.deployment.is_proxy();
    let table = match proxied {
        true => section(root, "app"),
        false => root.get("app").and_then(|value| value.table("`[app]`")),
    };
    let Some(table) = table else { return AppConfig::default() };
    let value = if proxied { table.require("url") } else { table.get("url") };
    let mut config = value.as_ref().and_then(upstream::address).unwrap_or_default();
    let authority = config.url.as_ref().and_then(Uri::authority);
    if let Some(value) = value.as_ref().filter(|_| proxied)
        && authority.is_some_and(|authority| authority.as_str() == listen.to_string())
    {
        value.error::<()>("`url` is Transom's own address", "expected the app's address");
    }
    upstream::connection(&table, &mut config);
    if let Some(value) = table.get("origins") {
        config.origins = value.array().iter().filter_map(|item| item.parse(origin)).collect();
    }
    if let Some(rewrite) = table.get("rewrite_origin").and_then(|value| value.bool()) {
        config.rewrite_origin = rewrite;
    }
    if let Some(life) = table.get("remember_decisions").and_then(|value| value.parse(memory)) {
        config.remember = Remember { life };
    }
    if let Some(limits) = table.get("limits").and_then(|value| value.table("`[app.limits]`")) {
        config.limits = limits::of_app(limits);
    }
    if let Some(paths) = table.get("paths").and_then(|value| value.table("`paths`")) {
        let ignored = |value: Value<'_>| value.choice(&[("ignore", true), ("exact", false)]);
        config.fold_case = paths.get("case").and_then(ignored).unwrap_or(false);
        config.fold_trailing_slash = paths.get("trailing_slash").and_then(ignored).unwrap_or(false);
        let kept = |value: Value<'_>| value.choice(&[("kept", true), ("separates", false)]);
        config.encoded_slash = paths.get("encoded_slash").and_then(kept).unwrap_or(false);
        paths.finish();
    }
    table.finish();
    config
}

pub(super) fn backend(root: &Table<'_>) -> Option<BackendConfig> {
    let written = BACKENDS.iter().find(|backend| root.get(backend.0).is_some());
    let (name, address) = *written.or(BACKENDS.first())?;
    let table = section(root, name)?;
    let url = if address.is_some() { table.get("url") } else { table.require("url") };
    let url = url.and_then(|value| value.parse(|text| web(text).map(|_| text)));
    let url = url.or(address).unwrap_or_default().trim_end_matches('/').to_owned();
    let api_key = table.require("api_key").and_then(|value| api_key(&value));
    let span = |name| table.get(name).and_then(|value| value.parse(duration));
    let upload_idle = span("upload_idle").unwrap_or(BackendConfig::UPLOAD_IDLE);
    let refused_keep = span("refused_keep").unwrap_or(BackendConfig::REFUSED_KEEP);
    table.finish();
    Some(BackendConfig { name, url, api_key: api_key?, upload_idle, refused_keep })
}

pub(super) fn store(root: &Table<'_>) -> StoreConfig {
    let table = root.get("store").and_then(|value| value.table("`[store]`"));
    let path = table.as_ref().and_then(|table| table.get("path")).and_then(|value| value.text());
    let hold = table.as_ref().and_then(|table| table.get("hold"));
    let hold = hold.and_then(|value| value.parse(duration)).unwrap_or(HOLD);
    let limits = table.as_ref().and_then(|table| table.get("spool")).map(|value| spool(&value));
    if let Some(table) = table {
        table.finish();
    }
    let path = root.reader.directory.join(path.unwrap_or(STORE_PATH));
    StoreConfig { path, hold, spool: limits.unwrap_or_default() }
}

pub(super) fn viewer(root: &Table<'_>) -> ViewerConfig {
    let table = root.get("viewer").and_then(|value| value.table("`[viewer]`"));
    let sdk = table.as_ref().and_then(|table| table.get("sdk"));
    let sdk = sdk.and_then(|value| {
        value.parse(|text| {
            let own = text.starts_with('/') && !text.starts_with("//");
            let address =
                || web(text).map_err(|expected| format!("{expected}, or a path of the app"));
            if own { Ok(text) } else { address().map(|_| text) }
        })
    });
    if let Some(table) = table {
        table.finish();
    }
    ViewerConfig { sdk: sdk.unwrap_or(SDK).to_owned() }
}

/// How long the app's yes may be remembered.
fn memory(text: &str) -> Result<Duration, String> {
    if text == "off" {
        return Ok(Duration::ZERO);
    }
    match duration(text)? {
        life if life > LONGEST_MEMORY => Err(format!(
            "`{text}`: whom the app locks out would get sessions for that long; at most \"1m\""
        )),
        life => Ok(life),
    }
}

/// A table that must be there.
fn section<'a>(root: &Table<'a>, key: &'static str) -> Option<Table<'a>> {
    if let Some(value) = root.get(key) {
        return value.table(format!("`[{key}]`"));
    }
    let example = FILE.setting(key).map_or("", |setting| setting.example);
    let problem = Problem::new(Severity::Error, None, format!("`[{key}]` is missing"));
    let help = format!("add the table `[{key}]`, or `{key} = {example}`");
    root.reader.problems.push(problem.help(help));
    None
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        let port = text.rsplit(':').next().filter(|port| port.parse::<u16>().is_ok());
        let port = port.unwrap_or("8080");
        format!("`{text}` is not an IP address with a port, such as \"127.0.0.1:{port}\"")
    })
}

/// Without a port: the same name may lead to several.
fn host_name(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if text.is_empty() || !text.bytes().all(fits) {
        return Err(format!("`{text}` is not a host's name such as \"ops.example\""));
    }
    Ok(text.trim_end_matches('.').to_ascii_lowercase())
}

fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let everywhere = a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() == b.port() && a.port() != 0 && (a.ip() == b.ip() || everywhere)
}

/// A network of proxies that are believed in what they say of their clients.
fn proxies(value: &Value<'_>, anybody: bool) -> Option<IpNet> {
    let network = value.parse(network)?;
    if network.prefix_len() == 0 && !anybody {
        let problem = Problem::error(value.span.clone(), format!("`{network}` is everybody"));
        value.report(problem.label("any client could say that it is another").help(
            "name the networks of your proxies; `allow_any_proxy = true` is for a port that nobody else reaches",
        ));
        return None;
    }
    Some(network)
}

fn network(text: &str) -> Result<IpNet, String> {
    text.parse().map_err(|_| {
        let example = match text.parse::<std::net::IpAddr>() {
            Ok(ip) => IpNet::from(ip).to_string(),
            Err(_) => "10.0.0.0/8".to_owned(),
        };
        format!("`{text}` is not a network (CIDR) such as \"{example}\"")
    })
}

fn prefix(text: &str) -> Result<String, String> {
    let pattern = Pattern::parse(text)?;
    let plain = pattern.names().is_empty() && !text.contains(['?', '%']);
    if !plain || text == "/" || text.ends_with('/') {
        return Err(format!("`{text}` is not a prefix such as \"/.transom\""));
    }
    Ok(text.to_owned())
}

fn origin(text: &str) -> Result<String, String> {
    let uri = web(text)?;
    if uri.path() != "/" || uri.query().is_some() {
        return Err(format!("`{text}` is not an origin: scheme, host and port only"));
    }
    Ok(text.trim_end_matches('/').to_ascii_lowercase())
}

/// An absolute http(s) address.
pub(super) fn web(text: &str) -> Result<Uri, String> {
    let uri = text.parse::<Uri>().ok().filter(|uri| {
        let named = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        named && matches!(uri.scheme_str(), Some("http" | "https"))
    });
    uri.ok_or_else(|| "expected an address that starts with http:// or https://".to_owned())
}

const LONGEST_MEMORY: Duration = Duration::from_secs(60);
/// Needs a kernel that spreads connections over sockets with `SO_REUSEPORT`.
const PER_CORE_WORKS: bool = cfg!(target_os = "linux");
pub(super) const DWS_URL: &str = "https://api.nutrient.io/viewer";
/// The default of `[store] hold`.
const HOLD: Duration = Duration::from_secs(10);
pub(super) const STORE_PATH: &str = "transom-data";
pub(super) const SDK: &str = "https://cdn.cloud.nutrient.io/pspdfkit-web@1.22.0/nutrient-viewer.js";
