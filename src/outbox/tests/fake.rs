//! A DWS that lives in memory, and does as scripted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::support::{FakeFiles, hash};
use crate::backend::{
    Backend, BackendError, BackendErrorKind, Capabilities, Honours, Listed, ListedDocument,
    Properties, SessionRequest, SessionToken, Times, Upload,
};
use crate::outbox::clock::Clock;
use crate::store::BoxFuture;

/// How DWS is to behave at the next call; when the script is used up it simply works.
#[derive(Clone, Copy, Debug)]
pub(in crate::outbox) enum Act {
    Work,
    /// Nothing is stored or removed.
    Fail(BackendErrorKind),
    /// As much, and it says of itself that it is away.
    Away,
    /// As much, and it asks to be left alone for an hour.
    PutOff,
    /// It is stored or removed, and the answer is lost.
    LoseReply,
    /// The answer is lost, and it is stored as late as this.
    Late(Duration),
}

#[derive(Debug)]
pub(in crate::outbox) struct FakeBackend {
    inner: Mutex<Inner>,
    files: Arc<FakeFiles>,
    clock: Clock,
}

#[derive(Debug, Default)]
struct Inner {
    documents: BTreeMap<String, Stored>,
    uploads: VecDeque<Act>,
    removals: VecDeque<Act>,
    down: Option<BackendErrorKind>,
    barred: Option<(Vec<u8>, BackendErrorKind)>,
    latency: Duration,
    calls: usize,
    looks: usize,
    under_way: usize,
    most_under_way: usize,
    stored: usize,
    heeds: Heeds,
    refused_keep: Duration,
    learnt: (Honours, Honours),
}

#[derive(Clone, Debug)]
struct Stored {
    bytes: Vec<u8>,
    title: String,
    is_pdf: bool,
    created_at: u64,
}

/// What this DWS does of what it may do.
#[derive(Clone, Copy, Debug)]
pub(in crate::outbox) struct Heeds {
    pub(in crate::outbox) ids: bool,
    pub(in crate::outbox) titles: bool,
    /// `/properties` answers.
    pub(in crate::outbox) properties: bool,
    /// The key may list.
    pub(in crate::outbox) list: bool,
}

impl Default for Heeds {
    fn default() -> Self {
        Self { ids: false, titles: true, properties: true, list: true }
    }
}

impl FakeBackend {
    pub(super) fn new(files: Arc<FakeFiles>, clock: Clock) -> Self {
        Self { inner: Mutex::default(), files, clock }
    }
    pub(super) fn script_uploads(&self, acts: impl IntoIterator<Item = Act>) {
        self.inner.lock().unwrap().uploads.extend(acts);
    }
    pub(super) fn script_removals(&self, acts: impl IntoIterator<Item = Act>) {
        self.inner.lock().unwrap().removals.extend(acts);
    }
    pub(super) fn set_down(&self, kind: Option<BackendErrorKind>) {
        self.inner.lock().unwrap().down = kind;
    }
    /// Uploads of these bytes end so.
    pub(super) fn bar(&self, bytes: &[u8], kind: BackendErrorKind) {
        self.inner.lock().unwrap().barred = Some((bytes.to_vec(), kind));
    }
    pub(super) fn set_latency(&self, latency: Duration) {
        self.inner.lock().unwrap().latency = latency;
    }
    pub(super) fn set_heeds(&self, heeds: Heeds) {
        self.inner.lock().unwrap().heeds = heeds;
    }
    pub(super) fn set_refused_keep(&self, keep: Duration) {
        self.inner.lock().unwrap().refused_keep = keep;
    }
    pub(super) fn documents(&self) -> BTreeMap<String, Vec<u8>> {
        let inner = self.inner.lock().unwrap();
        let documents =
            inner.documents.iter().filter(|(_, one)| one.created_at <= self.clock.now());
        documents.map(|(id, one)| (id.clone(), one.bytes.clone())).collect()
    }
    /// Uploads and removals.
    pub(super) fn calls(&self) -> usize {
        self.inner.lock().unwrap().calls
    }
    /// Questions after documents.
    pub(super) fn looks(&self) -> usize {
        self.inner.lock().unwrap().looks
    }
    pub(super) fn most_uploads_at_a_time(&self) -> usize {
        self.inner.lock().unwrap().most_under_way
    }
    /// Somebody else uploads with the same key.
    pub(super) fn put(&self, id: &str, bytes: &[u8], title: &str) {
        let stored = Stored {
            bytes: bytes.to_vec(),
            title: title.to_owned(),
            is_pdf: true,
            created_at: self.clock.now(),
        };
        self.inner.lock().unwrap().documents.insert(id.to_owned(), stored);
    }

