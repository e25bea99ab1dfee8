#![allow(clippy::unwrap_used)]

use reqwest::multipart::{Form, Part};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use serde_json::Value;

use super::*;
use crate::demo::sample_pdf;

struct Visit {
    app: LegacyApp,
    client: Client,
}

impl Visit {
    async fn start() -> Self {
        let app =
            LegacyApp::start(([127, 0, 0, 1], 0).into(), "a secret of the app").await.unwrap();
        let client = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        Self { app, client }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.app.address())
    }

    async fn token(&self, user: usize) -> String {
        let (name, password, _) = USERS[user];
        let login = self.client.post(self.url("/login")).header("accept", "application/json");
        let login = login.form_body(&format!("username={name}&password={password}"));
        let reply: Value = login.send().await.unwrap().json().await.unwrap();
        reply["access_token"].as_str().unwrap().to_owned()
    }

    async fn get(&self, path: &str, token: &str) -> Response {
        self.client.get(self.url(path)).bearer_auth(token).send().await.unwrap()
    }

    async fn upload(&self, path: &str, token: &str) -> Response {
        let part = Part::bytes(sample_pdf(&["hello"])).file_name("pl\u{e4}n \"1\".pdf");
        let form =
            Form::new().text("note", "x").part("file", part.mime_str("application/pdf").unwrap());
        self.client.post(self.url(path)).bearer_auth(token).multipart(form).send().await.unwrap()
    }
}

trait FormBody {
    fn form_body(self, form: &str) -> Self;
}

impl FormBody for reqwest::RequestBuilder {
    fn form_body(self, form: &str) -> Self {
        self.header("content-type", "application/x-www-form-urlencoded").body(form.to_owned())
    }
}

#[tokio::test]
async fn people_log_in_with_a_form_and_keep_a_cookie() {
    let visit = Visit::start().await;
    let front = visit.client.get(visit.url("/")).send().await.unwrap();
    assert_eq!(
        (front.status().as_u16(), &front.headers()["location"]),
        (303, &"/login".parse().unwrap())
    );
    let wrong = visit.client.post(visit.url("/login")).form_body("username=ann&password=x");
    assert_eq!(wrong.send().await.unwrap().status(), 401);

    let right = visit.client.post(visit.url("/login")).form_body("username=ann&password=anemone");
    let right = right.send().await.unwrap();
    assert_eq!(right.status(), 303);
    let cookie = right.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"));
    let cookie = format!("theme=dark; {}", cookie.split(';').next().unwrap());
    let front = visit.client.get(visit.url("/")).header("cookie", cookie).send().await.unwrap();
    assert!(front.text().await.unwrap().contains("Files of ann"));
    visit.app.stop().await;
}

#[tokio::test]
async fn a_file_lives_and_is_its_owners_alone() {
    let visit = Visit::start().await;
    let (ann, bob) = (visit.token(0).await, visit.token(1).await);
    let created = visit.upload("/api/files", &ann).await;
    assert_eq!(created.status(), 201);
    let created: Value = created.json().await.unwrap();
    assert_eq!(
        created["data"],
        serde_json::json!({"id": 1, "name": "pl\u{e4}n \"1\".pdf", "owner": "ann"})
    );
    let sent = visit.upload("/upload", &ann).await;
    assert_eq!(
        (sent.status().as_u16(), &sent.headers()["location"]),
        (303, &"/files/2".parse().unwrap())
    );

    let page = visit.get("/files/1", &ann).await.text().await.unwrap();
    assert!(
        page.contains("href=\"/files/1/content\"") && page.contains("pl\u{e4}n &quot;1&quot;.pdf")
    );
    let content = visit.get("/files/1/content", &ann).await;
    assert_eq!(content.headers()["content-type"], "application/pdf");
    assert!(content.headers()["content-disposition"].to_str().unwrap().starts_with("attachment;"));
    assert_eq!(content.bytes().await.unwrap(), sample_pdf(&["hello"]));
    for path in ["/files/1", "/files/1/content", "/api/files/1"] {
        assert_eq!(visit.get(path, &bob).await.status(), 403, "{path}");
    }
    assert_eq!(visit.get("/api/files/1", "forged").await.status(), 401);
    assert_eq!(visit.get("/api/files/9", &ann).await.status(), 404);

    let put = visit.client.put(visit.url("/api/files/1/content")).bearer_auth(&ann).body("new");
    assert_eq!(put.send().await.unwrap().status(), 200);
    let stored = visit.app.files();
    assert_eq!((stored[0].version, stored[0].size, stored[1].version), (2, 3, 1));
    let gone =
        visit.client.delete(visit.url("/api/files/1")).bearer_auth(&bob).send().await.unwrap();
    assert_eq!(gone.status(), 403);
    let gone =
        visit.client.delete(visit.url("/api/files/1")).bearer_auth(&ann).send().await.unwrap();
    assert_eq!(gone.status(), 204);
    let gone =
        visit.client.post(visit.url("/files/2/delete")).bearer_auth(&ann).send().await.unwrap();
    assert_eq!(gone.status(), 303);
    assert!(visit.app.files().is_empty());
}

#[tokio::test]
async fn ranges() {
    let visit = Visit::start().await;
    let ann = visit.token(0).await;
    visit.upload("/api/files", &ann).await;
    let size = visit.app.files()[0].size;
    for (range, status, length) in [
        ("bytes=0-0", 206, 1),
        ("bytes=1-", 206, size - 1),
        ("bytes=-4", 206, 4),
        ("bytes=0-999999999", 206, size),
        ("bytes=999999999-", 416, 0),
        ("bytes=5-4", 200, size),
        ("bytes=0-1,3-4", 200, size),
        ("lines=1-2", 200, size),
    ] {
        let get = visit.client.get(visit.url("/files/1/content")).bearer_auth(&ann);
        let reply = get.header("range", range).send().await.unwrap();
        assert_eq!(reply.status(), status, "{range}");
        assert_eq!(reply.bytes().await.unwrap().len(), length, "{range}");
    }
}
