//! Whatever comes in: a reason code, never a crash, never a blocked app request, never a session.

use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Form, World, app, files};

async fn post(world: &World, content_type: &str, body: impl Into<reqwest::Body>) -> u16 {
    let request = world.request_as("ann", Method::POST, "/api/files");
    request.header("content-type", content_type).body(body).send().await.unwrap().status().as_u16()
}

fn part(headers: &str, content: &[u8]) -> Vec<u8> {
    [b"--B\r\n", headers.as_bytes(), b"\r\n\r\n", content, b"\r\n--B--\r\n"].concat()
}

in_both_forms! {
    async fn malformed_forms_pass_and_are_not_captured(form: Form) {
        let world = World::usual().start(form).await;
        let pdf = files::pdf("a");
        let file = "content-disposition: form-data; name=\"file\"; filename=\"a.pdf\"";
        let absurd = format!("{file}\r\nx-much: {}", "y".repeat(100_000));
        let many = (0..1001).fold(Vec::new(), |mut body, n| {
            body.extend(format!("--B\r\ncontent-disposition: form-data; name=\"f{n}\"\r\n\r\nx\r\n").into_bytes());
            body
        });
        let unclosed = [b"--B\r\n", file.as_bytes(), b"\r\n\r\n", &pdf[..]].concat();
        for body in [
            unclosed,
            part(&absurd, &pdf),
            part("content-disposition form-data name=file", &pdf),
            [many, b"--B--\r\n".to_vec()].concat(),
            b"--B\n\ncontent".to_vec(),
            b"".to_vec(),
        ] {
            assert_eq!(post(&world, "multipart/form-data; boundary=B", body).await, 201);
        }
        world.counted("capture", "multipart_malformed").await;
        for content_type in ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=\"\u{fc}\""] {
            assert_eq!(post(&world, content_type, part(file, &pdf)).await, 201);
        }
        world.spool_is_empty_in_the_end().await;
        assert_eq!(world.dws.documents().await.len(), 0);
        let name = [b"content-disposition: form-data; name=\"file\"; filename=\"".as_slice(), b"\xff\xfe\x00.pdf\""].concat();
        let body = [b"--B\r\n", &name[..], b"\r\n\r\n", &pdf, b"\r\n--B--\r\n"].concat();
        assert_eq!(post(&world, "multipart/form-data; boundary=B", body).await, 201);
        assert_eq!(post(&world, "multipart/form-data; boundary=B", part(file, &pdf)).await, 201);
        world.dws.has_documents_at_least(1).await;
    }

    async fn the_public_vectors_pass_through_unharmed(form: Form) {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors/multipart");
        let Ok(entries) = std::fs::read_dir(&folder) else {
            println!("SKIPPED: no vectors beside the checkout");
            return;
        };
        let world = World::usual().start(form).await;
        world.app.answers(|_, seen| app::reply(201, &[("content-type", "application/json")], format!("{{\"data\":{{\"id\":\"v{}\"}}}}", seen.body.len())));
        for entry in entries.flatten().filter(|e| e.path().extension().is_some_and(|e| e == "http")) {
            let body = std::fs::read(entry.path()).unwrap();
            let yaml = std::fs::read_to_string(entry.path().with_extension("yaml")).unwrap();
            let boundary = yaml.lines().find_map(|line| line.strip_prefix("boundary: ")).unwrap_or("boundary");
            let content_type = format!("multipart/form-data; boundary={}", boundary.trim_matches(['\'', '"']));
            assert_eq!(post(&world, &content_type, body.clone()).await, 201);
            assert!(world.app.last(&Method::POST, "/api/files").body == body, "{:?}", entry.path());
        }
        world.spool_is_empty_in_the_end().await;
    }

    async fn a_body_shorter_than_its_length_is_nothing(form: Form) {
        let world = World::usual().start(form).await;
        let body = part("content-disposition: form-data; name=\"file\"; filename=\"a.pdf\"", &files::pdf("a"));
        let mut stream = tokio::net::TcpStream::connect(world.address).await.unwrap();
        let head = format!(
            "POST /api/files HTTP/1.1\r\nhost: app\r\nauthorization: Bearer {}\r\ncontent-type: multipart/form-data; boundary=B\r\ncontent-length: {}\r\n\r\n",
            crate::support::tokens::for_user("ann"), body.len() + 1
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&body).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        world.upload_as("ann", "good.pdf").await;
        world.dws.has_documents(1).await;
        world.spool_is_empty_in_the_end().await;
        assert_eq!(world.dws.documents().await.len(), 1);
    }

    async fn partial_and_compressed_bodies_are_never_taken_for_the_whole(form: Form) {
        let world = World::usual().start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.session_in_the_end("ann", &id).await;
        let path = format!("/api/files/{id}/content");
        for (name, value) in [("content-range", "bytes 0-99/200"), ("content-encoding", "gzip")] {
            let put = world.request_as("ann", Method::PUT, &path).header(name, value);
            assert_eq!(put.body(files::pdf("b")).send().await.unwrap().status(), 204);
        }
        world.counted("capture", "body_partial").await;
        world.counted("capture", "body_encoded").await;
        assert_eq!(world.dws.documents().await.len(), 1);
    }

    async fn odd_paths_get_no_session(form: Form) {
        let world = World::usual().start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.session_in_the_end("ann", &id).await;
        world.app.answers(|_, _| app::json(200, &serde_json::json!({ "data": {} })));
        for path in ["/x/..%2Fapi/files/1", "/api/files/..%2f1", "/api/files/%2e%2e", "/api/files/1%00", "/api/files/a%0d%0ab"] {
            let mut stream = tokio::net::TcpStream::connect(world.address).await.unwrap();
            let head = format!("GET {path} HTTP/1.1\r\nhost: app\r\nconnection: close\r\nauthorization: Bearer {}\r\n\r\n", crate::support::tokens::for_user("ann"));
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            let answer = String::from_utf8_lossy(&answer).to_ascii_lowercase();
            assert!(!answer.contains("x-viewer-session") && !answer.contains("eyj"), "{path}: {answer}");
        }
        let method = world.request_as("ann", Method::GET, "/api/files/1").header("x-http-method-override", "DELETE");
        let reply = method.send().await.unwrap();
        assert!(!reply.headers().contains_key("x-viewer-session"));
    }

    async fn an_encoded_slash_opens_nobody_else_s_document(form: Form) {
        let world = World::usual().start(form).await;
        // An app that decodes `%2F` before it routes: these are the comments on 7, which anybody may read and remove.
        world.app.answers(|_, seen| match seen.method.as_str() {
            "POST" => app::json(201, &serde_json::json!({ "data": { "id": "7/comments" } })),
            _ => app::json(200, &serde_json::json!({ "data": {} })),
        });
        world.post_file_as("bob", "a.pdf", files::pdf("a")).await;
        world.dws.has_documents(1).await;
        world.settled().await;
        let view = world.get_as("ann", "/api/files/7%2Fcomments").await;
        assert_eq!(view.status(), 200);
        assert!(!view.headers().contains_key("x-viewer-session"));
        assert_eq!(view.text().await.unwrap(), "{\"data\":{}}");
        world.counted("capture", "path_unclear").await;
        let removed = world.request_as("ann", Method::DELETE, "/api/files/7%2Fcomments");
        assert_eq!(removed.send().await.unwrap().status(), 200);
        world.settled().await;
        world.dws.has_documents(1).await;
    }
}
