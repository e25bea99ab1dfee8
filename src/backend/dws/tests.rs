//! The client against the sandbox: what it sends, and what it makes of every answer.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::client::document_id;
use super::*;
use crate::config::{BackendConfig, Permissions};
use crate::sandbox::{Sandbox, SandboxOptions};
use crate::telemetry::Metrics;

const PDF: &[u8] = b"%PDF-1.4\n1 0 obj << >> endobj\n%%EOF\n";
const READ: Permissions = Permissions { read: true, write: false, download: false };
const READ_DOWNLOAD: Permissions = Permissions { read: true, write: false, download: true };

/// A client, the sandbox that it speaks to, and a file to send.
struct Bench {
    sandbox: Sandbox,
    client: DwsClient,
    file: NamedTempFile,
}

impl Bench {
    async fn new() -> Self {
        Self::with_key("sandbox-key").await
    }

    async fn with_key(key: &str) -> Self {
        let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
        let client = client(&sandbox.url(), key);
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(PDF).unwrap();
        Self { sandbox, client, file }
    }

    async fn upload(&self, title: Option<&str>) -> Result<String, BackendError> {
        let upload = Upload {
            path: self.file.path(),
            title,
            content_type: "application/pdf",
            size: PDF.len() as u64,
            document_id: None,
            sha256: "",
        };
        self.client.upload(upload).await
    }

    async fn session(&self, document_id: &str) -> Result<SessionToken, BackendError> {
        let request = SessionRequest {
            document_id,
            permissions: READ_DOWNLOAD,
            expires: in_minutes(15),
            user_id: Some("anna"),
        };
        self.client.session(request).await
    }

    async fn control(&self, method: &str, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.sandbox.control_url());
        let request = reqwest::Client::new().request(method.parse().unwrap(), url).json(&body);
        let reply = request.send().await.unwrap();
        assert!(reply.status().is_success(), "{path}: {}", reply.status());
        reply.json().await.unwrap()
    }

    async fn fault(&self, rule: Value) {
        self.control("POST", "faults", rule).await;
    }

    async fn documents(&self) -> usize {
        self.control("GET", "state", Value::Null).await["documents"].as_array().unwrap().len()
    }

    async fn last_request(&self) -> Value {
        let journal = self.control("GET", "journal", Value::Null).await;
        journal["requests"].as_array().unwrap().last().unwrap().clone()
    }
}

fn config(url: &str, key: &str) -> BackendConfig {
    BackendConfig {
        name: NAME,
        url: url.to_owned(),
        api_key: key.into(),
        upload_idle: BackendConfig::UPLOAD_IDLE,
        refused_keep: BackendConfig::REFUSED_KEEP,
    }
}

fn client(url: &str, key: &str) -> DwsClient {
    let config = config(url, key);
    DwsClient::new(&config, Arc::new(Metrics::new()), None).unwrap()
}

fn in_minutes(minutes: u64) -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + minutes * 60
}

#[tokio::test]
async fn an_upload_carries_name_type_length_and_accept() {
    let bench = Bench::new().await;
    for name in ["Übersicht \"Q3\" 日本.pdf", "plain.pdf", "100%25;a=b, c.pdf", "it's (1).pdf"] {
        let id = bench.upload(Some(name)).await.unwrap();
        assert_eq!(id.len(), 26);
        let request = bench.last_request().await;
        assert_eq!(request["file"]["name"], name);
        assert_eq!(request["file"]["content_type"], "application/pdf");
        assert_eq!(request["file"]["bytes"], PDF.len());
        assert_eq!(request["file"]["multipart"], true);
        assert!(request["content_length"].as_u64().unwrap() > PDF.len() as u64);
        assert_eq!(request["headers"].get("transfer-encoding"), None);
        assert_eq!(request["headers"]["accept"], "application/json");
        assert!(request["headers"]["user-agent"].as_str().unwrap().starts_with("transom/"));
        let state = bench.control("GET", "state", Value::Null).await;
        assert_eq!(state["documents"].as_array().unwrap().last().unwrap()["title"], name);
    }
}

#[tokio::test]
async fn a_large_file_arrives_as_it_is() {
    let bench = Bench::new().await;
    let mut file = NamedTempFile::new().unwrap();
    let bytes: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).take(3_000_001).collect();
    file.write_all(&bytes).unwrap();
    let upload = Upload {
        path: file.path(),
        title: None,
        content_type: "application/octet-stream",
        size: bytes.len() as u64,
        document_id: None,
        sha256: "",
    };
    let id = bench.client.upload(upload).await.unwrap();
    let url = format!("{}documents/{id}/content", bench.sandbox.control_url());
    let stored = reqwest::get(url).await.unwrap().bytes().await.unwrap();
    assert!(stored == bytes);
}

