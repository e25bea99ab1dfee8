use proptest::prelude::*;

use super::Decision::{LookAgain, Park, SendAgain, Stored};
use super::Doubtful::{Foreign, Hopeless, Several, Unlisted};
use super::Honours::{No, Unknown, Yes};
use super::*;

const PDF: Wanted<'static> = Wanted {
    document_id: Some("OWN"),
    sha256: "aa",
    title: "a.pdf",
    is_pdf: true,
    is_awaited: true,
    was_absent: false,
    settlements: 0,
};
const OFFICE: Wanted<'static> = Wanted { is_pdf: false, ..PDF };

fn found(ids: Honours, titles: Honours, candidates: &[(&str, &str, &str)]) -> Found {
    let candidate = |(id, title, hash): &(&str, &str, &str)| Candidate {
        id: (*id).to_owned(),
        title: Some((*title).to_owned()),
        sha256: Some((*hash).to_owned()),
        is_anothers: false,
    };
    Found {
        ids,
        titles,
        own: Own::Absent,
        candidates: Some(candidates.iter().map(candidate).collect()),
        tells_hashes: true,
        more: None,
    }
}

fn there(hash: Option<&str>) -> Own {
    Own::There(Properties { sha256: hash.map(str::to_owned), ..Properties::default() })
}

fn stored(id: &str) -> Decision {
    Stored(id.to_owned())
}

fn several(ids: &[&str]) -> Decision {
    Park(Several(ids.iter().map(|id| (*id).to_owned()).collect()))
}

#[test]
fn an_id_that_is_heeded_decides_alone() {
    let with = |own| Found { own, ..found(Yes, Yes, &[("D1", "a.pdf", "aa")]) };
    assert_eq!(decide(PDF, &with(there(Some("aa")))), stored("OWN"));
    assert_eq!(decide(PDF, &with(there(None))), stored("OWN"));
    assert_eq!(decide(PDF, &with(Own::Listed)), stored("OWN"));
    assert_eq!(decide(OFFICE, &with(there(Some("bb")))), stored("OWN"), "it was converted");
    assert_eq!(decide(PDF, &with(there(Some("bb")))), Park(Foreign("OWN".to_owned())));
    assert_eq!(decide(PDF, &with(Own::Absent)), SendAgain, "at once, and whatever else there is");
    let unneeded = Wanted { is_awaited: false, ..PDF };
    assert_eq!(decide(unneeded, &with(Own::Absent)), LookAgain, "it may arrive, and is to go then");
    let often = Wanted { settlements: MAX_SETTLEMENTS, ..PDF };
    assert_eq!(decide(often, &with(Own::Absent)), Park(Hopeless));
    assert_eq!(
        decide(often, &with(there(Some("aa")))),
        stored("OWN"),
        "it is looked for all the same"
    );
}

#[test]
fn an_id_that_is_not_known_to_be_heeded_decides_only_when_it_is_there() {
    let there = Found { own: there(Some("aa")), ..found(Unknown, Unknown, &[]) };
    assert_eq!(decide(PDF, &there), stored("OWN"));
    for ids in [No, Unknown] {
        assert_eq!(decide(PDF, &found(ids, Unknown, &[])), LookAgain);
    }
}

#[test]
fn a_pdf_is_known_by_its_bytes_and_by_its_title_where_that_counts() {
    let all = [("D1", "a.pdf", "bb"), ("D2", "b.pdf", "aa"), ("D3", "a.pdf", "aa")];
    assert_eq!(decide(PDF, &found(No, No, &all)), stored("D2"), "the oldest of equal bytes");
    assert_eq!(decide(PDF, &found(No, Unknown, &all)), stored("D2"));
    assert_eq!(decide(PDF, &found(No, Yes, &all)), stored("D3"));
    assert_eq!(decide(PDF, &found(No, No, &all[..1])), LookAgain);
    let again = Wanted { was_absent: true, ..PDF };
    assert_eq!(decide(again, &found(No, No, &all[..1])), SendAgain, "absent is two looks");
    let often = Wanted { was_absent: true, settlements: MAX_SETTLEMENTS, ..PDF };
    assert_eq!(decide(often, &found(No, No, &[])), Park(Hopeless));
    assert_eq!(decide(often, &found(No, No, &all)), stored("D2"));
}

#[test]
fn other_files_are_known_by_their_titles() {
    let all = [("D1", "a.pdf", "x"), ("D2", "b.pdf", "y"), ("D3", "a.pdf", "z")];
    assert_eq!(decide(OFFICE, &found(No, Yes, &all[..2])), stored("D1"));
    assert_eq!(decide(OFFICE, &found(No, Yes, &all)), several(&["D1", "D3"]));
    assert_eq!(decide(OFFICE, &found(No, Yes, &all[1..2])), LookAgain);
    let again = Wanted { was_absent: true, ..OFFICE };
    assert_eq!(decide(again, &found(No, Yes, &[])), SendAgain);
    assert_eq!(
        decide(OFFICE, &found(No, Unknown, &all[..2])),
        stored("D1"),
        "its title shows that it counts"
    );
}

