#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::auth::testing::{self, Pair};
use crate::auth::verifier::Verifier;
use crate::auth::{Identity, KeySource};
use crate::reason::Reason;

#[tokio::test]
async fn the_first_request_waits_for_the_first_fetch() {
    let issuer = Issuer::start(Answer::Set(set(&[("a", key())]))).await;
    let verifier = issuer.verifier(hurried());
    assert_eq!(ask(&verifier, &signed(key(), "a")).await, Ok(()));
    assert_eq!(issuer.fetches(), 1);
    let head = issuer.last_request.lock().unwrap().to_lowercase();
    assert!(head.starts_with("get /keys?a=b http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\naccept: application/json\r\n"), "{head}");
}

#[tokio::test]
async fn rotation_is_noticed_by_the_unknown_kid() {
    let issuer = Issuer::start(Answer::Set(set(&[("a", key())]))).await;
    let verifier = issuer.verifier(hurried());
    assert_eq!(ask(&verifier, &signed(key(), "a")).await, Ok(()));

    let new = Pair::ec(Algorithm::ES256);
    issuer.answer(Answer::Set(set(&[("b", &new)])));
    tokio::time::sleep(hurried().floor).await;
    assert_eq!(ask(&verifier, &signed(&new, "b")).await, Ok(()));
    assert_eq!(issuer.fetches(), 2);
    assert_eq!(ask(&verifier, &signed(key(), "a")).await, Err(Reason::TokenInvalid));
}

#[tokio::test]
async fn rotation_of_keys_without_names() {
    let unnamed = |pair: &Pair| json!({"keys": [pair.jwk(&json!({}))]});
    let issuer = Issuer::start(Answer::Set(unnamed(key()))).await;
    let verifier = issuer.verifier(hurried());
    let token = |pair: &Pair| pair.sign(Algorithm::ES256, &json!({"alg": "ES256"}), &claims());
    assert_eq!(ask(&verifier, &token(key())).await, Ok(()));

    let new = Pair::ec(Algorithm::ES256);
    issuer.answer(Answer::Set(unnamed(&new)));
    tokio::time::sleep(hurried().floor).await;
    assert_eq!(ask(&verifier, &token(&new)).await, Ok(()));
}

#[tokio::test]
async fn a_forged_signature_of_a_known_kid_fetches_nothing() {
    let issuer = Issuer::start(Answer::Set(set(&[("a", key())]))).await;
    let verifier = issuer.verifier(hurried());
    assert_eq!(ask(&verifier, &signed(key(), "a")).await, Ok(()));
    tokio::time::sleep(hurried().floor).await;
    let forged = signed(&Pair::ec(Algorithm::ES256), "a");
    assert_eq!(ask(&verifier, &forged).await, Err(Reason::TokenInvalid));
    assert_eq!(issuer.fetches(), 1);
}

#[tokio::test]
async fn a_flood_of_unknown_kids_makes_one_fetch_per_floor() {
    let issuer = Issuer::start(Answer::Set(set(&[("a", key())]))).await;
    let day = Duration::from_secs(24 * 60 * 60);
    let verifier = Arc::new(issuer.verifier(Timing { floor: day, wait: day, ..hurried() }));
    for _ in 0..20 {
        let mut flood = tokio::task::JoinSet::new();
        for index in 0..20 {
            let (verifier, token) = (Arc::clone(&verifier), signed(key(), &format!("x{index}")));
            flood.spawn(async move { ask(&verifier, &token).await });
        }
        // Nobody waits for a fetch that is not allowed yet.
        for answer in soon(flood.join_all()).await {
            assert_eq!(answer, Err(Reason::TokenInvalid));
        }
    }
    assert_eq!(issuer.fetches(), 1);
}

