#![allow(clippy::unwrap_used)]

use std::time::Duration;

use proptest::prelude::*;

use super::chain::{Link, Opened, Seal, read_line, write_line};
use super::tail::read_tail;
use super::verify::{Verdict, Verifier, What};
use crate::telemetry::Rfc3339;

const TIME: Rfc3339 = Rfc3339(Duration::from_secs(1_800_000_000));

/// A file of lines as the writer would have them.
fn file(seal: &Seal, after: Link, count: u64) -> (Vec<String>, Link) {
    let opened = Opened { offset: 0, torn: None };
    let mut last = after;
    let mut lines = Vec::new();
    for number in 0..count {
        let mut line = String::new();
        let members = match number {
            0 => opened.members(),
            n => format!(r#""event":"session_given","user":"u{n}","text":"a\"b\nç""#),
        };
        last = write_line(&mut line, &last, seal, TIME, &members);
        lines.push(line);
    }
    (lines, last)
}

fn verify(seal: &Seal, files: &[&[u8]]) -> Verdict {
    verify_with(seal, files, None)
}

fn verify_with(seal: &Seal, files: &[&[u8]], wanted: Option<[u8; 32]>) -> Verdict {
    let mut verifier = Verifier::new(seal.clone(), wanted);
    for (number, bytes) in files.iter().enumerate() {
        verifier.begin_file(&number.to_string());
        bytes.split_inclusive(|byte| *byte == b'\n').for_each(|line| verifier.feed(line));
    }
    verifier.finish()
}

fn broken(verdict: &Verdict) -> Option<(u64, What)> {
    verdict.broken.as_ref().map(|broken| (broken.line, broken.what))
}

fn keyed() -> Seal {
    Seal::new(Some(b"a key of thirty-two bytes or more"))
}

#[test]
fn a_line_is_json_that_ends_with_its_seal() {
    for (seal, member) in [(Seal::Hash, "hash"), (keyed(), "mac")] {
        let (lines, last) = file(&seal, Link::default(), 2);
        let json: serde_json::Value = serde_json::from_str(&lines[1]).unwrap();
        assert_eq!(json["seq"], 2);
        assert_eq!(json["time"], "2027-01-15T08:00:00.000Z");
        assert_eq!(json["text"], "a\"b\nç");
        let before: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(json["prev"], before[member]);
        assert!(lines[1].ends_with("\"}\n"));
        assert_eq!(read_line(lines[1].as_bytes(), &seal).unwrap().link, last);
    }
}

#[test]
fn what_is_wrong_is_named() {
    let seal = Seal::Hash;
    let (lines, last) = file(&seal, Link::default(), 6);
    let whole = lines.concat();
    let with = |order: &[usize]| {
        let text: String = order.iter().map(|at| lines[*at].as_str()).collect();
        broken(&verify(&seal, &[text.as_bytes()]))
    };
    assert_eq!(with(&[0, 1, 2, 3, 4, 5]), None);
    assert_eq!(with(&[0, 1, 4, 5]), Some((3, What::Missing { after: 2, found: 5 })));
    assert_eq!(with(&[0, 1, 3, 2, 4, 5]), Some((3, What::Reordered { after: 2, found: 4 })));
    assert_eq!(with(&[0, 1, 1, 2, 3]), Some((3, What::Reordered { after: 2, found: 2 })));
    assert_eq!(with(&[1, 2, 3]), Some((1, What::NoBeginning)));
    let changed = whole.replace("u3", "u4");
    assert_eq!(broken(&verify(&seal, &[changed.as_bytes()])), Some((4, What::Changed)));
    let cut = &whole.as_bytes()[..whole.len() - 10];
    assert_eq!(broken(&verify(&seal, &[cut])), Some((6, What::Truncated)));
    assert_eq!(broken(&verify(&keyed(), &[whole.as_bytes()])), Some((1, What::OtherSeal)));

    // A line of another chain with the right number.
    let mut other = String::new();
    let stranger = Link { seq: 3, sum: [7; 32] };
    write_line(&mut other, &stranger, &seal, TIME, r#""event":"session_given""#);
    let forged = [&lines[..3].concat(), &other, &lines[4..].concat()].map(String::as_str).concat();
    assert_eq!(broken(&verify(&seal, &[forged.as_bytes()])), Some((4, What::Relinked)));

    let shorter = lines[..4].concat();
    assert_eq!(broken(&verify(&seal, &[shorter.as_bytes()])), None, "nothing in it tells");
    let told = verify_with(&seal, &[shorter.as_bytes()], Some(last.sum));
    assert_eq!(broken(&told), Some((4, What::NotContained)));
    assert_eq!(broken(&verify_with(&seal, &[whole.as_bytes()], Some(last.sum))), None);
}

#[test]
fn a_chain_goes_on_over_files() {
    let seal = keyed();
    let (first, last) = file(&seal, Link::default(), 4);
    let (second, last) = file(&seal, last, 3);
    let (third, _) = file(&seal, last, 2);
    let files = [first.concat(), second.concat(), third.concat()];
    let files = [files[0].as_bytes(), files[1].as_bytes(), files[2].as_bytes()];
    let verdict = verify(&seal, &files);
    assert_eq!((verdict.lines, verdict.first, verdict.broken), (9, Some(1), None));
    let verdict = verify(&seal, &files[1..]);
    assert_eq!((verdict.lines, verdict.first, verdict.broken), (5, Some(5), None));
    let gap = verify(&seal, &[files[0], files[2]]);
    assert_eq!(broken(&gap), Some((1, What::Missing { after: 4, found: 8 })));
    let wrong_way = verify(&seal, &[files[1], files[0]]);
    assert!(matches!(broken(&wrong_way), Some((1, What::Reordered { .. }))), "{wrong_way:?}");
}

/// What the writer does at its start with a file that ends like this.
fn resume(bytes: &[u8], seal: &Seal) -> Option<Vec<u8>> {
    let mut on_disk = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut on_disk, bytes).unwrap();
    let tail = read_tail(&on_disk, seal).unwrap()?;
    let (newline, opened) = tail.opened();
    let mut more = newline.to_owned();
    let last = tail.last.unwrap_or_default();
    let last = write_line(&mut more, &last, seal, TIME, &opened.members());
    write_line(&mut more, &last, seal, TIME, r#""event":"session_given""#);
    Some([bytes, more.as_bytes()].concat())
}

#[test]
fn something_else_is_not_continued() {
    for text in ["\n", "port = 8080\n", "an important letter", "{\"a\":1}\n{\"seq\":1}\n"] {
        assert_eq!(resume(text.as_bytes(), &Seal::Hash), None, "{text:?}");
    }
    let (lines, _) = file(&Seal::Hash, Link::default(), 3);
    assert_eq!(resume(lines.concat().as_bytes(), &keyed()), None, "no key before, one now");
}

proptest! {
    #[test]
    fn a_cut_tail_is_marked_and_the_chain_goes_on(cut in 0usize..2000, key in any::<bool>()) {
        let seal = if key { keyed() } else { Seal::Hash };
        let (lines, _) = file(&seal, Link::default(), 6);
        let whole = lines.concat();
        let left = &whole.as_bytes()[..whole.len().saturating_sub(cut)];
        let resumed = resume(left, &seal).unwrap();
        let verdict = verify(&seal, &[&resumed]);
        prop_assert_eq!(&verdict.broken, &None);
        // A line that lacks its newline alone gets it.
        let lacks_newline = whole.as_bytes().get(left.len()) == Some(&b'\n');
        let torn = !left.is_empty() && !left.ends_with(b"\n") && !lacks_newline;
        prop_assert_eq!(verdict.torn, u64::from(torn));
        // And once more, with a cut through what was added.
        let again = resume(&resumed[..resumed.len() - 40], &seal).unwrap();
        prop_assert_eq!(verify(&seal, &[&again]).broken, None);
    }

    #[test]
    fn a_changed_byte_is_found(at in any::<prop::sample::Index>(), change in 1u8.., key in any::<bool>()) {
        let seal = if key { keyed() } else { Seal::Hash };
        let (lines, _) = file(&seal, Link::default(), 5);
        let (more, _) = file(&seal, Link { seq: 5, sum: read_line(lines[4].as_bytes(), &seal).unwrap().link.sum }, 3);
        let (first, mut second) = (lines.concat().into_bytes(), more.concat().into_bytes());
        prop_assert_eq!(verify(&seal, &[&first, &second]).broken, None);
        let at = at.index(second.len());
        second[at] ^= change;
        prop_assert!(verify(&seal, &[&first, &second]).broken.is_some());
        prop_assert!(verify(&seal, &[&second]).broken.is_some());
    }

    #[test]
    fn lines_that_go_or_move_are_found(from in 0usize..12, to in 0usize..12, remove in any::<bool>()) {
        let seal = Seal::Hash;
        let (mut lines, _) = file(&seal, Link::default(), 12);
        if remove {
            lines.remove(from);
        } else {
            lines.swap(from, to);
        }
        let verdict = verify(&seal, &[lines.concat().as_bytes()]);
        let unseen = if remove { from == 11 } else { from == to };
        prop_assert_eq!(verdict.broken.is_none(), unseen);
    }

    #[test]
    fn nothing_makes_the_verifier_stumble(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let (lines, _) = file(&Seal::Hash, Link::default(), 2);
        verify(&Seal::Hash, &[&bytes, lines.concat().as_bytes(), &bytes]);
    }
}
