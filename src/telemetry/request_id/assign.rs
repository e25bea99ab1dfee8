//! Ids for requests that come without one.

use std::cell::RefCell;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use super::{HEADER, NAME};

/// Keeps the id that the request came with if it is one, and gives it a new one otherwise.
pub(crate) fn assign(headers: &mut HeaderMap) -> HeaderValue {
    if let Some(id) = given(headers) {
        return id.clone();
    }
    let id = generate();
    headers.insert(HEADER, id.clone());
    id
}

fn given(headers: &HeaderMap) -> Option<&HeaderValue> {
    // Most clients give none, and to look at the few names that are there costs less than to look this one up.
    if !headers.keys().any(|name| name.as_str() == NAME) {
        return None;
    }
    let mut given = headers.get_all(HEADER).iter();
    let id = given.next()?;
    (given.next().is_none() && is_valid(id)).then_some(id)
}

/// 1 to 128 visible ASCII characters that need no quoting in a log line or a list.
fn is_valid(id: &HeaderValue) -> bool {
    let fits = (1..=MAX_LENGTH).contains(&id.len());
    fits && id.as_bytes().iter().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b','))
}

/// 32 hex digits: a random half that is the process's own, and a count. Unique, not secret.
fn generate() -> HeaderValue {
    // Ids are made in batches that share their memory: one allocation for many, and clones need none.
    thread_local!(static AHEAD: RefCell<Bytes> = const { RefCell::new(Bytes::new()) });
    let id = AHEAD.with_borrow_mut(|ahead| {
        if ahead.is_empty() {
            *ahead = batch();
        }
        ahead.split_to(ID_LENGTH.min(ahead.len()))
    });
    HeaderValue::from_maybe_shared(id).unwrap_or(HeaderValue::from_static("-"))
}

fn batch() -> Bytes {
    static PROCESS: LazyLock<u64> = LazyLock::new(crate::random::u64);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let first = COUNT.fetch_add(BATCH, Ordering::Relaxed);
    let (process, beginning) = (hex(*PROCESS), hex(first));
    let mut ids = Vec::with_capacity(ID_LENGTH * BATCH as usize);
    for count in first..first + BATCH {
        ids.extend_from_slice(&process);
        // A batch begins at a multiple of its size, so that no other digits differ within it.
        ids.extend_from_slice(&beginning[..14]);
        ids.extend_from_slice(&[digit(count >> 4), digit(count)]);
    }
    ids.into()
}

fn hex(number: u64) -> [u8; 16] {
    let mut digits = [b'0'; 16];
    for (place, digit) in digits.iter_mut().rev().enumerate() {
        *digit = self::digit(number >> (4 * place));
    }
    digits
}

/// Of the last four bits.
fn digit(number: u64) -> u8 {
    HEX[(number & 15) as usize]
}

const ID_LENGTH: usize = 32;
const BATCH: u64 = 64;
const MAX_LENGTH: usize = 128;
const HEX: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::of;
    use super::*;

    fn assigned(given: &[&[u8]]) -> String {
        let mut headers = HeaderMap::new();
        for id in given {
            headers.append(HEADER, HeaderValue::from_bytes(id).unwrap());
        }
        assign(&mut headers);
        assert_eq!(headers.get_all(HEADER).iter().count(), 1);
        of(&headers).to_owned()
    }

    #[test]
    fn a_good_id_is_kept() {
        let longest = "x".repeat(128);
        for id in ["7", "Root=1-67891233-abcdef012345678912345678", longest.as_str()] {
            assert_eq!(assigned(&[id.as_bytes()]), id);
        }
    }

    #[test]
    fn each_is_another_also_from_batch_to_batch() {
        let ids: Vec<_> = (0..10 * BATCH).map(|_| generate()).collect();
        let different: std::collections::HashSet<_> = ids.iter().collect();
        assert_eq!(different.len(), ids.len());
        let counts = ids.iter().map(|id| id.to_str().unwrap()[16..].to_owned());
        let counts: Vec<_> = counts.map(|hex| u64::from_str_radix(&hex, 16).unwrap()).collect();
        assert!(counts.chunks(BATCH as usize).all(<[u64]>::is_sorted), "{counts:?}");
    }

    #[test]
    fn anything_else_is_replaced_by_a_new_one() {
        let too_long = "x".repeat(129);
        for given in [
            &[][..],
            &[b"".as_slice()],
            &[b"a b"],
            &[b"a\"b"],
            &[b"a,b"],
            &["é".as_bytes()],
            &[too_long.as_bytes()],
            &[b"one", b"two"],
        ] {
            let id = assigned(given);
            assert!(id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
        }
        assert_ne!(assigned(&[]), assigned(&[]));
    }
}
