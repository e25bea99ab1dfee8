//! The head of a reply while it comes.

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, Response};
use memchr::{memchr, memchr_iter};

use super::frames::Unreadable;
use super::head;

/// What has come of a head. It is parsed once its first line is there, so that what is no HTTP is found out early, and
/// then not before its end: a head in many small pieces costs as much as one in one piece.
#[derive(Debug, Default)]
pub(super) struct PartialHead {
    bytes: Bytes,
    /// Of `bytes`, what holds neither a line's end, or once the first line is there, nor the head's.
    searched: usize,
    has_line: bool,
    /// How many bytes were looked at in all.
    #[cfg(test)]
    work: usize,
}

impl PartialHead {
    pub(super) fn push(&mut self, fresh: &[u8]) {
        if self.bytes.is_empty() {
            self.bytes = Bytes::copy_from_slice(fresh);
            return;
        }
        // The parsed head has been dropped, so that these bytes have one owner and are not copied.
        let bytes = std::mem::take(&mut self.bytes).try_into_mut();
        let mut bytes = bytes.unwrap_or_else(|shared| BytesMut::from(&*shared));
        bytes.extend_from_slice(fresh);
        self.bytes = bytes.freeze();
    }

    /// A head that is here in full. `headers` is empty, and becomes the head's. What follows the head stays.
    ///
    /// # Errors
    /// What has come is no head, or too much for one.
    pub(super) fn take(
        &mut self,
        headers: &mut HeaderMap,
    ) -> Result<Option<Response<()>>, Unreadable> {
        if self.bytes.is_empty() || !self.is_worth_parsing() {
            self.searched = self.bytes.len();
            return Ok(None);
        }
        self.has_line = true;
        #[cfg(test)]
        {
            self.work += self.bytes.len();
        }
        let Some((reply, length)) = head::read(&self.bytes, headers)? else {
            self.searched = self.bytes.len();
            return Ok(None);
        };
        self.bytes.advance(length);
        (self.searched, self.has_line) = (0, false);
        Ok(Some(reply))
    }

    /// What has come behind the head that was taken.
    pub(super) fn rest(&mut self) -> Bytes {
        (self.searched, self.has_line) = (0, false);
        std::mem::take(&mut self.bytes)
    }

    fn is_worth_parsing(&mut self) -> bool {
        // An end may have begun in what was searched.
        let from = if self.has_line { self.searched.saturating_sub(3) } else { self.searched };
        let fresh = self.bytes.get(from..).unwrap_or_default();
        #[cfg(test)]
        {
            self.work += fresh.len();
        }
        if !self.has_line {
            return memchr(b'\n', fresh).is_some() || self.bytes.len() > LONGEST_LINE;
        }
        self.bytes.len() > head::LONGEST_HEAD as usize
            || memchr_iter(b'\n', fresh).any(|end| {
                let next = fresh.get(end + 1..).unwrap_or_default();
                next.starts_with(b"\n") || next.starts_with(b"\r\n")
            })
    }
}

/// Bytes without a line's end after which they are taken for no HTTP.
const LONGEST_LINE: usize = 8192;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Fed in pieces of these sizes: what was taken, what was left, and the work.
    fn fed(bytes: &[u8], mut sizes: impl Iterator<Item = usize>) -> (Vec<String>, Bytes, usize) {
        let (mut head, mut taken, mut bytes) = (PartialHead::default(), Vec::new(), bytes);
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at(sizes.next().unwrap().min(bytes.len()));
            bytes = rest;
            head.push(piece);
            loop {
                match head.take(&mut HeaderMap::new()) {
                    Ok(Some(reply)) => {
                        taken.push(format!("{:?} {:?}", reply.status(), reply.headers()));
                    }
                    Ok(None) => break,
                    Err(_) => {
                        taken.push("unreadable".to_owned());
                        return (taken, Bytes::new(), head.work);
                    }
                }
            }
        }
        let work = head.work;
        (taken, head.rest(), work)
    }

    #[test]
    fn a_head_costs_the_same_however_it_is_cut() {
        let lines = "X-Some-Header: of a usual length, as a server may send it\r\n".repeat(80);
        let head = format!("HTTP/1.1 200 OK\r\n{lines}\r\n");
        let whole = fed(head.as_bytes(), std::iter::repeat(usize::MAX)).2;
        assert!(whole <= 2 * head.len());
        for size in [1, 2, 7, 64, 1000] {
            let (taken, rest, work) = fed(head.as_bytes(), std::iter::repeat(size));
            assert_eq!((taken.len(), rest.len()), (1, 0));
            assert!(work <= 6 * head.len(), "{work} by {size}");
        }
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_heads(
            parts in prop::collection::vec("HTTP/1.1 200 OK\r\n|HTTP/1.1 103 \n|A: b\r\n|c: d\n|\r\n|\n", 0..12),
            sizes in prop::collection::vec(1_usize..20, 1..8),
        ) {
            let text = parts.concat();
            let whole = fed(text.as_bytes(), std::iter::repeat(usize::MAX));
            let cut = fed(text.as_bytes(), sizes.into_iter().cycle());
            if whole.0.last().is_some_and(|last| last == "unreadable") {
                // In pieces, what is no HTTP may be found out only once its end has come.
                prop_assert!(whole.0.starts_with(&cut.0), "{:?}", cut.0);
            } else {
                prop_assert_eq!((cut.0, cut.1), (whole.0, whole.1));
            }
        }
    }
}
