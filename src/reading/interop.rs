//! Queries and forms as PHP, Rack, Django, Express and busboy read them: where Transom reads an id, they read the same.
//!
//! What is missing is installed under `target/interop` or comes with the system; where that can't be, the test says
//! that it was skipped.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use super::{Parameter, field, parameter};
use crate::missing::missing;

/// A request, and what Transom reads in it.
struct Case {
    shown: String,
    /// `{"query"}`, or `{"body", "type"}`.
    request: Value,
    read: Parameter<'static>,
}

#[test]
fn php() {
    if !is_fine(Command::new("php").arg("-v")) {
        missing("php is not installed");
        return;
    }
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut server = Command::new("php")
        .args(["-d", "display_errors=0", "-S", &address.to_string()])
        .arg(script("router.php"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let connect = || {
        (0..100).find_map(|_| {
            std::thread::sleep(Duration::from_millis(20));
            TcpStream::connect(address).ok()
        })
    };
    let ask = |request: &Value| {
        let (query, body) =
            (request["query"].as_str(), request["body"].as_str().unwrap_or_default());
        let (method, kind) = if query.is_some() {
            ("GET", "text/plain")
        } else {
            ("POST", request["type"].as_str().unwrap())
        };
        let mut stream = connect().expect("php listens");
        let (target, length) = (query.unwrap_or_default(), body.len());
        write!(
            stream,
            "{method} /?{target} HTTP/1.0\r\nHost: a\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        let (_, found) = reply.split_once("\r\n\r\n").expect("a reply");
        let found: Value = serde_json::from_str(found)
            .unwrap_or_else(|_| json!([{ "refused": true }, { "refused": true }]));
        found[usize::from(query.is_none())].clone()
    };
    let answers: Vec<_> = cases().iter().map(|case| ask(&case.request)).collect();
    server.kill().unwrap();
    server.wait().unwrap();
    agree("PHP", &answers);
}

/// The one that is installed is 2 with Debian 12, 3 with Debian 13.
#[test]
fn rack() {
    if !is_fine(Command::new("ruby").args(["-e", "require 'rack'"])) {
        missing("ruby with rack is not installed");
        return;
    }
    agree("Rack", &answers(Command::new("ruby").arg(script("rack.rb"))));
}

#[test]
fn rack_3() {
    if !is_fine(Command::new("bash").arg(script("rack3.sh"))) {
        missing("Rack 3 can't be had from Debian's packages here");
        return;
    }
    let library = folder("rack3");
    let has_3 = "require 'rack'; exit Rack.release.start_with?('3.')";
    assert!(is_fine(Command::new("ruby").arg("-I").arg(&library).args(["-e", has_3])));
    agree("Rack 3", &answers(Command::new("ruby").arg("-I").arg(&library).arg(script("rack.rb"))));
}

#[test]
fn django() {
    let dir = folder("django");
    let python = dir.join("bin/python");
    let installed = is_fine(Command::new(&python).args(["-c", "import django"]))
        || (is_fine(Command::new("python3").args(["-m", "venv"]).arg(&dir))
            && is_fine(Command::new(&python).args(["-m", "pip", "install", "-q", DJANGO])));
    if !installed {
        missing(&format!("{DJANGO} can't be installed"));
        return;
    }
    agree("Django", &answers(Command::new(&python).arg(script("django_peer.py"))));
}

#[test]
fn qs_and_busboy() {
    let dir = folder("readers");
    std::fs::create_dir_all(&dir).unwrap();
    // Modules are looked for beside the script.
    for file in ["node_peer.mjs", "package.json", "package-lock.json"] {
        std::fs::copy(script(file), dir.join(file)).unwrap();
    }
    let npm = ["ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"];
    let installed = dir.join("node_modules/qs/package.json").exists()
        || is_fine(Command::new("npm").args(npm).current_dir(&dir));
    if !installed {
        missing("qs and busboy can't be installed");
        return;
    }
    agree("qs and busboy", &answers(Command::new("node").arg(dir.join("node_peer.mjs"))));
}

fn agree(reader: &str, answers: &[Value]) {
    let cases = cases();
    assert_eq!(answers.len(), cases.len(), "{reader}");
    let mut read = 0;
    for (Case { shown, read: ours, .. }, theirs) in cases.iter().zip(answers) {
        if theirs.get("refused").is_some() {
            continue;
        }
        match ours {
            Parameter::Unclear => {}
            Parameter::Missing => assert_eq!(theirs, &Value::Null, "{reader}: {shown}"),
            Parameter::Value(value) if value.is_empty() => {
                assert!(theirs.is_null() || theirs == "", "{reader}: {shown}: {theirs}");
            }
            Parameter::Value(value) => {
                assert_eq!(theirs, &**value, "{reader}: {shown}");
                read += 1;
            }
        }
    }
    assert!(read >= 60, "{reader} and Transom read the same in {read} cases");
}

/// 300 queries, 50 urlencoded forms and 50 multipart ones, the same in every run.
fn cases() -> Vec<Case> {
    let mut random = StdRng::seed_from_u64(5);
    let mut cases = Vec::new();
    for _ in 0..300 {
        let query = pairs(&mut random, QUERY);
        let read = owned(parameter(Some(&query), "doc_id"));
        cases.push(Case { shown: query.clone(), request: json!({ "query": query }), read });
    }
    for _ in 0..50 {
        let body = pairs(&mut random, QUERY);
        let fields: Vec<_> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        let read = owned(field(&fields, "doc_id", true));
        let request = json!({ "body": body, "type": "application/x-www-form-urlencoded" });
        cases.push(Case { shown: body, request, read });
    }
    for _ in 0..50 {
        let count = random.random_range(1..4);
        let fields: Vec<_> =
            (0..count).map(|_| (name(&mut random, NAMES), name(&mut random, VALUES))).collect();
        let parts = fields.iter().map(|(name, value)| {
            format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        });
        let body = format!("{}--XX--\r\n", parts.collect::<String>());
        let read = owned(field(&fields, "doc_id", false));
        let request = json!({ "body": body, "type": "multipart/form-data; boundary=XX" });
        cases.push(Case { shown: format!("{fields:?}"), request, read });
    }
    cases
}

fn pairs(random: &mut StdRng, pieces: &[&str]) -> String {
    let count = random.random_range(1..4);
    let mut query = String::new();
    for at in 0..count {
        if at > 0 {
            query.push_str(["&", "&", "&", ";"].choose(random).unwrap());
        }
        // Many a query has to be clear.
        match random.random_range(0..3) {
            0 => query.push_str("doc_id=7"),
            1 => query
                .push_str(["a=1", "b[]=2", "x.y=%C3%BC", "=", "doc=%3B"].choose(random).unwrap()),
            _ => query.push_str(&name(random, pieces)),
        }
    }
    query
}

fn name(random: &mut StdRng, pieces: &[&str]) -> String {
    let count = random.random_range(1..6);
    (0..count).map(|_| *pieces.choose(random).unwrap()).collect()
}

fn owned(read: Parameter<'_>) -> Parameter<'static> {
    match read {
        Parameter::Missing => Parameter::Missing,
        Parameter::Unclear => Parameter::Unclear,
        Parameter::Value(value) => Parameter::Value(value.into_owned().into()),
    }
}

fn answers(peer: &mut Command) -> Vec<Value> {
    let mut peer =
        peer.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut input = peer.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        for case in cases() {
            writeln!(input, "{}", case.request).unwrap();
        }
    });
    let lines = BufReader::new(peer.stdout.take().unwrap()).lines();
    let answers = lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    writer.join().unwrap();
    assert!(peer.wait().unwrap().success());
    answers
}

fn is_fine(command: &mut Command) -> bool {
    let done = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    done.is_ok_and(|status| status.success())
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/interop").join(name)
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers").join(name)
}

const DJANGO: &str = "django==5.2.19";
const QUERY: &[&str] = &[
    "doc_id", "doc_id=7", "doc", "id", "DOC", "_", ".", "+", "%20", "[", "]", "%5B", "%5D", "%00",
    "%5F", "%64", "%", "=8", "=", "x",
];
const NAMES: &[&str] =
    &["doc_id", "doc_id", "doc_id", "doc", "_id", " ", ".", "[", "]", "[]", "x", "DOC_ID"];
const VALUES: &[&str] = &["7", "8", "a", "ü", ";", "doc_id=9", "&"];
