//! `transom explain`: what would become of a request, and why.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri};

use super::store::{CommandError, exit_code};
use crate::config::Config;
use crate::document::DocumentKey;
use crate::explain::{Case, Document, Explanation, Finding, explain};
use crate::mapping::{Mapping, MappingState, Provenance, SledStore, sled_path};

/// Tells which lane a request would take, and each decision on its way
///
/// Nothing is sent to the app or to DWS: the app is taken to answer as `--app` says. What is known of documents
/// comes from the store, unless a running Transom holds it; keys at URLs are fetched.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "config.toml")]
    config: PathBuf,
    /// The method, such as GET
    method: Method,
    /// Path and query, such as /api/files/7
    target: Uri,
    /// A header of the request, as `name: value`; may be repeated
    #[arg(short = 'H', long = "header", value_name = "HEADER", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The status of the app's answers
    #[arg(long, value_name = "STATUS", default_value = "200")]
    app: StatusCode,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

impl ExplainArgs {
    pub(crate) fn run(self) -> ExitCode {
        exit_code("explain", async {
            let config = Config::load(&self.config);
            let config = config.map_err(|error| CommandError::Usage(error.to_string()))?;
            let json = self.json;
            let (document, remark) = document(&config);
            let (app, request) = (self.app, self.request()?);
            let case = Case { request, caller: None, app, document };
            let explanation = explain(config, case).await.map_err(CommandError::Failed)?;
            if json {
                let text = serde_json::to_string_pretty(&explanation);
                println!("{}", text.map_err(CommandError::failed)?);
            } else {
                print!("{}", text(&explanation, app, remark));
            }
            Ok(())
        })
    }

    fn request(self) -> Result<Request<()>, CommandError> {
        if !self.target.path().starts_with('/') || self.target.authority().is_some() {
            let message = format!("`{}` is not a path such as /api/files/7", self.target);
            return Err(CommandError::Usage(message));
        }
        let mut request = Request::new(());
        *request.method_mut() = self.method;
        *request.uri_mut() = self.target;
        for (name, value) in self.headers {
            request.headers_mut().append(name, value);
        }
        Ok(request)
    }
}

/// The store, or the assumption that stands for it and a remark that says so.
fn document(config: &Config) -> (Document, Option<String>) {
    let path = sled_path(&config.store.path);
    let why = match path.join("db").exists() {
        false => "there is no store yet".to_owned(),
        true => match SledStore::open(&path) {
            Ok(store) => return (Document::In(Arc::new(store)), None),
            Err(error) => format!("the store can't be read ({error})"),
        },
    };
    let remark = format!("{why}: every document is taken to be at DWS");
    (Document::Assumed(any_document().map(Box::new)), Some(remark))
}

fn any_document() -> Option<Mapping> {
    Some(Mapping {
        // Stands for every key.
        key: DocumentKey::new("any", "any").ok()?,
        state: MappingState::Ready { document_id: "(its DWS id)".to_owned() },
        revision: 0,
        title: None,
        content_type: "application/pdf".to_owned(),
        size: 0,
        sha256: String::new(),
        created_at: 0,
        updated_at: 0,
        provenance: Provenance::default(),
    })
}

