//! What an upload tells of itself: who sent it, and what the rule wants to remember.

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http::request::Parts;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tracing::debug;

use crate::auth::Caller;
use crate::config::UploadRule;
use crate::engine::Engine;
use crate::rules::Rule;
use crate::store::{Provenance, Uploader};

/// The owner of an upload's token, looked for beside the upload so that it never waits for keys, and at
/// its start, since the token may end before the upload does.
#[derive(Default)]
pub(super) struct Uploading(Option<JoinHandle<Option<Arc<Caller>>>>);

impl Uploading {
    pub(super) fn begin(engine: &Arc<Engine>, parts: &Parts) -> Self {
        if engine.config.identities.is_empty() {
            return Self(None);
        }
        let engine = Arc::clone(engine);
        let (mut asked, ()) = Request::new(()).into_parts();
        asked.uri = parts.uri.clone();
        asked.headers = parts.headers.clone();
        let task = async move { engine.authenticator.authenticate(&asked, &[]).await.ok() };
        Self(Some(tokio::spawn(task)))
    }

    /// `None` too if it takes longer than an app's reply should wait.
    pub(super) async fn caller(self) -> Option<Arc<Caller>> {
        tokio::time::timeout(PATIENCE, self.0?).await.ok()?.ok()?
    }
}

/// `request` and `form` are made only if an attribute looks at them.
pub(super) fn provenance(
    rule: &Rule,
    upload: &UploadRule,
    caller: Option<&Caller>,
    request: impl FnOnce() -> Value,
    form: impl FnOnce() -> Value,
) -> Provenance {
    let looks_at = |name: &str| upload.attributes.iter().any(|(_, source)| source.uses(name));
    let request = if looks_at("request") { request() } else { Value::Null };
    let form = if looks_at("form") { form() } else { Value::Null };
    let nobody = json!({});
    let claims = caller.map_or(&nobody, |caller| &caller.claims);
    let variables = [("claims", claims), ("form", &form), ("request", &request)];
    let attributes = upload.attributes.iter().filter_map(|(name, source)| {
        let value = source.evaluate(&variables).filter(is_small);
        if value.is_none() {
            debug!(rule = rule.name, attribute = name, "this upload does not have the attribute");
        }
        Some((name.clone(), value?))
    });
    Provenance {
        uploader: caller.map(|caller| Uploader {
            identity: caller.identity.to_string(),
            user: caller.user.to_string(),
        }),
        route: Some(format!("{} {}", rule.method, rule.pattern.text())),
        attributes: attributes.collect(),
    }
}

/// Null is no value: two documents without a tenant are not of the same one.
fn is_small(value: &Value) -> bool {
    !value.is_null() && value.to_string().len() <= MAX_ATTRIBUTE
}

const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of JSON.
const MAX_ATTRIBUTE: usize = 1024;