#[tokio::test]
async fn every_spelling_of_the_id_is_read() {
    let cases = [
        (json!({ "data": { "document_id": "A", "id": "B" }, "id": "C" }), Some("A")),
        (json!({ "data": { "document_id": "", "documentId": "B" } }), Some("B")),
        (json!({ "data": { "document_id": 7, "id": "B" } }), Some("B")),
        (json!({ "document_id": "A", "id": "B" }), Some("A")),
        (json!({ "id": "B" }), Some("B")),
        (json!({ "data": [] }), None),
    ];
    for (body, id) in cases {
        assert_eq!(document_id(&body), id, "{body}");
    }
}

#[tokio::test]
async fn other_success_replies_are_read_too() {
    let bench = Bench::new().await;
    bench.control("POST", "quirks", json!({ "upload_status": 201, "flat_upload": true })).await;
    assert_eq!(bench.upload(None).await.unwrap().len(), 26);
}

#[tokio::test]
async fn each_status_becomes_its_kind() {
    use BackendErrorKind::*;
    let bench = Bench::new().await;
    let cases = [
        (json!({ "status": 401 }), KeyRefused),
        (json!({ "status": 402 }), Quota),
        (json!({ "status": 403 }), Forbidden),
        (json!({ "status": 403, "body": "document limit reached" }), Quota),
        (json!({ "status": 404 }), NotFound),
        (json!({ "status": 408 }), Unclear),
        (json!({ "status": 413 }), Refused),
        (json!({ "status": 422 }), Refused),
        (json!({ "status": 429 }), RateLimited),
        (json!({ "status": 500 }), Unclear),
        (json!({ "status": 502 }), Unclear),
        (json!({ "status": 503 }), Unclear),
        (json!({ "status": 503, "retry_after": 7 }), Busy),
        (json!({ "status": 308 }), Unreachable),
    ];
    for (fault, kind) in cases {
        let mut rule = fault.clone();
        rule["route"] = json!("upload");
        rule["fault"] = json!("status");
        rule["times"] = json!(1);
        bench.fault(rule).await;
        let error = bench.upload(None).await.unwrap_err();
        assert_eq!(error.kind, kind, "{fault}: {error}");
        assert_eq!(error.status.map(u64::from), fault["status"].as_u64());
        assert_eq!(error.retry_after.map(|wait| wait.as_secs()), fault["retry_after"].as_u64());
    }
    assert_eq!(bench.documents().await, 0);
}

#[tokio::test]
async fn an_attempt_without_a_clear_end_is_unclear() {
    let bench = Bench::new().await;
    for (fault, stored) in
        [("reset_before", 0), ("reset_after", 1), ("no_id", 2), ("invalid_json", 3)]
    {
        bench.fault(json!({ "route": "upload", "fault": fault, "times": 1 })).await;
        let error = bench.upload(None).await.unwrap_err();
        assert_eq!(error.kind, BackendErrorKind::Unclear, "{fault}: {error}");
        assert_eq!(bench.documents().await, stored, "{fault}");
    }
}

#[tokio::test]
async fn an_upload_may_take_long_but_not_stand_still() {
    let mut bench = Bench::new().await;
    bench.client.times.upload_idle = Duration::from_millis(200);
    bench.fault(json!({ "route": "upload", "fault": "hang", "times": 1 })).await;
    let error = bench.upload(None).await.unwrap_err();
    assert_eq!(error.kind, BackendErrorKind::Unclear);
    assert!(error.detail.contains("no progress"), "{error}");

    bench.fault(json!({ "route": "upload", "fault": "slow_body", "delay_ms": 100 })).await;
    let error = bench.upload(None).await.unwrap_err();
    assert!(error.detail.contains("no progress"), "{error}");
}

#[tokio::test]
async fn slow_answers_are_waited_for() {
    let bench = Bench::new().await;
    bench
        .fault(json!({ "route": "any", "fault": "slow_headers", "delay_ms": 50, "times": 1 }))
        .await;
    let id = bench.upload(None).await.unwrap();
    bench
        .fault(json!({ "route": "session", "fault": "slow_body", "delay_ms": 1, "times": 1 }))
        .await;
    bench.session(&id).await.unwrap();
}

#[tokio::test]
async fn nothing_was_sent_when_nobody_listens_or_tls_fails() {
    let bench = Bench::new().await;
    let address = bench.sandbox.address;
    let over_tls = client(&format!("https://{address}/viewer"), "sandbox-key");
    assert_eq!(over_tls.check().await.unwrap_err().kind, BackendErrorKind::Unreachable);
    let unknown_name = client("http://dws.invalid/viewer", "sandbox-key");
    assert_eq!(unknown_name.check().await.unwrap_err().kind, BackendErrorKind::Unreachable);

    let Bench { sandbox, client, file } = bench;
    sandbox.stop().await;
    let upload = Upload {
        path: file.path(),
        title: None,
        content_type: "application/pdf",
        size: PDF.len() as u64,
        document_id: None,
        sha256: "",
    };
    let error = client.upload(upload).await.unwrap_err();
    assert_eq!(error.kind, BackendErrorKind::Unreachable, "{error}");
}

