//! The language as a whole. `problems.rs` holds rendered messages word for word, `mistakes.rs`
//! what is noticed.

#![allow(clippy::unwrap_used)]

mod mistakes;
mod problems;

use std::path::Path;
use std::time::Duration;

use http::Method;
use proptest::prelude::*;
use secrecy::ExposeSecret as _;

use super::*;
use crate::inject::Pointer;

const BASE: &str = r#"
app = { url = "http://127.0.0.1:3000" }
dws = { api_key = { env = "KEY" } }
"#;

fn env(name: &str) -> Option<String> {
    match name {
        "KEY" | "NUTRIENT_DWS_VIEWER_API_KEY" => Some("pdf_live_key".to_owned()),
        "SECRET" | "APP_JWT_SECRET" => Some("0123456789abcdef0123456789abcdef".to_owned()),
        _ => None,
    }
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse_with(text, Path::new("config.toml"), &env)
}

#[track_caller]
fn good(text: &str) -> Config {
    parse(&format!("{BASE}{text}")).unwrap_or_else(|error| panic!("{error}"))
}

/// The titles of all problems of BASE and this.
#[track_caller]
fn titles(text: &str) -> Vec<String> {
    let error = match parse(&format!("{BASE}{text}")) {
        Ok(config) => config.warnings().iter().map(ToString::to_string).collect(),
        Err(error) => error.to_string(),
    };
    let title = |line: &&str| {
        ["error: ", "warning: ", "not available yet: "].iter().any(|start| line.starts_with(start))
    };
    // Said of nearly every upload rule here; `problems` has a test of it.
    let advice = "warning: any part of a form with a file name is taken";
    error.lines().filter(title).filter(|title| *title != advice).map(str::to_owned).collect()
}

#[test]
fn a_layer_needs_nothing_that_says_where_the_app_is() {
    let without = "dws = { api_key = \"k\" }\n";
    let layer = |text: &str| Config::parse(text, Path::new("config.toml"));
    assert!(layer(without).unwrap().app.url.is_none());
    let paths = layer(&format!("{without}app = {{ paths = {{ case = \"ignore\" }} }}")).unwrap();
    assert!(paths.app.url.is_none() && paths.app.fold_case);
    // Nothing listens there, so that nothing collides.
    layer(&format!("{without}app = {{ url = \"http://127.0.0.1:8080\" }}")).unwrap();

    let proxy = parse(without).unwrap_err().to_string();
    assert!(proxy.contains("error: `[app]` is missing"), "{proxy}");
    let error = layer("[app]\nurl = \"nowhere\"").unwrap_err().to_string();
    assert!(error.contains("config.toml:2:7") && error.contains("`[dws]` is missing"), "{error}");
}

#[test]
fn defaults() {
    let config = good("");
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.server.admin.unwrap().to_string(), "127.0.0.1:9090");
    assert_eq!(config.server.prefix, "/.transom");
    assert_eq!(config.server.drain, Duration::from_secs(20));
    assert!(config.server.trusted_proxies.is_empty() && config.server.workers > 0);
    assert!(
        config.app.rewrite_origin
            && !config.app.fold_case
            && !config.app.fold_trailing_slash
            && !config.app.encoded_slash
    );
    assert_eq!(config.backend.url, "https://api.nutrient.io/viewer");
    assert_eq!(config.backend.api_key.expose_secret(), "pdf_live_key");
    assert_eq!(config.store.path, Path::new("transom-data"));
    assert!(config.viewer.sdk.ends_with("/nutrient-viewer.js"));
    assert_eq!(
        titles(""),
        ["warning: no kind of document: every request passes through untouched"]
    );
}

