#![allow(clippy::unwrap_used)]

mod fixture;
mod held;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use http::HeaderMap;
use http_body_util::BodyExt;
use proptest::collection::vec;
use proptest::prelude::*;
use tempfile::TempDir;
use tokio::sync::mpsc;

use self::fixture::*;
use super::*;
use crate::config::SpoolLimits;
use crate::extract::form::{self, Parts};
use crate::extract::{Extract, FilePart, no_files, raw, url_encoded};

#[tokio::test]
async fn files_and_fields_of_a_form() {
    let fixture = Fixture::new();
    let pdf = pdf(300_000);
    let form = Form::default()
        .field("title", b"Caf\xe9")
        .file("file", "dir/report.pdf", &pdf)
        .file("file", "notes.txt", b"plain")
        .file("file", "empty.pdf", b"")
        .file("file", "", b"")
        .file("avatar", "me.png", b"\x89PNG\r\n\x1a\n")
        .end();
    let (app, handle) = fixture.tap(Frames::cut(&form, 50_000), multipart());
    assert_eq!(app.collect().await.unwrap().to_bytes(), form);

    let seen = handle.finish().await.unwrap();
    let fields = [("title", "Caf\u{fffd}"), ("file", "")];
    assert_eq!(seen.fields, fields.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let outcomes: Vec<_> = seen.files.iter().map(outcome).collect();
    assert_eq!(
        outcomes,
        [
            ("file", Ok(("report.pdf", "application/pdf", 300_000))),
            ("file", Err(Reason::TypeNotCaptured)),
            ("file", Err(Reason::FileEmpty)),
            ("avatar", Ok(("me.png", "image/png", 8))),
        ]
    );
    let file = seen.files.into_iter().next().unwrap().kept.unwrap();
    assert_eq!(file.sha256, digest(&SHA256, &pdf).as_ref());
    let name = file.keep().await.unwrap();
    assert_eq!(std::fs::read(fixture.spool.path(&name)).unwrap(), pdf);
    fixture.files_become(1).await;
    assert!(fixture.spool.path(&name).exists());
}

#[tokio::test]
async fn only_named_parts_are_taken() {
    let fixture = Fixture::new();
    let form = Form::default().file("a", "a.pdf", &pdf(9)).file("b", "b.pdf", &pdf(9)).end();
    let shape = form::reading(BOUNDARY, Parts::Named(vec!["b".to_owned()]));
    let seen = fixture.all(Frames::cut(&form, 20), shape).await.unwrap();
    let outcomes: Vec<_> = seen.files.iter().map(outcome).collect();
    assert_eq!(outcomes, [("b", Ok(("b.pdf", "application/pdf", 9)))]);
}

#[tokio::test]
async fn the_body_itself() {
    let fixture = Fixture::new();
    let raw = || raw::reading(Some("a.pdf".to_owned()));
    for size in [5, 8191, 8192, 8193, 70_000, 1_000_000] {
        let pdf = pdf(size);
        let seen = fixture.all(Frames::cut(&pdf, 9000), raw()).await.unwrap();
        let [FilePart { part: None, kept: Ok(file) }] = &seen.files[..] else { panic!("{seen:?}") };
        assert_eq!((file.size, &file.sha256[..]), (size as u64, digest(&SHA256, &pdf).as_ref()));
    }
    let seen = fixture.all(Frames::cut(b"", 1), raw()).await.unwrap();
    assert_eq!(outcome(&seen.files[0]), ("", Err(Reason::FileEmpty)));
    drop(seen);
    fixture.files_become(0).await;
}

#[tokio::test]
async fn larger_files_only_pass() {
    let fixture = Fixture::new();
    let form = Form::default()
        .file("a", "exact.pdf", &pdf(MAX_SIZE))
        .file("b", "large.pdf", &pdf(MAX_SIZE + 1))
        .file("c", "small.pdf", &pdf(100))
        .end();
    let seen = fixture.all(Frames::cut(&form, 100_000), multipart()).await.unwrap();
    let outcomes: Vec<_> = seen.files.iter().map(outcome).collect();
    assert_eq!(
        outcomes,
        [
            ("a", Ok(("exact.pdf", "application/pdf", MAX_SIZE as u64))),
            ("b", Err(Reason::FileTooLarge)),
            ("c", Ok(("small.pdf", "application/pdf", 100))),
        ]
    );
    fixture.files_become(2).await;
}

#[tokio::test]
async fn fields_and_json_without_files() {
    let fixture = Fixture::new();
    let seen = fixture.all(Frames::cut(b"a=1&b=%20", 2), url_encoded::reading()).await.unwrap();
    let fields = [("a".to_owned(), "1".to_owned()), ("b".to_owned(), " ".to_owned())];
    assert_eq!((&seen.fields[..], seen.json), (&fields[..], None));

    let json = |body: &[u8]| {
        let (app, handle) = fixture.tap(Frames::cut(body, 7), no_files());
        async { app.collect().await.map(|_| handle.finish()).unwrap().await.unwrap().json }
    };
    assert_eq!(json(br#"{"id": [1, "x"]}"#).await, Some(serde_json::json!({"id": [1, "x"]})));
    assert_eq!(json(b"{\"id\": ").await, None);
    let limit = 1024 * 1024;
    assert!(json(format!("\"{}\"", "x".repeat(limit - 2)).as_bytes()).await.is_some());
    assert!(json(format!("\"{}\"", "x".repeat(limit - 1)).as_bytes()).await.is_none());
}

#[tokio::test]
async fn a_thousand_parts_but_32_files() {
    let fixture = Fixture::new();
    let form = |files: usize, fields: usize| {
        let form = (0..files).fold(Form::default(), |form, _| form.file("f", "a.pdf", &pdf(9)));
        (0..fields).fold(form, |form, _| form.field("x", b"y")).end()
    };
    for (files, fields, expected) in [
        (32, 968, Ok((32, 968))),
        (33, 0, Err(Reason::TooManyFiles)),
        (0, 1001, Err(Reason::MultipartMalformed)),
    ] {
        let body = form(files, fields);
        let (app, handle) = fixture.tap(Frames::cut(&body, 1000), multipart());
        assert_eq!(app.collect().await.unwrap().to_bytes(), body);
        let seen = handle.finish().await;
        assert_eq!(seen.map(|seen| (seen.files.len(), seen.fields.len())), expected);
        fixture.files_become(0).await;
    }
}

#[tokio::test]
async fn a_broken_form_passes_and_leaves_nothing() {
    let fixture = Fixture::new();
    let form = Form::default().file("a", "a.pdf", &pdf(100_000));
    let unclosed = form.clone().unclosed();
    let absurd = [&unclosed[..], b"--X\r\n", &b"x".repeat(20_000), b"\r\n\r\n"].concat().into();
    let nameless = form.raw("--X\r\nContent-Type: text/plain\r\n\r\n").end();
    for body in [unclosed, absurd, nameless] {
        let (app, handle) = fixture.tap(Frames::cut(&body, 30_000), multipart());
        assert_eq!(app.collect().await.unwrap().to_bytes(), body);
        assert_eq!(handle.finish().await.unwrap_err(), Reason::MultipartMalformed);
        fixture.files_become(0).await;
    }
}

#[tokio::test]
async fn the_last_frame_is_the_end() {
    let fixture = Fixture::new();
    let raw = raw::reading(None);
    let (app, handle) = fixture.tap(Frames::cut(&pdf(100), 50).with_length(), raw);
    let mut app = std::pin::pin!(app);
    app.frame().await.unwrap().unwrap();
    app.frame().await.unwrap().unwrap();
    assert_eq!(handle.finish().await.unwrap().files.len(), 1);

    // An app may stop reading at the closing boundary.
    let form = Form::default().file("a", "a.pdf", &pdf(100)).end();
    let frames = Frames::cut(&[&form[..], b"epilogue"].concat(), form.len());
    let (mut app, handle) = fixture.tap(frames, multipart());
    app.frame().await.unwrap().unwrap();
    assert_eq!(handle.finish().await.unwrap().files.len(), 1);
}

#[tokio::test]
async fn what_does_not_end_leaves_nothing() {
    let (raw, pdf) = (|| raw::reading(None), pdf(200_000));
    let fixture = Fixture::new();

    // Gone midway, after something was written.
    let (sender, body) = Driven::new();
    let (mut app, handle) = fixture.tap(body, raw());
    for chunk in pdf.chunks(70_000) {
        sender.send(Ok(Frame::data(Bytes::copy_from_slice(chunk)))).await.unwrap();
        app.frame().await.unwrap().unwrap();
    }
    fixture.files_become(1).await;
    drop(app);
    fixture.files_become(0).await;
    assert_eq!(handle.finish().await.unwrap_err(), Reason::BodyIncomplete);

    // An error of the client's connection, which the app gets to see.
    let (sender, body) = Driven::new();
    let (mut app, handle) = fixture.tap(body, raw());
    sender.send(Ok(Frame::data(Bytes::copy_from_slice(&pdf)))).await.unwrap();
    sender.send(Err("reset")).await.unwrap();
    app.frame().await.unwrap().unwrap();
    fixture.files_become(1).await;
    assert_eq!(app.frame().await.unwrap().unwrap_err(), "reset");
    assert_eq!(handle.finish().await.unwrap_err(), Reason::BodyIncomplete);
    fixture.files_become(0).await;

    // An app that answers early, and goes on reading.
    let (sender, body) = Driven::new();
    let (mut app, handle) = fixture.tap(body, raw());
    for _ in 0..2 {
        sender.send(Ok(Frame::data(Bytes::copy_from_slice(&pdf)))).await.unwrap();
    }
    app.frame().await.unwrap().unwrap();
    fixture.files_become(1).await;
    assert_eq!(handle.finish().await.unwrap_err(), Reason::BodyIncomplete);
    assert_eq!(app.frame().await.unwrap().unwrap().into_data().unwrap(), pdf);
    fixture.files_become(0).await;
}

#[tokio::test]
async fn a_lost_spool_costs_the_capture_alone() {
    let fixture = Fixture::new();
    std::fs::remove_dir(fixture.dir.path()).unwrap();
    let form = Form::default().file("a", "a.pdf", &pdf(500_000)).end();
    let (app, handle) = fixture.tap(Frames::cut(&form, 40_000), multipart());
    assert_eq!(app.collect().await.unwrap().to_bytes(), form);
    let failed = [("a", Err(Reason::SpoolFailed))];
    let seen = handle.finish().await.unwrap();
    assert_eq!(seen.files.iter().map(outcome).collect::<Vec<_>>(), failed);
    // Too small to be written before the end.
    let form = Form::default().field("id", b"7").file("a", "a.pdf", &pdf(50)).end();
    let seen = fixture.all(Frames::cut(&form, 40_000), multipart()).await.unwrap();
    assert_eq!(seen.files.iter().map(outcome).collect::<Vec<_>>(), failed);
    assert_eq!(seen.fields.len(), 1);
    assert!(fixture.spool.trouble().is_some());
}

#[tokio::test]
async fn what_finds_no_room_passes_and_frees_what_it_took() {
    let fixture = Fixture::new();
    let limits = SpoolLimits { per_client: 300_000, reserve: 0, ..SpoolLimits::default() };
    fixture.spool.set_limits(limits);
    let spool = |host: u8| fixture.spool.of_client(Some([10, 0, 0, host].into()));
    let plan = || Plan {
        body: raw::reading(None),
        max_size: 2_000_000,
        types: vec!["application/pdf".to_owned()],
        keep_json: false,
    };
    let pdf = pdf(1_000_000);
    let (app, handle) = tap(Frames::cut(&pdf, 40_000), plan(), &spool(1));
    assert_eq!(app.collect().await.unwrap().to_bytes(), pdf);
    let seen = handle.finish().await.unwrap();
    assert_eq!(outcome(&seen.files[0]), ("", Err(Reason::SpoolFull)));
    fixture.files_become(0).await;
    let told = fixture.spool.trouble().unwrap();
    assert!(told.contains("store.spool.per_client"), "{told}");

    // Others have room, and so has this one again.
    for host in [2, 1] {
        let small = &pdf[..200_000];
        let (app, handle) = tap(Frames::cut(small, 40_000), plan(), &spool(host));
        app.collect().await.unwrap();
        let file = handle.finish().await.unwrap().files.remove(0).kept.unwrap();
        file.keep().await.unwrap();
        assert_eq!(fixture.spool.trouble(), None);
    }
}

#[tokio::test]
async fn what_a_reader_could_take_otherwise_is_unclear() {
    let fixture = Fixture::new();
    let named = |name: &str| Parts::Named(vec![name.to_owned()]);
    let file = || Form::default().file("file", "a.pdf", &pdf(9));
    let odd = |headers: &str| file().raw(&format!("--X\r\n{headers}\r\n\r\nodd\r\n")).end();
    let form_data = |rest: &str| odd(&format!("Content-Disposition: form-data; {rest}"));
    let any = || Parts::AnyFile;
    for (form, parts, expected) in [
        // Nobody takes the odd part for the file.
        (odd("Content-Type: text/plain"), named("file"), Ok(1)),
        (odd("Content-Type: text/plain"), any(), Ok(1)),
        (odd("x: y\r\n folded"), any(), Ok(1)),
        (form_data("name=a;\r\n x=y"), any(), Ok(1)),
        (odd("Content-Disposition: attachment"), any(), Ok(1)),
        (odd("Content-Disposition: attachment; filename=b.pdf"), named("file"), Ok(1)),
        (odd("Content-Disposition: attachment; name=b; filename=b.pdf"), named("file"), Ok(1)),
        (odd("Content-Type: application/octet-stream"), named("file"), Ok(1)),
        (form_data("name=b; filename=b.pdf"), named("file"), Ok(1)),
        (form_data("name=b;\r\n filename=b.pdf"), named("file"), Ok(1)),
        (form_data("name=b; filename*=utf-8''b.pdf"), named("file"), Ok(1)),
        (form_data("name=file; filename=b.txt"), named("file"), Ok(2)),
        // Some reader does.
        (odd("Content-Type: application/octet-stream"), any(), Err(Reason::FileUnclear)),
        (odd("Content-Disposition: attachment; filename=b.pdf"), any(), Err(Reason::FileUnclear)),
        (
            odd("Content-Disposition: form-data; filename=file"),
            named("file"),
            Err(Reason::FileUnclear),
        ),
        (form_data("name=b; filename*=utf-8''b.pdf"), any(), Err(Reason::FileUnclear)),
        (
            form_data("name=b\r\nContent-Type: application/octet-stream"),
            any(),
            Err(Reason::FileUnclear),
        ),
        (form_data("name=b; filename=\"\""), any(), Err(Reason::FileUnclear)),
        (
            form_data("name=b; filename=b\r\nContent-Transfer-Encoding: base64"),
            any(),
            Err(Reason::FileUnclear),
        ),
        (form_data("name=b; filename=b\r\nContent-Length: 2"), any(), Err(Reason::FileUnclear)),
        (form_data("name=FILE; filename=b.pdf"), named("file"), Err(Reason::FileUnclear)),
        (form_data("name=\" file\"; filename=b.pdf"), named("file"), Err(Reason::FileUnclear)),
        (form_data("name=\"file[]\"; filename=b.pdf"), named("file"), Err(Reason::FileUnclear)),
        (form_data("name=file"), named("file"), Err(Reason::FileUnclear)),
        (
            form_data("name=b\r\nContent-Transfer-Encoding: base64"),
            named("file"),
            Err(Reason::FileUnclear),
        ),
        (form_data("name='file'; filename=b.pdf"), named("file"), Err(Reason::MultipartMalformed)),
    ] {
        let shape = form::reading(BOUNDARY, parts);
        let (app, handle) = fixture.tap(Frames::cut(&form, 11), shape);
        assert_eq!(app.collect().await.unwrap().to_bytes(), form);
        let seen = handle.finish().await.map(|seen| seen.files.len());
        assert_eq!(seen, expected, "{}", form.escape_ascii());
    }
    fixture.files_become(0).await;
}

#[tokio::test]
async fn a_part_behind_the_end_of_the_form_undoes_it() {
    let fixture = Fixture::new();
    let form = Form::default().file("a", "a.pdf", &pdf(100)).end();
    let second = Form::default().file("a", "b.pdf", &pdf(100)).end();
    let both = [&form[..], &second[..]].concat();
    for size in [1, 7, form.len() - 3, form.len(), form.len() + 1, both.len()] {
        let seen = fixture.all(Frames::cut(&both, size), multipart()).await;
        assert_eq!(seen.unwrap_err(), Reason::MultipartMalformed, "by {size}");
    }
}

#[test]
fn a_slow_disk_slows_the_app_and_no_more() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .max_blocking_threads(1)
        .build()
        .unwrap();
    runtime.block_on(async {
        let (release, released) = std::sync::mpsc::channel::<()>();
        let disk_is_busy = tokio::task::spawn_blocking(move || released.recv());

        let fixture = Fixture::new();
        let pdf = pdf(1_000_000);
        let (mut app, handle) = fixture.tap(Frames::cut(&pdf, 20_000), raw::reading(None));
        let mut passed = 0;
        loop {
            let next = poll_fn(|cx| Poll::Ready(Pin::new(&mut app).poll_frame(cx))).await;
            let Poll::Ready(frame) = next else { break };
            passed += frame.unwrap().unwrap().into_data().unwrap().len();
        }
        assert!((64 * 1024..=104 * 1024).contains(&passed), "{passed} bytes");

        release.send(()).unwrap();
        let rest = app.collect().await.unwrap().to_bytes();
        assert_eq!(passed + rest.len(), pdf.len());
        let seen = handle.finish().await.unwrap();
        let file = seen.files[0].kept.as_ref().unwrap();
        assert_eq!(file.sha256, digest(&SHA256, &pdf).as_ref());
        disk_is_busy.await.unwrap().unwrap();
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_app_gets_the_same_frames(
        sizes in vec(1usize..30_000, 1..20),
        content in vec(any::<u8>(), 0..5_000),
        times in 1usize..40,
        has_trailers in any::<bool>(),
        has_length in any::<bool>(),
        is_form in any::<bool>(),
    ) {
        let content = [b"%PDF-".as_slice(), &content.repeat(times)].concat();
        let body = if is_form {
            Form::default().field("a", b"b").file("f", "f.pdf", &content).end()
        } else {
            Bytes::from(content.clone())
        };
        let frames = || {
            let mut frames = Frames::cut_by(&body, &sizes);
            if has_length {
                frames = frames.with_length();
            } else if has_trailers {
                frames = frames.with_trailers();
            }
            frames
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1).enable_time().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::new();
            let shape = if is_form { multipart() } else { raw::reading(None) };
            let (app, handle) = fixture.tap(frames(), shape);
            assert_eq!(watched(app).await, watched(frames()).await);
            let seen = handle.finish().await.unwrap();
            let file = seen.files[0].kept.as_ref().unwrap();
            assert_eq!(file.sha256, digest(&SHA256, &content).as_ref());
        });
    }
}

/// All that an observer of a body can see.
async fn watched<B: Body<Data = Bytes, Error = &'static str> + Unpin>(mut body: B) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        seen.push(format!("{:?} {}", body.size_hint(), body.is_end_stream()));
        match body.frame().await {
            Some(frame) => seen.push(format!("{frame:?}")),
            None => return seen,
        }
    }
}
