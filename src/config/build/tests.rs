//! What the builders make is what a file says.
#![allow(clippy::unwrap_used)]

use super::*;

fn builder() -> ConfigBuilder {
    Config::builder().dws_key("pdf_live_key")
}

#[test]
fn it_says_what_a_file_says() {
    let text = r#"
        dws = { api_key = "pdf_live_key", url = "http://127.0.0.1:1/viewer" }
        store.path = "data"
        app.paths.case = "ignore"
        [[identity]]
        name = "app"
        algorithms = ["HS256"]
        key.secret = "0123456789abcdef0123456789abcdef"
        issuer = "app"
        audience = "app"
        tokens = [{ cookie = "token" }]
        require.type = "access"
        [documents.files]
        probe = "GET /files/{id}/allowed"
        source = "GET /files/{id}/content"
        upload = [
            { route = "POST /files", file = { part = "file" }, id = [{ json = "$.id" }, { header = "location", pattern = "/files/{id}" }] },
            { route = "PUT /files/{id}", file = { body = true }, max_size = "1 MiB" },
        ]
        replace = [{ route = "PATCH /files/{id}", file = { body = true } }]
        delete = [{ route = "DELETE /files/{id}" }]
        view = [
            { route = "GET /files/{id}", session = [{ json = "/session" }, { page = true }], permissions = ["read"], allow = "claims.a == 1" },
        ]"#;
    let issuer = TokenIssuer::new("app", ["HS256"]).secret("0123456789abcdef0123456789abcdef");
    let files = Documents::new()
        .probe("GET /files/{id}/allowed")
        .source("GET /files/{id}/content")
        .upload(
            UploadRoute::new("POST /files")
                .file_in_part("file")
                .id_in_json("$.id")
                .id_in_header("location", "/files/{id}"),
        )
        .upload(UploadRoute::new("PUT /files/{id}").file_is_body().set("max_size", "1 MiB"))
        .replace(UploadRoute::new("PATCH /files/{id}").file_is_body())
        .delete(DeleteRoute::new("DELETE /files/{id}"))
        .view(
            ViewRoute::new("GET /files/{id}")
                .session_in_json("/session")
                .viewer_page()
                .permissions(["read"])
                .allow("claims.a == 1"),
        );
    let built = builder()
        .dws_url("http://127.0.0.1:1/viewer")
        .store_path("data")
        .set("app.paths.case", "ignore")
        .identity(
            issuer.issuer("app").audience("app").cookie("token").set("require.type", "access"),
        )
        .documents("files", files)
        .build()
        .unwrap();
    let read = Config::parse(text, Path::new("c.toml")).unwrap();
    assert_eq!(built.written.changes(&read.written), [""; 0]);
    assert_eq!(built.routes.rules().len(), read.routes.rules().len());
}

#[test]
fn problems_are_told_as_of_a_file() {
    let upload = UploadRoute::new("GET /files/{id}").file_is_body();
    let view = ViewRoute::new("GET /files/{id}").viewer_page().set("tll", "5m");
    let files = Documents::new().upload(upload).view(view);
    let error = builder().documents("files", files).build().unwrap_err().to_string();
    assert!(error.contains("GET requests carry no file"), "{error}");
    assert!(
        error.contains("unknown key `tll`") && error.contains("did you mean `ttl`?"),
        "{error}"
    );
    assert!(error.contains("--> Config::builder():"), "{error}");
}

#[test]
fn a_key_that_code_gives_is_no_secret_in_a_file() {
    let files = Documents::new().source("GET /files/{id}");
    let config = builder().documents("files", files).build().unwrap();
    assert_eq!(config.warnings(), []);
    let error = Config::builder().dws_key("hidden\nkey").build().unwrap_err().to_string();
    assert!(!error.contains("hidden"), "{error}");
    assert!(!format!("{:?}", builder()).contains("pdf_live_key"));
}

#[test]
fn what_can_not_be_written_is_told() {
    let error = builder().set("store.path", None::<&str>).build().unwrap_err().to_string();
    assert!(error.contains("the value of `store.path` is none that TOML has"), "{error}");
    let error = builder().set("dws.api_key.env", "NAME").build().unwrap_err().to_string();
    assert!(error.contains("`dws.api_key.env` is set, and `api_key` is no table"), "{error}");
    let error = Config::builder().build().unwrap_err().to_string();
    assert!(error.contains("`[dws]` is missing"), "{error}");
}
