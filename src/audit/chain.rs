//! The lines of an audit log: how one is made, and what makes it good. Pure.
//!
//! A line is a JSON object with `seq`, `time`, its own members, `prev` (the seal of the line before), and its seal
//! as the last member: the SHA-256 as `hash`, or with a key the HMAC-SHA-256 as `mac`, of everything before it.

use std::fmt::Write as _;

use aws_lc_rs::{digest, hmac};
use serde::Deserialize;

use crate::telemetry::Rfc3339;

/// A line's place in the chain. The default is the place before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    pub(super) seq: u64,
    pub(super) sum: Sum,
}

pub(super) type Sum = [u8; 32];

/// What lines are sealed with.
#[derive(Clone, Debug)]
pub(crate) enum Seal {
    Hash,
    Mac(Box<hmac::Key>),
}

/// A line whose seal is good.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sealed {
    pub(super) link: Link,
    pub(super) prev: Sum,
    /// If it says that the file was opened here.
    pub(super) opened: Option<Opened>,
}

/// A file was opened for writing, at this distance from its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) offset: u64,
    pub(super) torn: Option<Torn>,
}

/// Bytes before an [`Opened`] line that are no lines: a write that was cut off, newline included.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Torn {
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

/// Why a line is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bad {
    NotALine,
    /// It has the other kind of seal.
    OtherSeal,
    Broken,
}

impl Seal {
    pub(crate) fn new(key: Option<&[u8]>) -> Self {
        key.map_or(Self::Hash, |key| Self::Mac(hmac::Key::new(hmac::HMAC_SHA256, key).into()))
    }

    fn member(&self) -> &'static str {
        match self {
            Self::Hash => HASH,
            Self::Mac(_) => MAC,
        }
    }

    fn sum(&self, text: &[u8]) -> Sum {
        match self {
            Self::Hash => sha256(text),
            Self::Mac(key) => to_sum(hmac::sign(key, text).as_ref()),
        }
    }

    fn holds(&self, text: &[u8], sum: &Sum) -> bool {
        match self {
            Self::Hash => sha256(text) == *sum,
            Self::Mac(key) => hmac::verify(key, text, sum).is_ok(),
        }
    }
}

/// Appends the line that follows `after`. `members` are JSON members without braces; the result is at most as
/// much longer as [`OWN_MEMBERS`].
pub(super) fn write_line(
    out: &mut String,
    after: &Link,
    seal: &Seal,
    time: Rfc3339,
    members: &str,
) -> Link {
    let (start, seq, prev) = (out.len(), after.seq + 1, hex(&after.sum));
    // Writing to a string does not fail.
    let _ = write!(out, r#"{{"seq":{seq},"time":"{time}",{members},"prev":"{prev}""#);
    let sum = seal.sum(out.get(start..).unwrap_or_default().as_bytes());
    let _ = writeln!(out, "{}{}{END}", seal.member(), hex(&sum));
    Link { seq, sum }
}

/// Reads a line with its newline.
pub(super) fn read_line(line: &[u8], seal: &Seal) -> Result<Sealed, Bad> {
    let unterminated = line.strip_suffix(b"\n").ok_or(Bad::NotALine)?;
    let within = unterminated.strip_suffix(END.as_bytes()).ok_or(Bad::NotALine)?;
    let at = within.len().checked_sub(64).ok_or(Bad::NotALine)?;
    let (before, digits) = within.split_at(at);
    let sum = unhex(digits).ok_or(Bad::NotALine)?;
    let Some(text) = before.strip_suffix(seal.member().as_bytes()) else {
        let other = [HASH, MAC].iter().any(|member| before.ends_with(member.as_bytes()));
        return Err(if other { Bad::OtherSeal } else { Bad::NotALine });
    };
    if !seal.holds(text, &sum) {
        return Err(Bad::Broken);
    }
    let claims: Claims = serde_json::from_slice(unterminated).map_err(|_| Bad::NotALine)?;
    let opened = match (claims.event == OPENED, claims.offset) {
        (true, Some(offset)) => Some(Opened { offset, torn: claims.torn }),
        _ => None,
    };
    let prev = unhex(claims.prev.as_bytes()).ok_or(Bad::NotALine)?;
    Ok(Sealed { link: Link { seq: claims.seq, sum }, prev, opened })
}

impl Opened {
    pub(super) fn members(&self) -> String {
        let torn = self.torn.as_ref().map_or_else(String::new, |Torn { bytes, sha256 }| {
            format!(r#","torn":{{"bytes":{bytes},"sha256":"{sha256}"}}"#)
        });
        format!(r#""event":"{OPENED}","offset":{}{torn}"#, self.offset)
    }
}

/// What the chain itself needs to know of a line.
#[derive(Deserialize)]
struct Claims {
    seq: u64,
    event: String,
    prev: String,
    offset: Option<u64>,
    torn: Option<Torn>,
}

pub(super) fn sha256(text: &[u8]) -> Sum {
    to_sum(digest::digest(&digest::SHA256, text).as_ref())
}

pub(super) fn to_sum(bytes: &[u8]) -> Sum {
    bytes.try_into().unwrap_or_default()
}

/// In lower case.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// 64 digits in lower case: a sum has one spelling only.
pub(crate) fn unhex(digits: &[u8]) -> Option<Sum> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut sum = Sum::default();
    if digits.len() != 2 * sum.len() {
        return None;
    }
    for (byte, pair) in sum.iter_mut().zip(digits.chunks_exact(2)) {
        if let [high, low] = *pair {
            *byte = digit(high)? << 4 | digit(low)?;
        }
    }
    Some(sum)
}

const OPENED: &str = "audit_opened";
const HASH: &str = r#","hash":""#;
const MAC: &str = r#","mac":""#;
const END: &str = r#""}"#;
/// Bytes, newline included. What would be longer is not written.
pub(crate) const MAX_LINE: usize = 64 << 10;
/// The most that a line has besides the members it was given.
pub(super) const OWN_MEMBERS: usize = 256;
