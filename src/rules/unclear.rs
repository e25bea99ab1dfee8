//! A table of paths as clients send them, and what becomes of them on routes with rules.
#![allow(clippy::unwrap_used)]

use super::{Action, Confirm, DeleteRule, RouteTable, Rule};
use crate::route::{Fold, Pattern};

/// `/files/{id}` and friends, each a protected one.
const ROUTES: [&str; 5] = [
    "/files/{id}",
    "/files/{id}/content",
    "/api/files/{id:digits}",
    "/dav/{*path}",
    "/Reports/{id}",
];

/// What a trick puts in the place of `~`: every way to a place that some app reads as the one before it.
const UPWARD: &[&str] = &[
    "/..",
    "/%2e%2e",
    "/%2E%2e",
    "/.%2e",
    "/%2e.",
    "/..;",
    "/..;a=b",
    "/%2e%2e;x",
    "%2F..",
    "%2f%2e%2e",
    "/%252e%252e",
    "/.%252e",
    "/%25252e%25252e",
    "/%c0%ae%c0%ae",
    "/%e0%80%ae%e0%80%ae",
    "\\..",
    "%5c..",
    "%5C%2e%2e",
    "%255c..",
    "/..%2f.",
    "/./..",
    "/y/../..",
    "//..",
    "/%2e/%2e%2e",
    "%252f..",
    "%c0%af..",
    "%c1%9c..",
];

fn table() -> RouteTable {
    table_for(Fold::default())
}

fn table_for(fold: Fold) -> RouteTable {
    let rule = |route: &str| Rule {
        name: route.to_owned(),
        kind: 0,
        hosts: std::sync::Arc::default(),
        method: http::Method::GET,
        pattern: Pattern::parse(route).unwrap(),
        when: None,
        action: Action::Delete(DeleteRule {
            id: Vec::new(),
            prefix: false,
            accepted: None,
            confirm: Confirm::Auto,
        }),
    };
    RouteTable::build(ROUTES.map(rule).into_iter().collect(), fold).0
}

/// The first rule that governs a path and its captures, `unclear`, or nothing.
fn judged(table: &RouteTable, path: &str) -> String {
    let candidates = table.candidates(path, None);
    if table.is_unclear(path, None, &candidates) {
        return "unclear".to_owned();
    }
    candidates.first().map_or_else(String::new, |candidate| {
        let values: Vec<_> = candidate.captures.0.iter().map(|(_, value)| value.as_str()).collect();
        format!("{} {}", candidate.rule.name, values.join(" "))
    })
}

#[test]
fn tricks_lead_to_no_rule() {
    let table = table();
    let mut count = 0;
    for up in UPWARD {
        for path in [
            format!("/public{up}/files/7"),
            format!("/files/7{up}/8"),
            format!("/files/x{up}/7/content"),
            format!("/api/public{up}/files/7"),
            format!("/public/x{up}{up}/files/7"),
        ] {
            assert_eq!(judged(&table, &path), "unclear", "{path}");
            count += 1;
        }
    }
    for path in [
        "//files/7",
        "/files//7",
        "///files///7",
        "/./files/7",
        "/files/./7",
        "/files/7/.",
        "/files/7;a=b",
        "/files;x/7",
        "/files/7;",
        "/files\\7",
        "\\files\\7",
        "/files%5C7",
        "/files%5c7",
        "/files%2F7",
        "/%2Ffiles/7",
        "/files%252F7",
        "/%2566iles/7",
        "/files/%2537",
        "/files%c0%af7",
        "/files/7%00",
        "/files/7%00.pdf",
        "/files/7%2500",
        "/files/7/content%3Fx",
        "/files/7%253Fx",
        "/files/7%2Fcontent",
        "/files/7/content%2F",
        "/files/7/content;x",
        "/files/7//content",
        "/files/7\\content",
        "/FILES/7",
        "/Files/7",
        "/files/7/",
        "/files/7/content/",
        "/files/7/CONTENT",
        "/reports/7",
        "/api/files/7/",
        "/api/files/7;1",
        "/api/files/7%00x",
        "/api/%66iles//7",
        "/api//files/7",
        "/api/Files/7",
        "/api/files/007",
        "/api/files/00",
        "/api/files/%D9%A7",
        "/dav/a/../b",
        "/dav/a%2F..%2Fb",
        "/dav/a//b",
        "/dav/a;x/b",
        "/dav/a/./b",
        "/dav//a",
        "/DAV/a",
        "/dav/a%252Fb",
        "/dav/a%5C..%5Cb",
        "/files/a%5C..%5C7",
        "/dav/a/%2e%2e/%2e%2e/files/7",
        "/x/..//files/7",
        "/..//files/7",
        "/../files/7",
        "/%2e%2e/files/7",
        "/%2e/files/7",
        "/.;/files/7",
        "/;/files/7",
        "/;a=b/files/7",
        "/files/..;/files/7",
        "/files/7/../7",
        "/files/7/..%2f7",
        "/public/..%5cfiles/7",
    ] {
        assert_eq!(judged(&table, path), "unclear", "{path}");
        count += 1;
    }
    assert!(count >= 200, "{count}");
}