#[test]
fn everything_written() {
    let config = good(
        r#"
[server]
listen = "[::]:80"
admin = "off"
workers = 3
trusted_proxies = ["10.0.0.0/8", "::1/128"]
proxy_protocol = ["::/0"]
allow_any_proxy = true
prefix = "/viewer"
drain = "5s"
[store]
path = "data"
[viewer]
sdk = "/sdk.js"
[[identity]]
name = "app"
tokens = [{ bearer = true }, { scheme = "JWT" }, { cookie = "t" }, { header = "X-T" }, { query = "t" }]
algorithms = ["HS256"]
key = { secret = { env = "SECRET" } }
issuer = "i"
audience = "a"
require = { type = "access", level = 3 }
leeway = "10s"
user = "/org/user"
[documents.files]
source = { route = "GET /f/{id}/c", headers = { accept = "*/*" } }
probe = ["HEAD /f/{id}", { route = "GET /x?post={id}&a=1", headers = { accept = "application/json" } }]
[[documents.files.upload]]
route = "POST /f"
when = "form.action == 'upload'"
file = { part = "file" }
id = [{ json = "$.data.id" }, { header = "location", pattern = "/f/{id}" }, { text = "id {id}" }]
accepted = "reply.status in [200, 201]"
confirm = false
mode = "tee"
max_size = "1 MiB"
types = ["application/pdf"]
[[documents.files.replace]]
route = "PUT /f/{id}"
file = { body = true }
[[documents.files.delete]]
route = "DELETE /f/{*id}"
prefix = true
accepted = "reply.status == 204"
[[documents.files.delete]]
route = "POST /remove"
id = { body_json = "$[*]" }
[[documents.files.view]]
route = "GET /f/{id}"
session = [{ json = "/data/s" }, { cookie = "s" }, { request_header = "X-S" }, { response_header = "X-S" }, { page = true }]
authorize = ["token", "probe"]
identity = "app"
allow = "claims.role != 'guest'"
permissions = ["read"]
grant = [{ when = "claims.role == 'e'", permissions = ["write", "download"] }]
ttl = "1m"
wait = "1s"
"#,
    );
    assert_eq!(
        titles(""),
        ["warning: no kind of document: every request passes through untouched"]
    );
    assert_eq!(config.warnings(), []);
    assert_eq!((config.server.admin, config.server.workers), (None, 3));
    let identity = &config.identities[0];
    assert_eq!(identity.tokens.len(), 5);
    assert_eq!(identity.audience, ["a"]);
    assert_eq!(identity.require.len(), 2);
    assert_eq!(identity.user, ClaimPath("/org/user".to_owned()));
    let kind = &config.kinds[0];
    assert_eq!(kind.source.as_ref().unwrap().headers["accept"], "*/*");
    assert_eq!(kind.probe.len(), 2);
    assert_eq!(kind.probe[0].method, Method::HEAD);
    let session = &kind.views[0].session;
    let ways = (session.request.len(), session.head.len(), session.body.len());
    assert_eq!((ways, session.instead.is_some()), ((1, 2, 1), true));
    let found = config.routes.candidates("/f", None);
    let Action::Upload(upload) = &found[0].rule.action else { panic!() };
    assert_eq!(found[0].rule.name, "documents.files.upload[0]");
    let ids: Vec<_> = upload.id.iter().map(ToString::to_string).collect();
    let written = [
        r#"{ json = "$.data.id" }"#,
        r#"{ header = "location", pattern = "/f/{id}" }"#,
        r#"{ text = "id {id}" }"#,
    ];
    assert_eq!(ids, written);
    assert_eq!((upload.max_size, upload.types.len(), upload.only_known), (1 << 20, 1, false));
    let found = config.routes.candidates("/f/7", None);
    let view = found.iter().find_map(|found| match &found.rule.action {
        Action::View(view) => Some(view),
        _ => None,
    });
    let view = view.unwrap();
    assert_eq!(view.session.body[0].pointer(), Pointer::parse("/data/s").ok().as_ref());
    assert_eq!(view.authorize, Authorize { token: true, app: AppSays::Probe });
    assert_eq!(view.grant[0].permissions.names(), ["write", "download"]);
    assert_eq!(view.ttl, Duration::from_secs(60));
    assert_eq!(view.id[0].to_string(), r#"{ path = "id" }"#);
}

#[test]
fn what_is_not_written_follows_from_what_is() {
    let view = "[[documents.f.view]]\nroute = \"GET /f/{id:digits}\"\nsession = { page = true }\n";
    let config = good(view);
    let kind = &config.kinds[0];
    assert!(kind.source.is_none());
    assert_eq!(kind.probe[0].target("7").unwrap(), "/f/7");
    assert_eq!(kind.views[0].authorize, Authorize { token: false, app: AppSays::Reply });
    assert_eq!(kind.views[0].permissions.names(), ["read"]);
    let config = good(&format!("[documents.f]\nsource = \"GET /c/{{id}}\"\n{view}"));
    let probe = &config.kinds[0].probe[0];
    assert_eq!(
        (probe.target("7").unwrap().as_str(), &probe.headers["range"]),
        ("/c/7", &"bytes=0-0".parse().unwrap())
    );
}

#[test]
fn files_are_found_beside_the_configuration() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("key"), "from-a-file\n").unwrap();
    let text = "store = { path = \"s\" }\napp = { url = \"http://a\" }\ndws = { api_key = { file = \"key\" } }\n";
    let path = directory.path().join("c.toml");
    std::fs::write(&path, text).unwrap();
    let config = Config::load(&path).unwrap();
    assert_eq!(config.backend.api_key.expose_secret(), "from-a-file");
    assert_eq!(config.store.path, directory.path().join("s"));
    let missing = Config::load(directory.path().join("none.toml")).unwrap_err().to_string();
    assert!(missing.starts_with("error: can't read the configuration: "), "{missing}");
}

