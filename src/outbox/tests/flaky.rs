//! A store that fails under the worker, now before and now after it has written.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::support::{World, key};
use crate::document::DocumentKey;
use crate::outbox::{Circumstances, Known, intake};
use crate::reason::Reason;
use crate::store::{
    Applied, Batch, BoxFuture, DocId, Document, DocumentStore, Job, JobId, Mapping, MemoryStore,
    StoreError,
};

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_at_any_write_neither_loses_nor_doubles() {
    for seed in 0..300 {
        let store = Arc::new(Flaky::new(seed));
        let mut world = World::on(store.clone()).await;
        world.dws.set_latency(Duration::from_millis(200));
        for round in 0..10_u8 {
            store.fails.store(false, Ordering::Relaxed);
            let id = key(["a", "b"][usize::from(round % 2)]);
            if round == 7 {
                assert_eq!(world.outbox().delete(&id, false).await, Ok(1));
            } else {
                world.capture(&id, &[round]).await;
            }
            store.fails.store(true, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(seed * 5)).await;
        }
        tokio::time::sleep(Duration::from_secs(600)).await;
        store.fails.store(false, Ordering::Relaxed);
        world.settle().await;
        assert_eq!(world.jobs().await, [], "seed {seed}: nothing was unclear");
        assert_eq!(world.delivered(&key("a")).await.unwrap(), [8], "seed {seed}");
        assert_eq!(world.delivered(&key("b")).await.unwrap(), [9], "seed {seed}");
        assert_eq!(world.dws.documents().len(), 2, "seed {seed}");
        assert!(world.files.names().is_empty(), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_whose_store_fails_while_it_is_captured_is_neither_lost_nor_doubled() {
    for seed in 0..100 {
        let store = Arc::new(Flaky::new(seed));
        let mut world = World::on(store.clone()).await;
        store.fails.store(true, Ordering::Relaxed);
        let files = (0..20_u8).map(|number| world.spool(&key(&number.to_string()), &[number]));
        let files = files.collect::<Vec<_>>();
        let captures = files.into_iter().map(|file| {
            let core = world.outbox().shared.core.clone();
            tokio::spawn(async move {
                let by = Circumstances::of_upload();
                intake::capture(&core, vec![file], Known::Any, &by).await
            })
        });
        for capture in captures.collect::<Vec<_>>() {
            let captured = capture.await.unwrap().map(|reasons| reasons[0]);
            assert!(matches!(captured, Ok(Reason::Captured | Reason::Replaced)), "{captured:?}");
        }
        store.fails.store(false, Ordering::Relaxed);
        world.settle().await;
        assert_eq!(world.jobs().await, [], "seed {seed}");
        assert_eq!(world.dws.documents().len(), 20, "seed {seed}");
        for number in 0..20_u8 {
            let delivered = world.delivered(&key(&number.to_string())).await;
            assert_eq!(delivered.unwrap(), [number], "seed {seed}");
        }
        assert!(world.files.names().is_empty(), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_that_waited_for_the_store_do_not_replace_later_ones() {
    let store = Arc::new(Flaky::new(7));
    let mut world = World::on(store.clone()).await;
    let (early, late) = (world.spool(&key("a"), &[1]), world.spool(&key("a"), &[2]));
    let core = world.outbox().shared.core.clone();
    store.away.store(true, Ordering::Relaxed);
    let captures = [early, late].map(|file| {
        let core = core.clone();
        tokio::spawn(async move {
            let by = Circumstances::of_upload();
            intake::capture(&core, vec![file], Known::Any, &by).await
        })
    });
    drop(core);
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(!captures.iter().any(tokio::task::JoinHandle::is_finished));
    store.away.store(false, Ordering::Relaxed);
    for capture in captures {
        capture.await.unwrap().unwrap();
    }
    world.settle().await;
    assert_eq!(world.delivered(&key("a")).await.unwrap(), [2]);
    assert_eq!(world.dws.documents().len(), 1);
    assert!(world.files.names().is_empty() && world.jobs().await.is_empty());
}

/// Takes a moment for everything, so that readers and writers come between each other.
pub(super) struct Flaky {
    inner: MemoryStore,
    fails: AtomicBool,
    /// Fails at once and without doubt.
    away: AtomicBool,
    random: Mutex<StdRng>,
}

impl Flaky {
    pub(super) fn new(seed: u64) -> Self {
        let random = Mutex::new(StdRng::seed_from_u64(seed));
        let (fails, away) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { inner: MemoryStore::new(), fails, away, random }
    }

    async fn may_fail(&self) -> Result<(), StoreError> {
        if self.away.load(Ordering::Relaxed) {
            return Err(StoreError::Stopped("away".to_owned()));
        }
        let fails = self.fails.load(Ordering::Relaxed);
        let (fails, pause) = {
            let mut random = self.random.lock().unwrap();
            (fails && random.random_bool(0.3), random.random_range(0..3))
        };
        tokio::time::sleep(Duration::from_millis(pause)).await;
        if fails { Err(StoreError::Timeout) } else { Ok(()) }
    }
}

impl DocumentStore for Flaky {
    fn get<'a>(
        &'a self,
        key: &'a DocumentKey,
    ) -> BoxFuture<'a, Result<Option<Arc<Mapping>>, StoreError>> {
        Box::pin(async move {
            self.may_fail().await?;
            self.inner.get(key).await
        })
    }

    fn document(&self, id: DocId) -> BoxFuture<'_, Result<Option<Arc<Document>>, StoreError>> {
        Box::pin(async move {
            self.may_fail().await?;
            self.inner.document(id).await
        })
    }

    fn apply(&self, batch: Batch) -> BoxFuture<'_, Result<Applied, StoreError>> {
        Box::pin(async move {
            self.may_fail().await?;
            let applied = self.inner.apply(batch).await?;
            self.may_fail().await?;
            Ok(applied)
        })
    }

    fn list<'a>(
        &'a self,
        after: Option<&'a DocumentKey>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Mapping>, StoreError>> {
        self.inner.list(after, limit)
    }

    fn jobs(
        &self,
        after: Option<JobId>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Job>, StoreError>> {
        Box::pin(async move {
            self.may_fail().await?;
            self.inner.jobs(after, limit).await
        })
    }

    fn next_job(&self) -> JobId {
        self.inner.next_job()
    }
}