    async fn act(&self, upload: bool) -> Act {
        let (act, latency) = {
            let mut inner = self.inner.lock().unwrap();
            inner.calls += 1;
            let down = inner.down.map(Act::Fail);
            let script = if upload { &mut inner.uploads } else { &mut inner.removals };
            (down.or_else(|| script.pop_front()).unwrap_or(Act::Work), inner.latency)
        };
        tokio::time::sleep(latency / 2).await;
        act
    }

    /// The second half of a call, after what it does is done.
    async fn answer<T>(&self, act: Act, answer: T) -> Result<T, BackendError> {
        let latency = self.inner.lock().unwrap().latency;
        tokio::time::sleep(latency / 2).await;
        match act {
            Act::Work => Ok(answer),
            Act::Fail(kind) => Err(error(kind)),
            Act::Away => {
                Err(BackendError { status: Some(503), ..error(BackendErrorKind::Unclear) })
            }
            Act::PutOff => {
                let retry_after = Some(Duration::from_secs(3600));
                Err(BackendError { retry_after, ..error(BackendErrorKind::Busy) })
            }
            Act::LoseReply | Act::Late(_) => Err(error(BackendErrorKind::Unclear)),
        }
    }

    fn store(&self, upload: &Upload<'_>, bytes: Vec<u8>, late: Duration) -> Option<String> {
        let mut inner = self.inner.lock().unwrap();
        inner.stored += 1;
        let own = format!("D{}", inner.stored);
        let asked = upload.document_id.filter(|_| inner.heeds.ids);
        let id = asked.map_or(own, str::to_owned);
        if inner.documents.contains_key(&id) {
            return None;
        }
        let title = if inner.heeds.titles { upload.title.unwrap_or_default() } else { "its own" };
        let stored = Stored {
            bytes,
            title: title.to_owned(),
            is_pdf: upload.content_type == "application/pdf",
            created_at: self.clock.now() + late.as_millis() as u64,
        };
        inner.documents.insert(id.clone(), stored);
        Some(id)
    }

    fn look(&self) -> Result<Heeds, BackendError> {
        let mut inner = self.inner.lock().unwrap();
        inner.looks += 1;
        inner.down.map_or(Ok(inner.heeds), |kind| Err(error(kind)))
    }
}

fn error(kind: BackendErrorKind) -> BackendError {
    BackendError { kind, status: None, retry_after: None, detail: "scripted".to_owned() }
}

/// An upload that is under way, until it ends or is cut off.
struct UnderWay<'a>(&'a FakeBackend);

impl<'a> UnderWay<'a> {
    fn begin(backend: &'a FakeBackend) -> Self {
        let mut inner = backend.inner.lock().unwrap();
        inner.under_way += 1;
        inner.most_under_way = inner.most_under_way.max(inner.under_way);
        Self(backend)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.inner.lock().unwrap().under_way -= 1;
    }
}

