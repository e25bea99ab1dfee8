//! What the tests of a service that mounts Transom need. With the feature `testing`, to be named in
//! `[dev-dependencies]` alone: it brings an HTTP server.
//!
//! ```
//! use transom::{DocumentKey, ViewerSession, testing::Dws};
//!
//! # async fn test() -> Result<(), Box<dyn std::error::Error>> {
//! let dws = Dws::start().await?;
//! let config = format!("[dws]\nurl = {:?}\napi_key = {:?}\n", dws.url(), dws.key());
//!
//! // What a handler behind a view route finds among the extensions of its request.
//! let session = ViewerSession::for_test(DocumentKey::new("files", "7")?, "a-token");
//! assert_eq!(session.permissions(), ["read"]);
//! # Ok(()) }
//! ```

use std::io;
use std::sync::Arc;

use http::HeaderValue;
use secrecy::SecretString;

use crate::backend::SessionToken;
use crate::config::Permissions;
use crate::document::DocumentKey;
use crate::sandbox::{Sandbox, SandboxOptions};
use crate::session::{OnRecord, Session, ViewerSession};

/// A stand-in of DWS Viewer on a free port of this machine, as `transom sandbox` runs it. It answers as the real one was
/// observed to, keeps what it is given in memory, and ends when it is dropped.
#[derive(Debug)]
pub struct Dws {
    sandbox: Sandbox,
    key: String,
}

impl Dws {
    /// Starts one on the current runtime.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn start() -> io::Result<Self> {
        let options = SandboxOptions::default();
        let key = options.key.clone();
        Ok(Self { sandbox: Sandbox::start(options).await?, key })
    }

    /// For `[dws] url`.
    #[must_use]
    pub fn url(&self) -> String {
        self.sandbox.url()
    }

    /// For `[dws] api_key`: the one key that it accepts.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// For `[viewer] sdk`: a small viewer with the face of the Web SDK.
    #[must_use]
    pub fn sdk_url(&self) -> String {
        self.sandbox.sdk_url()
    }

    /// Below this address, which ends in a slash, `GET state` tells what it has, `POST faults` makes it fail and
    /// `GET journal` tells what it was asked, all in JSON.
    #[must_use]
    pub fn control_url(&self) -> String {
        self.sandbox.control_url()
    }

    /// Lets requests in flight end, for at most three seconds.
    pub async fn stop(self) {
        self.sandbox.stop().await;
    }
}

impl ViewerSession {
    /// A session with the right to read, for the unit test of a handler: nobody has minted it, and no viewer opens
    /// with it. It ends in 2100.
    ///
    /// # Panics
    /// `token` holds what no header can carry.
    #[must_use]
    pub fn for_test(document: DocumentKey, token: &str) -> Self {
        let session = SessionToken {
            jwt: SecretString::from(token),
            header: HeaderValue::from_str(token).expect("a token that a header can carry"),
            document_id: format!("dws-{}", document.id()),
            expires: END,
            permissions: Permissions { read: true, write: false, download: false },
            server_url: None,
        };
        let session = Session { token: session, on_record: OnRecord::default() };
        Self::new(Arc::new(session), document)
    }
}

/// 2100-01-01, in Unix seconds.
const END: u64 = 4_102_444_800;
