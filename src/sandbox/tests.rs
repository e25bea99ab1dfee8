//! The sandbox over HTTP, as its peers see it.
#![allow(clippy::unwrap_used)]

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::clock;
use super::{Sandbox, SandboxOptions};

const PDF: &[u8] = b"%PDF-1.4\n%%EOF\n";
const KEY: &str = "Bearer sandbox-key";

/// A request that is what a well-behaved client sends unless told otherwise.
fn request(sandbox: &Sandbox, method: Method, path: &str) -> reqwest::RequestBuilder {
    reqwest::Client::new()
        .request(method, format!("http://{}{path}", sandbox.address))
        .header("accept", "application/json")
}

async fn started() -> Sandbox {
    Sandbox::start(SandboxOptions::default()).await.unwrap()
}

async fn get(sandbox: &Sandbox, path: &str) -> (StatusCode, String) {
    let reply =
        request(sandbox, Method::GET, path).header("authorization", KEY).send().await.unwrap();
    (reply.status(), reply.text().await.unwrap())
}

async fn get_json(sandbox: &Sandbox, path: &str) -> Value {
    serde_json::from_str(&get(sandbox, path).await.1).unwrap()
}

async fn post(sandbox: &Sandbox, path: &str, body: Value) -> (StatusCode, Value) {
    let reply = request(sandbox, Method::POST, path).header("authorization", KEY).json(&body);
    let reply = reply.send().await.unwrap();
    (reply.status(), reply.json().await.unwrap_or_default())
}

async fn upload_raw(sandbox: &Sandbox, bytes: &'static [u8]) -> Value {
    let upload = request(sandbox, Method::POST, "/viewer/documents").header("authorization", KEY);
    upload.body(bytes).send().await.unwrap().json().await.unwrap()
}

async fn upload(sandbox: &Sandbox) -> String {
    upload_raw(sandbox, PDF).await["data"]["document_id"].as_str().unwrap().to_owned()
}

async fn session(sandbox: &Sandbox, document: Value, seconds: i64) -> String {
    let expires = clock::unix_now().as_secs().saturating_add_signed(seconds);
    let body = json!({ "allowed_documents": [document], "exp": expires, "user_id": "anna" });
    let (status, reply) = post(sandbox, "/viewer/sessions", body).await;
    assert_eq!(status, StatusCode::CREATED);
    reply["jwt"].as_str().unwrap().to_owned()
}

fn claims(jwt: &str) -> Value {
    use base64::Engine;
    let payload = jwt.split('.').nth(1).unwrap();
    let decoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap();
    serde_json::from_slice(&decoded).unwrap()
}

async fn auth(sandbox: &Sandbox, id: &str, body: Value) -> (StatusCode, String) {
    let auth = request(sandbox, Method::POST, &format!("/i/d/{id}/auth"))
        .header("origin", "https://app.example")
        .json(&body);
    let reply = auth.send().await.unwrap();
    let headers = reply.headers();
    assert_eq!(headers["access-control-allow-origin"], "https://app.example");
    assert_eq!(headers["access-control-allow-credentials"], "true");
    (reply.status(), reply.text().await.unwrap())
}

#[tokio::test]
async fn a_raw_upload_has_no_title_and_the_casing_is_mixed() {
    let sandbox = started().await;
    let pdf = upload_raw(&sandbox, PDF).await;
    let data = pdf["data"].as_object().unwrap();
    assert!(data["title"].is_null());
    assert_eq!(data["password_protected"], false);
    assert!(data["createdAt"].as_str().unwrap().ends_with('Z'));
    let stored = get_json(&sandbox, "/control/state").await;
    assert_eq!(stored["documents"][0]["sha256"], data["sourcePdfSha256"]);

    let text = upload_raw(&sandbox, b"no pdf").await;
    let stored = get_json(&sandbox, "/control/state").await;
    assert_ne!(stored["documents"][1]["sha256"], text["data"]["sourcePdfSha256"]);
    assert_ne!(upload(&sandbox).await, upload(&sandbox).await);
}