impl Backend for FakeBackend {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn account(&self) -> &'static str {
        "account"
    }

    fn times(&self) -> Times {
        let refused_keep = self.inner.lock().unwrap().refused_keep;
        Times { upload_idle: Duration::from_secs(120), refused_keep }
    }

    fn capabilities(&self) -> Capabilities {
        let (honours_ids, honours_titles) = self.inner.lock().unwrap().learnt;
        Capabilities {
            honours_ids,
            honours_titles,
            mints_locally: false,
            max_size: None,
            types: &[],
        }
    }

    fn session<'a>(
        &'a self,
        _: SessionRequest<'a>,
    ) -> BoxFuture<'a, Result<SessionToken, BackendError>> {
        Box::pin(async { Err(error(BackendErrorKind::Forbidden)) })
    }

    fn has_lost<'a>(&'a self, document_id: &'a str) -> BoxFuture<'a, Result<bool, BackendError>> {
        Box::pin(async {
            self.look()?;
            Ok(!self.documents().contains_key(document_id))
        })
    }

    fn check(&self) -> BoxFuture<'_, Result<(), BackendError>> {
        Box::pin(async { self.look().map(drop) })
    }

    fn data_planes(&self) -> Arc<Vec<String>> {
        Arc::default()
    }

    fn upload<'a>(&'a self, upload: Upload<'a>) -> BoxFuture<'a, Result<String, BackendError>> {
        Box::pin(async move {
            let _under_way = UnderWay::begin(self);
            let act = self.act(true).await;
            let name = upload.path.to_string_lossy().into_owned();
            let Some(bytes) = self.files.bytes(&name) else {
                return Err(error(BackendErrorKind::File));
            };
            let barred = self.inner.lock().unwrap().barred.clone();
            if let Some((_, kind)) = barred.filter(|(barred, _)| *barred == bytes) {
                return Err(error(kind));
            }
            let late = if let Act::Late(late) = act { late } else { Duration::ZERO };
            let stores = matches!(act, Act::Work | Act::LoseReply | Act::Late(_));
            let stored = stores.then(|| self.store(&upload, bytes, late));
            if let Some(None) = stored {
                return Err(error(BackendErrorKind::Refused));
            }
            let id = stored.flatten().unwrap_or_default();
            let answer = self.answer(act, id).await?;
            let mut inner = self.inner.lock().unwrap();
            let Heeds { ids, titles, .. } = inner.heeds;
            inner.learnt = (Some(ids).into(), Some(titles).into());
            Ok(answer)
        })
    }

    fn properties<'a>(
        &'a self,
        document_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<Properties>, BackendError>> {
        Box::pin(async move {
            let heeds = self.look()?;
            let there = self.documents().contains_key(document_id) && heeds.properties;
            let inner = self.inner.lock().unwrap();
            let found = inner.documents.get(document_id).filter(|_| there);
            Ok(found.map(|found| Properties {
                title: Some(found.title.clone()),
                sha256: Some(if found.is_pdf {
                    hash(&found.bytes)
                } else {
                    "converted".to_owned()
                }),
                size: Some(found.bytes.len() as u64),
            }))
        })
    }

    fn list<'a>(&'a self, cursor: Option<&'a str>) -> BoxFuture<'a, Result<Listed, BackendError>> {
        Box::pin(async move {
            if !self.look()?.list {
                return Err(error(BackendErrorKind::Forbidden));
            }
            let now = self.clock.now();
            let inner = self.inner.lock().unwrap();
            let listed = inner.documents.iter().filter(|(_, one)| one.created_at <= now);
            let mut listed: Vec<_> = listed
                .map(|(id, one)| ListedDocument {
                    id: id.clone(),
                    title: Some(one.title.clone()),
                    created_at: Some(one.created_at),
                })
                .collect();
            listed.sort_by_key(|one| std::cmp::Reverse(one.created_at));
            let count = Some(listed.len() as u64);
            let from = cursor.map_or(0, |cursor| cursor.parse().unwrap());
            let to = (from + PAGE).min(listed.len());
            let next = (to < listed.len()).then(|| to.to_string());
            Ok(Listed { documents: listed[from..to].to_vec(), next, count, now: Some(now) })
        })
    }

    fn remove<'a>(&'a self, document_id: &'a str) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            let act = self.act(false).await;
            if matches!(act, Act::Work | Act::LoseReply) {
                self.inner.lock().unwrap().documents.remove(document_id);
            }
            self.answer(act, ()).await
        })
    }
}

/// Small, so that walks have several.
const PAGE: usize = 3;
