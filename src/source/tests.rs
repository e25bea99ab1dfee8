//! When there is a fetch, and who waits for it.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::sleep;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_thousand_who_ask_at_once_cause_one_fetch() {
    let (sources, fetches) = (Sources::new(), AtomicUsize::new(0));
    let asked = (0..1000u16).map(|n| {
        ask(&sources, "1", n, &fetches, async {
            sleep(Duration::from_secs(1)).await;
            Ok(())
        })
    });
    let answers = futures_util::future::join_all(asked).await;
    assert!(answers.iter().all(|answer| *answer == Ok(())));
    assert_eq!(fetches.load(Ordering::Relaxed), 1);
    assert!(sources.flights().is_empty());
}

#[tokio::test(start_paused = true)]
async fn whoever_has_no_patience_leaves_and_the_fetch_goes_on() {
    let (sources, fetches) = (Sources::new(), AtomicUsize::new(0));
    let slow = || async {
        sleep(Duration::from_secs(20)).await;
        Ok(())
    };
    assert_eq!(ask(&sources, "1", 1, &fetches, slow()).await, Err(Reason::DocumentPending));
    assert_eq!(ask(&sources, "1", 2, &fetches, slow()).await, Err(Reason::DocumentPending));
    sleep(Duration::from_secs(15)).await;
    assert!(sources.flights().is_empty());
    assert_eq!(fetches.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_remembered_for_whom_it_concerns() {
    let (sources, fetches) = (Sources::new(), AtomicUsize::new(0));
    let fails = |reason| async move { Err(reason) };
    for _ in 0..3 {
        let denied = ask(&sources, "1", 1, &fetches, fails(Reason::DeniedByApp)).await;
        assert_eq!(denied, Err(Reason::DeniedByApp));
        let large = ask(&sources, "2", 1, &fetches, fails(Reason::FileTooLarge)).await;
        assert_eq!(large, Err(Reason::FileTooLarge));
    }
    assert_eq!(fetches.load(Ordering::Relaxed), 2);
    assert_eq!(ask(&sources, "2", 2, &fetches, async { Ok(()) }).await, Err(Reason::FileTooLarge));
    assert_eq!(ask(&sources, "1", 2, &fetches, async { Ok(()) }).await, Ok(()));
    assert_eq!(fetches.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn anothers_refusal_is_not_ones_own() {
    let (sources, fetches) = (Sources::new(), AtomicUsize::new(0));
    let refused = ask(&sources, "1", 1, &fetches, async {
        sleep(Duration::from_secs(1)).await;
        Err(Reason::DeniedByApp)
    });
    let allowed = ask(&sources, "1", 2, &fetches, async { Ok(()) });
    let (refused, allowed) = tokio::join!(refused, allowed);
    assert_eq!((refused, allowed), (Err(Reason::DeniedByApp), Ok(())));
}

#[tokio::test(start_paused = true)]
async fn only_so_many_run_at_a_time_and_so_many_wait() {
    let (sources, fetches) = (Sources::new(), AtomicUsize::new(0));
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let ids: Vec<String> = (0..UNDER_WAY + 5).map(|n| n.to_string()).collect();
    let asked = ids.iter().map(|id| {
        let (running, most) = (running.clone(), most.clone());
        ask(&sources, id, 1, &fetches, async move {
            most.fetch_max(running.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            sleep(Duration::from_millis(10)).await;
            running.fetch_sub(1, Ordering::Relaxed);
            Ok(())
        })
    });
    let answers = futures_util::future::join_all(asked).await;
    let pending = answers.iter().filter(|answer| **answer == Err(Reason::DocumentPending)).count();
    assert_eq!((pending, most.load(Ordering::Relaxed)), (5, AT_A_TIME));
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_the_flight() {
    let (sources, fetches) = (Sources::new(), AtomicUsize::new(0));
    let outcome = ask(&sources, "1", 1, &fetches, async { panic!("the inner service's") }).await;
    assert_eq!(outcome, Err(Reason::SourceFailed));
    assert!(sources.flights().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_change_comes_before_or_after_the_journal_never_between() {
    let sources = Sources::new();
    for (change_after_ms, expected) in [(5, Err(Reason::DocumentPending)), (15, Ok(()))] {
        for (key, below) in [(key("a/1"), false), (key("a"), true)] {
            let journalled = Arc::new(Mutex::new(None));
            let seen = journalled.clone();
            let (one, holder) = (self::key("a/1"), holder(1));
            let fetched = sources.fetched(&one, &holder, patience, |flight| {
                let seen = seen.clone();
                async move {
                    sleep(Duration::from_millis(10)).await;
                    let journalled = async {
                        sleep(Duration::from_millis(10)).await;
                        *seen.lock().unwrap() = Some(Instant::now());
                        Ok(())
                    };
                    flight.journal(journalled).await
                }
            });
            let changed = async {
                sleep(Duration::from_millis(change_after_ms)).await;
                sources.outdate(&key, below).await;
                Instant::now()
            };
            let (outcome, changed) = tokio::join!(fetched, changed);
            assert_eq!(outcome.map(|_| ()), expected);
            let journalled = *journalled.lock().unwrap();
            assert_eq!(journalled.is_some(), expected.is_ok());
            assert!(journalled.is_none_or(|journalled| journalled <= changed));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_may_begin_so_many_in_an_hour() {
    let (all, fetches) = (Sources::new(), AtomicUsize::new(0));
    let host = |last: u8| Some([10, 0, 0, last].into());
    let one = all.asked_by(host(1), Some(2));
    let ask = async |sources: &Sources, id: &str, who| {
        ask(sources, id, who, &fetches, async { Ok(()) }).await
    };
    assert_eq!(ask(&one, "1", 1).await, Ok(()));
    assert_eq!(ask(&one, "2", 2).await, Ok(()));
    // Other credentials from the same address are no other caller, others' addresses are.
    assert_eq!(ask(&one, "3", 3).await, Err(Reason::QuotaExhausted));
    assert_eq!(ask(&all.asked_by(host(2), Some(2)), "3", 3).await, Ok(()));
    let user = Holder::User { identity: "app".into(), user: "ann".into() };
    let known = one.fetched(&key("4"), &user, patience, |_| async { Ok(()) }).await;
    assert!(known.is_ok());
    assert_eq!(ask(&one, "4", 1).await, Err(Reason::QuotaExhausted));
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(ask(&one, "4", 1).await, Ok(()));
    assert_eq!(fetches.load(Ordering::Relaxed), 4);
}

async fn ask(
    sources: &Sources,
    id: &str,
    who: u16,
    fetches: &AtomicUsize,
    work: impl Future<Output = Result<(), Reason>> + Send + 'static,
) -> Result<(), Reason> {
    let mut work = Some(Box::pin(work));
    let (key, holder) = (key(id), holder(who));
    let fetched = sources.fetched(&key, &holder, patience, |_| {
        fetches.fetch_add(1, Ordering::Relaxed);
        work.take().unwrap()
    });
    fetched.await.map(|_| ())
}

fn patience(began: Instant) -> Instant {
    began + Duration::from_secs(10)
}

fn key(id: &str) -> DocumentKey {
    DocumentKey::new("files", id).unwrap()
}

fn holder(who: u16) -> Holder {
    let mut credentials = [0; 32];
    credentials[..2].copy_from_slice(&who.to_be_bytes());
    Holder::Credentials(credentials)
}
