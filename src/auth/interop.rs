//! Tokens of PyJWT and of jose read here, and ours there.
//!
//! The two are installed under `target/interop` when they are missing; where that can't be done, the
//! test says that it was skipped.

#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::compact::Compact;
use super::jwt;
use super::keys::{Demands, KeySet, Verdict};
use super::testing;
use crate::auth::Algorithm;
use crate::missing::missing;

#[test]
fn pyjwt() {
    let dir = folder("python");
    let python = dir.join("bin/python");
    let installed = is_fine(Command::new(&python).args(["-c", "import jwt, cryptography"]))
        || (is_fine(Command::new("python3").args(["-m", "venv"]).arg(&dir))
            && is_fine(Command::new(&python).args(["-m", "pip", "install", "-q", PYJWT])));
    if !installed {
        missing(&format!("{PYJWT} can't be installed"));
        return;
    }
    agree(Command::new(&python).arg(script("pyjwt_peer.py")));
}

#[test]
fn jose() {
    let dir = folder("node");
    let npm = ["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", JOSE];
    let installed = dir.join("node_modules/jose/package.json").exists()
        || is_fine(Command::new("npm").args(npm).arg("--prefix").arg(&dir));
    if !installed {
        missing(&format!("{JOSE} can't be installed"));
        return;
    }
    // Modules are looked for beside the script.
    let copy = dir.join("jose_peer.mjs");
    std::fs::copy(script("jose_peer.mjs"), &copy).unwrap();
    agree(Command::new("node").arg(copy));
}

fn agree(peer: &mut Command) {
    let claims = json!({"sub": "ann", "exp": super::unix_now() + 3600, "name": "Änn \u{1f4c4}"});
    let ours: Vec<Value> = ALGORITHMS
        .into_iter()
        .flat_map(|algorithm| {
            let token = testing::token(algorithm, &claims);
            let jwk = testing::pair(algorithm).jwk(&json!({}));
            let item =
                |token: &str| json!({"alg": jwt::name(algorithm), "jwk": jwk, "token": token});
            [item(&token), item(&changed(&token))]
        })
        .collect();
    let names = ALGORITHMS.map(jwt::name);
    let answer = ask(peer, &json!({"claims": claims, "sign": names, "verify": ours}));

    for (item, verdict) in ours.chunks(2).zip(answer["verdicts"].as_array().unwrap().chunks(2)) {
        assert_eq!(verdict, [json!(true), json!(false)], "ours there: {}", item[0]["alg"]);
    }
    let theirs = answer["signed"].as_array().unwrap();
    assert_eq!(theirs.len(), ALGORITHMS.len());
    for (algorithm, item) in ALGORITHMS.into_iter().zip(theirs) {
        let demands = Demands { algorithms: vec![algorithm], weak: false };
        let keys = KeySet::jwks(item["jwk"].to_string().as_bytes(), &demands).unwrap();
        let token = item["token"].as_str().unwrap();
        let parts = Compact::parse(token).unwrap();
        assert_eq!(keys.verify(&parts, algorithm), Verdict::Good, "theirs here: {algorithm:?}");
        assert_eq!(parts.claims().unwrap(), claims);
        let changed = changed(token);
        let changed = Compact::parse(&changed).unwrap();
        assert_eq!(keys.verify(&changed, algorithm), Verdict::Forged, "{algorithm:?}");
    }
}

/// The same token with another claim.
fn changed(token: &str) -> String {
    let (header, rest) = token.split_once('.').unwrap();
    let (_, signature) = rest.split_once('.').unwrap();
    format!("{header}.eyJzdWIiOiJib2IifQ.{signature}")
}

fn ask(peer: &mut Command, question: &Value) -> Value {
    let mut child = peer.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(question.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{peer:?} failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn is_fine(command: &mut Command) -> bool {
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/interop").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop").join(name)
}

const ALGORITHMS: [Algorithm; 12] = [
    Algorithm::HS256,
    Algorithm::HS384,
    Algorithm::HS512,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];
const PYJWT: &str = "pyjwt[crypto]>=2.10,<3";
const JOSE: &str = "jose@6";
