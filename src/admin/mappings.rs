//! `GET /mappings`, `GET /mappings/{kind}/{id}`, `GET /mappings/export`, `POST /mappings/{import,remove}`.

use std::fs::File;
use std::io::{BufReader, Seek, SeekFrom, Write};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http::StatusCode;
use http_body::Body;
use http_body_util::BodyExt;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::lines::{self, line};
use super::operator::{Answer, bad, json};
use super::outbox::refusal;
use crate::document::{DocumentKey, InvalidId};
use crate::http::BoxError;
use crate::outbox::OutboxHandle;
use crate::private;
use crate::store::DocumentStore;
use crate::store::transfer::{self, Line};

/// Names to be forgotten. Also what the command sends.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Removal {
    pub(crate) kind: String,
    pub(crate) ids: Vec<String>,
    #[serde(default)]
    pub(crate) host: Option<String>,
    #[serde(default)]
    pub(crate) keep_document: bool,
}

impl Removal {
    /// # Errors
    /// The id that none can have.
    pub(crate) fn keys(&self) -> Result<Vec<DocumentKey>, String> {
        let key = |id: &String| {
            key(&self.kind, id, self.host.as_deref()).map_err(|error| format!("{id:?} is {error}"))
        };
        self.ids.iter().map(key).collect()
    }
}

/// What became of a [`Removal`].
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Removed {
    pub(crate) removed: usize,
    /// There were no such names.
    pub(crate) missing: Vec<String>,
}

/// The name of a document as operators write it.
pub(crate) fn key(kind: &str, id: &str, host: Option<&str>) -> Result<DocumentKey, InvalidId> {
    let key = DocumentKey::new(kind, id)?;
    match host {
        Some(host) => key.at_host(host.to_ascii_lowercase()),
        None => Ok(key),
    }
}

pub(super) async fn list(store: Arc<dyn DocumentStore>, kind: Option<String>) -> Answer {
    lines::answer(all(store, kind)).await
}

/// What `transom mappings import` reads.
pub(super) async fn export(store: Arc<dyn DocumentStore>) -> Answer {
    let counted = Arc::clone(&store);
    let header = stream::once(async move { transfer::header(&*counted).await });
    lines::answer(header.chain(all(store, None))).await
}

fn all(
    store: Arc<dyn DocumentStore>,
    kind: Option<String>,
) -> impl futures_util::Stream<Item = lines::Page> + Send + 'static {
    lines::pages(move |after: Option<DocumentKey>| {
        let (store, kind) = (Arc::clone(&store), kind.clone());
        async move {
            let page = store.list(after.as_ref(), PAGE).await?;
            let Some(end) = page.last().map(|last| last.key.clone()) else { return Ok(None) };
            let wanted =
                page.into_iter().filter(|it| kind.as_deref().is_none_or(|k| k == it.key.kind()));
            Ok(Some((wanted.map(|mapping| line(&Line::from(mapping))).collect(), end)))
        }
    })
}

pub(super) async fn show(store: &dyn DocumentStore, key: &DocumentKey) -> Answer {
    match store.get(key).await {
        Ok(Some(mapping)) => json(StatusCode::OK, &Line::from(Arc::unwrap_or_clone(mapping))),
        Ok(None) => Err((StatusCode::NOT_FOUND, format!("no mapping for {key}\n"))),
        Err(error) => Err((StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n"))),
    }
}

pub(super) async fn remove(outbox: &OutboxHandle, removal: &Removal) -> Answer {
    let keys = removal.keys().map_err(bad)?;
    let mut removed = Removed::default();
    for key in keys {
        let name = key.to_string();
        match outbox.forget(vec![key], !removal.keep_document).await {
            Ok(0) => removed.missing.push(name),
            Ok(count) => removed.removed += count,
            Err(error) => return Err(refusal(&error)),
        }
    }
    json(StatusCode::OK, &removed)
}

/// All lines, or none if one of them is bad.
pub(super) async fn import<B>(store: Arc<dyn DocumentStore>, background: Handle, body: B) -> Answer
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    let failed = |error: std::io::Error| (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n"));
    let mut file = private::scratch().map_err(failed)?;
    let mut body = std::pin::pin!(body);
    let mut size = 0;
    while let Some(frame) = body.frame().await {
        let cut = |_| (StatusCode::BAD_REQUEST, "the lines did not come to their end\n".to_owned());
        let Ok(data) = frame.map_err(cut)?.into_data() else { continue };
        size += data.len() as u64;
        if size > MAX_IMPORT {
            let told = format!("expected at most {MAX_IMPORT} bytes\n");
            return Err((StatusCode::PAYLOAD_TOO_LARGE, told));
        }
        // Small pieces for the page cache.
        file.write_all(&data).map_err(failed)?;
    }
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    let imported = tokio::task::spawn_blocking(move || read(&background, &*store, file)).await;
    let interrupted = |_| (StatusCode::SERVICE_UNAVAILABLE, "interrupted\n".to_owned());
    json(StatusCode::OK, &imported.map_err(interrupted)??)
}

/// Reads the file as it goes, which blocks.
fn read(
    background: &Handle,
    store: &dyn DocumentStore,
    file: File,
) -> Result<transfer::Imported, (StatusCode, String)> {
    let mut input = BufReader::new(file);
    let imported = background.block_on(transfer::import(store, &mut input, &mut |_, _, _| {}));
    imported.map_err(|error| bad(error.to_string()))
}

/// `{kind}/{id}`, each one percent-encoded segment.
pub(super) fn named(path: &str) -> Option<(String, String)> {
    let (kind, id) = path.split_once('/')?;
    let decoded = |text| percent_encoding::percent_decode_str(text).decode_utf8().ok();
    Some((decoded(kind)?.into_owned(), decoded(id)?.into_owned()))
}

const PAGE: usize = 500;
/// Some ten million lines.
const MAX_IMPORT: u64 = 4 << 30;