#[test]
fn without_titles_only_a_single_newcomer_will_do() {
    let more = |more, all: &[_]| Found { more, ..found(No, No, all) };
    let one = [("D1", "x", "x")];
    assert_eq!(decide(OFFICE, &more(Some(1), &one)), stored("D1"));
    for unclear in [None, Some(0), Some(2)] {
        assert_eq!(decide(OFFICE, &more(unclear, &one)), several(&["D1"]));
    }
    let two = [one[0], ("D2", "y", "y")];
    assert_eq!(decide(OFFICE, &more(Some(1), &two)), several(&["D1", "D2"]));
    let mut with_anothers = more(Some(1), &two);
    with_anothers.candidates.as_mut().into_iter().flatten().for_each(|one| {
        one.is_anothers = one.id == "D2";
    });
    assert_eq!(decide(OFFICE, &with_anothers), stored("D1"));
    assert_eq!(decide(OFFICE, &more(Some(0), &[])), LookAgain);
}

#[test]
fn a_pdf_of_which_no_hash_is_told_is_looked_for_as_any_other_file() {
    let all = [("D1", "a.pdf", "bb")];
    let no_hashes = |titles| Found { tells_hashes: false, ..found(No, titles, &all) };
    assert_eq!(decide(PDF, &no_hashes(Yes)), stored("D1"));
    assert_eq!(decide(PDF, &no_hashes(No)), several(&["D1"]));
}

#[test]
fn a_key_that_may_not_list_leaves_it_to_the_operator() {
    let unlisted = |ids| Found { candidates: None, ..found(ids, Yes, &[]) };
    assert_eq!(decide(PDF, &unlisted(No)), Park(Unlisted));
    assert_eq!(decide(PDF, &unlisted(Yes)), SendAgain, "the id is enough");
}

prop_compose! {
    fn any_wanted()(is_pdf: bool, is_awaited: bool, was_absent: bool, settlements in 0..6_u32, with_id: bool) -> Wanted<'static> {
        let document_id = with_id.then_some("OWN");
        Wanted { document_id, is_pdf, is_awaited, was_absent, settlements, ..PDF }
    }
}

prop_compose! {
    fn any_found()(
        ids in 0..3_usize,
        titles in 0..3_usize,
        own in 0..4_usize,
        candidates in proptest::option::of(proptest::collection::vec(("[D-G]", "[ab].pdf", "aa|bb", any::<bool>()), 0..4)),
        tells_hashes: bool,
        more in proptest::option::of(-1..3_i64),
    ) -> Found {
        let heeds = [Yes, No, Unknown];
        let own = [Own::Absent, Own::Listed, there(Some("aa")), there(Some("bb"))][own].clone();
        let candidate = |(id, title, hash, is_anothers): (String, String, String, bool)| {
            Candidate { id, title: Some(title), sha256: Some(hash), is_anothers }
        };
        let candidates = candidates.map(|all| all.into_iter().map(candidate).collect());
        Found { ids: heeds[ids], titles: heeds[titles], own, candidates, tells_hashes, more }
    }
}

proptest! {
    #[test]
    fn nothing_is_sent_again_that_may_be_there_and_nothing_is_taken_that_is_not_ours(
        wanted in any_wanted(),
        found in any_found(),
    ) {
        let all = found.candidates.clone().unwrap_or_default();
        match decide(wanted, &found) {
            Stored(id) if id == "OWN" => prop_assert!(found.own != Own::Absent),
            Stored(id) => {
                let same: Vec<_> = all.iter().filter(|one| one.id == id).collect();
                prop_assert!(!same.is_empty());
                if wanted.is_pdf && found.tells_hashes {
                    prop_assert!(same.iter().any(|one| one.sha256.as_deref() == Some(wanted.sha256)));
                }
                prop_assert!(!(found.ids.surely() && wanted.document_id.is_some()));
            }
            SendAgain => {
                prop_assert!(wanted.settlements < MAX_SETTLEMENTS);
                let by_id = found.ids.surely() && wanted.document_id.is_some();
                prop_assert!(by_id && wanted.is_awaited || wanted.was_absent);
                prop_assert!(wanted.document_id.is_none() || found.own == Own::Absent);
                let equal = |one: &Candidate| {
                    one.title.as_deref() == Some(wanted.title)
                        && one.sha256.as_deref() == Some(wanted.sha256)
                        && !one.is_anothers
                };
                prop_assert!(by_id || !all.iter().any(equal));
            }
            LookAgain => prop_assert!(!wanted.was_absent),
            Park(_) => {}
        }
    }
}
