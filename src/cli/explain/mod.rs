//! `transom explain`: what would become of a request, and why.

mod text;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use http::StatusCode;

use super::remote::Admin;
use super::store::{CommandError, exit_code};
use crate::auth::as_if_signed;
use crate::config::Config;
use crate::explain::{Asked, Case, Document, Explainer, case_of};
use crate::nearest::nearest;
use crate::store::{DocumentStore, SledStore, StoreError, sled_path};
use crate::trail::{Explanation, Wanted};

/// Tells which lane a request takes, and each decision on its way
///
/// By itself it sends nothing to the app or to DWS: the app is taken to answer as `--app` says. What is known
/// of documents comes from the store, unless a running Transom holds it; keys at URLs are fetched. With
/// `--admin` a running Transom is asked, which knows its keys and documents and asks the app itself; nothing
/// is stored or minted. With `--live` it tells of the next such request that somebody makes.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "config.toml")]
    config: PathBuf,
    /// The method, such as GET
    #[arg(required_unless_present_any = ["test", "request_id"])]
    method: Option<String>,
    /// Path and query, such as /api/files/7; with --live a route, such as /api/files/{id}
    #[arg(required_unless_present_any = ["test", "request_id"])]
    target: Option<String>,
    /// A header of the request, as `name: value`; may be repeated
    #[arg(short = 'H', long = "header", value_name = "HEADER", value_parser = header, conflicts_with = "live")]
    headers: Vec<(String, String)>,
    /// The status of the app's answers
    #[arg(long, value_name = "STATUS", default_value = "200", conflicts_with_all = ["admin", "live"])]
    app: StatusCode,
    /// A token with these claims is taken to be there and good, as `{"sub":"ann"}`
    #[arg(long, value_name = "JSON", conflicts_with_all = ["admin", "live", "test"])]
    claims: Option<String>,
    /// The identity whose token it is, where there are several
    #[arg(long, value_name = "NAME", requires = "claims")]
    identity: Option<String>,
    /// The request and the assumptions of a `[[test]]` of the configuration
    #[arg(long, value_name = "NAME", conflicts_with_all = ["method", "headers", "admin", "live"])]
    test: Option<String>,
    /// Asks the Transom that is running, at its `[server] admin` address
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
    /// Waits for the next such request, and tells of it; from `[server] admin` unless --admin is there
    #[arg(long)]
    live: bool,
    /// With --live: the request with this x-request-id
    #[arg(long, value_name = "ID", requires = "live")]
    request_id: Option<String>,
    /// With --live: how many seconds to wait
    #[arg(long, value_name = "SECONDS", default_value = "60", requires = "live")]
    within: u64,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

/// An explanation, and what it rests on.
struct Answer {
    explanation: Explanation,
    /// `None`: the app's own.
    app: Option<StatusCode>,
    remark: Option<String>,
}

impl ExplainArgs {
    pub(crate) fn run(self) -> ExitCode {
        exit_code("explain", async {
            let json = self.json;
            let answer = self.answer().await?;
            if json {
                let text = serde_json::to_string_pretty(&answer.explanation);
                println!("{}", text.map_err(CommandError::failed)?);
                if let Some(remark) = answer.remark {
                    eprintln!("note: {remark}");
                }
            } else {
                print!("{}", text::text(&answer));
            }
            Ok(())
        })
    }

    async fn answer(self) -> Result<Answer, CommandError> {
        if self.live {
            let explanation = self.admin()?.next(self.wanted()).await?;
            return Ok(Answer { explanation, app: None, remark: None });
        }
        if self.admin.is_some() {
            let explanation = self.admin()?.explain(&self.asked()).await?;
            return Ok(Answer { explanation, app: None, remark: None });
        }
        let config = load(&self.config)?;
        match &self.test {
            Some(name) => by_test(config, name).await,
            None => self.offline(config).await,
        }
    }

    async fn offline(self, config: Config) -> Result<Answer, CommandError> {
        let request = self.asked().request().map_err(CommandError::Usage)?;
        let caller = match &self.claims {
            Some(claims) => Some(caller(&config, claims, self.identity.as_deref())?),
            None => None,
        };
        let (store, document, remark) = documents(&config);
        let explainer = Explainer::start(config, store, caller.is_none()).await;
        let explainer = explainer.map_err(CommandError::Failed)?;
        let case = Case { request, caller, app: self.app, document };
        let explanation = explainer.explain(case).await;
        Ok(Answer { explanation, app: Some(self.app), remark })
    }

    fn admin(&self) -> Result<Admin, CommandError> {
        if let Some(url) = &self.admin {
            return Admin::at(url);
        }
        match load(&self.config)?.server.admin {
            Some(address) => Admin::at(&format!("http://{address}")),
            None => Err(CommandError::Usage(
                "`[server] admin` is off, so that no running Transom can be asked".to_owned(),
            )),
        }
    }

    fn asked(&self) -> Asked {
        Asked {
            method: self.method.clone().unwrap_or_default(),
            target: self.target.clone().unwrap_or_default(),
            headers: self.headers.clone(),
        }
    }