#[test]
fn what_editors_put_around_a_key_is_no_part_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let (path, file) = (directory.path().join("c.toml"), directory.path().join("key"));
    let text = "app = { url = \"http://a\" }\ndws = { api_key = { file = \"key\" } }\n[documents]\n\
        [[identity]]\nname = \"a\"\nissuer = \"i\"\naudience = \"a\"\nalgorithms = [\"HS256\"]\n\
        key = { secret = { file = \"secret\" } }\n[audit]\npath = \"a\"\nkey = { file = \"secret\" }\n";
    let secret = "an inner blank, of at least 32 bytes";
    for (before, after) in
        [("", "\n\n"), ("\u{feff}", ""), ("", "\r\n"), (" \n", " \t\n\n"), ("\u{feff}", "\r\n\r\n")]
    {
        std::fs::write(&file, format!("{before}pdf_live_1{after}")).unwrap();
        std::fs::write(directory.path().join("secret"), format!("{before}{secret}{after}"))
            .unwrap();
        std::fs::write(&path, text).unwrap();
        let config = Config::load(&path).unwrap();
        assert_eq!(config.backend.api_key.expose_secret(), "pdf_live_1", "{before:?} {after:?}");
        let KeySource::Secret(key) = &config.identities[0].key else { panic!() };
        assert_eq!(key.expose_secret(), secret.as_bytes());
        assert_eq!(config.audit.unwrap().key.unwrap().expose_secret(), secret);
    }
    for key in ["pdf\nlive", "pdf\u{1}live", "pdf\u{e9}", "\u{200b}pdf"] {
        std::fs::write(&file, key).unwrap();
        let told = Config::load(&path).unwrap_err().to_string();
        assert!(told.contains("can stand in no header") && told.contains(":2:"), "{told}");
        assert!(!told.contains("live"), "{told}");
    }
    for bytes in [&b"\xff\xfep\0d\0f\0"[..], b"pdf\xff"] {
        std::fs::write(&file, bytes).unwrap();
        let told = Config::load(&path).unwrap_err().to_string();
        assert!(told.contains("not text in UTF-8"), "{told}");
    }
    std::fs::write(&file, " \n\n").unwrap();
    assert!(Config::load(&path).unwrap_err().to_string().contains("this secret is empty"));
}

#[test]
fn the_spool_has_limits() {
    let limits = |text: &str| good(&format!("[store]\nspool = {{ {text} }}")).store.spool;
    let usual = SpoolLimits::default();
    assert_eq!(good("").store.spool, usual);
    assert_eq!(limits(""), usual);
    assert_eq!(limits("reserve = \"0\"").reserve, 0);
    let all = limits(
        "limit = \"4 MiB\", unaccepted = \"3 MiB\", per_client = \"2 MiB\", reserve = \"1 MiB\"",
    );
    let expected =
        SpoolLimits { limit: 4 << 20, unaccepted: 3 << 20, per_client: 2 << 20, reserve: 1 << 20 };
    assert_eq!(all, expected);
    for (text, title) in [
        ("limit = \"0\"", "error: nothing would be captured"),
        ("limits = \"1 GiB\"", "error: unknown key `limits`"),
        (
            "reserve = \"1 gib\"",
            "error: `1 gib` is not a size such as \"100 MiB\": did you mean `GiB`? as its unit",
        ),
        (
            "unaccepted = \"20 GiB\"",
            "warning: `unaccepted` is more than `limit`, so it never counts",
        ),
        (
            "per_client = \"3 GiB\"",
            "warning: `per_client` is more than `unaccepted`, so it never counts",
        ),
    ] {
        let titles = titles(&format!("[documents]\n[store]\nspool = {{ {text} }}"));
        assert!(titles.contains(&title.to_owned()), "{title}: {titles:?}");
    }
}

