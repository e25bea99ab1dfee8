//! Random histories against what ought to come of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::fake::Heeds;
use super::flaky::Flaky;
use super::support::{Act, World, key};
use crate::backend::BackendErrorKind;
use crate::store::DocumentState;

/// Without unclear outcomes: every document is at DWS exactly once, with its last bytes, and
/// nothing else is.
#[tokio::test(start_paused = true)]
async fn every_document_is_there_once_with_its_last_bytes() {
    for seed in 0..1000 {
        let mut history = History::new(seed).await;
        for _ in 0..25 {
            history.step(false).await;
        }
        history.world.settle().await;
        history.check(0).await;
    }
}

/// As much with crashes, lost replies, equal bytes and files that are converted, whatever DWS heeds.
#[tokio::test(start_paused = true)]
async fn nothing_is_parked_lost_doubled_or_left_over() {
    for seed in 0..600 {
        let mut history = History::new(seed).await;
        let (ids, titles) = [(true, true), (false, true), (false, false)][seed as usize % 3];
        history.world.dws.set_heeds(Heeds { ids, titles, ..Heeds::default() });
        history.converts = titles && seed % 4 == 0;
        history.repeats = seed % 5 == 0;
        for _ in 0..25 {
            history.step(true).await;
        }
        history.world.settle().await;
        assert_eq!(history.world.jobs().await, [], "seed {seed}: parked");
        history.check(0).await;
    }
}

struct History {
    seed: u64,
    random: StdRng,
    world: World,
    /// Some files are no PDFs.
    converts: bool,
    /// Some files have equal bytes.
    repeats: bool,
    /// What the app has.
    app: BTreeMap<String, Vec<u8>>,
}

impl History {
    async fn new(seed: u64) -> Self {
        let world = World::on(Arc::new(Flaky::new(seed))).await;
        let mut random = StdRng::seed_from_u64(seed);
        world.dws.set_latency(Duration::from_millis(
            random.random_range(0..5000) / [1, 100][usize::from(seed.is_multiple_of(2))],
        ));
        Self { seed, random, world, converts: false, repeats: false, app: BTreeMap::new() }
    }

    async fn step(&mut self, with_doubt: bool) {
        let id = ["a", "b", "c"][self.random.random_range(0..3)];
        match self.random.random_range(0..100) {
            0..35 => {
                let mut bytes: [u8; 8] = self.random.random();
                if self.repeats {
                    bytes = [bytes[0] % 2; 8];
                }
                let is_pdf = !self.converts || bytes[1].is_multiple_of(2);
                let content_type = if is_pdf { "application/pdf" } else { "image/png" };
                self.world.capture_as(&key(id), &bytes, content_type, "scan").await;
                self.app.insert(id.to_owned(), bytes.to_vec());
            }
            35..50 => {
                let known = usize::from(self.app.remove(id).is_some());
                assert_eq!(self.world.outbox().delete(&key(id), false).await, Ok(known));
            }
            50..70 => {
                let wait = self.random.random_range(0..4000);
                let wait = wait / [1, 200][usize::from(self.seed.is_multiple_of(2))];
                tokio::time::sleep(Duration::from_millis(wait)).await;
            }
            70..75 => {
                let to = ["a", "b", "c", "d"][self.random.random_range(0..4)];
                if !self.app.contains_key(to)
                    && let Some(bytes) = self.app.remove(id)
                {
                    self.world.rename(&key(id), &key(to)).await;
                    self.app.insert(to.to_owned(), bytes);
                }
            }
            75..90 => {
                use BackendErrorKind::*;
                let kinds = [Unreachable, RateLimited, Busy, KeyRefused, Forbidden, Quota];
                let kind = kinds[self.random.random_range(0..kinds.len())];
                self.world.dws.script_uploads([Act::Fail(kind)]);
                self.world.dws.script_removals([Act::Fail(kind), Act::LoseReply]);
            }
            90..95 if with_doubt => {
                let late = Act::Late(Duration::from_secs(100));
                let acts = [Act::LoseReply, Act::LoseReply, Act::Away, late];
                self.world.dws.script_uploads([acts[self.random.random_range(0..4)]]);
            }
            95..100 if with_doubt => self.world.restart().await,
            _ => tokio::task::yield_now().await,
        }
    }

    async fn check(&self, parked: usize) {
        let Self { seed, world, app, .. } = self;
        let mappings = world.store.list(None, 100).await.unwrap();
        let ids: Vec<_> = mappings.iter().map(|mapping| mapping.key.id()).collect();
        assert_eq!(ids, app.keys().collect::<Vec<_>>(), "seed {seed}");
        let mut leftover = world.dws.documents();
        let mut in_doubt = 0;
        for mapping in &mappings {
            match &mapping.state {
                DocumentState::Ready { document_id } => {
                    let bytes = leftover.remove(document_id);
                    assert_eq!(bytes.as_ref(), app.get(mapping.key.id()), "seed {seed}");
                }
                DocumentState::Pending { job, previous } => {
                    in_doubt += 1;
                    let jobs = world.jobs().await;
                    assert!(jobs.iter().any(|parked| parked.id == *job), "seed {seed}");
                    if let Some(previous) = previous {
                        assert!(leftover.remove(previous).is_some(), "seed {seed}");
                    }
                }
                DocumentState::Refused { .. } => panic!("seed {seed}: nothing was refused"),
                DocumentState::Unconfirmed { .. } => panic!("seed {seed}: all was accepted"),
                DocumentState::Lost { .. } => {
                    panic!("seed {seed}: nobody asked whether it was lost")
                }
            }
        }
        assert!(in_doubt <= parked, "seed {seed}");
        assert!(leftover.len() <= parked, "seed {seed}: {leftover:?} left over, {parked} parked");
        assert_eq!(world.files.names().len(), parked, "seed {seed}");
    }
}
