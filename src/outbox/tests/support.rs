//! A DWS and a spool that live in memory, and an outbox on top of them.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};

pub(super) use super::fake::{Act, FakeBackend};
use crate::backend::Current;
use crate::document::DocumentKey;
use crate::events::{Event, Events, Listener, Origin};
use crate::outbox::clock::Clock;
use crate::outbox::intake::{self, Kept};
use crate::outbox::remote::Files;
use crate::outbox::{Circumstances, Known, Outbox, Shared, hex};
use crate::reason::Reason;
use crate::store::{Document, DocumentStore, Job, MemoryStore, NameError, Provenance, rename};
use crate::telemetry::Metrics;

#[derive(Debug, Default)]
pub(super) struct FakeFiles {
    files: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl FakeFiles {
    pub(super) fn write(&self, name: &str, bytes: &[u8]) {
        self.files.lock().unwrap().insert(name.to_owned(), bytes.to_vec());
    }
    pub(super) fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        self.files.lock().unwrap().get(name).cloned()
    }
    pub(super) fn names(&self) -> Vec<String> {
        self.files.lock().unwrap().keys().cloned().collect()
    }
}

impl Files for FakeFiles {
    fn path(&self, name: &str) -> PathBuf {
        name.into()
    }
    fn size(&self, name: &str) -> io::Result<u64> {
        let bytes = self.bytes(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(bytes.len() as u64)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.files.lock().unwrap().remove(name);
        Ok(())
    }
    fn sweep(&self, keep: &dyn Fn(&str) -> bool) -> io::Result<usize> {
        let mut files = self.files.lock().unwrap();
        let before = files.len();
        files.retain(|name, _| keep(name));
        Ok(before - files.len())
    }
    fn put_aside(&self, keep: &dyn Fn(&str) -> bool) -> io::Result<(usize, PathBuf)> {
        let aside = self.names().iter().filter(|name| !keep(name)).count();
        Ok((aside, "aside".into()))
    }
    fn is_own(&self, _: &str) -> bool {
        true
    }
}

/// What outlives a crash, and the outbox that does not.
pub(super) struct World {
    pub(super) store: Arc<dyn DocumentStore>,
    pub(super) files: Arc<FakeFiles>,
    pub(super) dws: Arc<FakeBackend>,
    pub(super) metrics: Arc<Metrics>,
    heard: Arc<Mutex<Vec<String>>>,
    clock: Clock,
    outbox: Option<Outbox>,
    spooled: usize,
}

/// Keeps the name of each event that the outbox tells, but for its figures.
struct Hearing(Arc<Mutex<Vec<String>>>);

impl Listener for Hearing {
    fn hear(&self, event: &Event<'_>, _: &Origin<'_>) {
        let told = match event {
            Event::Job { job, what } => format!("{} {what:?}", job.kind),
            Event::BreakerOpened { lane, .. } => format!("{lane} opened"),
            Event::BreakerClosed { lane } => format!("{lane} closed"),
            Event::JobsCounted(_) => return,
            other => format!("{other:?}"),
        };
        let name = told.split([' ', '{']).take(2).collect::<Vec<_>>().join(" ");
        self.0.lock().unwrap().push(name);
    }
}

impl World {
    pub(super) async fn new() -> Self {
        Self::on(Arc::new(MemoryStore::new())).await
    }

    pub(super) async fn on(store: Arc<dyn DocumentStore>) -> Self {
        let files = Arc::new(FakeFiles::default());
        let clock = Clock::start();
        let dws = Arc::new(FakeBackend::new(Arc::clone(&files), clock));
        let mut world = Self {
            store,
            files,
            dws,
            metrics: Arc::new(Metrics::new()),
            heard: Arc::default(),
            clock,
            outbox: None,
            spooled: 0,
        };
        world.restart().await;
        world
    }

    /// The process dies where it stands, and another one starts.
    pub(super) async fn restart(&mut self) {
        self.crash();
        // What was aborted is gone once the runtime came by.
        tokio::task::yield_now().await;
        let (store, files) = (Arc::clone(&self.store), Arc::clone(&self.files));
        let hearing = Hearing(Arc::clone(&self.heard));
        let events = Events::new(Arc::clone(&self.metrics), vec![Box::new(hearing)]);
        let dws = Arc::new(Current::new(self.dws.clone()));
        let outbox = Outbox::start_with(store, files, dws, events, self.clock).await;
        self.outbox = Some(outbox);
    }