    fn wanted(&self) -> Wanted {
        Wanted {
            method: self.method.clone(),
            path: self.target.clone(),
            request_id: self.request_id.clone(),
            within: Some(self.within),
        }
    }
}

async fn by_test(config: Config, name: &str) -> Result<Answer, CommandError> {
    let Some(test) = config.tests.iter().find(|test| test.name == name).cloned() else {
        let known = config.tests.iter().map(|test| test.name.as_str());
        let near = nearest(name, known).map(|near| format!("; did you mean {near:?}?"));
        let near = near.unwrap_or_default();
        return Err(CommandError::Usage(format!("there is no test {name:?}{near}")));
    };
    let explainer = Explainer::start(config, None, false).await.map_err(CommandError::Failed)?;
    let explanation = explainer.explain(case_of(&explainer.engine().config, &test)).await;
    Ok(Answer { explanation, app: Some(test.app), remark: None })
}

fn caller(
    config: &Config,
    claims: &str,
    identity: Option<&str>,
) -> Result<Result<crate::auth::Caller, crate::auth::Refusal>, CommandError> {
    let claims = serde_json::from_str(claims).map_err(|error| {
        CommandError::Usage(format!(
            "--claims is not a JSON object such as {{\"sub\":\"ann\"}}: {error}"
        ))
    })?;
    let mut identities = config.identities.iter();
    let found = match identity {
        Some(name) => identities.find(|identity| identity.name == name),
        None if config.identities.len() == 1 => identities.next(),
        None => None,
    };
    let names: Vec<_> = config.identities.iter().map(|found| found.name.as_str()).collect();
    let found = found.ok_or_else(|| match names.as_slice() {
        [] => CommandError::Usage("there is no `[[identity]]` that could vouch for claims".into()),
        names => CommandError::Usage(format!("--identity is one of {}", names.join(", "))),
    })?;
    Ok(as_if_signed(found, &claims))
}

fn load(config: &Path) -> Result<Config, CommandError> {
    Config::load_for_proxy(config).map_err(|error| CommandError::Usage(error.to_string()))
}

/// The store, or the assumption that stands for it and a remark that says so.
fn documents(config: &Config) -> (Option<Arc<dyn DocumentStore>>, Document, Option<String>) {
    let path = sled_path(&config.store.path);
    let why = match path.join("db").exists() {
        false => "there is no store yet".to_owned(),
        true => match SledStore::look_below(&config.store.path) {
            Ok(store) => return (Some(Arc::new(store)), Document::Known, None),
            Err(StoreError::Locked(_)) => {
                let admin = config.server.admin.map(|at| format!(", by --admin http://{at}"));
                let admin = admin.unwrap_or_default();
                format!("the store belongs to a running Transom, which can be asked itself{admin}")
            }
            Err(error) => format!("the store can't be read ({error})"),
        },
    };
    let remark = format!("{why}; here every document is taken to be at DWS");
    (None, Document::ready(), Some(remark))
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("expected `name: value`")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http::Request;

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
        [[documents.files.view]]
        route = "GET /files/{id}"
        session = { page = true }
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
            claims: serde_json::json!({ "role": "member" }),
            expires: u64::MAX,
        };
        let app = StatusCode::from_u16(app).unwrap();
        let caller = (!target.contains("nobody")).then_some(Ok(caller));
        let case = Case { request, caller, app, document: Document::ready() };
        let explainer = Explainer::start(config, None, true).await.unwrap();
        let explanation = explainer.explain(case).await;
        let answer = Answer { explanation, app: Some(app), remark: None };
        (text::text(&answer), answer.explanation)
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
            assert_eq!((&*explanation.lane, decided), (lane, decision), "{line} {app}:\n{text}");
        }
    }

    #[tokio::test]
    async fn the_text_tells_each_step() {
        let (text, explanation) = told("GET /api/files/7", 200).await;
        assert_eq!(
            text,
            "GET /api/files/7\n  no   route        documents.files.view[1]: GET /files/{id}: the path does not match\n  \
             no   route        documents.files.delete[0]: DELETE /api/files/{id}: another method\n  \
             yes  route        documents.files.view[0]: GET /api/files/{id}\n  \
             yes  token        identity `app` vouches for user `ann`\n  \
             yes  app          its own answer, 200, is a yes\n  \
             yes  allow        claims.role != 'guest', with claims.role = \"member\"\n  \
             yes  document     files/7 is (its DWS id) at DWS\n  \
             -    permissions  read\n  \
             -    sent         {\"data\":{\"session\":\"<session>\"}}, in the reply's JSON\n\
             lane view: session_given with read, if the app answers 200\n\
             why: caller, policy, app and document agree\n"
        );
        assert_eq!(explanation.permissions, ["read"]);
        let (text, _) = told("GET /api/files/nobody", 200).await;
        assert!(text.contains("looked in: Authorization: Bearer (identity `app`)"), "{text}");
        let (text, _) = told("GET /files/7", 200).await;
        assert!(
            text.contains("  no   page   no browser's navigation, which alone gets a page"),
            "{text}"
        );
    }
}
