//! Configurations that are made in code.
//!
//! What the builders collect is written out as the TOML that it stands for, and read as a file is: the keys, their
//! checks and the messages are the same ones.

mod issuer;
mod rules;
mod settings;
#[cfg(test)]
mod tests;

use std::path::Path;

use serde::Serialize;

pub use issuer::TokenIssuer;
pub use rules::{DeleteRoute, Documents, UploadRoute, ViewRoute};

use super::problem::{Problem, Severity};
use super::tree::Deployment;
use super::{Config, ConfigError, process_env};
use settings::Settings;

/// Makes a [`Config`] for a layer; see [`Config::builder`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ConfigBuilder {
    settings: Settings,
}

impl Config {
    /// A configuration made in code, for the layer. What has no method of its own is set by its key, with any value that
    /// TOML has; [`Config::reference`] prints the keys.
    ///
    /// ```
    /// use axum::{Router, body::Body, http::Request, routing::{get, post}};
    /// use tower::ServiceExt;
    /// use transom::{Config, Documents, Transom, UploadRoute, ViewRoute};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// let config = Config::builder()
    ///     .dws_key("pdf_live_key")
    ///     .store_path(dir.path())
    ///     .documents(
    ///         "files",
    ///         Documents::new()
    ///             .upload(UploadRoute::new("POST /files").file_in_part("file").id_in_json("$.id"))
    ///             .view(ViewRoute::new("GET /files/{id}").session_in_json("/viewer_session")),
    ///     )
    ///     .set("app.paths.case", "ignore")
    ///     .build()?;
    ///
    /// let transom = Transom::start(config).await?;
    /// let router = Router::new()
    ///     .route("/files", post(|| async { r#"{"id":7}"# }))
    ///     .route("/files/{id}", get(|| async { r#"{"id":7}"# }));
    /// let service = Router::new().fallback_service(transom.around(router));
    ///
    /// let reply = service.oneshot(Request::get("/files/7").body(Body::empty())?).await?;
    /// assert_eq!(reply.status(), 200);
    /// # transom.stop(std::time::Duration::ZERO).await;
    /// # Ok(()) }
    /// ```
    pub fn builder() -> ConfigBuilder {
        ConfigBuilder::default()
    }
}

impl ConfigBuilder {
    /// The Viewer API key of the Nutrient account.
    pub fn dws_key(self, key: impl Into<String>) -> Self {
        self.set("dws.api_key", key.into())
    }

    /// Where DWS is, if not at Nutrient: a sandbox, or a DWS of a test.
    pub fn dws_url(self, url: impl Into<String>) -> Self {
        self.set("dws.url", url.into())
    }

    /// The directory of the store and the spool; it is made where it is missing. Default: `transom-data` in the current
    /// directory.
    pub fn store_path(self, path: impl AsRef<Path>) -> Self {
        self.set("store.path", path.as_ref())
    }

    /// A kind of documents. `name` is a part of addresses, as in `/.transom/view/files/7`: letters, digits, `-` and `_`.
    pub fn documents(mut self, name: &str, documents: Documents) -> Self {
        self.settings.insert_table("documents", name, documents.settings);
        self
    }

    /// One more issuer of tokens. Without any, the app's word alone decides who gets a session.
    pub fn identity(mut self, issuer: TokenIssuer) -> Self {
        self.settings.push_table("identity", issuer.settings);
        self
    }

    /// Any key by its name from the top, as in `set("app.paths.case", "ignore")`. A secret may be
    /// `{ "env": "NAME" }` or `{ "file": "path" }`, too.
    pub fn set(mut self, key: &str, value: impl Serialize) -> Self {
        self.settings.set(key, value);
        self
    }

    /// # Errors
    /// Every problem at once, as of a file: places are those in the TOML that the calls stand for, and secrets are masked.
    pub fn build(self) -> Result<Config, ConfigError> {
        let (path, Settings { table, mistakes }) = (Path::new(SHOWN), self.settings);
        if !mistakes.is_empty() {
            let problem = |message| Problem::new(Severity::Error, None, message);
            let problems: Vec<_> = mistakes.into_iter().map(problem).collect();
            return Err(ConfigError::new(&problems, "", path));
        }
        Config::parse_as(Deployment::LayerInCode, &table.to_string(), path, &process_env)
    }
}

/// In the place of a file's name.
const SHOWN: &str = "Config::builder()";
