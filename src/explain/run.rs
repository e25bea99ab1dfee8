//! One request through the lanes, for its trail alone.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Empty;
use serde::Serialize;
use tower::{Layer, ServiceExt};

use super::pretend::{App, Store};
use super::trail::{Step, Told, Trail};
use crate::auth::Caller;
use crate::config::{Action, Config, Delivery, ViewRule};
use crate::engine::Transom;
use crate::inject::Pointer;
use crate::mapping::{Mapping, MappingStore};
use crate::reason::Reason;
use crate::viewer::is_navigation;

/// A request, and what is to be assumed about the rest of the world.
pub(crate) struct Case {
    /// Without a body.
    pub(crate) request: Request<()>,
    /// Taken as verified, instead of looking for a token.
    pub(crate) caller: Option<Caller>,
    /// The app's answer to whatever it is asked.
    pub(crate) app: StatusCode,
    pub(crate) document: Document,
}

/// Where it is looked up what is known of documents.
pub(crate) enum Document {
    In(Arc<dyn MappingStore>),
    /// Each is known as this one, or unknown.
    Assumed(Option<Box<Mapping>>),
}

/// What would happen, and the steps to it.
#[derive(Debug, Serialize)]
pub(crate) struct Explanation {
    pub(crate) lane: &'static str,
    /// `session_given`, or why there is none; nothing where no session is due.
    pub(crate) decision: Option<Reason>,
    pub(crate) permissions: Vec<&'static str>,
    pub(crate) steps: Vec<Step>,
}

/// Runs the case. Nothing is sent, minted or written; keys at URLs are fetched.
///
/// # Errors
/// A sentence for the operator.
pub(crate) async fn explain(config: Config, case: Case) -> Result<Explanation, String> {
    let Case { request, caller, app, document } = case;
    let store = match document {
        Document::In(store) => Store::Read(store),
        Document::Assumed(mapping) => Store::Assumed(mapping),
    };
    let app = stand_in(&config, &request, app);
    let scratch = Scratch::new();
    let transom = Transom::start_apart(config, Arc::new(store), &scratch.0).await;
    let transom = transom.map_err(|error| error.to_string())?;
    let trail = Trail::with_caller(caller);
    let mut request = request.map(|()| Empty::<Bytes>::new());
    request.extensions_mut().insert(trail.clone());
    let Ok(reply) = transom.layer().layer(app).oneshot(request).await;
    drop(reply);
    let Told { steps, lane, decision, permissions } = trail.told().clone();
    Ok(Explanation { lane: lane.unwrap_or("pass"), decision, permissions, steps })
}

/// An app whose answer could carry what the view's rule delivers.
fn stand_in(config: &Config, request: &Request<()>, status: StatusCode) -> App {
    let (uri, method) = (request.uri(), request.method());
    let views = config.routes.candidates(uri.path(), uri.query()).into_iter();
    let view = views.filter(|found| found.rule.method == *method).find_map(|found| {
        match &found.rule.action {
            Action::View(view) => Some(view),
            _ => None,
        }
    });
    let page = view.is_some_and(|view| view.session.contains(&Delivery::Page))
        && is_navigation(method, uri, request.headers());
    let content_type = if page { "application/pdf" } else { "application/json" };
    let body = view.map_or_else(|| "{}".to_owned(), body);
    App { status, content_type, body: body.into() }
}

/// `{"data":{}}` for the pointer `/data/viewer_session`.
fn body(view: &ViewRule) -> String {
    let pointer = view.session.iter().find_map(|delivery| match delivery {
        Delivery::Json(Pointer(tokens)) => Some(tokens.as_slice()),
        _ => None,
    });
    let above = pointer.and_then(|tokens| tokens.split_last()).map_or(&[][..], |(_, above)| above);
    let wrap = |inner: serde_json::Value, token: &String| match token.parse::<usize>() {
        Ok(index) => serde_json::Value::Array(vec![inner; (index + 1).min(MAX_ITEMS)]),
        Err(_) => serde_json::json!({ token: inner }),
    };
    above.iter().rev().fold(serde_json::json!({}), wrap).to_string()
}

/// A spool that nothing is spooled to.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new() -> Self {
        let name = format!("transom-explain-{:016x}", rand::random::<u64>());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // An empty folder left behind harms nobody.
        let _ = std::fs::remove_dir(&self.0);
    }
}

const MAX_ITEMS: usize = 64;
