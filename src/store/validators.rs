//! What the app says of a document's bytes, so that a change that did not come by is noticed. Pure.

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, LAST_MODIFIED};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

/// The validators of one version (RFC 9110, section 8.8). Its length is the mapping's `size`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Validators {
    /// The opaque tag, without `W/` and quotes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// As the app wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
    /// How often they differed although the bytes were the same.
    #[serde(skip_serializing_if = "is_zero")]
    pub false_alarms: u8,
}

/// What one reply of the app says of the bytes that it serves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Observed {
    etag: Option<String>,
    last_modified: Option<String>,
    /// Of the whole, in bytes.
    length: Option<u64>,
}

/// What comes of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compared {
    /// Nothing speaks against these bytes.
    Same,
    /// The same, and the reply has a validator that is not known yet.
    Learnt,
    /// The app has other bytes, or says so.
    Differs,
}

impl Validators {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a reply is about bytes of these validators and this size. An ETag decides where both have one,
    /// since a copy or a restore changes the date alone.
    pub(crate) fn compare(&self, size: u64, seen: &Observed) -> Compared {
        if seen.length.is_some_and(|length| length != size) {
            return Compared::Differs;
        }
        if self.false_alarms >= MAX_FALSE_ALARMS {
            return Compared::Same;
        }
        match (&self.etag, &seen.etag) {
            (Some(known), Some(seen)) if known != seen => return Compared::Differs,
            (Some(_), Some(_)) => return Compared::Same,
            (None, Some(_)) => return self.compare_dates(seen, Compared::Learnt),
            (_, None) => {}
        }
        self.compare_dates(seen, Compared::Same)
    }

    fn compare_dates(&self, seen: &Observed, otherwise: Compared) -> Compared {
        match (&self.last_modified, &seen.last_modified) {
            (Some(known), Some(seen)) if known != seen => Compared::Differs,
            (None, Some(_)) => Compared::Learnt,
            _ => otherwise,
        }
    }

    /// With what a reply about the same bytes said.
    pub(crate) fn learn(&self, seen: &Observed) -> Self {
        Self {
            etag: seen.etag.clone().or_else(|| self.etag.clone()),
            last_modified: seen.last_modified.clone().or_else(|| self.last_modified.clone()),
            false_alarms: self.false_alarms,
        }
    }

    /// After the bytes were read and found to be the same: what differs changes by itself.
    pub(crate) fn after_look(&self, size: u64, seen: &Observed) -> Self {
        let false_alarms = match self.compare(size, seen) {
            Compared::Differs => self.false_alarms.saturating_add(1),
            Compared::Learnt | Compared::Same if self.false_alarms < MAX_FALSE_ALARMS => 0,
            _ => self.false_alarms,
        };
        Self { false_alarms, ..Self::of(seen) }
    }

    pub(crate) fn of(seen: &Observed) -> Self {
        let Observed { etag, last_modified, .. } = seen.clone();
        Self { etag, last_modified, false_alarms: 0 }
    }
}

impl Observed {
    /// What a reply with the document's bytes, or the first of them, says of the whole. `None` for a reply that
    /// is no such one: a refusal, or a compressed body, whose validators may be its own.
    pub(crate) fn of_bytes(status: StatusCode, headers: &HeaderMap) -> Option<Self> {
        let seen = Self::of_reply(status, headers)?;
        Some(Self { length: length(status, headers), ..seen })
    }

    pub(crate) fn has_length(&self) -> bool {
        self.length.is_some()
    }

    /// With the length that the reply's body knows, if its head has none.
    pub(crate) fn with_length(self, length: Option<u64>) -> Self {
        Self { length: self.length.or(length), ..self }
    }

    /// The same of a reply about the document that does not carry its bytes: without a length.
    pub(crate) fn of_reply(status: StatusCode, headers: &HeaderMap) -> Option<Self> {
        let serves = matches!(status, StatusCode::OK | StatusCode::PARTIAL_CONTENT);
        if !serves || headers.contains_key(CONTENT_ENCODING) {
            return None;
        }
        let text = |name| text(headers, name);
        let etag = text(ETAG).map(|tag| opaque(&tag).to_owned());
        Some(Self { etag, last_modified: text(LAST_MODIFIED), length: None })
    }
}

