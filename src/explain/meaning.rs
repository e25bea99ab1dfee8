//! What a decision means for somebody who wonders why there is no viewer, and where to look next.

use crate::reason::Reason;

/// `None` for outcomes that an explanation does not have.
pub(crate) fn meaning(reason: Reason) -> Option<&'static str> {
    Some(match reason {
        Reason::SessionGiven => "caller, policy, app and document agree",
        Reason::TokenMissing => {
            "no token came where one is looked for: is the user logged in, and does the app keep \
             its token in one of `tokens`?"
        }
        Reason::TokenInvalid => {
            "a token came and is not good: the check marked `no` says what is wrong with it"
        }
        Reason::TokenExpired => "the token is past its time: the user has to log in again",
        Reason::DeniedByPolicy => "`allow` does not hold for this caller and this document",
        Reason::DeniedByApp => "the app itself does not show this document to this caller",
        Reason::DocumentUnknown => {
            "the document never came by, or DWS refused it: was it uploaded before Transom was \
             there, or by a route without an `upload` rule?"
        }
        Reason::DocumentPending => {
            "the document is still on its way to DWS: `transom outbox list` tells how it stands"
        }
        Reason::KeysUnavailable => {
            "the keys that verify tokens can't be had: /readyz and the log say why"
        }
        Reason::AppUnavailable => "the app can't be asked, or failed: its own log says why",
        Reason::DwsUnavailable => "DWS can't be reached, or refuses the key: see /readyz",
        Reason::QuotaExhausted => "the DWS plan is used up",
        Reason::SessionTooWide => "DWS granted more than was asked for",
        Reason::SessionUnreadable => {
            "DWS gave a session that can't be read with certainty, or without the right to read"
        }
        Reason::StoreUnavailable => "the mapping store can't be read: /readyz and the log say why",
        Reason::PathUnclear => {
            "an app could read this path as another route's, so that nothing is decided on it"
        }
        Reason::OverrideUnclear => {
            "the request names another method or path in a way that an app may or may not honour"
        }
        Reason::ParameterUnclear => {
            "a parameter of the rule is there twice, in a spelling that some servers take for it, or in a \
             form beside the query"
        }
        Reason::IdUnclear => {
            "where the id is, there are several, or one that some servers read differently"
        }
        Reason::ReplyEncoded | Reason::ReplyTooLarge | Reason::ReplyNotJson => {
            "the app's reply can't take a session as JSON"
        }
        Reason::PointerUnmatched => {
            "the app's JSON has no place where `session` points to: compare it with the reply"
        }
        Reason::IdMissing | Reason::IdInvalid | Reason::IdCountMismatch => {
            "no single document is named where the rule's `id` looks"
        }
        Reason::NotAccepted => "the app did not take the upload, as `accepted` reads its answer",
        Reason::NoFile => "the request carried no file of the rule's `file`",
        Reason::WhenUnmet => "no rule of this route has a `when` that holds",
        Reason::TypeNotCaptured => "the bytes are of none of the rule's `types`",
        Reason::FileTooLarge => "the file is larger than the rule's `max_size`",
        Reason::ReplaceUnknown => "new bytes came for a document that never came by",
        Reason::NotFound => "nothing lives at this address under Transom's own prefix",
        Reason::MethodNotAllowed => "Transom's own addresses answer GET and HEAD only",
        Reason::FramingUnclear
        | Reason::CodingUnknown
        | Reason::TargetUnclear
        | Reason::HostUnclear => "the app could read the request differently, so it never sees it",
        _ => return None,
    })
}
