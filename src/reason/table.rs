//! The table: each reason with all that is to be said of it.

use http::StatusCode;

use super::row::{Row, Side};

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $code:literal => $row:expr,)+) => {
        /// Why a request, a capture, a delivery or a session ended as it did.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Reason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Reason {
            /// Every reason, in the order of the documentation.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant,)+];

            /// The reason with this code.
            #[must_use]
            pub fn from_code(code: &str) -> Option<Reason> {
                match code { $($code => Some(Reason::$variant),)+ _ => None }
            }
        }

        /// In the order of the variants.
        pub(super) static ROWS: [Row; Reason::ALL.len()] =
            [$($row.named($code, concat!($($doc,)+)),)+];
    };
}

reasons! {
    // Sessions: these are also the codes of problem replies.
    /// The caller got a session.
    SessionGiven = "session_given" => Row::success()
        .explain("caller, policy, app and document agree"),
    /// None of the configured places held a token.
    TokenMissing = "token_missing" => Row::failure(Side::Client)
        .status(StatusCode::UNAUTHORIZED)
        .title("This request carries no token of the app")
        .page("You are not signed in", "Sign in to the application, then open the document again.")
        .explain(
            "no token came where one is looked for: is the user logged in, and does the app keep its token \
             in one of `tokens`?",
        ),
    /// A token that is malformed, forged, not yet valid, for somebody else, or contradicted by another.
    TokenInvalid = "token_invalid" => Row::failure(Side::Client)
        .status(StatusCode::UNAUTHORIZED)
        .title("The token is not valid here")
        .page(
            "Your sign-in was not recognised",
            "Sign out of the application and in again, then open the document once more.",
        )
        .explain("a token came and is not good: the check marked `no` says what is wrong with it"),
    /// A good token past its `exp`.
    TokenExpired = "token_expired" => Row::failure(Side::Client)
        .status(StatusCode::UNAUTHORIZED)
        .title("The token has expired")
        .page("Your sign-in has expired", "Sign in to the application again, then reload this page.")
        .explain("the token is past its time: the user has to log in again"),
    /// `allow` said no, or could not be evaluated.
    DeniedByPolicy = "denied_by_policy" => Row::failure(Side::Client)
        .status(StatusCode::FORBIDDEN)
        .title("The rules for this document do not let this caller view it")
        .page("You may not view this document", "Ask whoever manages the documents to let you view it.")
        .explain("`allow` does not hold for this caller and this document"),
    /// The app itself did not answer the caller with 2xx.
    DeniedByApp = "denied_by_app" => Row::failure(Side::App)
        .status(StatusCode::FORBIDDEN)
        .title("The app does not let this caller see the document")
        .page(
            "The application does not show you this document",
            "You may be signed in as somebody else. Otherwise ask the document's owner to share it.",
        )
        .explain("the app itself does not show this document to this caller"),
    /// No document of this kind and id ever came by, or DWS refused it.
    DocumentUnknown = "document_unknown" => Row::failure(Side::Client)
        .status(StatusCode::NOT_FOUND)
        .title("No such document has come by")
        .page(
            "This document can't be shown here",
            "The viewer has never received it. You can still get it from the application itself.",
        )
        .explain(
            "the document never came by, or DWS refused it: was it uploaded before Transom was there, or by \
             a route without an `upload` rule?",
        ),
    /// The document is still on its way to DWS; `Retry-After` says when to ask again.
    DocumentPending = "document_pending" => Row::failure(Side::Backend)
        .retry()
        .status(StatusCode::ACCEPTED)
        .title("The document is on its way to the viewer service")
        .page(
            "The document is being prepared",
            "It was uploaded a moment ago. This page shows it as soon as it is ready.",
        )
        .explain("the document is still on its way to DWS: `transom outbox list` tells how it stands"),
    /// The document is kept, and is not at DWS until an operator has decided about its upload.
    DocumentParked = "document_parked" => Row::failure(Side::Us)
        .status(StatusCode::SERVICE_UNAVAILABLE)
        .title("Somebody has to decide how the document gets to the viewer service")
        .page(
            "This document can't be shown yet",
            "It is kept safely, and its way to the viewer has to be mended by hand. You can still get it from the \
             application itself.",
        )
        .explain("its upload is parked: `transom outbox list` tells why, and `transom outbox` settles it"),
    /// The app may have other bytes than DWS by now, and they can't be had: there is no `source`.
    DocumentChanged = "document_changed" => Row::failure(Side::App)
        .status(StatusCode::CONFLICT)
        .title("The app may have another version of the document")
        .page(
            "This document was changed in the application",
            "The viewer does not have its new version. You can get that from the application itself.",
        ),
    /// DWS no longer has the document, and the app gave it no second time.
    DocumentLost = "document_lost" => Row::failure(Side::Backend)
        .status(StatusCode::GONE)
        .title("The viewer service no longer has the document")
        .page(
            "The viewer has lost this document",
            "You can still get it from the application itself. Uploading it there again makes it viewable.",
        ),
    /// The keys that would verify the token can't be had now.
    KeysUnavailable = "keys_unavailable" => Row::failure(Side::App)
        .retry()
        .status(StatusCode::SERVICE_UNAVAILABLE)
        .title("The keys that verify tokens cannot be had at the moment")
        .page(
            "Your sign-in can't be checked right now",
            "Nothing is wrong with your account. Please try again in a minute.",
        )
        .explain("the keys that verify tokens can't be had: /readyz and the log say why"),
    /// The app can't be asked now.
    AppUnavailable = "app_unavailable" => Row::failure(Side::App)
        .retry()
        .status(StatusCode::SERVICE_UNAVAILABLE)
        .title("The app cannot be asked at the moment")
        .page("The application does not answer right now", "Please try again in a minute.")
        .explain("the app can't be asked, or failed: its own log says why"),
    /// DWS can't be asked now.
    BackendUnavailable = "dws_unavailable" => Row::failure(Side::Backend)
        .retry()
        .status(StatusCode::SERVICE_UNAVAILABLE)
        .title("The viewer service cannot be reached at the moment")
        .page(
            "The viewer service does not answer right now",
            "The document is safe, and the application still has it. Please try again in a minute.",
        )
        .explain("DWS can't be reached, or refuses the key: see /readyz"),
    /// The DWS plan is used up.
    QuotaExhausted = "quota_exhausted" => Row::failure(Side::Backend)
        .status(StatusCode::SERVICE_UNAVAILABLE)
        .title("The viewer service's plan is used up")
        .page(
            "No more documents can be viewed at present",
            "The viewing plan is used up. The operator of this service can extend it.",
        )
        .explain("the DWS plan is used up"),
    /// DWS granted more than was asked for, so the session was thrown away.
    SessionTooWide = "session_too_wide" => Row::failure(Side::Backend)
        .status(StatusCode::BAD_GATEWAY)
        .title("The viewer service granted more than was asked for")
        .page(
            "The document was not opened, for safety",
            "The viewer service offered more rights than you have. Please tell the operator.",
        )
        .explain("DWS granted more than was asked for"),
    /// DWS gave a session that can't be read with certainty, or without `read`.
    SessionUnreadable = "session_unreadable" => Row::failure(Side::Backend)
        .status(StatusCode::BAD_GATEWAY)
        .title("The viewer service gave no session that can be used")
        .page(
            "The viewer service would not open the document",
            "It gave no session that can be used. Please tell the operator.",
        )
        .explain("DWS gave a session that can't be read with certainty, or without the right to read"),
    /// The audit log can't be written now, and no session is given without a line in it.
    AuditFailed = "audit_failed" => Row::failure(Side::Us)
        .retry()
        .status(StatusCode::SERVICE_UNAVAILABLE)
        .title("Sessions cannot be put on record at the moment")
        .page(
            "The viewer can't keep its records right now",
            "The application still has the document. Please try again in a minute, or tell the operator.",
        ),
    /// The mapping store can't be read or written now.
    StoreUnavailable = "store_unavailable" => Row::failure(Side::Us)
        .retry()
        .status(StatusCode::SERVICE_UNAVAILABLE)
        .title("The record of documents cannot be read at the moment")
        .page(
            "The viewer is in trouble right now",
            "The application still has the document. Please try again in a minute.",
        )
        .explain("the mapping store can't be read: /readyz and the log say why"),
    /// The layer is mounted inside of the app instead of around it, where the app can't be asked.
    LayerMisplaced = "layer_misplaced" => Row::failure(Side::Us)
        .status(StatusCode::INTERNAL_SERVER_ERROR)
        .title("Viewing is not set up rightly in this service")
        .page(
            "The viewer is not set up rightly",
            "The application still has the document. Please tell the operator.",
        ),
    /// A browser asks ahead of its user, who may never look: sessions cost.
    Prefetch = "prefetch" => Row::failure(Side::Client)
        .status(StatusCode::SERVICE_UNAVAILABLE)
        .title("A session is given when the document is looked at, not ahead of that")
        .page("The document is not open yet", "It opens as soon as you go to this page."),
    /// Nothing lives at this address under Transom's own prefix.
    NotFound = "not_found" => Row::failure(Side::Client)
        .status(StatusCode::NOT_FOUND)
        .title("Nothing lives at this address")
        .page(
            "There is nothing at this address",
            "The link may be incomplete. Open the document from the application again.",
        )
        .explain("nothing lives at this address under Transom's own prefix"),
    /// Transom's own addresses answer GET and HEAD only.
    MethodNotAllowed = "method_not_allowed" => Row::failure(Side::Client)
        .status(StatusCode::METHOD_NOT_ALLOWED)
        .title("Only GET and HEAD are answered here")
        .page("This address can only be read", "Open the document from the application again.")
        .explain("Transom's own addresses answer GET and HEAD only"),
    /// As many requests as `[app.limits]` allows are on their way to the app and waiting.
    Overloaded = "overloaded" => Row::failure(Side::App)
        .retry()
        .status(StatusCode::SERVICE_UNAVAILABLE)
        .title("Too many requests are on their way to the app")
        .page("The application does not answer right now", "Please try again in a minute."),
    /// The app did not begin to answer within `first_byte`.
    AppTimeout = "app_timeout" => Row::failure(Side::App)
        .status(StatusCode::GATEWAY_TIMEOUT)
        .title("The app did not answer in time")
        .page("The application does not answer right now", "Please try again in a minute."),
    /// The client did not send its body as fast as `[server.limits]` asks.
    RequestTooSlow = "request_too_slow" => Row::failure(Side::Client)
        .retry()
        .status(StatusCode::REQUEST_TIMEOUT)
        .title("The request came too slowly")
        .page(
            "Your browser's request did not get through",
            "Check your connection, then open the document from the application again.",
        ),
    /// The request has more headers than `header_count` allows.
    TooManyHeaders = "too_many_headers" => Row::failure(Side::Client)
        .status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
        .title("The request has too many headers")
        .page(
            "Your browser's request did not get through",
            "Check your connection, then open the document from the application again.",
        ),

    // Connections.
    /// A proxy named in `proxy_protocol` did not say who its client is.
    ProxyHeaderInvalid = "proxy_header_invalid" => Row::failure(Side::Client),

    // Requests that the app could read differently than Transom; it never sees them.
    /// Where the request ends can be read in two ways.
    FramingUnclear = "framing_unclear" => Row::failure(Side::Client)
        .status(StatusCode::BAD_REQUEST)
        .title("Where this request ends can be read in two ways")
        .page(
            "Your browser's request did not get through",
            "Check your connection, then open the document from the application again.",
        )
        .explain("the app could read the request differently, so it never sees it"),
    /// A transfer coding other than `chunked`.
    CodingUnknown = "coding_unknown" => Row::failure(Side::Client)
        .status(StatusCode::NOT_IMPLEMENTED)
        .title("No transfer coding but chunked is understood here")
        .page(
            "Your browser's request did not get through",
            "Check your connection, then open the document from the application again.",
        )
        .explain("the app could read the request differently, so it never sees it"),
    /// A target that is neither a path nor an http address.
    TargetUnclear = "target_unclear" => Row::failure(Side::Client)
        .status(StatusCode::BAD_REQUEST)
        .title("The target of this request is neither a path nor a web address")
        .page(
            "Your browser's request did not get through",
            "Check your connection, then open the document from the application again.",
        )
        .explain("the app could read the request differently, so it never sees it"),
    /// No host, several, or one that contradicts the target.
    HostUnclear = "host_unclear" => Row::failure(Side::Client)
        .status(StatusCode::BAD_REQUEST)
        .title("It is not clear which host this request is for")
        .page(
            "Your browser's request did not get through",
            "Check your connection, then open the document from the application again.",
        )
        .explain("the app could read the request differently, so it never sees it"),

    // Views whose reply could not carry the session.
    /// The reply is compressed although identity was asked for.
    ReplyEncoded = "reply_encoded" => Row::failure(Side::App)
        .explain("the app's reply can't take a session as JSON"),
    /// The reply is longer than Transom reads (1 MiB).
    ReplyTooLarge = "reply_too_large" => Row::failure(Side::App)
        .explain("the app's reply can't take a session as JSON"),
    /// The reply is not JSON.
    ReplyNotJson = "reply_not_json" => Row::failure(Side::App)
        .explain("the app's reply can't take a session as JSON"),
    /// The JSON pointer leads nowhere in this reply.
    PointerUnmatched = "pointer_unmatched" => Row::failure(Side::App)
        .explain("the app's JSON has no place where `session` points to: compare it with the reply"),
    /// The reply ended before its time, or stood still for too long.
    ReplyIncomplete = "reply_incomplete" => Row::failure(Side::App),

    // Captures.
    /// The document rests in the journal.
    Captured = "captured" => Row::success(),
    /// New bytes for a known document rest in the journal.
    Replaced = "replaced" => Row::success(),
    /// The app deleted the document; its removal from DWS rests in the journal.
    Deleted = "deleted" => Row::success(),
    /// A matched route whose request carried no file: an ordinary request.
    NoFile = "no_file" => Row::ordinary()
        .explain("the request carried no file of the rule's `file`"),
    /// No rule of the route had a `when` that holds.
    WhenUnmet = "when_unmet" => Row::ordinary()
        .explain("no rule of this route has a `when` that holds"),
    /// The method may be overridden in a way that can't be known.
    OverrideUnclear = "override_unclear" => Row::failure(Side::Client)
        .status(StatusCode::FORBIDDEN)
        .title("The method of this request can be read in two ways")
        .page("You may not view this document", "Ask whoever manages the documents to let you view it.")
        .explain("the request names another method or path in a way that an app may or may not honour"),
    /// The app could read the path as another one that a rule is about.
    PathUnclear = "path_unclear" => Row::failure(Side::Client)
        .explain("an app could read this path as another route's, so that nothing is decided on it"),
    /// A parameter that a rule is about is there twice, in a spelling that some servers take for it, or in a form
    /// beside the query.
    ParameterUnclear = "parameter_unclear" => Row::failure(Side::Client)
        .status(StatusCode::FORBIDDEN)
        .title("A parameter of this request can be read in two ways")
        .page("You may not view this document", "Ask whoever manages the documents to let you view it.")
        .explain(
            "a parameter of the rule is there twice, in a spelling that some servers take for it, or in a \
             form beside the query",
        ),
    /// The app did not accept the upload (`accepted` does not hold).
    NotAccepted = "not_accepted" => Row::ordinary()
        .explain("the app did not take the upload, as `accepted` reads its answer"),
    /// No locator found the app's id.
    IdMissing = "id_missing" => Row::failure(Side::App)
        .explain("no single document is named where the rule's `id` looks"),
    /// Where the id is, there are several, or one that some servers read differently: a parameter, a form field or a
    /// header that comes twice or in two spellings.
    IdUnclear = "id_unclear" => Row::failure(Side::Client)
        .status(StatusCode::FORBIDDEN)
        .title("The document that this request names can be read in two ways")
        .page("You may not view this document", "Ask whoever manages the documents to let you view it.")
        .explain("where the id is, there are several, or one that some servers read differently"),
    /// The id is empty, too long, or holds control characters or dot segments.
    IdInvalid = "id_invalid" => Row::failure(Side::Client)
        .status(StatusCode::NOT_FOUND)
        .page(
            "There is nothing at this address",
            "The link may be incomplete. Open the document from the application again.",
        )
        .explain("no single document is named where the rule's `id` looks"),
    /// There are not as many ids as files.
    IdCountMismatch = "id_count_mismatch" => Row::failure(Side::App)
        .explain("no single document is named where the rule's `id` looks"),
    /// The bytes are of a type that is not captured.
    TypeNotCaptured = "type_not_captured" => Row::failure(Side::Client)
        .explain("the bytes are of none of the rule's `types`"),
    /// The file is larger than `max_size`.
    FileTooLarge = "file_too_large" => Row::failure(Side::Client)
        .explain("the file is larger than the rule's `max_size`"),
    /// The file has no bytes.
    FileEmpty = "file_empty" => Row::failure(Side::Client),
    /// More files in one request than are captured (32).
    TooManyFiles = "too_many_files" => Row::failure(Side::Client),
    /// The multipart body does not follow RFC 7578, or exceeds a limit of the scanner.
    MultipartMalformed = "multipart_malformed" => Row::failure(Side::Client),
    /// Which part of the form is the file, or with which bytes, can be read in two ways.
    FileUnclear = "file_unclear" => Row::failure(Side::Client),
    /// The body ended before its time, or the client went away.
    BodyIncomplete = "body_incomplete" => Row::failure(Side::Client),
    /// The body is only a part of a document (Content-Range).
    BodyPartial = "body_partial" => Row::failure(Side::Client),
    /// The request body is compressed.
    BodyEncoded = "body_encoded" => Row::failure(Side::Client),
    /// New bytes for a document that Transom does not know.
    ReplaceUnknown = "replace_unknown" => Row::failure(Side::Client)
        .explain("new bytes came for a document that never came by"),
    /// The app's reply proves little, so that a look at the app decides whether the upload or deletion counts.
    Unconfirmed = "unconfirmed" => Row::failure(Side::App),
    /// The app still has just the bytes that are known.
    Unchanged = "unchanged" => Row::success(),
    /// A writing request reached the app, and what it has now is not known: the document is in doubt.
    InDoubt = "in_doubt" => Row::failure(Side::App),
    /// The spool could not be written.
    SpoolFailed = "spool_failed" => Row::failure(Side::Us),
    /// A limit of `[store] spool` leaves no room for the file.
    SpoolFull = "spool_full" => Row::failure(Side::Us),
    /// The app did not answer a fetch from `source`, or not with a whole document.
    SourceFailed = "source_failed" => Row::failure(Side::App),

    // Delivery.
    /// DWS has the document.
    Delivered = "delivered" => Row::success(),
    /// DWS has the removal.
    Removed = "removed" => Row::success(),
    /// A newer upload or a delete made this delivery pointless, or an upload this fetch.
    Superseded = "superseded" => Row::ordinary(),
    /// An attempt failed in a way that is certain not to have stored the document; it will be repeated.
    DeliveryRetried = "delivery_retried" => Row::failure(Side::Backend)
        .retry(),
    /// DWS refuses this document for good.
    DeliveryRefused = "delivery_refused" => Row::failure(Side::Backend),
    /// Whether DWS stored the document is not known; it is looked for, and sent again only if it is certainly absent.
    DeliveryUnclear = "delivery_unclear" => Row::failure(Side::Backend)
        .retry(),
    /// Whether DWS stored the document can't be known; parked for the operator.
    OutcomeUnknown = "outcome_unknown" => Row::failure(Side::Backend),
    /// The spooled bytes are gone or are not the captured ones; parked for the operator.
    SpoolLost = "spool_lost" => Row::failure(Side::Us),
}