fn length(status: StatusCode, headers: &HeaderMap) -> Option<u64> {
    match status {
        // `bytes 0-0/1234`, or `*` for a total that is not known.
        StatusCode::PARTIAL_CONTENT => {
            text(headers, CONTENT_RANGE)?.rsplit_once('/')?.1.trim().parse().ok()
        }
        _ => text(headers, CONTENT_LENGTH)?.trim().parse().ok(),
    }
}

/// The comparison is the weak one (RFC 9110, section 8.8.3.2): servers weaken a tag without changing the bytes.
fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"')
}

fn text(headers: &HeaderMap, name: http::HeaderName) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    (!value.is_empty() && value.len() <= MAX_LENGTH).then(|| value.to_owned())
}

fn is_zero(count: &u8) -> bool {
    *count == 0
}

/// After so many false alarms only the length counts: some apps make a new ETag for each reply.
const MAX_FALSE_ALARMS: u8 = 3;
/// Bytes of a validator that is kept.
const MAX_LENGTH: usize = 256;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn seen(status: u16, lines: &[(&'static str, &str)]) -> Option<Observed> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.insert(*name, HeaderValue::from_str(value).unwrap());
        }
        Observed::of_bytes(StatusCode::from_u16(status).unwrap(), &headers)
    }

    const DATE: &str = "Tue, 01 Sep 2026 10:00:00 GMT";
    const LATER: &str = "Tue, 01 Sep 2026 10:00:01 GMT";

    #[test]
    fn a_change_is_seen_by_tag_date_or_length() {
        let first = [("etag", "\"v1\""), ("last-modified", DATE), ("content-length", "10")];
        let known = Validators::of(&seen(200, &first).unwrap());
        for (reply, compared) in [
            (&first[..], Compared::Same),
            (&[("etag", "W/\"v1\"")], Compared::Same),
            (&[("etag", "\"v1\""), ("last-modified", LATER)], Compared::Same),
            (&[("last-modified", DATE)], Compared::Same),
            (&[], Compared::Same),
            (&[("etag", "\"v2\"")], Compared::Differs),
            (&[("last-modified", LATER)], Compared::Differs),
            (&[("etag", "\"v1\""), ("content-length", "11")], Compared::Differs),
        ] {
            assert_eq!(known.compare(10, &seen(200, reply).unwrap()), compared, "{reply:?}");
        }
        let range = |range: &str| seen(206, &[("content-range", range)]).unwrap();
        assert_eq!(known.compare(10, &range("bytes 0-0/10")), Compared::Same);
        assert_eq!(known.compare(10, &range("bytes 0-0/11")), Compared::Differs);
        assert_eq!(known.compare(10, &range("bytes 0-0/*")), Compared::Same);
    }

    #[test]
    fn what_is_not_known_yet_is_learnt() {
        let nothing = Validators::default();
        let reply = seen(200, &[("etag", "\"v1\""), ("last-modified", DATE)]).unwrap();
        assert_eq!(nothing.compare(10, &reply), Compared::Learnt);
        let known = nothing.learn(&reply);
        assert_eq!(known.compare(10, &reply), Compared::Same);
        let dated = Validators::of(&seen(200, &[("last-modified", DATE)]).unwrap());
        let moved = seen(200, &[("etag", "\"v2\""), ("last-modified", LATER)]).unwrap();
        assert_eq!(dated.compare(10, &moved), Compared::Differs);
    }

    #[test]
    fn validators_that_change_by_themselves_stop_counting_and_the_length_does_not() {
        let mut known = Validators::default();
        for tag in ["\"1\"", "\"2\"", "\"3\"", "\"4\"", "\"5\""] {
            known = known.after_look(10, &seen(200, &[("etag", tag)]).unwrap());
        }
        let next = [("etag", "\"6\"")];
        assert_eq!(known.compare(10, &seen(200, &next).unwrap()), Compared::Same);
        let longer = [("etag", "\"6\""), ("content-length", "11")];
        assert_eq!(known.compare(10, &seen(200, &longer).unwrap()), Compared::Differs);
    }

    #[test]
    fn other_replies_say_nothing_of_the_bytes() {
        for status in [204, 304, 403, 416, 500] {
            assert_eq!(seen(status, &[("etag", "\"v1\"")]), None, "{status}");
        }
        assert_eq!(seen(200, &[("content-encoding", "gzip"), ("etag", "\"v1\"")]), None);
    }
}
