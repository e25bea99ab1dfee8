//! A form of which the app and DWS could keep different documents is left alone; one that only looks
//! odd is not.

use http::Method;

use crate::support::{Form, World, app, files};

const FILE: &str = "Content-Disposition: form-data; name=\"file\"; filename=\"a.pdf\"\r\nContent-Type: application/pdf";

/// A form of these parts, each with its headers.
fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (headers, content) in parts {
        body.extend_from_slice(b"--XyZ\r\n");
        body.extend_from_slice(headers.as_bytes());
        body.extend_from_slice(b"\r\n\r\n");
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--XyZ--\r\n");
    body
}

/// The app gets every byte.
async fn post(world: &World, content_type: &str, body: Vec<u8>) {
    let request = world.request_as("ann", Method::POST, "/api/files");
    let reply =
        request.header("content-type", content_type).body(body.clone()).send().await.unwrap();
    assert_eq!(reply.status(), 201);
    assert!(world.app.last(&Method::POST, "/api/files").body == body, "the app's bytes differ");
}

fn takes_all(world: &World) {
    world.app.answers(|_, seen| match seen.method.as_str() {
        "POST" => {
            app::json(201, &serde_json::json!({ "data": { "id": seen.body.len().to_string() } }))
        }
        _ => app::json(200, &serde_json::json!({ "data": {} })),
    });
}

const XYZ: &str = "multipart/form-data; boundary=XyZ";

in_both_forms! {
    async fn a_form_that_readers_split_differently_is_not_captured(form_of: Form) {
        let world = World::usual().start(form_of).await;
        takes_all(&world);
        let pdf = files::pdf("decoy");
        let within = |bytes: &[u8]| [&pdf[..], bytes, &files::pdf("other")].concat();
        let bodies = [
            form(&[(FILE, &within(b"\n--XyZ\r\n"))]),
            form(&[(FILE, &within(b"\r--XyZ\r\n"))]),
            form(&[(FILE, &within(b"\n--XyZ--\r\n"))]),
            form(&[(FILE, &within(b"\r\n--XyZ \r\n"))]),
            form(&[(FILE, &within(b"--XyZ\r\n"))]),
            form(&[(FILE, &within(b"\r\n--XyZ1\r\n"))]),
            [form(&[(FILE, &pdf)]), form(&[(FILE, &files::pdf("other"))])].concat(),
            [b"x--XyZ\r\n".to_vec(), form(&[(FILE, &pdf)])].concat(),
            form(&[(&format!("{FILE}\r\nContent-Disposition: form-data; name=\"x\""), &pdf)]),
            form(&[("Content-Disposition: form-data; name=\"file\"; name=\"x\"; filename=\"a.pdf\"", &pdf)]),
            form(&[("Content-Disposition: form-data; name=\"x\"\r\nContent-Type: multipart/mixed; boundary=in", &pdf), (FILE, &pdf)]),
        ];
        let all = bodies.len() + 2;
        for body in bodies {
            post(&world, XYZ, body).await;
        }
        for content_type in ["multipart/mixed; boundary=XyZ", "multipart/form-data; xboundary=a; boundary=XyZ"] {
            post(&world, content_type, form(&[(FILE, &pdf)])).await;
        }
        world.until_figure("transom_outcomes_total{step=\"capture\",reason=\"multipart_malformed\"}", |count| count as usize == all).await;
        world.spool_is_empty_in_the_end().await;
        assert_eq!(world.dws.documents().await.len(), 0);
    }

    async fn a_form_where_the_file_is_not_plain_is_not_captured(form_of: Form) {
        let world = World::usual().start(form_of).await;
        takes_all(&world);
        let pdf = files::pdf("decoy");
        let encoded = format!("{FILE}\r\nContent-Transfer-Encoding: base64");
        let shorter = format!("{FILE}\r\nContent-Length: 10");
        let unclear: [&[(&str, &[u8])]; 7] = [
            &[(&encoded, &pdf)],
            &[(&shorter, &pdf)],
            &[("Content-Disposition: form-data; name=\"file\"; filename=\"\"; filename*=utf-8''a.pdf", &pdf)],
            &[("Content-Disposition: form-data; name=\"file\";\r\n filename=\"a.pdf\"", &pdf)],
            &[(FILE, &pdf), ("Content-Disposition: form-data; name=\"FILE\"; filename=\"b.pdf\"", &pdf)],
            &[(FILE, &pdf), ("Content-Disposition: form-data; name=\"file[]\"; filename=\"b.pdf\"", &pdf)],
            &[("Content-Disposition: attachment; name=\"file\"; filename=\"a.pdf\"", &pdf)],
        ];
        for parts in &unclear {
            post(&world, XYZ, form(parts)).await;
        }
        world.until_figure("transom_outcomes_total{step=\"capture\",reason=\"file_unclear\"}", |count| count as usize == unclear.len()).await;
        world.spool_is_empty_in_the_end().await;
        assert_eq!(world.dws.documents().await.len(), 0);
    }

    async fn an_odd_part_beside_a_good_file_does_no_harm(form_of: Form) {
        let world = World::usual().start(form_of).await;
        takes_all(&world);
        let odd = [
            "Content-Type: text/plain",
            "Content-Disposition: attachment; filename=\"b.pdf\"",
            "Content-Disposition: form-data; name=\"note\"\r\nX-Comment: a\r\n\tb",
            "Content-Disposition: form-data;\r\n name=\"note\"",
        ];
        for (number, headers) in odd.iter().enumerate() {
            let content = vec![b'x'; number + 1];
            post(&world, XYZ, form(&[(headers, &content), (FILE, &files::pdf("good"))])).await;
        }
        world.dws.has_documents(odd.len()).await;
        for document in world.dws.documents().await {
            assert_eq!(world.dws.content(&document.id).await, files::pdf("good"));
        }
    }

    async fn the_name_of_a_dotnet_client_is_decoded(form_of: Form) {
        let world = World::usual().start(form_of).await;
        takes_all(&world);
        let named = "Content-Disposition: form-data; name=file; filename=\"=?utf-8?B?w5xidW5nLnBkZg==?=\"";
        post(&world, XYZ, form(&[(named, &files::pdf("a"))])).await;
        world.dws.has_documents(1).await;
        assert_eq!(world.dws.documents().await[0].title.as_deref(), Some("Übung.pdf"));
    }
}
