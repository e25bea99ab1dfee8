//! What visitors are told. The page's script and the plain pages say the same.

use serde_json::{Map, Value, json};

use crate::reason::{Page, Reason};

/// Every text the page's script may need, by code.
pub(super) fn for_script() -> Value {
    let replies = Reason::ALL.iter().filter(|reason| reason.status().is_some());
    let replies = replies.map(|reason| (reason.code(), reason.page()));
    let texts = replies
        .chain(OF_THE_PAGE.iter().map(|&(code, title, advice)| (code, Page { title, advice })));
    let entry = |(code, text): (&str, Page)| {
        (code.to_owned(), json!({ "title": text.title, "advice": text.advice }))
    };
    Value::Object(texts.map(entry).collect::<Map<_, _>>())
}

/// Failures that only the page itself can see.
const OF_THE_PAGE: &[(&str, &str, &str)] = &[
    (
        "unknown",
        "The document can't be shown",
        "Please try again. If this goes on, please tell the operator.",
    ),
    ("offline", "The server can't be reached", "Check your connection, then try again."),
    (
        "sdk_missing",
        "The viewer could not be loaded",
        "Its program did not arrive. A network filter or an ad blocker may be in the way.",
    ),
    (
        "load_slow",
        "The document takes unusually long to open",
        "You can go on waiting, or try again.",
    ),
    (
        "load_failed",
        "The document could not be opened",
        "The viewer gave up. Please try again, or download the original.",
    ),
    (
        "session_refused",
        "The viewer service refused to open the document",
        "Please try again. If this goes on, please tell the operator.",
    ),
    (
        "document_gone",
        "The viewer service no longer has this document",
        "You can still get it from the application. Please tell the operator.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reply_has_words_of_its_own() {
        let general = Reason::SpoolFailed.page();
        for reason in Reason::ALL.iter().filter(|reason| reason.status().is_some()) {
            assert_ne!(reason.page(), general, "{reason}");
        }
    }

    #[test]
    fn the_script_finds_replies_and_its_own() {
        let texts = for_script();
        for code in ["document_pending", "denied_by_app", "unknown", "sdk_missing"] {
            assert!(texts[code]["title"].is_string(), "{code}");
        }
        assert!(texts.get("captured").is_none());
    }
}
