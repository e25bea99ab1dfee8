//! The end of a body waits for what its names ask for.

use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use tokio::sync::oneshot;

use super::*;

/// What was named, and what lets the end go on.
struct Gate {
    named: Arc<Mutex<Option<Named>>>,
    open: oneshot::Sender<()>,
}

fn gate() -> (Gate, Option<BeforeEnd>) {
    let (open, opened) = oneshot::channel();
    let named = Arc::new(Mutex::new(None));
    let tell = named.clone();
    let before_end: BeforeEnd = Box::new(move |named| {
        *tell.lock().unwrap() = Some(named);
        Some(opened.map(|_| ()).boxed())
    });
    (Gate { named, open }, Some(before_end))
}

async fn arrives_in_pieces(body: &[u8], read: fn() -> Box<dyn Extract>, named: &[(&str, &str)]) {
    for size in 1..=body.len() {
        for frames in [Frames::cut(body, size), Frames::cut(body, size).with_length()] {
            let fixture = Fixture::new();
            let (gate, before_end) = gate();
            let (app, _handle) = fixture.tap(frames, read());
            let mut app = Box::pin(app.holding(before_end));
            let mut came = Vec::new();
            while let Some(Some(frame)) = app.frame().now_or_never() {
                came.extend_from_slice(frame.unwrap().data_ref().unwrap());
            }
            assert!(came.len() < body.len() || !app.is_end_stream(), "pieces of {size}");
            let fields = gate.named.lock().unwrap().take().unwrap().fields;
            let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            assert_eq!(fields, named);
            let hint = app.size_hint();
            assert!(hint.upper().is_none_or(|upper| upper == (body.len() - came.len()) as u64));
            gate.open.send(()).unwrap();
            while let Some(frame) = app.frame().await {
                came.extend_from_slice(frame.unwrap().data_ref().unwrap());
            }
            assert_eq!(came, body, "pieces of {size}");
            assert!(app.is_end_stream() || app.size_hint().upper().is_none());
        }
    }
}

#[tokio::test]
async fn of_a_form_in_any_pieces() {
    arrives_in_pieces(b"doc_id=7&x=1", url_encoded::reading, &[("doc_id", "7"), ("x", "1")]).await;
    let form = Form::default().field("doc_id", b"7").end();
    arrives_in_pieces(&form, multipart, &[("doc_id", "7")]).await;
}

#[tokio::test]
async fn of_a_form_that_can_not_be_read_to_its_end() {
    let broken = Form::default().field("doc_id", b"7").field("x", b"1").end();
    let broken = &broken[..broken.len() - 4];
    let fixture = Fixture::new();
    let (gate, before_end) = gate();
    let (app, _handle) = fixture.tap(Frames::cut(broken, 10), multipart());
    let app = app.holding(before_end).collect();
    gate.open.send(()).unwrap();
    assert_eq!(app.await.unwrap().to_bytes(), broken);
    let fields = gate.named.lock().unwrap().take().unwrap().fields;
    assert_eq!(fields[0], ("doc_id".to_owned(), "7".to_owned()));
}
