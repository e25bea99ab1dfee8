//! From one batch of ids to the next, until all are there.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use indicatif::ProgressBar;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep};

use super::destination::Destination;
use super::ids::IdFile;
use super::progress::{Checkpoint, ResumeAt, Totals, Unsent};
use crate::backfill::{Bring, Brought, Id, Look, Standing, Turn};
use crate::cli::store::CommandError;

/// What is to be brought, and how.
pub(super) struct Drive<'a> {
    pub(super) place: &'a Destination,
    pub(super) kind: &'a str,
    pub(super) headers: &'a [(String, String)],
    /// `None`: the app's list.
    pub(super) file: Option<&'a IdFile>,
    pub(super) bar: &'a ProgressBar,
}

type Ids = Box<dyn Iterator<Item = Result<Id, String>>>;

/// Ids that are done with together.
struct IdBatch {
    ids: Vec<Id>,
    /// `None`: these are the last.
    next: Option<ResumeAt>,
}

/// How one document ended.
enum Ended {
    Sent(u64),
    /// It is in the outbox.
    Waiting,
    Failed {
        code: String,
        detail: Option<String>,
    },
}

impl Drive<'_> {
    /// Brings all from the checkpoint on, at most `rate` in a second, and writes down how far it is.
    ///
    /// # Errors
    /// It stopped; the checkpoint has where to go on.
    pub(super) async fn run(
        &self,
        checkpoint: &mut Checkpoint,
        file: &Path,
        rate: u32,
    ) -> Result<(), CommandError> {
        let mut ticks = interval(Duration::from_secs(1) / rate.max(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut in_vain = InVain::default();
        let mut before = HashSet::new();
        let mut ids = self.ids(&checkpoint.next)?;
        let again = checkpoint.again.iter().filter(|id| !checkpoint.done.contains(id));
        let again = again.cloned().collect();
        self.batch_done(again, checkpoint, file, &mut ticks, &mut in_vain).await?;
        checkpoint.again.clear();
        loop {
            let mut batch = self.batch(&checkpoint.next, &mut ids).await?;
            // An app that does not know about pages lists the same on each.
            let all: HashSet<Id> = batch.ids.iter().cloned().collect();
            if self.file.is_none() && !all.is_empty() && all == before {
                return Ok(());
            }
            before = all;
            let mut seen = checkpoint.done.clone();
            batch.ids.retain(|id| seen.insert(id.clone()));
            self.batch_done(batch.ids, checkpoint, file, &mut ticks, &mut in_vain).await?;
            let Some(next) = batch.next else { return Ok(()) };
            checkpoint.next = next;
            checkpoint.done.clear();
            checkpoint.save(file).map_err(CommandError::failed)?;
        }
    }

    /// How many there are, how many of them are known, and how many no document can have.
    pub(super) async fn count(&self, mut next: ResumeAt) -> Result<Count, CommandError> {
        let (mut count, mut seen) = (Count::default(), HashSet::new());
        let mut ids = self.ids(&next)?;
        loop {
            let mut batch = self.batch(&next, &mut ids).await?;
            let before = batch.ids.len();
            batch.ids.retain(|id| seen.insert(hash(id)));
            if self.file.is_none() && batch.ids.is_empty() && before > 0 {
                return Ok(count);
            }
            for ids in batch.ids.chunks(AT_ONCE) {
                for standing in self.look(ids).await? {
                    count.documents += 1;
                    match standing {
                        Standing::Unknown => {}
                        Standing::Known => count.known += 1,
                        Standing::Invalid(_) => count.invalid += 1,
                    }
                }
            }
            self.bar.set_position(count.documents);
            let Some(following) = batch.next else { return Ok(count) };
            next = following;
        }
    }

    /// Those of the file from there on.
    fn ids(&self, next: &ResumeAt) -> Result<Ids, CommandError> {
        let (Some(file), ResumeAt::Ids(after)) = (self.file, next) else {
            return Ok(Box::new(std::iter::empty()));
        };
        let skipped = usize::try_from(*after).unwrap_or(usize::MAX);
        Ok(Box::new(file.read().map_err(CommandError::Failed)?.skip(skipped)))
    }

    async fn batch(&self, next: &ResumeAt, ids: &mut Ids) -> Result<IdBatch, CommandError> {
        match next {
            ResumeAt::Ids(after) => {
                let ids = ids.take(AT_ONCE).collect::<Result<Vec<_>, _>>();
                let ids = ids.map_err(CommandError::Failed)?;
                let next = ResumeAt::Ids(after + ids.len() as u64);
                let next = (ids.len() == AT_ONCE).then_some(next);
                Ok(IdBatch { ids, next })
            }
            ResumeAt::Page(place) => {
                let (kind, place) = (self.kind.to_owned(), place.clone());
                let turn = Turn { kind, place, headers: self.headers.to_vec() };
                let page = self.patiently(|| self.place.page(&turn)).await?;
                let next = page.next.map(|next| ResumeAt::Page(Some(next)));
                Ok(IdBatch { ids: page.ids, next })
            }
        }
    }

    /// Asks again for a while where a running Transom is gone, since it may be about to start again.
    async fn patiently<T, F>(&self, ask: impl Fn() -> F) -> Result<T, CommandError>
    where
        F: Future<Output = Result<T, CommandError>>,
    {
        let (began, mut tries) = (Instant::now(), 0);
        loop {
            tries += 1;
            let failed = match ask().await {
                Err(CommandError::Failed(told)) => told,
                answered => return answered,
            };
            // It may be back by now.
            let again = tries == 1 || self.place.is_gone().await;
            if !again || began.elapsed() > PATIENCE {
                return Err(CommandError::Failed(failed));
            }
            sleep(PAUSE).await;
        }
    }

    async fn look(&self, ids: &[Id]) -> Result<Vec<Standing>, CommandError> {
        let look = Look { kind: self.kind.to_owned(), ids: ids.to_vec() };
        self.patiently(|| self.place.look(&look)).await
    }

    async fn batch_done(
        &self,
        ids: Vec<Id>,
        checkpoint: &mut Checkpoint,
        file: &Path,
        ticks: &mut Interval,
        in_vain: &mut InVain,
    ) -> Result<(), CommandError> {
        let mut unknown = Vec::new();
        for chunk in ids.chunks(AT_ONCE) {
            let standings = self.look(chunk).await?;
            for (id, standing) in chunk.iter().zip(standings) {
                match standing {
                    Standing::Unknown => unknown.push(id.clone()),
                    Standing::Known => checkpoint.totals.known += 1,
                    Standing::Invalid(code) => {
                        checkpoint.failed(Unsent { id: id.clone(), code, detail: None });
                    }
                }
                if unknown.last() != Some(id) {
                    self.count_done(checkpoint, id);
                }
            }
        }
        let paced = stream::unfold((unknown.into_iter(), ticks), async |(mut ids, ticks)| {
            let id = ids.next()?;
            ticks.tick().await;
            Some((id, (ids, ticks)))
        });
        let brought = paced.map(|id| async { (id.clone(), self.bring(id).await) });
        let mut brought = std::pin::pin!(brought.buffer_unordered(WINDOW));
        let mut saved = Instant::now();
        while let Some((id, ended)) = brought.next().await {
            let ended = ended?;
            in_vain.note(&ended)?;
            match ended {
                Ended::Sent(bytes) => {
                    checkpoint.totals.sent += 1;
                    checkpoint.totals.bytes += bytes;
                }
                Ended::Waiting => checkpoint.totals.waiting += 1,
                Ended::Failed { code, detail } => {
                    checkpoint.failed(Unsent { id: id.clone(), code, detail });
                }
            }
            self.count_done(checkpoint, &id);
            if saved.elapsed() > SAVED_EVERY {
                checkpoint.save(file).map_err(CommandError::failed)?;
                saved = Instant::now();
            }
        }
        Ok(())
    }

    fn count_done(&self, checkpoint: &mut Checkpoint, id: &Id) {
        checkpoint.done.insert(id.clone());
        checkpoint.totals.documents += 1;
        let Totals { documents, sent, known, failed, .. } = checkpoint.totals;
        self.bar.set_position(documents);
        self.bar.set_message(format!("{sent} sent, {known} known, {failed} failed"));
    }

    async fn bring(&self, id: Id) -> Result<Ended, CommandError> {
        let (kind, headers) = (self.kind.to_owned(), self.headers.to_vec());
        let bring = Bring { kind, id, headers };
        let began = Instant::now();
        loop {
            match self.patiently(|| self.place.bring(&bring)).await? {
                Brought::Ready { bytes } => return Ok(Ended::Sent(bytes)),
                Brought::Failed { code, detail } => return Ok(Ended::Failed { code, detail }),
                Brought::Pending if began.elapsed() > LONGEST_WAIT => return Ok(Ended::Waiting),
                Brought::Pending => sleep(PAUSE).await,
            }
        }
    }
}

/// What a dry run finds.
#[derive(Debug, Default)]
pub(super) struct Count {
    pub(super) documents: u64,
    pub(super) known: u64,
    pub(super) invalid: u64,
}

/// Documents that failed one after the other, for what would fail all others too.
#[derive(Default)]
struct InVain(u32);

impl InVain {
    fn note(&mut self, ended: &Ended) -> Result<(), CommandError> {
        let told = match ended {
            Ended::Failed { code, .. } if code == "denied_by_app" => {
                "the app shows none of them to these credentials: see --header"
            }
            Ended::Failed { code, .. } if code == "source_failed" => "the app does not answer",
            _ => {
                self.0 = 0;
                return Ok(());
            }
        };
        self.0 += 1;
        if self.0 < IN_VAIN {
            return Ok(());
        }
        Err(CommandError::Failed(format!("{IN_VAIN} documents in a row did not go: {told}")))
    }
}

fn hash(id: &Id) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    use std::sync::LazyLock;

    static STATE: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    STATE.hash_one(id)
}

/// Ids that are looked up together.
const AT_ONCE: usize = 100;
/// Documents that are fetched or on their way to DWS at the same time: users' own fetches and uploads come first.
const WINDOW: usize = 4;
const IN_VAIN: u32 = 25;
const SAVED_EVERY: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(60);
/// For one document to get from the outbox to DWS.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