#[tokio::test]
async fn broken_uploads_are_refused() {
    let sandbox = started().await;
    let bodies = [
        (
            "multipart/form-data; boundary=b",
            "--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n--b--\r\n",
        ),
        ("multipart/form-data; boundary=b", "--b\r\nContent-Disp"),
        ("multipart/form-data", "--b--"),
        ("application/json", "{\"url\":\"http://example.com\"}"),
        ("application/pdf", ""),
    ];
    for (content_type, body) in bodies {
        let upload = request(&sandbox, Method::POST, "/viewer/documents")
            .header("authorization", KEY)
            .header("content-type", content_type)
            .body(body);
        let status = upload.send().await.unwrap().status();
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{content_type}: {body}");
    }
    assert_eq!(get_json(&sandbox, "/control/state").await["documents"], json!([]));
}

#[tokio::test]
async fn keys_and_accept_are_checked() {
    let sandbox = started().await;
    let documents = "/viewer/documents";
    let cases = [
        (Method::GET, "", StatusCode::UNAUTHORIZED),
        (Method::GET, "Bearer nobody", StatusCode::UNAUTHORIZED),
        (Method::GET, "Basic sandbox-key", StatusCode::UNAUTHORIZED),
        (Method::GET, "Bearer sandbox-wrong-product", StatusCode::FORBIDDEN),
        (Method::GET, "Bearer sandbox-read-only", StatusCode::OK),
        (Method::POST, "Bearer sandbox-read-only", StatusCode::FORBIDDEN),
    ];
    for (method, authorization, status) in cases {
        let request = request(&sandbox, method, documents).header("authorization", authorization);
        assert_eq!(request.body(PDF).send().await.unwrap().status(), status, "{authorization}");
    }
    for (accept, status) in
        [("*/*", 406), ("text/html", 406), ("text/html, application/json;q=1", 200)]
    {
        let url = format!("http://{}{documents}", sandbox.address);
        let request = reqwest::Client::new().get(url).header("authorization", KEY);
        assert_eq!(request.header("accept", accept).send().await.unwrap().status(), status);
    }
}

#[tokio::test]
async fn the_pdf_is_there_for_those_who_accept_a_pdf() {
    let sandbox = started().await;
    let id = upload_raw(&sandbox, PDF).await["data"]["document_id"].as_str().unwrap().to_owned();
    for (address, accept, status) in [
        ("pdf", "application/pdf", 200),
        ("pdf", "application/json", 200),
        ("pdf", "application/json, application/pdf;q=0.9", 200),
        ("pdf", "*/*", 406),
        ("pdf", "image/png", 406),
        ("properties", "application/pdf", 406),
    ] {
        let url = format!("http://{}/viewer/documents/{id}/{address}", sandbox.address);
        let request = reqwest::Client::new().get(url).header("authorization", KEY);
        let reply = request.header("accept", accept).send().await.unwrap();
        assert_eq!(reply.status(), status, "{address} {accept}");
        if (address, status) == ("pdf", 200) {
            assert_eq!(reply.headers()["content-type"], "application/pdf");
            assert_eq!(reply.bytes().await.unwrap(), PDF);
        }
    }
}

#[tokio::test]
async fn the_list_has_pages_and_cursors() {
    let sandbox = started().await;
    let mut ids = Vec::new();
    for _ in 0..12 {
        ids.insert(0, upload(&sandbox).await);
    }
    let listed = |page: &Value| -> Vec<String> {
        let items = page["data"].as_array().unwrap().iter();
        items.map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    };
    let first = get_json(&sandbox, "/viewer/documents").await;
    assert_eq!(listed(&first), ids[..10]);
    assert_eq!(first["document_count"], 12);
    let next = first["next_cursor"].as_str().unwrap();
    let second = get_json(&sandbox, &format!("/viewer/documents?cursor={next}")).await;
    assert_eq!(listed(&second), ids[10..]);
    assert!(second["next_cursor"].is_null());
    assert!(second["prev_cursor"].is_string());
    let oldest = get_json(&sandbox, "/viewer/documents?page_size=1&order_direction=asc").await;
    assert_eq!(listed(&oldest), ids[11..]);
    assert_eq!(get(&sandbox, "/viewer/documents?page_size=0").await.0, StatusCode::BAD_REQUEST);
    let none = get_json(&sandbox, "/viewer/documents?title=other").await;
    assert_eq!(none["document_count"], 0);
}