#[tokio::test]
async fn a_file_that_is_not_as_captured_is_not_sent() {
    let bench = Bench::new().await;
    let gone = bench.file.path().with_extension("gone");
    for (path, size) in [(gone.as_path(), 1), (bench.file.path(), 3), (bench.file.path(), 999)] {
        let upload = Upload {
            path,
            title: None,
            content_type: "application/pdf",
            size,
            document_id: None,
            sha256: "",
        };
        assert_eq!(bench.client.upload(upload).await.unwrap_err().kind, BackendErrorKind::File);
    }
    assert_eq!(bench.documents().await, 0);
}

#[tokio::test]
async fn a_file_that_was_damaged_at_equal_size_is_not_stored() {
    let bench = Bench::new().await;
    let sum = |content: &[u8]| {
        let sum = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, content);
        sum.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let upload = async |sha256: &str| {
        let upload = Upload {
            path: bench.file.path(),
            title: None,
            content_type: "application/pdf",
            size: PDF.len() as u64,
            document_id: None,
            sha256,
        };
        bench.client.upload(upload).await
    };
    let mut other = PDF.to_vec();
    other[0] ^= 1;
    let error = upload(&sum(&other)).await.unwrap_err();
    assert_eq!(error.kind, BackendErrorKind::File);
    assert!(error.detail.contains("checksum"), "{}", error.detail);
    assert_eq!(bench.documents().await, 0);
    upload(&sum(PDF)).await.unwrap();
    assert_eq!(bench.documents().await, 1);
}

#[tokio::test]
async fn the_size_limit_reaches_the_client() {
    let options = SandboxOptions { size_limit: 10, ..SandboxOptions::default() };
    let sandbox = Sandbox::start(options).await.unwrap();
    let mut bench = Bench::new().await;
    bench.client = client(&sandbox.url(), "sandbox-key");
    let error = bench.upload(None).await.unwrap_err();
    assert_eq!((error.kind, error.status), (BackendErrorKind::Refused, Some(413)));
}

#[tokio::test]
async fn a_used_up_plan_is_a_quota() {
    let bench = Bench::new().await;
    for status in [402, 403, 422, 429] {
        let quota = json!({ "documents": 0, "sessions": 0, "status": status });
        bench.control("POST", "quota", quota).await;
        assert_eq!(bench.upload(None).await.unwrap_err().kind, BackendErrorKind::Quota, "{status}");
        let error = bench.session("D1").await.unwrap_err();
        assert_eq!(error.kind, BackendErrorKind::Quota, "{status}");
        assert!(error.detail.contains("sandbox-quota"), "{error}");
    }
}

#[tokio::test]
async fn secrets_in_answers_stay_out_of_errors() {
    let bench = Bench::new().await;
    for route in ["upload", "session", "list", "delete"] {
        bench.fault(json!({ "route": route, "fault": "echo_authorization" })).await;
    }
    let errors = [
        bench.upload(None).await.unwrap_err(),
        bench.session("D1").await.unwrap_err(),
        bench.client.remove("D1").await.unwrap_err(),
        bench.client.check().await.unwrap_err(),
    ];
    for error in errors {
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("[key]"), "{shown}");
        assert!(shown.contains("sandbox-request"), "{shown}");
        assert!(!shown.contains("sandbox-key"), "{shown}");
    }
}

#[tokio::test]
async fn huge_errors_are_cut() {
    let bench = Bench::new().await;
    bench.fault(json!({ "route": "session", "fault": "huge_error" })).await;
    let error = bench.session("D1").await.unwrap_err();
    assert_eq!(error.kind, BackendErrorKind::Gateway);
    assert!(error.detail.len() < 400, "{}", error.detail.len());
}

#[tokio::test]
async fn removing_is_idempotent_and_never_without_an_id() {
    let bench = Bench::new().await;
    let id = bench.upload(None).await.unwrap();
    bench.client.remove(&id).await.unwrap();
    assert_eq!(bench.documents().await, 0);
    bench.client.remove(&id).await.unwrap();
    assert_eq!(bench.last_request().await["headers"]["accept"], "application/json");
    bench.client.remove("a/../b?c").await.unwrap();
    assert_eq!(bench.last_request().await["path"], "/viewer/documents/a%2F%2E%2E%2Fb%3Fc");
    bench.control("DELETE", "journal", Value::Null).await;
    assert_eq!(bench.client.remove("").await.unwrap_err().kind, BackendErrorKind::Refused);
    let journal = bench.control("GET", "journal", Value::Null).await;
    assert_eq!(journal["requests"], json!([]));
}

