//! What is written for another store, and read back.

use std::io::{BufReader, Cursor};

use super::*;
use crate::store::MemoryStore;
use crate::store::conformance::{key, put, ready};

#[tokio::test]
async fn what_goes_out_comes_back_in() {
    let store = MemoryStore::new();
    let ids = ["1", "a/b", "Übung \"1\"", "a b\u{1F4C4}"];
    for id in ids {
        put(&store, ready(&key("files", id), "D")).await;
    }
    let refused = DocumentState::Refused { detail: "415".to_owned() };
    put(&store, Document { state: refused, ..ready(&key("files", "refused"), "") }).await;
    let pending = DocumentState::Pending { job: JobId(3), previous: Some("P".to_owned()) };
    put(&store, Document { state: pending, ..ready(&key("files", "pending"), "") }).await;
    let (text, exported) = exported(&store).await;
    assert_eq!(exported, Exported { mappings: 6, pending: 1 });

    let other = MemoryStore::new();
    let first = imported(&other, &text).await.unwrap();
    assert_eq!(first, Imported { added: 5, unchanged: 0, pending: 1 });
    for id in ids {
        let found = other.get(&key("files", id)).await.unwrap().unwrap().document.clone();
        let Document { id, revision, .. } = found;
        assert_eq!(found, Document { id, revision, ..ready(&found.names[0], "D") });
    }
    let again = imported(&other, &text).await.unwrap();
    assert_eq!(again, Imported { added: 0, unchanged: 5, pending: 1 });
}

#[tokio::test]
async fn one_bad_line_keeps_all_out_and_is_named() {
    let store = MemoryStore::new();
    for id in ["1", "2", "3"] {
        put(&store, ready(&key("files", id), "D")).await;
    }
    let (text, _) = exported(&store).await;
    let other = MemoryStore::new();
    put(&other, ready(&key("files", "2"), "ELSE")).await;
    let broken = [
        (text.clone(), 3),
        (text.replace(r#""id":"3""#, r#""id":"a/../b""#), 4),
        (text.replace(r#""id":"3""#, r#""id":"1""#), 4),
        (text.replace(r#""size":12"#, r#""size":"twelve""#), 2),
        (text.replace(r#""document_id":"D""#, r#""document_id":"""#), 2),
        (text.replace(r#""count":3"#, r#""count":4"#), 1),
        (text.replace(r#""version":1"#, r#""version":2"#), 1),
        (text.lines().skip(1).collect::<Vec<_>>().join("\n"), 1),
        (String::new(), 1),
    ];
    for (at, (text, line)) in broken.into_iter().enumerate() {
        // The first is good in itself, and contradicts what is there.
        let target = if at == 0 { &other } else { &MemoryStore::new() };
        let before = target.list(None, 10).await.unwrap();
        let error = imported(target, &text).await.unwrap_err();
        let TransferError::Bad(bad, _) = &error else { panic!("case {at}: {error}") };
        assert!(bad.iter().any(|bad| bad.line == line), "case {at}: {error}");
        assert_eq!(target.list(None, 10).await.unwrap(), before, "case {at}");
    }
}

#[tokio::test]
async fn names_of_one_document_come_back_as_such() {
    let store = MemoryStore::new();
    let names = ["1", "3"].map(|id| key("files", id));
    put(&store, Document { names: names.to_vec(), ..ready(&names[0], "D") }).await;
    put(&store, ready(&key("files", "2"), "E")).await;
    let (text, _) = exported(&store).await;
    assert_eq!(text.matches("\"document\":").count(), 2, "where there are several: {text}");

    let whole = MemoryStore::new();
    imported(&whole, &text).await.unwrap();
    // One that was cut off after the first line.
    let part = MemoryStore::new();
    put(&part, Document { id: DocId::random(), ..ready(&names[0], "D") }).await;
    let rest = imported(&part, &text).await.unwrap();
    assert_eq!(rest, Imported { added: 2, unchanged: 1, pending: 0 });
    for other in [whole, part] {
        let found = other.get(&names[1]).await.unwrap().unwrap();
        assert_eq!(found.names, names);
        assert_eq!(other.get(&names[0]).await.unwrap().unwrap().id, found.id);
        assert_ne!(other.get(&key("files", "2")).await.unwrap().unwrap().id, found.id);
    }
}

#[tokio::test]
async fn an_export_from_before_documents_had_ids_is_read() {
    let text = r#"{"format":"transom-mappings","version":1,"count":3}
{"kind":"files","id":"1","state":"ready","document_id":"D","title":"a.pdf","content_type":"application/pdf","size":7,"sha256":"ab","created_at":1,"updated_at":2,"provenance":{"uploader":{"identity":"app","user":"ann"},"route":"POST /api/files"}}
{"kind":"files","id":"2","state":"ready","document_id":"E","title":null,"content_type":"application/pdf","size":7,"sha256":"ab","created_at":1,"updated_at":2,"doubt":{"since":3,"mark":49,"unconfirmed":{"job":49}}}
{"kind":"hosted","host":"a.example","id":"7","state":"lost","document_id":"F","title":null,"content_type":"application/pdf","size":7,"sha256":"ab","created_at":1,"updated_at":2}
"#;
    let store = MemoryStore::new();
    let read = imported(&store, text).await.unwrap();
    assert_eq!(read, Imported { added: 3, unchanged: 0, pending: 0 });
    let doubtful = store.get(&key("files", "2")).await.unwrap().unwrap();
    assert!(doubtful.doubt.is_some() && doubtful.unconfirmed_job().is_none());
    let tenant = store.get(&key("hosted", "7").at_host("a.example").unwrap()).await.unwrap();
    assert_eq!(tenant.unwrap().tenant.as_deref(), Some("a.example"));
}

async fn exported(store: &MemoryStore) -> (String, Exported) {
    let mut text = Vec::new();
    let exported = export(store, &mut text, &mut |_, _, _| {}).await.unwrap();
    (String::from_utf8(text).unwrap(), exported)
}

async fn imported(store: &MemoryStore, text: &str) -> Result<Imported, TransferError> {
    let mut input = BufReader::new(Cursor::new(text.as_bytes()));
    import(store, &mut input, &mut |_, _, _| {}).await
}
