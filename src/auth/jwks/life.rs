//! Days in the life of a key server, in paused time.

#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::time::{Instant, advance, sleep, timeout};

use super::*;
use crate::auth::testing::{self, Pair};

const HOUR: Duration = Duration::from_secs(60 * 60);

#[tokio::test(start_paused = true)]
async fn a_key_server_that_is_down_for_a_day() {
    for trouble in [Trouble::Refuses, Trouble::Hangs] {
        let server = Server::of(&[("a", pair())]);
        let jwks = server.jwks(None);
        assert_eq!(ask(&jwks, pair(), "a").await, Ok(Verdict::Good));
        server.is(trouble);
        for _ in 0..23 {
            sleep(HOUR).await;
            assert_eq!(ask(&jwks, pair(), "a").await, Ok(Verdict::Good), "{trouble:?}");
            // Who can't ask can't know that there is no such key.
            assert!(ask(&jwks, pair(), "new").await.is_err());
        }
        // The last good set is at most one refresh older than the trouble.
        sleep(2 * HOUR).await;
        assert!(ask(&jwks, pair(), "a").await.is_err(), "not believed for ever");
        server.is(Trouble::None);
        sleep(Duration::from_secs(40)).await;
        assert_eq!(ask(&jwks, pair(), "a").await, Ok(Verdict::Good), "and back at once");
        server.was_asked_at_most_twice_a_minute();
        assert!(server.fetches() > 1000, "it never gave up");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_made_up_kids() {
    let server = Server::of(&[("a", pair())]);
    let jwks = server.jwks(None);
    assert_eq!(ask(&jwks, pair(), "a").await, Ok(Verdict::Good));
    let step = Duration::from_millis(2);
    for index in 0..100_000 {
        let token = unsigned(&format!("made-up-{index}"));
        let token = Compact::parse(&token).unwrap();
        let verdict = timeout(HOUR, jwks.verify(&token, Algorithm::ES256)).await.unwrap();
        assert_eq!(verdict, Ok(Verdict::Unknown), "nobody is told that we can't know");
        advance(step).await;
    }
    assert_eq!(ask(&jwks, pair(), "a").await, Ok(Verdict::Good));
    server.was_asked_at_most_twice_a_minute();
    // 200 s: the first fetch, and one each 30 s.
    assert!((5..=8).contains(&server.fetches()), "{}", server.fetches());
}

#[tokio::test(start_paused = true)]
async fn a_kid_found_absent_starts_no_fetch_for_five_minutes() {
    let server = Server::of(&[("a", pair())]);
    let jwks = server.jwks(None);
    assert_eq!(ask(&jwks, pair(), "a").await, Ok(Verdict::Good));
    sleep(Duration::from_secs(31)).await;
    for _ in 0..4 {
        assert_eq!(ask(&jwks, pair(), "b").await, Ok(Verdict::Unknown));
        sleep(Duration::from_secs(45)).await;
    }
    assert_eq!(server.fetches(), 2);
    // Whoever else causes a fetch brings it.
    server.has(&[("a", pair()), ("b", pair()), ("c", pair())]);
    assert_eq!(ask(&jwks, pair(), "c").await, Ok(Verdict::Good));
    assert_eq!(ask(&jwks, pair(), "b").await, Ok(Verdict::Good));
}

#[tokio::test(start_paused = true)]
async fn a_kid_asked_for_too_early_is_not_taken_for_absent() {
    let server = Server::of(&[("a", pair())]);
    let jwks = server.jwks(None);
    assert_eq!(ask(&jwks, pair(), "a").await, Ok(Verdict::Good));
    server.has(&[("b", pair())]);
    assert_eq!(ask(&jwks, pair(), "b").await, Ok(Verdict::Unknown), "too soon to ask again");
    sleep(Duration::from_secs(31)).await;
    assert_eq!(ask(&jwks, pair(), "b").await, Ok(Verdict::Good));
    assert_eq!(ask(&jwks, pair(), "a").await, Ok(Verdict::Unknown), "withdrawn is withdrawn");
}

#[tokio::test(start_paused = true)]
async fn it_is_renewed_at_half_of_max_age() {
    let server = Server::of(&[("a", pair())]);
    let _jwks = server.jwks(None);
    sleep(24 * HOUR).await;
    // Half of ten minutes, less up to a tenth.
    assert!((286..=322).contains(&server.fetches()), "{}", server.fetches());
}

#[tokio::test(start_paused = true)]
async fn a_start_without_the_key_server() {
    let dir = tempfile::tempdir().unwrap();
    let stored = || Some(Stored::new(dir.path(), "app", "https://a/"));
    let server = Server::of(&[("a", pair())]);
    let first = server.jwks(stored());
    assert_eq!(ask(&first, pair(), "a").await, Ok(Verdict::Good));
    until_stored(&stored().unwrap()).await;
    drop(first);

    server.is(Trouble::Hangs);
    let second = server.jwks(stored());
    let begun = Instant::now();
    assert_eq!(ask(&second, pair(), "a").await, Ok(Verdict::Good));
    assert_eq!(begun.elapsed(), Duration::ZERO, "known keys wait for nothing");
    assert_eq!(second.health(), (true, false));
    sleep(25 * HOUR).await;
    assert!(ask(&second, pair(), "a").await.is_err());

    let elsewhere = server.jwks(Some(Stored::new(dir.path(), "app", "https://b/")));
    assert!(ask(&elsewhere, pair(), "a").await.is_err(), "keys of another address");
}

async fn until_stored(stored: &Stored) {
    for _ in 0..1000 {
        if stored.load().is_some() {
            return;
        }
        // In real time: the file is written by another thread.
        std::thread::sleep(Duration::from_millis(5));
        tokio::task::yield_now().await;
    }
    panic!("nothing was stored");
}

#[derive(Clone)]
struct Server(Arc<Mutex<Inner>>);

struct Inner {
    set: Value,
    trouble: Trouble,
    asked: Vec<Instant>,
}

#[derive(Debug, Clone, Copy)]
enum Trouble {
    None,
    Refuses,
    /// Until the fetch gives up.
    Hangs,
}

impl Server {
    fn of(keys: &[(&str, &Pair)]) -> Self {
        let inner = Inner { set: set(keys), trouble: Trouble::None, asked: Vec::new() };
        Self(Arc::new(Mutex::new(inner)))
    }

    fn jwks(&self, stored: Option<Stored>) -> Jwks {
        Jwks::start_from("app", self.clone(), &demands(), Timing::default(), stored).unwrap()
    }

    fn is(&self, trouble: Trouble) {
        self.0.lock().unwrap().trouble = trouble;
    }

    fn has(&self, keys: &[(&str, &Pair)]) {
        self.0.lock().unwrap().set = set(keys);
    }

    fn fetches(&self) -> usize {
        self.0.lock().unwrap().asked.len()
    }

    fn was_asked_at_most_twice_a_minute(&self) {
        for three in self.0.lock().unwrap().asked.windows(3) {
            assert!(three[2] - three[0] >= Duration::from_secs(60), "{three:?}");
        }
    }
}

impl Origin for Server {
    fn fetch(&mut self) -> BoxFuture<'_, Result<Fetched, String>> {
        let (set, trouble) = {
            let mut inner = self.0.lock().unwrap();
            inner.asked.push(Instant::now());
            (inner.set.to_string(), inner.trouble)
        };
        Box::pin(async move {
            match trouble {
                Trouble::None => {}
                Trouble::Refuses => return Err("refused".to_owned()),
                Trouble::Hangs => {
                    sleep(Timing::default().fetch).await;
                    return Err("timed out".to_owned());
                }
            }
            let keys = Arc::new(KeySet::jwks(set.as_bytes(), &demands())?);
            let max_age = Some(Duration::from_secs(600));
            Ok(Fetched { keys, text: set.into_bytes().into(), max_age })
        })
    }
}

async fn ask(jwks: &Jwks, pair: &Pair, kid: &str) -> Result<Verdict, &'static str> {
    let header = json!({"alg": "ES256", "kid": kid});
    let token = pair.sign(Algorithm::ES256, &header, &json!({}));
    jwks.verify(&Compact::parse(&token).unwrap(), Algorithm::ES256).await
}

fn unsigned(kid: &str) -> String {
    let header = json!({"alg": "ES256", "kid": kid}).to_string();
    format!("{}.e30.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode([0; 64]))
}

fn demands() -> Demands {
    Demands { algorithms: vec![Algorithm::ES256], weak: false }
}

fn set(keys: &[(&str, &Pair)]) -> Value {
    let keys: Vec<Value> = keys.iter().map(|(kid, pair)| pair.jwk(&json!({"kid": kid}))).collect();
    json!({ "keys": keys })
}

fn pair() -> &'static Pair {
    testing::pair(Algorithm::ES256)
}
