//! What of a header block (RFC 7541) has to be known to tell whether its `:path` has a `#`: `http` drops a fragment
//! before anybody sees it.
//!
//! Nothing is decoded in full. h2, which decodes the same blocks, ends a connection whose blocks are wrong.

use std::collections::VecDeque;

/// What one peer's earlier blocks have put into the dynamic table.
#[derive(Debug)]
pub(super) struct DynamicTable {
    entries: VecDeque<TableEntry>,
    size: usize,
    limit: usize,
}

#[derive(Clone, Copy, Debug)]
struct TableEntry {
    name: FieldName,
    value: FieldValue,
}

#[derive(Clone, Copy, Debug)]
struct FieldName {
    length: usize,
    is_path: bool,
}

#[derive(Clone, Copy, Debug)]
struct FieldValue {
    length: usize,
    has_fragment: bool,
}

impl Default for DynamicTable {
    fn default() -> Self {
        Self { entries: VecDeque::new(), size: 0, limit: LARGEST_TABLE }
    }
}

impl DynamicTable {
    /// Whether a `:path` of this block has a fragment; `None` if it is no header block.
    pub(super) fn has_fragment(&mut self, mut block: &[u8]) -> Option<bool> {
        let mut found = false;
        while let Some(first) = block.first().copied() {
            let (index, kept) = match first {
                0x80.. => {
                    let index = number(&mut block, 7)?;
                    if let Some(at) = index.checked_sub(STATIC_NAMES.len() + 1) {
                        let TableEntry { name, value } = self.entries.get(at)?;
                        found |= name.is_path && value.has_fragment;
                    }
                    continue;
                }
                0x40.. => (number(&mut block, 6)?, true),
                0x20.. => {
                    self.limit = number(&mut block, 5)?.min(LARGEST_TABLE);
                    self.make_room(0);
                    continue;
                }
                _ => (number(&mut block, 4)?, false),
            };
            let name = match index {
                0 => {
                    let (huffman, name) = string(&mut block)?;
                    let is_path = name == if huffman { HUFFMAN_PATH } else { b":path" };
                    FieldName { length: value(huffman, name).length, is_path }
                }
                index => self.name(index)?,
            };
            let (huffman, text) = string(&mut block)?;
            let value = value(huffman, text);
            found |= name.is_path && value.has_fragment;
            if kept {
                self.keep(TableEntry { name, value });
            }
        }
        Some(found)
    }

    fn name(&self, index: usize) -> Option<FieldName> {
        match STATIC_NAMES.get(index - 1) {
            Some(length) => {
                Some(FieldName { length: (*length).into(), is_path: matches!(index, 4 | 5) })
            }
            None => Some(self.entries.get(index - STATIC_NAMES.len() - 1)?.name),
        }
    }

    /// RFC 7541 section 4.4: what has no room in an empty table empties it.
    fn keep(&mut self, entry: TableEntry) {
        self.make_room(entry.size());
        if entry.size() <= self.limit {
            self.size += entry.size();
            self.entries.push_front(entry);
        }
    }

    fn make_room(&mut self, size: usize) {
        while self.size.saturating_add(size) > self.limit {
            let Some(oldest) = self.entries.pop_back() else { return };
            self.size -= oldest.size();
        }
    }
}

impl TableEntry {
    /// RFC 7541 section 4.1.
    fn size(&self) -> usize {
        self.name.length + self.value.length + 32
    }
}

/// RFC 7541 section 5.1.
fn number(block: &mut &[u8], bits: u32) -> Option<usize> {
    let most = (1 << bits) - 1;
    let (first, mut rest) = block.split_first()?;
    let mut number = usize::from(*first) & most;
    if number == most {
        for shift in [0, 7, 14, 21] {
            let (next, left) = rest.split_first()?;
            rest = left;
            number += usize::from(next & 0x7f) << shift;
            if next & 0x80 == 0 {
                *block = rest;
                return Some(number);
            }
        }
        return None;
    }
    *block = rest;
    Some(number)
}

/// RFC 7541 section 5.2: whether it is coded, and its bytes.
fn string<'b>(block: &mut &'b [u8]) -> Option<(bool, &'b [u8])> {
    let huffman = block.first()? & 0x80 != 0;
    let length = number(block, 7)?;
    let (text, rest) = block.split_at_checked(length)?;
    *block = rest;
    Some((huffman, text))
}

fn value(huffman: bool, text: &[u8]) -> FieldValue {
    if !huffman {
        return FieldValue { length: text.len(), has_fragment: text.contains(&b'#') };
    }
    let mut text = text.iter();
    let (mut ahead, mut bits) = (0_u64, 0);
    let mut value = FieldValue { length: 0, has_fragment: false };
    loop {
        while bits <= 56
            && let Some(byte) = text.next()
        {
            (ahead, bits) = (ahead << 8 | u64::from(*byte), bits + 8);
        }
        // The next 32 bits, with ones behind the last.
        let next = match bits {
            32.. => (ahead >> (bits - 32)) & u64::from(u32::MAX),
            _ => (ahead << (32 - bits) | u64::from(u32::MAX) >> bits) & u64::from(u32::MAX),
        };
        let code = CODE_ENDS.iter().find(|(_, end)| next < *end);
        let Some(&(length, _)) = code.filter(|(length, _)| *length <= bits) else { return value };
        value.has_fragment |= length == 12 && next >> 20 == HASH_CODE;
        value.length += 1;
        bits -= length;
    }
}

