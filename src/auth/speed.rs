//! What verification costs. Measured by `tests/benches/run.sh`, since only an optimised build says something.

#![allow(clippy::unwrap_used)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::testing;
use super::verifier::Verifier;
use super::*;
use crate::auth::Algorithm;

#[test]
#[ignore = "measures; needs an optimised build and a quiet machine"]
fn a_token_seen_before_takes_two_microseconds_at_most() {
    let app = Authenticator::start(&[testing::identity("app", Algorithm::RS256)], None).unwrap();
    let request = http::Request::builder()
        .header("authorization", format!("Bearer {}", token()))
        .body(())
        .unwrap()
        .into_parts()
        .0;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let ask = || runtime.block_on(app.authenticate_at(0, &request, &[])).unwrap();
    let (took, idle) = (best(|| drop(black_box(ask()))), best(|| runtime.block_on(async {})));
    let took = took.saturating_sub(idle);
    say("a token seen before: µs", took.as_secs_f64() * 1e6, 2.0);
}

#[test]
#[ignore = "measures; needs an optimised build and a quiet machine"]
fn rs256_costs_little_more_than_its_signature_check() {
    let token = token();
    let verifier = Verifier::start(&testing::identity("app", Algorithm::RS256), None).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let whole = || {
        runtime.block_on(verifier.verify(token.as_bytes(), 0, &http::Extensions::new())).unwrap()
    };

    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let key = testing::pair(Algorithm::RS256).spki();
    let key = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key).unwrap();
    let bare = || key.verify_sig(signed.as_bytes(), &signature).unwrap();

    let (whole, bare) = (best(|| drop(black_box(whole()))), best(bare));
    let ratio = whole.as_secs_f64() / bare.as_secs_f64();
    say("RS256 seen for the first time: CPU / aws-lc's bare check", ratio, 1.3);
}

fn say(what: &str, value: f64, limit: f64) {
    println!("{what:<58} {value:8.2}  limit {limit}");
    assert!(value <= limit, "{what}: {value:.2} is over {limit}");
}

fn token() -> String {
    let claims =
        json!({"sub": "ann", "iss": "my-app", "aud": "my-app", "exp": 9, "role": "member"});
    testing::token(Algorithm::RS256, &claims)
}

/// The quickest of many rounds, per call: what the machine does besides only adds.
fn best(mut call: impl FnMut()) -> Duration {
    let round = |call: &mut dyn FnMut()| {
        let begun = Instant::now();
        (0..CALLS).for_each(|_| call());
        begun.elapsed() / CALLS
    };
    (0..ROUNDS).map(|_| round(&mut call)).min().unwrap()
}

const CALLS: u32 = 1000;
const ROUNDS: usize = 30;