#[test]
fn plain_paths_have_their_rule() {
    let table = table();
    for (path, rule) in [
        ("/files/7", "/files/{id} 7"),
        ("/files/a.b", "/files/{id} a.b"),
        ("/files/..a", "/files/{id} ..a"),
        ("/files/%C3%BCber%20x", "/files/{id} über x"),
        ("/%66iles/%37", "/files/{id} 7"),
        ("/files/7/content", "/files/{id}/content 7"),
        ("/api/files/7", "/api/files/{id:digits} 7"),
        ("/dav/a/b.pdf", "/dav/{*path} a/b.pdf"),
        ("/dav/100%25.pdf", "/dav/{*path} 100%.pdf"),
        ("/Reports/7", "/Reports/{id} 7"),
        ("/files/My%28Doc%29.PDF", "/files/{id} My(Doc).PDF"),
        ("/files/7%3Ba=b", "/files/{id} 7;a=b"),
        ("/files/Invoice%20%2312.pdf", "/files/{id} Invoice #12.pdf"),
        ("/files/7%3Fx/content", "/files/{id}/content 7?x"),
        ("/dav/a%5Cb/c", "/dav/{*path} a\\b/c"),
    ] {
        assert_eq!(judged(&table, path), rule, "{path}");
    }
}

/// An app that decodes `%2F` before it routes sees `/files/a/b`, which no rule is about: what it answers there
/// says nothing of a document with the id `a/b`, such as `7/comments`.
#[test]
fn an_encoded_slash_is_part_of_an_id_only_where_the_app_says_so() {
    let kept = Fold { encoded_slash: true, ..Fold::default() };
    for (path, usual, where_kept) in [
        ("/files/a%2Fb", "unclear", "/files/{id} a/b"),
        ("/files/a%2fb/content", "unclear", "/files/{id}/content a/b"),
        ("/files/7%2Fcontent", "unclear", "unclear"),
        ("/dav/a%2Fb", "/dav/{*path} a/b", "unclear"),
        ("/dav/a/b", "/dav/{*path} a/b", "/dav/{*path} a/b"),
        ("/public/a%2Fb", "", ""),
    ] {
        assert_eq!(judged(&table(), path), usual, "{path}");
        assert_eq!(judged(&table_for(kept), path), where_kept, "{path}");
    }
}

#[test]
fn what_is_no_rule_s_in_any_reading_is_left_alone() {
    let table = table();
    for path in [
        "/",
        "*",
        "/assets/App.js",
        "/a//b",
        "/a/../b",
        "/x%2Fy",
        "/api/files/x",
        "/a;b",
        "/%",
        "/%zz",
        "/FILE/7",
        "/files",
    ] {
        assert_eq!(judged(&table, path), "", "{path}");
    }
}