    /// Unix milliseconds, as the outbox counts them.
    pub(super) fn now(&self) -> u64 {
        self.clock.now()
    }

    /// What was told since the last time.
    pub(super) fn heard(&self) -> Vec<String> {
        std::mem::take(&mut *self.heard.lock().unwrap())
    }

    pub(super) fn crash(&mut self) {
        if let Some(outbox) = self.outbox.take() {
            let Outbox { shared } = outbox;
            let shared: Arc<Shared> = shared;
            assert_eq!(Arc::strong_count(&shared), 1);
        }
    }

    pub(super) fn outbox(&self) -> &Outbox {
        self.outbox.as_ref().unwrap()
    }

    pub(super) fn spool(&mut self, key: &DocumentKey, bytes: &[u8]) -> Kept {
        self.spooled += 1;
        let spool = format!("spool-{}", self.spooled);
        self.files.write(&spool, bytes);
        Kept {
            key: key.clone(),
            spool,
            title: Some("report.pdf".to_owned()),
            content_type: "application/pdf".to_owned(),
            size: bytes.len() as u64,
            sha256: hash(bytes),
            provenance: Provenance::default(),
        }
    }

    pub(super) async fn capture(&mut self, key: &DocumentKey, bytes: &[u8]) -> Reason {
        self.capture_as(key, bytes, "application/pdf", "report.pdf").await
    }

    pub(super) async fn capture_as(
        &mut self,
        key: &DocumentKey,
        bytes: &[u8],
        content_type: &str,
        title: &str,
    ) -> Reason {
        let kept = self.spool(key, bytes);
        let (content_type, title) = (content_type.to_owned(), Some(title.to_owned()));
        let kept = Kept { content_type, title, ..kept };
        let core = &self.outbox().shared.core;
        intake::capture(core, vec![kept], Known::Any, &Circumstances::default()).await.unwrap()[0]
    }

    pub(super) async fn capture_all(
        &self,
        files: Vec<Kept>,
        known: Known,
    ) -> Result<Vec<Reason>, Reason> {
        intake::capture(&self.outbox().shared.core, files, known, &Circumstances::default()).await
    }

    pub(super) async fn mapping(&self, key: &DocumentKey) -> Option<Document> {
        self.store.get(key).await.unwrap().map(|found| found.document.clone())
    }

    /// The app has another name for a document from now on, however often the store fails.
    pub(super) async fn rename(&self, from: &DocumentKey, to: &DocumentKey) {
        loop {
            match rename(&*self.store, from, to).await {
                Err(NameError::Store(_)) => {}
                // An earlier try was written although it timed out.
                Err(NameError::Unknown(_))
                    if self.store.get(to).await.is_ok_and(|to| to.is_some()) =>
                {
                    return;
                }
                renamed => return renamed.unwrap(),
            }
        }
    }

    pub(super) async fn jobs(&self) -> Vec<Job> {
        self.store.jobs(None, 10_000).await.unwrap()
    }

    /// The bytes that DWS has for this document.
    pub(super) async fn delivered(&self, key: &DocumentKey) -> Option<Vec<u8>> {
        let mapping = self.mapping(key).await?;
        let crate::store::DocumentState::Ready { document_id } = mapping.state else {
            return None;
        };
        self.dws.documents().get(&document_id).cloned()
    }

    /// Lets hours pass until nothing but parked jobs is left.
    pub(super) async fn settle(&self) {
        for _ in 0..2000 {
            let parked = |job: &Job| matches!(job.progress, crate::store::Progress::Parked { .. });
            if self.jobs().await.iter().all(parked) {
                // The spool file goes after the job.
                tokio::time::sleep(Duration::from_secs(1)).await;
                return;
            }
            tokio::time::sleep(Duration::from_secs(30)).await;
        }
        panic!("still due: {:?}", self.jobs().await);
    }
}

/// As mappings keep it.
pub(super) fn hash(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

pub(super) fn key(id: &str) -> DocumentKey {
    DocumentKey::new("files", id).unwrap()
}
