//! `POST /viewer/documents`: raw or multipart, streamed.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{Request, StatusCode};
use http_body_util::BodyDataStream;
use hyper::body::Incoming as RequestBody;
use serde_json::json;

use super::clock;
use super::documents::{Document, Incoming, new_id};
use super::journal::{Entry, File};
use super::reply::{self, Reply};
use super::state::{Counters, Quirks, Shared};

/// What an upload brought.
#[derive(Default)]
struct Received {
    file: Option<Incoming>,
    multipart: bool,
    name: Option<String>,
    content_type: Option<String>,
    title: Option<String>,
    document_id: Option<String>,
    overwrite: bool,
}

/// Why an upload isn't stored.
enum Refusal {
    TooLarge,
    Malformed(&'static str),
    /// The status to answer with, and what is used up.
    OverQuota(u16, &'static str),
    Storage(std::io::Error),
}

pub(super) async fn store(
    shared: &Shared,
    request: Request<RequestBody>,
    entry: &mut Entry,
) -> Reply {
    let quirks = shared.quirks();
    if quirks.refuse_chunked && !request.headers().contains_key(CONTENT_LENGTH) {
        return reply::text(StatusCode::LENGTH_REQUIRED, "Length Required");
    }
    let stored = match receive(shared, request).await {
        Ok(received) => keep(shared, received, &quirks, entry).await,
        Err(refusal) => Err(refusal),
    };
    stored.unwrap_or_else(|refusal| match refusal {
        Refusal::TooLarge => reply::text(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large"),
        Refusal::Malformed(why) => {
            reply::json(StatusCode::UNPROCESSABLE_ENTITY, &json!({ "error": why }))
        }
        Refusal::OverQuota(status, limit) => over_quota(status, limit),
        Refusal::Storage(error) => {
            reply::text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())
        }
    })
}

async fn receive(shared: &Shared, request: Request<RequestBody>) -> Result<Received, Refusal> {
    let content_type = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    if content_type.starts_with("application/json") {
        return Err(Refusal::Malformed("the sandbox imports no documents by URL"));
    }
    let mut body = BodyDataStream::new(request.into_body());
    let received = match multer::parse_boundary(&content_type) {
        Ok(boundary) => parts(shared, multer::Multipart::new(&mut body, boundary)).await,
        Err(_) if content_type.starts_with("multipart/") => {
            Err(Refusal::Malformed("a multipart body without a boundary"))
        }
        Err(_) => raw(shared, &mut body, content_type).await,
    };
    if received.is_err() {
        // A reply to a peer that is still sending is easily lost with a reset.
        drain(&mut body).await;
    }
    received
}

async fn raw(
    shared: &Shared,
    body: &mut BodyDataStream<RequestBody>,
    content_type: String,
) -> Result<Received, Refusal> {
    let mut file = shared.storage.receive().await.map_err(Refusal::Storage)?;
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|_| Refusal::Malformed("the body ended early"))?;
        take(shared, &mut file, &chunk).await?;
    }
    let content_type = Some(content_type).filter(|name| !name.is_empty());
    Ok(Received { file: Some(file), content_type, ..Received::default() })
}

async fn parts(shared: &Shared, mut multipart: multer::Multipart<'_>) -> Result<Received, Refusal> {
    let malformed = |_| Refusal::Malformed("the multipart body can't be read");
    let mut received = Received { multipart: true, ..Received::default() };
    while let Some(mut field) = multipart.next_field().await.map_err(malformed)? {
        match field.name().unwrap_or_default() {
            "file" => {
                received.name = field.file_name().map(str::to_owned);
                received.content_type = field.content_type().map(ToString::to_string);
                let mut file = shared.storage.receive().await.map_err(Refusal::Storage)?;
                while let Some(chunk) = field.chunk().await.map_err(malformed)? {
                    take(shared, &mut file, &chunk).await?;
                }
                received.file = Some(file);
            }
            "title" => received.title = Some(text(field).await?),
            "document_id" => received.document_id = Some(text(field).await?),
            "overwrite_existing_document" => received.overwrite = text(field).await? == "true",
            _ => {}
        }
    }
    Ok(received)
}

