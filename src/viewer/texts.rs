//! What visitors are told. The page's script and the plain pages say the same.

use serde_json::{Map, Value, json};

use crate::reason::Reason;

/// What happened, and what the visitor can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) title: &'static str,
    pub(super) advice: &'static str,
}

pub(super) fn of(reason: Reason) -> Text {
    let (title, advice) = match reason {
        Reason::TokenMissing => {
            ("You are not signed in", "Sign in to the application, then open the document again.")
        }
        Reason::TokenInvalid => (
            "Your sign-in was not recognised",
            "Sign out of the application and in again, then open the document once more.",
        ),
        Reason::TokenExpired => {
            ("Your sign-in has expired", "Sign in to the application again, then reload this page.")
        }
        Reason::DeniedByPolicy
        | Reason::OverrideUnclear
        | Reason::ParameterUnclear
        | Reason::IdUnclear => (
            "You may not view this document",
            "Ask whoever manages the documents to let you view it.",
        ),
        Reason::DeniedByApp => (
            "The application does not show you this document",
            "You may be signed in as somebody else. Otherwise ask the document's owner to share it.",
        ),
        Reason::DocumentUnknown => (
            "This document can't be shown here",
            "The viewer has never received it. You can still get it from the application itself.",
        ),
        Reason::DocumentChanged => (
            "This document was changed in the application",
            "The viewer does not have its new version. You can get that from the application itself.",
        ),
        Reason::DocumentLost => (
            "The viewer has lost this document",
            "You can still get it from the application itself. Uploading it there again makes it viewable.",
        ),
        Reason::NotFound | Reason::IdInvalid => (
            "There is nothing at this address",
            "The link may be incomplete. Open the document from the application again.",
        ),
        Reason::MethodNotAllowed => {
            ("This address can only be read", "Open the document from the application again.")
        }
        Reason::DocumentPending => (
            "The document is being prepared",
            "It was uploaded a moment ago. This page shows it as soon as it is ready.",
        ),
        Reason::Prefetch => {
            ("The document is not open yet", "It opens as soon as you go to this page.")
        }
        Reason::KeysUnavailable => (
            "Your sign-in can't be checked right now",
            "Nothing is wrong with your account. Please try again in a minute.",
        ),
        Reason::AppUnavailable | Reason::AppTimeout | Reason::Overloaded => {
            ("The application does not answer right now", "Please try again in a minute.")
        }
        Reason::RequestTooSlow
        | Reason::TooManyHeaders
        | Reason::FramingUnclear
        | Reason::CodingUnknown
        | Reason::TargetUnclear
        | Reason::HostUnclear => (
            "Your browser's request did not get through",
            "Check your connection, then open the document from the application again.",
        ),
        Reason::DwsUnavailable => (
            "The viewer service does not answer right now",
            "The document is safe, and the application still has it. Please try again in a minute.",
        ),
        Reason::QuotaExhausted => (
            "No more documents can be viewed at present",
            "The viewing plan is used up. The operator of this service can extend it.",
        ),
        Reason::SessionTooWide => (
            "The document was not opened, for safety",
            "The viewer service offered more rights than you have. Please tell the operator.",
        ),
        Reason::SessionUnreadable => (
            "The viewer service would not open the document",
            "It gave no session that can be used. Please tell the operator.",
        ),
        Reason::AuditFailed => (
            "The viewer can't keep its records right now",
            "The application still has the document. Please try again in a minute, or tell the operator.",
        ),
        Reason::LayerMisplaced => (
            "The viewer is not set up rightly",
            "The application still has the document. Please tell the operator.",
        ),
        Reason::StoreUnavailable => (
            "The viewer is in trouble right now",
            "The application still has the document. Please try again in a minute.",
        ),
        _ => (
            "The document can't be shown",
            "You can still get it from the application. If this goes on, please tell the operator.",
        ),
    };
    Text { title, advice }
}

/// Every text the page's script may need, by code.
pub(super) fn for_script() -> Value {
    let replies = Reason::ALL.iter().filter(|reason| reason.status().is_some());
    let replies = replies.map(|reason| (reason.code(), of(*reason)));
    let texts = replies
        .chain(OF_THE_PAGE.iter().map(|&(code, title, advice)| (code, Text { title, advice })));
    let entry = |(code, text): (&str, Text)| {
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
        let general = of(Reason::SpoolFailed);
        for reason in Reason::ALL.iter().filter(|reason| reason.status().is_some()) {
            assert_ne!(of(*reason), general, "{reason}");
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