#[tokio::test]
async fn a_session_is_what_was_asked() {
    let bench = Bench::new().await;
    let session = bench.session("D1").await.unwrap();
    assert_eq!(session.document_id, "D1");
    assert_eq!(session.permissions, READ_DOWNLOAD);
    assert!(session.expires <= in_minutes(15));
    let server_url = format!("http://{}/", bench.sandbox.address);
    assert_eq!(session.server_url.as_deref(), Some(server_url.as_str()));
    assert!(!format!("{session:?}").contains(session.jwt.expose_secret()));

    let request = bench.last_request().await;
    let document = &request["json"]["allowed_documents"][0];
    assert_eq!(document["permissions"], json!(["read", "download"]));
    assert_eq!(document["document_permissions"], json!(["read", "download"]));
    assert_eq!(request["json"]["user_id"], "anna");
    assert_eq!(request["headers"]["accept"], "application/json");
}

#[tokio::test]
async fn a_session_wider_than_asked_is_refused() {
    let bench = Bench::new().await;
    let quirks = [
        json!({ "grant_all": true }),
        json!({ "grant_document": "D2" }),
        json!({ "grant_extra_document": "D2" }),
        json!({ "grant_longer": 1 }),
        json!({ "omit_permissions": true }),
    ];
    for quirk in quirks {
        bench.control("POST", "quirks", quirk.clone()).await;
        let error = bench.session("D1").await.unwrap_err();
        assert_eq!(error.kind, BackendErrorKind::TooWide, "{quirk}");
    }
}

#[tokio::test]
async fn a_shorter_session_is_taken() {
    let bench = Bench::new().await;
    bench.control("POST", "quirks", json!({ "clamp_expiry": true })).await;
    let request = SessionRequest {
        document_id: "D1",
        permissions: READ,
        expires: in_minutes(48 * 60),
        user_id: None,
    };
    let session = bench.client.session(request).await.unwrap();
    assert!(session.expires <= in_minutes(24 * 60));
    assert_eq!(bench.last_request().await["json"].get("user_id"), None);
}

#[tokio::test]
async fn the_check_tells_its_causes_apart() {
    Bench::new().await.client.check().await.unwrap();
    let cases = [
        ("no-such-key", BackendErrorKind::KeyRefused, "does not know the API key"),
        ("sandbox-wrong-product", BackendErrorKind::Forbidden, "another product's key"),
    ];
    for (key, kind, text) in cases {
        let error = Bench::with_key(key).await.client.check().await.unwrap_err();
        assert_eq!(error.kind, kind);
        assert!(error.detail.contains(text), "{error}");
    }
    let bench = Bench::new().await;
    bench.fault(json!({ "route": "list", "fault": "invalid_json", "times": 1 })).await;
    let error = bench.client.check().await.unwrap_err();
    assert!(error.detail.contains("does not answer as DWS would"), "{error}");
    let elsewhere = client(&format!("http://{}", bench.sandbox.address), "sandbox-key");
    let error = elsewhere.check().await.unwrap_err();
    assert!(error.detail.contains("has no Viewer API there"), "{error}");
    let nobody = client("http://127.0.0.1:1/viewer", "sandbox-key");
    let error = nobody.check().await.unwrap_err();
    assert!(error.detail.contains("can't be reached at http://127.0.0.1:1/viewer"), "{error}");
}

#[test]
fn a_key_that_no_header_can_carry_is_named_without_showing_it() {
    let config = config("http://localhost", "a\nb-secret");
    let error = DwsClient::new(&config, Arc::new(Metrics::new()), None).unwrap_err();
    assert!(!error.contains("secret"), "{error}");
}

#[tokio::test]
async fn a_document_is_lost_only_where_that_is_certain() {
    let bench = Bench::new().await;
    let (one, two) = (bench.upload(None).await.unwrap(), bench.upload(None).await.unwrap());
    for there in [&one, &two] {
        assert!(!bench.client.has_lost(there).await.unwrap());
    }
    bench.client.remove(&one).await.unwrap();
    assert!(bench.client.has_lost(&one).await.unwrap(), "another one is found");
    assert!(!bench.client.has_lost(&two).await.unwrap());
    bench.client.remove(&two).await.unwrap();
    assert!(bench.client.has_lost(&two).await.unwrap(), "there is none at all");
    for status in [403, 404, 429, 500] {
        bench.fault(json!({ "route": "any", "fault": "status", "status": status })).await;
        assert!(bench.client.has_lost(&two).await.is_err(), "{status}");
        bench.control("DELETE", "faults", Value::Null).await;
    }
}
