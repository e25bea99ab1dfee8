//! Stored documents over REST: list, delete, properties, bytes.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::{Value, json};

use super::clock;
use super::documents::Document;
use super::reply::{self, Reply};
use super::state::Shared;

/// `GET /viewer/documents`: newest first, ten to a page unless asked otherwise.
pub(super) fn list(shared: &Shared, query: &str) -> Reply {
    let parameters: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
    let parameter = |name: &str| {
        parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_ref())
    };
    let size = parameter("page_size").map_or(Ok(DEFAULT_PAGE), str::parse);
    let start = parameter("cursor").map_or(Some(0), offset);
    let (Ok(size @ 1..=MAX_PAGE), Some(start)) = (size, start) else {
        let reason = json!({ "error": "invalid page_size or cursor" });
        return reply::json(StatusCode::BAD_REQUEST, &reason);
    };
    let mut documents = shared.live().documents.clone();
    if let Some(title) = parameter("title") {
        documents.retain(|document| document.title.as_deref() == Some(title));
    }
    if parameter("order_by") == Some("title") {
        documents.sort_by(|one, other| one.title.cmp(&other.title));
    }
    if parameter("order_direction") != Some("asc") {
        documents.reverse();
    }
    let items: Vec<_> =
        documents.iter().skip(start).take(size).map(|document| item(document)).collect();
    let next = (start + items.len() < documents.len()).then(|| cursor(start + items.len()));
    let previous = (start > 0).then(|| cursor(start.saturating_sub(size)));
    reply::json(
        StatusCode::OK,
        &json!({
            "data": items,
            "next_cursor": next,
            "prev_cursor": previous,
            "document_count": documents.len(),
        }),
    )
}

/// `DELETE /viewer/documents/{id}`: at once and for good, answered with text.
pub(super) async fn delete(shared: &Shared, id: &str) -> Reply {
    if id.is_empty() {
        // Another product's route deletes in bulk here: whoever calls it has a bug.
        return reply::text(StatusCode::INTERNAL_SERVER_ERROR, "DELETE with an empty id");
    }
    let (removed, counters) = {
        let mut live = shared.live();
        let index = live.documents.iter().position(|document| document.id == id);
        let removed = index.map(|index| live.documents.remove(index));
        live.counters.deletes += u64::from(removed.is_some());
        (removed, live.counters)
    };
    let Some(document) = removed else {
        return reply::no_such_document();
    };
    let forgotten = shared.storage.forget(&document).await;
    match forgotten.and(shared.storage.persist_counters(counters).await) {
        Ok(()) => reply::text(StatusCode::OK, "OK"),
        Err(error) => reply::text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// `/properties` and `/document_info`: the liveness check, unlike the document's own address.
pub(super) fn properties(shared: &Shared, id: &str) -> Reply {
    let Some(document) = shared.document(id) else {
        return reply::no_such_document();
    };
    let body = json!({ "data": {
        "documentId": document.id,
        "title": document.title,
        "sourcePdfSha256": document.pdf_sha256(),
        "createdAt": clock::rfc3339(document.created),
        "passwordProtected": false,
        "byteSize": document.content.bytes,
    } });
    reply::json(StatusCode::OK, &body)
}

/// `/pdf`, and the sandbox's own content address. Nothing is converted: the bytes are those uploaded.
pub(super) async fn content(shared: &Shared, id: &str) -> Reply {
    let Some(document) = shared.document(id) else {
        return reply::no_such_document();
    };
    match document.content.body().await {
        Ok(body) => reply::with_body(StatusCode::OK, &document.content.content_type, body),
        Err(error) => reply::text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn item(document: &Document) -> Value {
    json!({
        "id": document.id,
        "title": document.title,
        "created_at": clock::rfc3339(document.created),
    })
}

fn cursor(offset: usize) -> String {
    URL_SAFE_NO_PAD.encode(format!("offset:{offset}"))
}

fn offset(cursor: &str) -> Option<usize> {
    let decoded = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    decoded.strip_prefix("offset:")?.parse().ok()
}

const DEFAULT_PAGE: usize = 10;
const MAX_PAGE: usize = 100;