#[tokio::test]
async fn a_document_has_properties_and_bytes_but_no_address() {
    let sandbox = started().await;
    let document = format!("/viewer/documents/{}", upload(&sandbox).await);
    let (status, body) = get(&sandbox, &document).await;
    assert_eq!(
        (status, body.as_str()),
        (StatusCode::NOT_FOUND, r#"{"error":"Resource not found."}"#)
    );
    assert_eq!(get(&sandbox, &format!("{document}/properties")).await.0, StatusCode::OK);
    assert_eq!(get(&sandbox, &format!("{document}/pdf?source=true")).await.1.as_bytes(), PDF);

    let delete =
        || request(&sandbox, Method::DELETE, &document).header("authorization", KEY).send();
    let reply = delete().await.unwrap();
    assert_eq!((reply.status(), reply.text().await.unwrap().as_str()), (StatusCode::OK, "OK"));
    let reply = delete().await.unwrap();
    assert_eq!(reply.status(), StatusCode::NOT_FOUND);
    assert_eq!(reply.text().await.unwrap(), "Document not found");
    assert_eq!(get(&sandbox, &format!("{document}/properties")).await.0, StatusCode::NOT_FOUND);
    let empty =
        request(&sandbox, Method::DELETE, "/viewer/documents/").header("authorization", KEY);
    assert_eq!(empty.send().await.unwrap().status(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn only_permissions_counts() {
    let sandbox = started().await;
    let granted = |jwt: &str| claims(jwt)["allowed_documents"][0]["permissions"].clone();
    let narrow = json!({ "document_id": "unknown", "permissions": ["read"] });
    let jwt = session(&sandbox, narrow, 60).await;
    assert_eq!(granted(&jwt), json!(["read"]));
    assert_eq!(claims(&jwt)["user_id"], "anna");
    assert_eq!(claims(&jwt)["server_url"], format!("http://{}/", sandbox.address));
    let ignored = json!({ "document_id": "D1", "document_permissions": ["read"] });
    let jwt = session(&sandbox, ignored.clone(), 60).await;
    assert_eq!(granted(&jwt), json!(["read", "write", "download"]));
    post(&sandbox, "/control/quirks", json!({ "honour_document_permissions": true })).await;
    assert_eq!(granted(&session(&sandbox, ignored, 60).await), json!(["read"]));

    let print = json!({ "allowed_documents": [{ "document_id": "D1", "permissions": ["print"] }] });
    let (status, _) = post(&sandbox, "/viewer/sessions", print).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let (status, empty) = post(&sandbox, "/viewer/sessions", json!({})).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(claims(empty["jwt"].as_str().unwrap()).get("allowed_documents"), None);
}

#[tokio::test]
async fn a_token_stands_for_the_key_with_its_documents() {
    let sandbox = started().await;
    let (one, other) = (upload(&sandbox).await, upload(&sandbox).await);
    let asked = json!({ "allowed_documents": [{ "document_id": one, "permissions": ["read"] }] });
    let (_, minted) = post(&sandbox, "/viewer/tokens", asked).await;
    let token = format!("Bearer {}", minted["jwt"].as_str().unwrap());
    let paths = [
        (format!("/viewer/documents/{one}/pdf"), StatusCode::OK),
        (format!("/viewer/documents/{other}/pdf"), StatusCode::FORBIDDEN),
        ("/viewer/documents".to_owned(), StatusCode::FORBIDDEN),
    ];
    for (path, status) in paths {
        let request = request(&sandbox, Method::GET, &path).header("authorization", &token);
        assert_eq!(request.send().await.unwrap().status(), status, "{path}");
    }
    let (status, _) = auth(&sandbox, &one, minted).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "a token is no session");
}

#[tokio::test]
async fn the_auth_call_takes_good_sessions_only() {
    let sandbox = started().await;
    let id = upload(&sandbox).await;
    let document = |id: &str| json!({ "document_id": id, "permissions": ["read"] });
    let good = session(&sandbox, document(&id), 60).await;
    let (status, body) = auth(&sandbox, &id, json!({ "jwt": good })).await;
    assert_eq!(status, StatusCode::OK);
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["features"][0], "instant");
    assert_eq!(body["digitalSignatures"]["status"], "not_signed");

    let unread = json!({ "document_id": id, "permissions": ["download"] });
    let forged = good.replacen('.', ".e30", 1);
    let cases = [
        (id.as_str(), json!({}), 401, "Unauthorized"),
        (&id, json!({ "jwt": forged }), 403, "Invalid token"),
        (
            &id,
            json!({ "jwt": session(&sandbox, document(&id), -5).await }),
            403,
            "Token has expired",
        ),
        ("D2", json!({ "jwt": good }), 403, "Forbidden"),
        (&id, json!({ "jwt": session(&sandbox, unread, 60).await }), 403, "Forbidden"),
        (
            "D2",
            json!({ "jwt": session(&sandbox, document("D2"), 60).await }),
            404,
            "Document not found",
        ),
    ];
    for (id, body, status, text) in cases {
        assert_eq!(
            auth(&sandbox, id, body).await,
            (StatusCode::from_u16(status).unwrap(), text.to_owned())
        );
    }

    post(&sandbox, "/control/quirks", json!({ "allowed_origins": ["https://other.example"] }))
        .await;
    let elsewhere = session(&sandbox, document(&id), 60).await;
    assert_eq!(auth(&sandbox, &id, json!({ "jwt": elsewhere })).await.1, "Forbidden");
    post(&sandbox, "/control/revoke", Value::Null).await;
    assert_eq!(auth(&sandbox, &id, json!({ "jwt": good })).await.1, "Token has been revoked");
}

#[tokio::test]
async fn content_needs_a_session_and_preflights_pass() {
    let sandbox = started().await;
    let id = upload(&sandbox).await;
    let path = format!("/sandbox/content/{id}");
    let bare = request(&sandbox, Method::GET, &path).send().await.unwrap();
    assert_eq!(bare.status(), StatusCode::UNAUTHORIZED);
    let jwt = session(&sandbox, json!({ "document_id": id, "permissions": ["read"] }), 60).await;
    let reply = request(&sandbox, Method::GET, &path).bearer_auth(&jwt).send().await.unwrap();
    assert_eq!(reply.headers()["content-type"], "application/pdf");
    assert_eq!(reply.bytes().await.unwrap(), PDF);

    for path in [path, format!("/i/d/{id}/auth")] {
        let preflight = request(&sandbox, Method::OPTIONS, &path).header("origin", "null");
        let reply = preflight.send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::NO_CONTENT);
        assert_eq!(reply.headers()["access-control-allow-origin"], "null");
        let allowed = reply.headers()["access-control-allow-headers"].to_str().unwrap().to_owned();
        assert!(allowed.contains("pspdfkit-platform") && allowed.contains("authorization"));
    }
}

#[tokio::test]
async fn quotas_count_and_deletes_give_only_the_place_back() {
    let sandbox = started().await;
    post(&sandbox, "/control/quota", json!({ "documents": 1, "uploads": 2, "status": 403 })).await;
    let refused = |reply: Value| reply["error"]["details"].as_str().unwrap().to_owned();
    let first = upload(&sandbox).await;
    assert!(refused(upload_raw(&sandbox, PDF).await).contains("document limit"));
    let path = format!("/viewer/documents/{first}");
    request(&sandbox, Method::DELETE, &path).header("authorization", KEY).send().await.unwrap();
    upload(&sandbox).await;
    post(&sandbox, "/control/quota", json!({ "uploads": 2 })).await;
    assert!(refused(upload_raw(&sandbox, PDF).await).contains("upload limit"));
    post(&sandbox, "/control/reset", Value::Null).await;
    assert_eq!(get_json(&sandbox, "/control/state").await["counters"]["uploads"], 0);
    upload(&sandbox).await;
}

#[tokio::test]
async fn the_journal_and_the_page_show_requests_without_secrets() {
    let sandbox = started().await;
    upload(&sandbox).await;
    let journal = get(&sandbox, "/control/journal").await.1;
    assert!(journal.contains(r#""caller":"key""#) && !journal.contains("sandbox-key"), "{journal}");
    let form = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"<i>.pdf\"\r\n\r\n%PDF-\r\n--b--\r\n";
    let upload = request(&sandbox, Method::POST, "/viewer/documents").header("authorization", KEY);
    let upload = upload.header("content-type", "multipart/form-data; boundary=b").body(form);
    assert_eq!(upload.send().await.unwrap().status(), StatusCode::OK);
    let page = get(&sandbox, "/control/").await.1;
    assert!(page.contains("&lt;i&gt;.pdf") && !page.contains("<i>"), "{page}");
}

#[tokio::test]
async fn another_sites_page_has_no_control() {
    let sandbox = started().await;
    let reset =
        request(&sandbox, Method::POST, "/control/reset").header("origin", "https://evil.example");
    assert_eq!(reset.send().await.unwrap().status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn control_can_have_a_listener_of_its_own() {
    let control = Some(([127, 0, 0, 1], 0).into());
    let options = SandboxOptions { control, ..SandboxOptions::default() };
    let sandbox = Sandbox::start(options).await.unwrap();
    assert_ne!(sandbox.address, sandbox.control);
    assert_eq!(get(&sandbox, "/control/state").await.0, StatusCode::NOT_FOUND);
    let state = reqwest::get(format!("{}state", sandbox.control_url())).await.unwrap();
    assert_eq!(state.status(), StatusCode::OK);
    let list = format!("http://{}/viewer/documents", sandbox.control);
    assert_eq!(reqwest::get(list).await.unwrap().status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn data_outlives_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let options =
        || SandboxOptions { data: Some(directory.path().to_owned()), ..SandboxOptions::default() };
    let sandbox = Sandbox::start(options()).await.unwrap();
    post(&sandbox, "/control/quirks", json!({ "honour_document_id": true })).await;
    let ids = [upload(&sandbox).await, upload(&sandbox).await];
    let delete = request(&sandbox, Method::DELETE, &format!("/viewer/documents/{}", ids[0]));
    delete.header("authorization", KEY).send().await.unwrap();
    let part = "--b\r\nContent-Disposition: form-data; name=\"document_id\"\r\n\r\n../odd id\r\n--b\r\n\
                Content-Disposition: form-data; name=\"file\"\r\n\r\n%PDF-odd\r\n--b--\r\n";
    let upload = request(&sandbox, Method::POST, "/viewer/documents").header("authorization", KEY);
    let upload = upload.header("content-type", "multipart/form-data; boundary=b").body(part);
    assert_eq!(upload.send().await.unwrap().status(), StatusCode::OK);
    sandbox.stop().await;

    let sandbox = Sandbox::start(options()).await.unwrap();
    let state = get_json(&sandbox, "/control/state").await;
    assert_eq!(state["counters"]["uploads"], 3);
    assert_eq!(state["documents"].as_array().unwrap().len(), 2);
    assert_eq!(get(&sandbox, &format!("/viewer/documents/{}/pdf", ids[1])).await.1.as_bytes(), PDF);
    assert_eq!(get(&sandbox, "/viewer/documents/..%2Fodd%20id/pdf").await.1, "%PDF-odd");
    sandbox.stop().await;
    let left = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(left, 5, "two documents of two files each, and the counters");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_requests_that_hang() {
    let sandbox = started().await;
    post(&sandbox, "/control/faults", json!({ "route": "list", "fault": "hang" })).await;
    let list = request(&sandbox, Method::GET, "/viewer/documents").send();
    let hanging = tokio::spawn(list);
    while get_json(&sandbox, "/control/journal").await["requests"] == json!([]) {
        tokio::task::yield_now().await;
    }
    sandbox.stop().await;
    assert!(hanging.await.unwrap().is_err());
}

#[tokio::test]
async fn unknown_faults_and_quirks_are_named() {
    let sandbox = started().await;
    let (status, _) =
        post(&sandbox, "/control/faults", json!({ "route": "list", "fault": "nap" })).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (status, reply) = post(&sandbox, "/control/quirks", json!({ "grant_al": true })).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(reply["error"].as_str().unwrap().contains("grant_al"));
}
