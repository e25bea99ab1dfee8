//! Whether a document is still there, which the calls that use it don't tell: DWS mints sessions for what is gone.

use serde_json::Value;

use super::BackendError;
use super::client::{CALL_TIMEOUT, DwsClient};
use crate::telemetry::BackendCall;

impl DwsClient {
    /// Whether DWS has lost a document that it once stored.
    ///
    /// A 404 alone proves nothing: a wrong address answers so too. It counts only while the list, with the same
    /// address and key, names another document that is found, or says that there is none at all.
    pub(super) async fn has_lost(&self, document_id: &str) -> Result<bool, BackendError> {
        if self.has(document_id).await? {
            return Ok(false);
        }
        let request = self.calls.get(format!("{}/documents?page_size=1", self.url));
        let reply = self.send(BackendCall::List, request.timeout(CALL_TIMEOUT)).await?;
        let (status, body) = self.json(reply).await?;
        let listed = body.get("data").and_then(Value::as_array);
        let newest = listed.map(|documents| documents.first().map(|newest| newest.get("id")));
        match newest {
            Some(None) => Ok(true),
            Some(Some(Some(Value::String(newest)))) if newest != document_id => {
                self.has(newest).await
            }
            Some(Some(Some(Value::String(_)))) => Ok(false),
            _ => Err(self.unusable(status, "no list of documents")),
        }
    }

    /// By its properties: the document's own address is 404 whether it is there or not.
    async fn has(&self, document_id: &str) -> Result<bool, BackendError> {
        Ok(self.properties(document_id).await?.is_some())
    }
}
