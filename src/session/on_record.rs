use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

use super::Holder;

/// The holders of one session that the audit log tells of. A user's session has no other holder; one that callers
/// without a name share has many, each with a line of its own.
#[derive(Debug, Default)]
pub(crate) struct OnRecord {
    user: OnceCell<()>,
    callers: Mutex<Vec<[u8; CALLER]>>,
}

impl OnRecord {
    pub(crate) fn has(&self, holder: &Holder) -> bool {
        match holder {
            Holder::User { .. } => self.user.initialized(),
            Holder::Credentials(sum) => self.callers().contains(&short(sum)),
        }
    }

    /// Writes, unless it is written. Of a caller who is not remembered, since there are too many, there may be
    /// several lines.
    pub(crate) async fn once<E>(
        &self,
        holder: &Holder,
        write: impl Future<Output = Result<(), E>>,
    ) -> Result<(), E> {
        match holder {
            // Whoever gets the same session at the same time waits for the same line.
            Holder::User { .. } => self.user.get_or_try_init(|| write).await.copied(),
            Holder::Credentials(_) if self.has(holder) => Ok(()),
            Holder::Credentials(sum) => {
                write.await?;
                let mut callers = self.callers();
                if callers.len() < MOST_CALLERS && !callers.contains(&short(sum)) {
                    callers.push(short(sum));
                }
                Ok(())
            }
        }
    }

    fn callers(&self) -> MutexGuard<'_, Vec<[u8; CALLER]>> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clone for OnRecord {
    fn clone(&self) -> Self {
        Self { user: self.user.clone(), callers: Mutex::new(self.callers().clone()) }
    }
}

/// 128 bits of a SHA-256 tell callers apart.
fn short(sum: &[u8; 32]) -> [u8; CALLER] {
    let mut short = [0; CALLER];
    short.copy_from_slice(&sum[..CALLER]);
    short
}

const CALLER: usize = 16;
const MOST_CALLERS: usize = 128;
/// What the callers of one session may take, in bytes.
pub(super) const MOST_BYTES: usize = 2 * CALLER * MOST_CALLERS;

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(record: &OnRecord, holder: &Holder) -> usize {
        let mut lines = 0;
        for _ in 0..3 {
            let write = async {
                lines += 1;
                Ok::<_, ()>(())
            };
            let _ = record.once(holder, write).await;
        }
        lines
    }

    #[tokio::test]
    async fn each_holder_has_a_line_and_no_second_one() {
        let record = OnRecord::default();
        let ann = Holder::User { identity: "app".into(), user: "ann".into() };
        let (one, other) = (Holder::Credentials([1; 32]), Holder::Credentials([2; 32]));
        for holder in [&ann, &one, &other] {
            assert!(!record.has(holder));
            assert_eq!(lines(&record, holder).await, 1, "{holder:?}");
            assert!(record.has(holder));
        }
    }

    #[tokio::test]
    async fn a_line_that_failed_is_written_again() {
        for holder in [
            Holder::User { identity: "app".into(), user: "ann".into() },
            Holder::Credentials([1; 32]),
        ] {
            let record = OnRecord::default();
            assert_eq!(record.once(&holder, async { Err("disk") }).await, Err("disk"));
            assert_eq!(lines(&record, &holder).await, 1);
        }
    }

    #[tokio::test]
    async fn what_is_remembered_is_bounded() {
        let record = OnRecord::default();
        for caller in 0..=u8::MAX {
            assert!(lines(&record, &Holder::Credentials([caller; 32])).await >= 1);
        }
        assert_eq!(record.callers().len(), MOST_CALLERS);
        assert_eq!(
            lines(&record, &Holder::Credentials([255; 32])).await,
            3,
            "rather a line too many"
        );
    }
}
