//! What is on its way and may never be accepted has bounds; the app's requests do not feel them.

use std::time::Duration;

use futures_util::stream;
use http::Method;

use crate::support::{Form, World, files};

async fn limited(form: Form, limits: &str) -> World {
    let world = World::usual().start(form).await;
    world
        .reconfigure(|text| {
            text.replace("[store]\n", &format!("[store]\nspool = {{ {limits} }}\n"))
        })
        .await;
    world
}

in_both_forms! {
    async fn an_upload_over_a_limit_passes_and_its_bytes_are_freed(form: Form) {
        let world = limited(form, "unaccepted = \"1 MiB\", reserve = \"0\"").await;
        let large = files::large_pdf("large", 3_000_000);
        let reply = world.post_file_as("ann", "large.pdf", large.clone()).await;
        assert_eq!(reply.status(), 201);
        let seen = world.app.last(&Method::POST, "/api/files");
        assert!(seen.body.windows(large.len()).any(|bytes| bytes == large), "the app has every byte");
        world.counted("capture", "spool_full").await;
        world.spool_is_empty_in_the_end().await;
        world.until_figure("transom_spool_bytes{state=\"unaccepted\"}", |bytes| bytes == 0.0).await;
        assert!(world.figure("transom_spool_given_up_total{reason=\"spool_full\"}").await >= 1.0);
        assert_eq!(world.dws.documents().await.len(), 0);

        world.upload_as("ann", "small.pdf").await;
        world.dws.has_documents(1).await;
        world.until_figure("transom_spool_bytes{state=\"kept\"}", |bytes| bytes == 0.0).await;
    }

    async fn uploads_that_never_end_hold_no_more_than_their_share(form: Form) {
        let world = limited(form, "unaccepted = \"2 MiB\", per_client = \"2 MiB\", reserve = \"0\"").await;
        let endless = |number: usize| {
            let pdf = files::large_pdf(&format!("endless {number}"), 1_500_000);
            let pieces: Vec<_> = pdf.chunks(100_000).map(<[u8]>::to_vec).map(Ok::<_, std::io::Error>).collect();
            let pieces = stream::iter(pieces);
            let body = futures_util::StreamExt::chain(pieces, stream::pending());
            let request = world.request_as("ann", Method::PUT, &format!("/api/files/{number}/content"));
            tokio::spawn(request.body(reqwest::Body::wrap_stream(body)).send())
        };
        let sending: Vec<_> = (0..4).map(endless).collect();
        world.until_figure("transom_spool_given_up_total{reason=\"spool_full\"}", |count| count >= 3.0).await;
        assert!(world.figure("transom_spool_bytes{state=\"unaccepted\"}").await <= f64::from(2 << 20));
        for request in sending {
            request.abort();
        }
        world.until_figure("transom_spool_bytes{state=\"unaccepted\"}", |bytes| bytes == 0.0).await;
        world.spool_is_empty_in_the_end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_is_degraded_until_something_is_captured_again() {
    let world = limited(Form::Binary, "unaccepted = \"1 MiB\", reserve = \"0\"").await;
    let ready = async || {
        let reply = world.http.get(format!("http://{}/readyz", world.admin)).send().await.unwrap();
        (reply.status().as_u16(), reply.text().await.unwrap())
    };
    world.post_file_as("ann", "large.pdf", files::large_pdf("large", 3_000_000)).await;
    world.counted("capture", "spool_full").await;
    let (status, told) = ready().await;
    assert!(
        status == 200 && told.contains("\"degraded\"") && told.contains("store.spool.unaccepted"),
        "{told}"
    );
    world.upload_as("ann", "small.pdf").await;
    let mut told = ready().await.1;
    for _ in 0..100 {
        if told.contains("takes files") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        told = ready().await.1;
    }
    assert!(told.contains("takes files"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_leaves_room_for_others() {
    let world = World::usual()
        .server_settings("trusted_proxies = [\"127.0.0.0/8\"]")
        .start(Form::Binary)
        .await;
    world
        .reconfigure(|text| {
            text.replace(
                "[store]\n",
                "[store]\nspool = { per_client = \"1 MiB\", reserve = \"0\" }\n",
            )
        })
        .await;
    let large = files::large_pdf("large", 900_000);
    let endless = stream::iter([Ok::<_, std::io::Error>(large)]);
    let endless = futures_util::StreamExt::chain(endless, stream::pending());
    let from = |address: &str, request: reqwest::RequestBuilder| {
        request.header("x-forwarded-for", address.to_owned())
    };
    let held = world
        .request_as("ann", Method::PUT, "/api/files/1/content")
        .body(reqwest::Body::wrap_stream(endless));
    let held = tokio::spawn(from("192.0.2.1", held).send());
    world
        .until_figure("transom_spool_bytes{state=\"unaccepted\"}", |bytes| bytes > 500_000.0)
        .await;
    let upload = || world.post_file_request_as("ann", "a.pdf", files::large_pdf("a", 700_000));
    assert_eq!(from("192.0.2.1", upload()).send().await.unwrap().status(), 201);
    world.counted("capture", "spool_full").await;
    assert_eq!(from("192.0.2.2", upload()).send().await.unwrap().status(), 201);
    world.dws.has_documents(1).await;
    held.abort();
}
