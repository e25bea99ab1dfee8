//! What the fuzz targets have in common. Each target is a test inside of the module whose parser it reaches; its
//! file is in this folder. `tests/fuzz/run.sh --long` runs them all for minutes.
//!
//! A driver of our own, and not `bolero` or libFuzzer: without a nightly compiler neither sees coverage, and what is
//! left of them is random bytes. Here an input that brings a new outcome becomes a seed, too.

use std::collections::HashSet;
use std::hash::Hash;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// Calls `target` with each seed, and then with seeds that were changed at random. `TRANSOM_FUZZ_INPUTS` says how
/// many inputs there are, `TRANSOM_FUZZ_SEED` where the random numbers begin. What `target` returns is the outcome,
/// to be told apart from others: which error, how many parts.
pub(crate) fn feed<T: Eq + Hash>(seeds: &[&[u8]], target: impl Fn(&[u8], &mut StdRng) -> T) {
    let (inputs, start) = (number("TRANSOM_FUZZ_INPUTS", 2000), number("TRANSOM_FUZZ_SEED", 1));
    let mut random = StdRng::seed_from_u64(start);
    let mut pool: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.to_vec()).collect();
    let mut outcomes = HashSet::new();
    let mut seeds = pool.clone().into_iter();
    for _ in 0..inputs {
        let input = seeds.next().unwrap_or_else(|| changed(&pool, &mut random));
        let told = ToldOnPanic(&input);
        let is_new = outcomes.insert(target(told.0, &mut random));
        drop(told);
        if is_new && pool.len() < MOST_SEEDS {
            pool.push(input);
        }
    }
}

/// The same bytes in pieces, some of them empty.
pub(crate) fn cut<'b>(mut bytes: &'b [u8], random: &mut StdRng) -> Vec<&'b [u8]> {
    // Readers of heads begin anew with each piece, so that a thousand pieces take a second.
    let fewest = bytes.len() / 100;
    let longest = [1, 2, 8, 64, 1024].choose(random).map_or(1, |longest| fewest.max(*longest));
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at(random.random_range(0..=longest).min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

fn number(name: &str, usual: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")),
        Err(_) => usual,
    }
}

/// One of the pool after some of what senders, programs on the way and attackers do to it.
fn changed(pool: &[Vec<u8>], random: &mut StdRng) -> Vec<u8> {
    let one = |random: &mut StdRng| pool.choose(random).cloned().unwrap_or_default();
    let mut input = one(random);
    for _ in 0..random.random_range(1..=4) {
        let at = random.random_range(0..=input.len());
        let end = random.random_range(at..=input.len()).min(at + 32);
        let byte = match SPECIAL.choose(random) {
            Some(special) if random.random() => *special,
            _ => random.random(),
        };
        match random.random_range(0..8) {
            0 => input.insert(at, byte),
            1 => input.splice(at..end, []).for_each(drop),
            2 => input.splice(at..end, [byte]).for_each(drop),
            3 => input.truncate(at),
            4 => {
                let repeated = input[at..end].to_vec();
                input.splice(at..at, repeated).for_each(drop);
            }
            5 => {
                let other = one(random);
                let from = random.random_range(0..=other.len());
                let to = random.random_range(from..=other.len());
                input.splice(at..end, other[from..to].iter().copied()).for_each(drop);
            }
            6 => input[at..end].iter_mut().for_each(|byte| *byte ^= 0x20),
            _ => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << random.random_range(0..8);
                }
            }
        }
    }
    input.truncate(LONGEST);
    input
}

/// The input with which a target fails.
struct ToldOnPanic<'i>(&'i [u8]);

impl Drop for ToldOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("with this input, to be added to the seeds: b\"{}\"", self.0.escape_ascii());
        }
    }
}

const MOST_SEEDS: usize = 1000;
/// Bytes. Parsers with longer limits are tested for these elsewhere.
const LONGEST: usize = 4000;
/// Bytes that mean something in one of the languages.
const SPECIAL: &[u8] = b"\r\n\t\0 \"'\\%&+,-./0129:;<=>?@[]_`afxz{}~\x7f\x80\xc3\xef\xff";