fn text(explanation: &Explanation, app: StatusCode, remark: Option<String>) -> String {
    let mut text = String::new();
    let width = explanation.steps.iter().map(|step| step.check.len()).max().unwrap_or(0);
    for step in &explanation.steps {
        let mark = match step.finding {
            Finding::Yes => "yes",
            Finding::No => "no ",
            Finding::Told => "-  ",
        };
        // Writing to a string does not fail.
        let _ = writeln!(text, "  {mark}  {:<width$}  {}", step.check, step.detail);
    }
    let outcome = match (explanation.lane, explanation.decision) {
        ("pass", _) => "the request passes through to the app untouched".to_owned(),
        ("capture", _) => {
            "the body is looked through for documents, and the app's answer for their ids"
                .to_owned()
        }
        (_, Some(reason)) => {
            let permissions = match explanation.permissions.join(", ") {
                permissions if permissions.is_empty() => permissions,
                permissions => format!(" with {permissions}"),
            };
            format!("{reason}{permissions}, if the app answers {}", app.as_u16())
        }
        (_, None) => "no session is due in this kind of reply".to_owned(),
    };
    let _ = writeln!(text, "lane {}: {outcome}", explanation.lane);
    if let Some(remark) = remark {
        let _ = writeln!(text, "note: {remark}");
    }
    text
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("expected `name: value`")?;
    let name = HeaderName::try_from(name.trim()).map_err(|_| "that is not a header name")?;
    let value = HeaderValue::from_str(value.trim()).map_err(|_| "that is not a header value")?;
    Ok((name, value))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"
        app = { url = "http://127.0.0.1:3000" }
        dws = { api_key = { env = "K" } }
        [[identity]]
        name = "app"
        algorithms = ["HS256"]
        key = { secret = { env = "K" } }
        issuer = "i"
        audience = "a"
        [documents.files]
        probe = "GET /api/files/{id}"
        [[documents.files.view]]
        route = "GET /api/files/{id}"
        session = { json = "/data/session" }
        allow = "claims.role != 'guest'"
        [[documents.files.delete]]
        route = "DELETE /api/files/{id}"
    "#;

    async fn told(line: &str, app: u16) -> (String, Explanation) {
        let env = |_: &str| Some("0123456789abcdef0123456789abcdef".to_owned());
        let config = Config::parse_with(CONFIG, std::path::Path::new("c.toml"), &env).unwrap();
        let (method, target) = line.split_once(' ').unwrap();
        let request = Request::builder().method(method).uri(target).body(()).unwrap();
        let caller = crate::auth::Caller {
            identity: "app".into(),
            user: "ann".into(),
            claims: Arc::new(serde_json::json!({ "role": "member" })),
            expires: u64::MAX,
        };
        let app = StatusCode::from_u16(app).unwrap();
        let caller = (!target.contains("nobody")).then_some(caller);
        let case = Case {
            request,
            caller,
            app,
            document: Document::Assumed(any_document().map(Box::new)),
        };
        let explanation = explain(config, case).await.unwrap();
        (text(&explanation, app, None), explanation)
    }

    #[tokio::test]
    async fn every_lane() {
        for (line, app, lane, decision) in [
            ("GET /other", 200, "pass", None),
            ("DELETE /api/files/7", 200, "capture", None),
            ("GET /api/files/7", 200, "view", Some("session_given")),
            ("GET /api/files/7", 403, "view", Some("denied_by_app")),
            ("GET /api/files/nobody", 200, "view", Some("token_missing")),
            ("GET /.transom/session/files/7", 200, "own", Some("session_given")),
            ("GET /.transom/session/files/7", 302, "own", Some("denied_by_app")),
            ("GET /.transom/session/files/7", 500, "own", Some("app_unavailable")),
            ("GET /.transom/session/files/nobody", 200, "own", Some("token_missing")),
            ("GET /.transom/session/other/7", 200, "own", Some("document_unknown")),
            ("GET /.transom/x", 200, "own", Some("not_found")),
        ] {
            let (text, explanation) = told(line, app).await;
            let decided = explanation.decision.map(crate::reason::Reason::code);
            assert_eq!((explanation.lane, decided), (lane, decision), "{line} {app}:\n{text}");
        }
    }

    #[tokio::test]
    async fn the_text_tells_each_step() {
        let (text, explanation) = told("GET /api/files/7", 200).await;
        assert_eq!(
            text,
            "  no   route        documents.files.delete[0]: DELETE /api/files/{id}: another method\n  \
             yes  route        documents.files.view[0]: GET /api/files/{id}\n  \
             yes  token        identity `app` vouches for user `ann`\n  \
             yes  allow        claims.role != 'guest', with claims = {\"role\":\"member\"}\n  \
             yes  document     files/7 is (its DWS id) at DWS\n  \
             -    permissions  read\n\
             lane view: session_given with read, if the app answers 200\n"
        );
        assert_eq!(explanation.permissions, ["read"]);
        let (text, _) = told("GET /api/files/nobody", 200).await;
        assert!(text.contains("looked in: Authorization: Bearer (identity `app`)"), "{text}");
    }
}