#[test]
fn the_shipped_configuration_has_no_problem() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let config = Config::parse_with(&text, &path, &env).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.warnings(), []);
    let rules = |path: &str| config.routes.candidates(path, None).len();
    for path in ["/api/files", "/upload", "/files/7/content", "/api/files/7", "/files/7/delete"] {
        assert!(rules(path) > 0, "{path}");
    }
    assert_eq!((rules("/"), rules("/login"), rules("/files/7")), (0, 0, 0));
}

#[test]
fn rules_of_one_route_differ_by_when_or_file() {
    let rule = |more: &str| {
        format!("[[documents.f.upload]]\nroute = \"POST /f\"\nid = {{ json = \"$.id\" }}\n{more}\n")
    };
    let told_apart = [
        (rule("when = \"form.a == '1'\""), rule("")),
        (rule("when = \"form.a == '1'\""), rule("when = \"form.a == '2'\"")),
        (rule("file = { part = \"a\" }"), rule("file = { part = \"b\" }")),
    ];
    let source = "[documents.f]\nsource = \"GET /f/{id}\"\n";
    for (one, other) in told_apart {
        assert_eq!(titles(&format!("{source}{one}{other}")), [""; 0]);
    }
    let same = titles(&format!("{source}{}{}", rule(""), rule("")));
    assert_eq!(same.len(), 1, "{same:?}");
}

proptest! {
    #[test]
    fn no_text_panics(text in "(\\PC|\n|=|\"|\\[|\\]|\\{|\\}|app|url|documents|identity|'){0,60}") {
        let _ = parse(&text).map_err(|error| error.to_string());
    }

    #[test]
    fn no_wrong_type_panics(
        section in prop::sample::select(vec!["server", "app", "dws", "identity", "documents", "documents.f", "documents.f.upload", "documents.f.view"]),
        key in prop::sample::select(vec!["listen", "url", "api_key", "tokens", "key", "route", "session", "id", "file", "f", "upload", "grant", "source", "probe", "paths", "require", "resolve", "types"]),
        value in prop::sample::select(vec!["1", "1.5", "true", "\"x\"", "[]", "{}", "[1]", "[{}]", "{ a = 1 }", "2020-01-01", "\"POST /x/{id}\"", "{ json = \"$\" }", "{ file = \"/nowhere\" }"]),
        list in any::<bool>(),
    ) {
        let header = if list { format!("[[{section}]]") } else { format!("[{section}]") };
        let _ = parse(&format!("{header}\n{key} = {value}\n")).map_err(|error| error.to_string());
    }
}

#[test]
fn tenants() {
    let kind = |name: &str, more: &str| {
        format!(
            "[documents.{name}]\n{more}\n[[documents.{name}.view]]\nroute = \"GET /v/{{id}}\"\n\
             session = {{ page = true }}\n"
        )
    };
    let a = kind("a", "hosts = [\"A.example.\"]");
    let b = kind("b", "hosts = [\"b.example:81\"]");
    let config = parse(&format!("{BASE}{a}{b}")).unwrap();
    assert_eq!(config.warnings().len(), 0);
    assert_eq!(*config.kinds[0].hosts, ["a.example".to_owned()]);
    assert!(
        !titles(&(a.clone() + &kind("b", "")))
            .iter()
            .any(|title| title.contains("the same requests"))
    );
    assert!(
        titles(&(kind("a", "") + &kind("b", "")))
            .iter()
            .any(|title| title.contains("the same requests"))
    );
    assert_eq!(
        titles(&kind("a", "hosts = [\"http://a\"]")),
        ["error: `http://a` is not a host such as \"a.example\" or \"a.example:8443\""]
    );
    let told = |title: &str, more: &str| {
        let title = if title.is_empty() { String::new() } else { format!("{title}, ") };
        let base = BASE.replace("app = { ", &format!("app = {{ {title}"));
        let config = parse(&format!("{base}{}", kind("a", more))).unwrap();
        config.warnings().iter().any(|warning| warning.to_string().contains("tenant"))
    };
    let names = "origins = [\"https://a.example\", \"https://b.example\"]";
    assert!(told(names, ""));
    assert!(!told(names, "per_host = true"));
    assert!(told("rewrite_host = true", "per_host = true"));
    assert!(!told("", "per_host = true"));
}
