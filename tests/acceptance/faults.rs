//! An app that fails in every way, at the binary: everybody gets an answer, and nothing is left behind.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use crate::support::dws::{self, Dws};
use crate::support::process::{self, Process};

/// What befalls requests, by the names that the app knows.
#[derive(Clone, Copy)]
pub(crate) struct Faults {
    pub(crate) usual: &'static [&'static str],
    /// As rare as they are slow.
    pub(crate) rare: &'static [&'static str],
    pub(crate) spared: Spared,
    /// Of each half.
    pub(crate) requests: usize,
}

/// Whom no fault strikes that another request asked for.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Spared {
    Nobody,
    WhatMayBeRepeated,
    Everybody,
}

const AT_ONCE: usize = 64;
/// Longer than anything takes that ends.
const PATIENCE: Duration = Duration::from_secs(30);

const IDLE: &str = "transom_requests_in_flight 0\n";

const LIMITS: &str = "[app.limits]\nfirst_byte = \"3s\"\nreply_idle = \"3s\"\n";

/// What the app does with a request; its name is the first segment of the path, and the second is the number
/// of bytes of the reply that it sends before.
const USUAL: &[&str] = &[
    "whole",
    "whole",
    "whole",
    "whole",
    "chunked",
    "dribbled",
    "until_close",
    "then_close",
    "then_reset",
    "reset",
    "close",
    "reset",
    "close",
    "half_closed",
    "garbage",
    "deaf",
    "early",
    "short",
    "bad_chunk",
    "two_lengths",
    "switch",
    "hints",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_requests_to_an_app_that_fails_at_random() {
    let rare = &["stall", "huge_head"];
    let faults = Faults { usual: USUAL, rare, spared: Spared::WhatMayBeRepeated, requests: 5_000 };
    everybody_gets_an_answer(listens(serve).await, "", faults).await;
}

pub(crate) async fn everybody_gets_an_answer(app: SocketAddr, spoken: &str, faults: Faults) {
    let seed =
        std::env::var("TRANSOM_FAULTS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7);
    println!("TRANSOM_FAULTS_SEED={seed}");
    let (address, admin) = (process::free_address(), process::free_address());
    let (dir, dws) = (tempfile::tempdir().unwrap(), Dws::start().await);
    let config = dir.path().join("config.toml");
    let text = format!(
        "[server]\nlisten = \"{address}\"\nadmin = \"{admin}\"\n\n[app]\nurl = \"http://{app}\"\n{spoken}\n{LIMITS}\n\
         [dws]\nurl = \"http://{}/viewer\"\napi_key = \"{}\"\n\n[store]\npath = \"data\"\n",
        dws.address,
        dws::KEY
    );
    std::fs::write(&config, text).unwrap();
    let transom = Process::run(&config, address).await;
    let url = format!("http://{address}");
    assert_eq!(reqwest::get(format!("{url}/whole/1")).await.unwrap().status(), 200);
    let files = open_files(&transom);

    let mut memory = Vec::new();
    for half in 0..2 {
        let started = Instant::now();
        let seen = storm(&url, seed + half, faults).await;
        println!("{} requests in {:?}: {seen:?}", faults.requests, started.elapsed());
        let (whole, refused) = (faults.requests / 4, faults.requests / 10);
        assert!(seen.whole > whole && seen.refused > refused, "{seen:?}");
        nothing_is_left(&transom, &format!("http://{admin}/metrics"), &files).await;
        memory.push(resident(&transom));
    }
    println!("resident: {memory:?} KiB");
    let (after_half, after_all) = (memory[0], memory[1]);
    assert!(after_all * 4 < after_half * 5, "{after_half} KiB grew to {after_all} KiB");
}

/// How requests ended.
#[derive(Debug, Default)]
struct Seen {
    whole: usize,
    /// 502 and 504.
    refused: usize,
    broken_off: usize,
    left: usize,
}

/// A request and what is to become of it.
#[derive(Clone, Copy, Debug)]
struct Plan {
    method: &'static str,
    fault: &'static str,
    cut: usize,
    body: usize,
    /// The client does not wait for the answer.
    leaves: bool,
}

impl Plan {
    fn random(random: &mut StdRng, faults: Faults) -> Self {
        let method = *["GET", "GET", "GET", "HEAD", "POST", "POST", "PUT"].choose(random).unwrap();
        let rare = random.random_ratio(1, 100);
        let fault = if rare { faults.rare } else { faults.usual }.choose(random).unwrap();
        let body =
            if matches!(method, "POST" | "PUT") { random.random_range(1..10_000) } else { 0 };
        let (cut, leaves) = (random.random_range(0..400), random.random_ratio(1, 50));
        Self { method, fault, cut, body, leaves }
    }
}

async fn storm(url: &str, seed: u64, faults: Faults) -> Seen {
    let http = reqwest::Client::builder().build().unwrap();
    // Whoever is held up by a fault leaves the others more to do.
    let taken = Arc::new(AtomicUsize::new(0));
    let clients = (0..AT_ONCE).map(|_| {
        let (http, url, taken) = (http.clone(), url.to_owned(), taken.clone());
        let next =
            move || Some(taken.fetch_add(1, Relaxed)).filter(|number| *number < faults.requests);
        tokio::spawn(async move {
            let mut seen = Seen::default();
            while let Some(number) = next() {
                let mut random = StdRng::seed_from_u64(seed << 32 | number as u64);
                let plan = Plan::random(&mut random, faults);
                let ended =
                    timeout(PATIENCE, ask(&http, &url, plan, faults.spared, &mut seen)).await;
                assert!(ended.is_ok(), "no answer to {plan:?}");
            }
            seen
        })
    });
    let mut all = Seen::default();
    for client in clients.collect::<Vec<_>>() {
        let seen = client.await.unwrap();
        all.whole += seen.whole;
        all.refused += seen.refused;
        all.broken_off += seen.broken_off;
        all.left += seen.left;
    }
    all
}

async fn ask(http: &reqwest::Client, url: &str, plan: Plan, spared: Spared, seen: &mut Seen) {
    let method = reqwest::Method::from_bytes(plan.method.as_bytes()).unwrap();
    let mut request = http.request(method, format!("{url}/{}/{}", plan.fault, plan.cut));
    if plan.body > 0 {
        request = request.body(vec![b'a'; plan.body]);
    }
    if plan.leaves {
        let _ = timeout(Duration::from_millis(plan.cut as u64 / 40), request.send()).await;
        seen.left += 1;
        return;
    }
    // It always answers, whatever the app does.
    let reply = request.send().await.unwrap_or_else(|error| panic!("{plan:?}: {error:?}"));
    let (status, promised) = (reply.status().as_u16(), reply.headers().get("x-length").cloned());
    match (status, reply.bytes().await) {
        (502 | 504, Ok(_)) => {
            let answered = ["whole", "chunked", "dribbled", "hints"].contains(&plan.fault);
            let spared = match spared {
                Spared::Nobody => false,
                Spared::WhatMayBeRepeated => plan.body == 0,
                Spared::Everybody => true,
            };
            assert!(!(answered && spared), "{plan:?} got {status}");
            seen.refused += 1;
        }
        (200, Ok(body)) => {
            let promised = promised.unwrap_or_else(|| panic!("{plan:?} got somebody else's reply"));
            let ends_by_close = ["until_close", "half_closed"].contains(&plan.fault);
            let length = promised.to_str().unwrap().parse::<usize>().unwrap();
            assert!(plan.method == "HEAD" || ends_by_close || body.len() == length, "{plan:?}");
            seen.whole += 1;
        }
        (413, _) => seen.whole += 1,
        (_, Err(_)) => seen.broken_off += 1,
        (status, Ok(_)) => panic!("{plan:?} got {status}"),
    }
}

/// No request, no connection and no file of what was.
async fn nothing_is_left(transom: &Process, metrics: &str, before: &BTreeSet<PathBuf>) {
    let idle = async {
        while !reqwest::get(metrics).await.unwrap().text().await.unwrap().contains(IDLE) {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE, idle).await.expect("every request ends");
    let closed = async {
        while !open_files(transom).is_subset(before) {
            sleep(Duration::from_millis(100)).await;
        }
    };
    if timeout(PATIENCE, closed).await.is_err() {
        let now = open_files(transom);
        panic!("still open: {:?}", now.difference(before).collect::<Vec<_>>());
    }
}

/// What its file descriptors are: paths, and a name of its own for each socket.
fn open_files(transom: &Process) -> BTreeSet<PathBuf> {
    let open = std::fs::read_dir(format!("/proc/{}/fd", transom.id())).unwrap();
    open.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok()).collect()
}

/// In KiB.
fn resident(transom: &Process) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", transom.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Something that listens, and serves each connection like this.
pub(crate) async fn listens<F>(serve: fn(TcpStream) -> F) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// Answers until a fault takes the connection. Whoever it serves may be gone at any time.
async fn serve(stream: TcpStream) {
    let mut stream = BufReader::new(stream);
    while let Some((method, fault, cut, length)) = read_head(&mut stream).await {
        if !["deaf", "early"].contains(&fault.as_str()) {
            let mut body = vec![0; length];
            if stream.read_exact(&mut body).await.is_err() {
                return;
            }
        }
        if fail(stream.get_mut(), &method, &fault, cut).await.is_none() {
            return;
        }
    }
}

async fn read_head(stream: &mut BufReader<TcpStream>) -> Option<(String, String, usize, usize)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let (method, rest) = head.split_once(' ')?;
    let mut path = rest.split([' ', '/']).skip(1);
    let (fault, cut) = (path.next()?.to_owned(), path.next()?.parse().ok()?);
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length = length.map_or(0, |length| length.parse().unwrap());
    Some((method.to_owned(), fault, cut, length))
}

/// `None` when the connection is done.
async fn fail(stream: &mut TcpStream, method: &str, fault: &str, cut: usize) -> Option<()> {
    let length = cut + 1;
    let body = if method == "HEAD" { String::new() } else { "b".repeat(length) };
    let head = format!("HTTP/1.1 200 OK\r\nX-Length: {length}\r\n");
    let whole = format!("{head}Content-Length: {length}\r\n\r\n{body}");
    let part = whole.as_bytes().get(..cut.min(whole.len())).unwrap();
    let chunks = match method {
        "HEAD" => String::new(),
        _ => format!("{length:x}\r\n{body}\r\n0\r\nX-Sum: 1\r\n\r\n"),
    };
    match fault {
        "whole" => stream.write_all(whole.as_bytes()).await.ok(),
        "then_close" => {
            stream.write_all(whole.as_bytes()).await.ok()?;
            None
        }
        "then_reset" => {
            stream.write_all(whole.as_bytes()).await.ok()?;
            reset(stream)
        }
        "hints" => {
            let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n".repeat(cut % 7);
            stream.write_all((hints + &whole).as_bytes()).await.ok()
        }
        "chunked" => {
            let reply = format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunks}");
            stream.write_all(reply.as_bytes()).await.ok()
        }
        "dribbled" => {
            for piece in whole.as_bytes().chunks(whole.len() / 5 + 1) {
                stream.write_all(piece).await.ok()?;
                sleep(Duration::from_millis(1)).await;
            }
            Some(())
        }
        "stall" => {
            stream.write_all(part).await.ok()?;
            let _ = stream.read(&mut [0]).await;
            None
        }
        "until_close" => {
            stream.write_all(format!("{head}\r\n{body}").as_bytes()).await.ok()?;
            None
        }
        "half_closed" => {
            stream.write_all(format!("{head}\r\n{body}").as_bytes()).await.ok()?;
            stream.shutdown().await.ok()?;
            let _ = timeout(PATIENCE, stream.read(&mut [0])).await;
            None
        }
        "reset" | "deaf" => {
            stream.write_all(part).await.ok()?;
            reset(stream)
        }
        "close" => {
            stream.write_all(part).await.ok()?;
            None
        }
        "garbage" => {
            let noise: Vec<u8> = (0..cut).map(|n| (n * n * 31 % 251) as u8).collect();
            stream.write_all(&noise).await.ok()?;
            None
        }
        "early" => {
            let no = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno";
            stream.write_all(no.as_bytes()).await.ok()?;
            None
        }
        "short" => {
            stream
                .write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", length + 1).as_bytes())
                .await
                .ok()?;
            None
        }
        "bad_chunk" => {
            stream
                .write_all(
                    format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n{body}").as_bytes(),
                )
                .await
                .ok()?;
            None
        }
        "two_lengths" => {
            let two = format!(
                "{head}Content-Length: {length}\r\nContent-Length: {}\r\n\r\n{body}",
                length + 1
            );
            stream.write_all(two.as_bytes()).await.ok()?;
            None
        }
        "huge_head" => {
            let huge = format!("{head}X-Huge: {}\r\n\r\n", "h".repeat(1 << 20));
            stream.write_all(huge.as_bytes()).await.ok()?;
            None
        }
        "switch" => {
            stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n").await.ok()?;
            None
        }
        other => panic!("{other} is no fault"),
    }
}

/// The next drop of it is a reset.
fn reset(stream: &TcpStream) -> Option<()> {
    let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
    None
}