#[tokio::test]
async fn a_wish_that_comes_too_early_is_not_granted() {
    let issuer = Issuer::start(Answer::Set(set(&[("a", key())]))).await;
    let timing = Timing { floor: Duration::from_secs(600), ..hurried() };
    let jwks = issuer.jwks(timing, None);
    jwks.keys().await.unwrap();
    for _ in 0..5 {
        jwks.shared.wanted.notify_one();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(issuer.fetches(), 1);
}

#[tokio::test]
async fn all_who_want_a_newer_set_share_one_fetch() {
    let issuer = Issuer::start(Answer::Set(set(&[("a", key())]))).await;
    let timing = Timing { floor: Duration::from_secs(1), ..hurried() };
    let verifier = Arc::new(issuer.verifier(timing));
    assert_eq!(ask(&verifier, &signed(key(), "a")).await, Ok(()));
    tokio::time::sleep(timing.floor).await;
    let mut flood = tokio::task::JoinSet::new();
    for index in 0..50 {
        let (verifier, token) = (Arc::clone(&verifier), signed(key(), &format!("x{index}")));
        flood.spawn(async move { ask(&verifier, &token).await });
    }
    flood.join_all().await;
    // One more if the machine is so slow that a second floor has passed.
    assert!((2..=3).contains(&issuer.fetches()), "{}", issuer.fetches());
}

#[tokio::test]
async fn through_an_outage_the_last_good_set_serves() {
    let issuer = Issuer::start(Answer::Set(set(&[("a", key())]))).await;
    let verifier = issuer.verifier(hurried());
    assert_eq!(ask(&verifier, &signed(key(), "a")).await, Ok(()));

    for outage in [Answer::Close, Answer::Text(503, ""), Answer::Set(json!({"keys": []}))] {
        issuer.answer(outage);
        tokio::time::sleep(hurried().floor).await;
        // Who can't ask can't know that this kid is no good.
        assert_eq!(ask(&verifier, &signed(key(), "b")).await, Err(Reason::KeysUnavailable));
        assert_eq!(ask(&verifier, &signed(key(), "a")).await, Ok(()));
    }
}

#[tokio::test]
async fn a_set_too_old_is_not_believed() {
    let issuer = Issuer::start(Answer::Set(set(&[("a", key())]))).await;
    let verifier = issuer.verifier(Timing { stale: Duration::ZERO, ..hurried() });
    assert_eq!(ask(&verifier, &signed(key(), "a")).await, Err(Reason::KeysUnavailable));
}

#[tokio::test]
async fn without_any_set_keys_are_unavailable() {
    let elsewhere = Issuer::start(Answer::Set(set(&[("a", key())]))).await;
    let huge = format!(r#"{{"keys":[],"x":"{}"}}"#, "x".repeat(256 * 1024));
    for answer in [
        Answer::Text(200, "<html>garbage</html>"),
        Answer::Text(200, r#"{"keys":7}"#),
        Answer::Text(404, "{}"),
        Answer::Redirect(elsewhere.url()),
        Answer::Text(200, huge.leak()),
        Answer::Hang,
        Answer::Close,
    ] {
        let issuer = Issuer::start(answer).await;
        let verifier = issuer.verifier(hurried());
        assert_eq!(ask(&verifier, &signed(key(), "a")).await, Err(Reason::KeysUnavailable));
    }
    assert_eq!(elsewhere.fetches(), 0);
}

#[tokio::test]
async fn a_late_start_of_the_issuer_is_noticed() {
    let issuer = Issuer::start(Answer::Close).await;
    let verifier = issuer.verifier(hurried());
    assert_eq!(ask(&verifier, &signed(key(), "a")).await, Err(Reason::KeysUnavailable));
    issuer.answer(Answer::Set(set(&[("a", key())])));
    let recovered = async {
        while ask(&verifier, &signed(key(), "a")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon(recovered).await;
}

#[tokio::test]
async fn another_issuers_token_is_no_reason_to_fetch() {
    let issuer = Issuer::start(Answer::Hang).await;
    let identity = Identity { issuer: Some("me".into()), ..issuer.identity() };
    let verifier = Verifier::start_with(&identity, hurried()).unwrap();
    assert_eq!(ask(&verifier, &signed(key(), "a")).await, Err(Reason::TokenInvalid));
}

#[tokio::test]
async fn dropping_it_ends_the_task() {
    let issuer = Issuer::start(Answer::Close).await;
    let jwks = issuer.jwks(hurried(), None);
    let shared = Arc::downgrade(&jwks.shared);
    drop(jwks);
    let gone = async {
        while shared.upgrade().is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon(gone).await;
}

#[test]
fn outside_a_runtime_it_says_so() {
    let address = Address::keys("http://127.0.0.1/").unwrap();
    let error = Jwks::start("app", address, &demands(), hurried(), None).unwrap_err();
    assert!(error.contains("runtime"), "{error}");
}

#[test]
fn addresses() {
    assert!(Address::keys("https://issuer.example/jwks.json").is_ok());
    for url in ["", "jwks.json", "file:///etc/passwd", "ftp://issuer.example/"] {
        assert!(Address::keys(url).is_err(), "{url}");
    }
}

#[test]
fn refresh_is_half_of_max_age_within_bounds() {
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    assert_eq!(refresh_after(None), minutes(10));
    for (age, pause) in [(0, 5), (9, 5), (60, 30), (24 * 60, 12 * 60), (1_000_000, 12 * 60)] {
        assert_eq!(refresh_after(Some(minutes(age))), minutes(pause));
    }
}

#[tokio::test]
async fn an_unchanged_set_is_not_sent_again() {
    let first = set(&[("a", key())]);
    let issuer = Issuer::start(Answer::Tagged(first, "\"1\"")).await;
    let address = Address::keys(&issuer.url()).unwrap();
    let mut fetcher = Fetcher::new(address, &demands(), hurried().fetch).unwrap();
    let fetched = fetcher.fetch().await.unwrap();
    let again = fetcher.fetch().await.unwrap();
    assert!(Arc::ptr_eq(&fetched.keys, &again.keys));
    assert_eq!(again.max_age, Some(Duration::from_secs(600)));

    issuer.answer(Answer::Tagged(set(&[("b", key())]), "\"2\""));
    let changed = fetcher.fetch().await.unwrap();
    assert!(!Arc::ptr_eq(&fetched.keys, &changed.keys));
    // Who asked for no ETag gets no 304.
    issuer.answer(Answer::Text(304, ""));
    let address = Address::keys(&issuer.url()).unwrap();
    let mut fetcher = Fetcher::new(address, &demands(), hurried().fetch).unwrap();
    assert!(fetcher.fetch().await.is_err());
}

#[tokio::test]
async fn the_issuer_says_where_its_keys_are() {
    let issuer = Issuer::start(Answer::Close).await;
    let name = format!("http://{}/realm", issuer.address);
    let metadata = |keys: &str| {
        let uri = format!("http://{}{keys}", issuer.address);
        ("/realm/.well-known/openid-configuration", json!({"issuer": name, "jwks_uri": uri}))
    };
    let keys = |path: &'static str, kid: &str| (path, set(&[(kid, key())]));
    issuer.answer(Answer::Paths(vec![metadata("/one"), keys("/one", "a")]));
    let key = KeySource::Discovery;
    let identity = Identity { key, issuer: Some(name.clone()), ..issuer.identity() };
    let verifier = Verifier::start_with(&identity, hurried()).unwrap();
    let token = |kid: &str| {
        let claims = json!({"sub": "ann", "exp": 1, "iss": name});
        self::key().sign(Algorithm::ES256, &json!({"alg": "ES256", "kid": kid}), &claims)
    };
    assert_eq!(ask(&verifier, &token("a")).await, Ok(()));
    assert_eq!(issuer.fetches(), 2);

    // They move: the old address fails once, and the metadata are asked again.
    issuer.answer(Answer::Paths(vec![metadata("/two"), keys("/two", "b")]));
    let moved = async {
        while ask(&verifier, &token("b")).await.is_err() {
            tokio::time::sleep(hurried().floor).await;
        }
    };
    soon(moved).await;
}

async fn ask(verifier: &Verifier, token: &str) -> Result<(), Reason> {
    verifier
        .verify(token.as_bytes(), 0, &http::Extensions::new())
        .await
        .map(drop)
        .map_err(|refusal| refusal.reason)
}

/// A minute at most, where a mistake would mean for ever.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(60), future).await.unwrap()
}

fn hurried() -> Timing {
    Timing {
        fetch: Duration::from_secs(2),
        wait: Duration::from_secs(4),
        floor: Duration::from_millis(40),
        stale: Duration::from_secs(600),
    }
}

fn demands() -> Demands {
    Demands { algorithms: vec![Algorithm::ES256], weak: false }
}

fn key() -> &'static Pair {
    testing::pair(Algorithm::ES256)
}

fn signed(pair: &Pair, kid: &str) -> String {
    pair.sign(Algorithm::ES256, &json!({"alg": "ES256", "kid": kid}), &claims())
}

fn claims() -> Value {
    json!({"sub": "ann", "exp": 1})
}

fn set(keys: &[(&str, &Pair)]) -> Value {
    let keys: Vec<Value> = keys.iter().map(|(kid, pair)| pair.jwk(&json!({"kid": kid}))).collect();
    json!({ "keys": keys })
}

/// Serves one URL, as well or as badly as it is told.
struct Issuer {
    address: SocketAddr,
    fetches: Arc<AtomicUsize>,
    answer: Arc<Mutex<Answer>>,
    last_request: Arc<Mutex<String>>,
}

#[derive(Clone)]
enum Answer {
    Set(Value),
    /// With an ETag, and 304 for whoever has it.
    Tagged(Value, &'static str),
    /// By path; any other is not found.
    Paths(Vec<(&'static str, Value)>),
    Text(u16, &'static str),
    Redirect(String),
    Hang,
    Close,
}

impl Issuer {
    async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = Self {
            address: listener.local_addr().unwrap(),
            fetches: Arc::default(),
            answer: Arc::new(Mutex::new(answer)),
            last_request: Arc::default(),
        };
        let (fetches, answer) = (Arc::clone(&issuer.fetches), Arc::clone(&issuer.answer));
        let last_request = Arc::clone(&issuer.last_request);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (fetches, answer) = (Arc::clone(&fetches), Arc::clone(&answer));
                let last_request = Arc::clone(&last_request);
                tokio::spawn(async move {
                    let mut stream = stream;
                    let head = read_head(&mut stream).await;
                    *last_request.lock().unwrap() = head.clone();
                    fetches.fetch_add(1, Ordering::SeqCst);
                    let answer = answer.lock().unwrap().clone();
                    answer.send(stream, &head).await;
                });
            }
        });
        issuer
    }

    fn url(&self) -> String {
        format!("http://{}/keys?a=b", self.address)
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    fn answer(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    fn identity(&self) -> Identity {
        let key = KeySource::JwksUrl(self.url());
        Identity { key, ..testing::identity("app", Algorithm::ES256) }
    }

    fn jwks(&self, timing: Timing, store: Option<&Path>) -> Jwks {
        Jwks::start("app", Address::keys(&self.url()).unwrap(), &demands(), timing, store).unwrap()
    }

    fn verifier(&self, timing: Timing) -> Verifier {
        Verifier::start_with(&self.identity(), timing).unwrap()
    }
}

impl Answer {
    async fn send(self, mut stream: TcpStream, request: &str) {
        let (status, more, body) = match self {
            Self::Set(set) => (200, String::new(), set.to_string()),
            Self::Tagged(set, etag) => {
                let head = format!("etag: {etag}\r\ncache-control: max-age=600\r\n");
                match request.to_lowercase().contains(&format!("if-none-match: {etag}\r\n")) {
                    true => (304, head, String::new()),
                    false => (200, head, set.to_string()),
                }
            }
            Self::Paths(paths) => {
                let path = request.split(' ').nth(1).unwrap_or_default();
                match paths.into_iter().find(|(known, _)| *known == path) {
                    Some((_, value)) => (200, String::new(), value.to_string()),
                    None => (404, String::new(), String::new()),
                }
            }
            Self::Text(status, text) => (status, String::new(), text.to_owned()),
            Self::Redirect(to) => (302, format!("location: {to}\r\n"), String::new()),
            Self::Hang => return std::future::pending().await,
            Self::Close => return,
        };
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n{more}\r\n"
        );
        let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
    }
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).await.is_ok_and(|read| read == 1) {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}