async fn take(shared: &Shared, file: &mut Incoming, chunk: &Bytes) -> Result<(), Refusal> {
    if file.bytes() + chunk.len() as u64 > shared.options.size_limit {
        return Err(Refusal::TooLarge);
    }
    file.write(chunk).await.map_err(Refusal::Storage)
}

async fn text(mut field: multer::Field<'_>) -> Result<String, Refusal> {
    let mut text = Vec::new();
    while let Ok(Some(chunk)) = field.chunk().await {
        text.extend_from_slice(&chunk);
        if text.len() > MAX_FIELD {
            return Err(Refusal::Malformed("a field is too long"));
        }
    }
    String::from_utf8(text).map_err(|_| Refusal::Malformed("a field is not UTF-8"))
}

async fn keep(
    shared: &Shared,
    received: Received,
    quirks: &Quirks,
    entry: &mut Entry,
) -> Result<Reply, Refusal> {
    let file = received.file.ok_or(Refusal::Malformed("no part is named `file`"))?;
    if file.bytes() == 0 {
        return Err(Refusal::Malformed("the file is empty"));
    }
    let declared = received.content_type.as_deref();
    let content = file.finish(declared).await.map_err(Refusal::Storage)?;
    entry.file = Some(File {
        multipart: received.multipart,
        name: received.name.clone(),
        content_type: received.content_type,
        bytes: content.bytes,
        sha256: content.sha256.clone(),
    });
    let chosen = received.document_id.filter(|id| quirks.honour_document_id && !id.is_empty());
    let document = Arc::new(Document {
        id: chosen.unwrap_or_else(new_id),
        title: received.title.or(received.name),
        created: clock::unix_now(),
        content,
    });
    let (replaced, counters) = match admit(shared, &document, received.overwrite) {
        Ok(admitted) => admitted,
        Err(refusal) => {
            // Its record was never written, so an error says nothing.
            let _ = shared.storage.forget(&document).await;
            return Err(refusal);
        }
    };
    if let Some(replaced) = replaced {
        shared.storage.forget(&replaced).await.map_err(Refusal::Storage)?;
    }
    shared.storage.persist(&document, counters).await.map_err(Refusal::Storage)?;
    Ok(stored(&document, quirks))
}

/// Adds the document if plan and id allow; the one that it replaces.
fn admit(
    shared: &Shared,
    document: &Arc<Document>,
    overwrite: bool,
) -> Result<(Option<Arc<Document>>, Counters), Refusal> {
    let mut live = shared.live();
    if let Some(limit) = live.upload_over_quota() {
        return Err(Refusal::OverQuota(live.quota.status, limit));
    }
    let existing = live.documents.iter().position(|other| other.id == document.id);
    if existing.is_some() && !overwrite {
        return Err(Refusal::Malformed("document_id is already in use"));
    }
    let replaced = existing.map(|index| live.documents.remove(index));
    live.documents.push(Arc::clone(document));
    live.counters.uploads += 1;
    Ok((replaced, live.counters))
}

fn stored(document: &Document, quirks: &Quirks) -> Reply {
    let status = StatusCode::from_u16(quirks.upload_status).unwrap_or(StatusCode::OK);
    let body = json!({
        "document_id": document.id,
        "title": document.title,
        "errors": [],
        "password_protected": false,
        "sourcePdfSha256": document.pdf_sha256(),
        "createdAt": clock::rfc3339(document.created),
    });
    match quirks.flat_upload {
        true => reply::json(status, &body),
        false => reply::json(status, &json!({ "data": body })),
    }
}

pub(super) fn over_quota(status: u16, limit: &str) -> Reply {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::PAYMENT_REQUIRED);
    let reason = format!("quota exceeded: the {limit} of your plan is reached");
    reply::json(status, &json!({ "error": { "details": reason, "requestId": "sandbox-quota" } }))
}

/// Reads on for a while, so that the peer gets to see the reply.
pub(super) async fn drain(body: &mut BodyDataStream<RequestBody>) {
    let mut left = MAX_DRAINED;
    while let Some(Ok(chunk)) = body.next().await {
        left = left.saturating_sub(chunk.len());
        if left == 0 {
            return;
        }
    }
}

const MAX_FIELD: usize = 64 * 1024;
const MAX_DRAINED: usize = 256 * 1024 * 1024;