/// The Huffman code of RFC 7541 appendix B is canonical, so how many codes of each length there are tells where one
/// ends: `(bits, first word of 32 bits that begins with no code as short)`.
const CODE_ENDS: [(u32, u64); 21] = {
    let counts = [
        (5, 10),
        (6, 26),
        (7, 32),
        (8, 6),
        (10, 5),
        (11, 3),
        (12, 2),
        (13, 6),
        (14, 2),
        (15, 3),
        (19, 3),
        (20, 8),
        (21, 13),
        (22, 26),
        (23, 29),
        (24, 12),
        (25, 4),
        (26, 15),
        (27, 19),
        (28, 29),
        (30, 4),
    ];
    let mut ends = [(0, 0); 21];
    let (mut at, mut end) = (0, 0_u64);
    while at < counts.len() {
        let (bits, count): (u32, u64) = counts[at];
        end += count << (32 - bits);
        ends[at] = (bits, end);
        at += 1;
    }
    ends
};
const HASH_CODE: u64 = 0xffa;
/// `:path`.
const HUFFMAN_PATH: &[u8] = b"\xb9\x58\xd3\x3f";
/// How long the names of the static table are (RFC 7541 appendix A).
const STATIC_NAMES: [u8; 61] = [
    10, 7, 7, 5, 5, 7, 7, 7, 7, 7, 7, 7, 7, 7, 14, 15, 15, 13, 6, 27, 3, 5, 13, 13, 19, 16, 16, 14,
    16, 13, 12, 6, 4, 4, 6, 7, 4, 4, 8, 17, 13, 8, 19, 13, 4, 8, 12, 18, 19, 5, 7, 7, 11, 6, 10,
    25, 17, 10, 4, 3, 16,
];
/// Bytes; what a peer may use without being told of more, and it is not (RFC 9113 section 6.5.2).
const LARGEST_TABLE: usize = 4096;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// `:path` by its static name, with this value as it is.
    fn plain(first: u8, path: &str) -> Vec<u8> {
        [&[first, u8::try_from(path.len()).unwrap()], path.as_bytes()].concat()
    }

    #[test]
    fn a_fragment_is_seen_in_every_form_that_a_path_may_have() {
        for (block, expected) in [
            (plain(0x44, "/a"), false),
            (plain(0x44, "/a#b"), true),
            (plain(0x04, "/a#b"), true),
            (plain(0x14, "/a#b"), true),
            (plain(0x45, "/#"), true),
            // `referer`, by its index.
            ([&[0x0f, 0x24, 4][..], b"/a#b"].concat(), false),
            ([&[0x40, 5][..], b":path", &[2], b"/#"].concat(), true),
            ([&[0x00, 0x84][..], HUFFMAN_PATH, &[2], b"/#"].concat(), true),
            ([&[0x40, 5][..], b":patx", &[2], b"/#"].concat(), false),
            // `/#` and `/%`: 011000 111111111010, 011000 010101.
            (vec![0x44, 0x83, 0x63, 0xfe, 0xbf], true),
            (vec![0x44, 0x82, 0x61, 0x5f], false),
        ] {
            assert_eq!(DynamicTable::default().has_fragment(&block), Some(expected), "{block:x?}");
        }
    }

    #[test]
    fn a_kept_path_is_known_when_it_is_named_by_its_index() {
        let mut table = DynamicTable::default();
        assert_eq!(table.has_fragment(&plain(0x44, "/a#b")), Some(true));
        assert_eq!(table.has_fragment(&plain(0x40 + 19, "text/html#")), Some(false));
        for (block, expected) in [
            (vec![0xbe], Some(false)),
            (vec![0xbf], Some(true)),
            (vec![0x82, 0xbf, 0xbe], Some(true)),
            // The name of the second, with another value.
            (vec![0x0f, 0x30, 1, b'/'], Some(false)),
            (vec![0x0f, 0x30, 2, b'/', b'#'], Some(true)),
            (vec![0xc0], None),
            // The table is emptied.
            (vec![0x20, 0xbe], None),
        ] {
            assert_eq!(table.has_fragment(&block), expected, "{block:x?}");
        }
    }

    #[test]
    fn the_oldest_make_room_as_the_other_end_has_it() {
        let mut table = DynamicTable::default();
        table.has_fragment(&plain(0x44, "/#")).unwrap();
        // 39 bytes each with the first, and 4096 hold 105 of them.
        for _ in 0..104 {
            table.has_fragment(&plain(0x44, "/a")).unwrap();
        }
        let last = |index: u8| vec![0xff, index - 127];
        assert_eq!(table.has_fragment(&last(166)), Some(true));
        table.has_fragment(&plain(0x44, "/b")).unwrap();
        assert_eq!(table.has_fragment(&last(166)), Some(false));
        assert_eq!(table.has_fragment(&last(167)), None);
    }

    #[test]
    fn every_code_is_as_long_as_it_says() {
        assert_eq!(CODE_ENDS.last(), Some(&(30, 1 << 32)));
        // RFC 7541 appendix C.4.
        for (coded, length) in [
            (&b"\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff"[..], "www.example.com".len()),
            (b"\xa8\xeb\x10\x64\x9c\xbf", "no-cache".len()),
            (b"\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf", "custom-value".len()),
        ] {
            assert_eq!(value(true, coded).length, length);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_are_too_strange(blocks: Vec<Vec<u8>>) {
            let mut table = DynamicTable::default();
            for block in blocks {
                table.has_fragment(&block);
                proptest::prop_assert!(table.size <= LARGEST_TABLE);
            }
        }
    }
}
