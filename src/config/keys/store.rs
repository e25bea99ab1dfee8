//! `[dws]`, `[store]` and `[viewer]`

use super::super::SpoolLimits;
use super::super::server::{DWS_URL, SDK as SDK_URL, STORE_PATH};
use super::super::units::written_size;
use super::locators::SECRET;
use super::syntax::{DURATION, FILE_PATH, SDK, SIZE, WEB};
use super::{Accepts, Section, setting};

/// The sections of backends, each with its address where none is written.
pub(in crate::config) const BACKENDS: &[(&str, Option<&str>)] = &[("dws", Some(DWS_URL))];

pub(super) static DWS: Section = Section {
    title: "[dws]",
    about: "Nutrient's DWS Viewer API, which has the documents to view.",
    settings: &[
        setting(
            "url",
            Accepts::Text(&WEB),
            "Its address; `transom sandbox` prints that of a local stand-in.",
        )
        .default(|| format!("\"{DWS_URL}\""))
        .example("\"http://127.0.0.1:9400/viewer\""),
        setting("api_key", SECRET, "The Viewer API key of your Nutrient account.")
            .required()
            .example("{ env = \"NUTRIENT_DWS_VIEWER_API_KEY\" }"),
        setting(
            "upload_idle",
            Accepts::Text(&DURATION),
            "For how long an upload may make no progress. One without a clear end is looked for at DWS, and sent again \
             when it is not found twice, this time twice over apart.",
        )
        .default(|| "\"2m\"".to_owned())
        .example("\"5m\""),
        setting(
            "refused_keep",
            Accepts::Text(&DURATION),
            "For how long the bytes of documents that DWS refuses are kept, so that `transom outbox retry` can send them again.",
        )
        .default(|| "\"7d\"".to_owned())
        .example("\"1d\""),
    ],
};

pub(super) static STORE: Section = Section {
    title: "[store]",
    about: "What is known of documents, and uploads on their way. One process owns it; all in it is its owner's alone.",
    settings: &[
        setting("path", Accepts::Text(&FILE_PATH), "The directory; it is made where it is missing.")
            .default(|| format!("\"{STORE_PATH}\""))
            .example("\"/var/lib/transom\""),
        setting(
            "hold",
            Accepts::Text(&DURATION),
            "The longest that the app's reply to an upload waits until the upload is durable, and that an upload waits \
             for the spool's disk. After it the reply goes, and the capture goes on; a store that is known to be away is \
             not waited for.",
        )
        .default(|| "\"10s\"".to_owned())
        .example("\"5s\""),
        setting(
            "spool",
            Accepts::Table(&SPOOL),
            "How much uploads on their way to DWS may take. Beyond it they still reach the app, and are not captured \
             (`spool_full`).",
        )
        .example("{ limit = \"2 GiB\" }"),
    ],
};

static SPOOL: Section = Section {
    title: "[store.spool]",
    about: "How much uploads on their way to DWS may take of the disk.",
    settings: &[
        setting("limit", Accepts::Text(&SIZE), "All of them.")
            .default(|| written_size(SpoolLimits::default().limit))
            .example("\"2 GiB\""),
        setting("unaccepted", Accepts::Text(&SIZE), "Those that the app has not taken yet.")
            .default(|| written_size(SpoolLimits::default().unaccepted))
            .example("\"1 GiB\""),
        setting(
            "per_client",
            Accepts::Text(&SIZE),
            "Of those, what comes from one client's address (IPv6: one /64).",
        )
        .default(|| written_size(SpoolLimits::default().per_client))
        .example("\"200 MiB\""),
        setting("reserve", Accepts::Text(&SIZE), "Free space that is left alone.")
            .default(|| written_size(SpoolLimits::default().reserve))
            .example("\"5 GiB\""),
    ],
};

pub(super) static VIEWER: Section = Section {
    title: "[viewer]",
    about: "Transom's own viewer pages: /.transom/view/{kind}/{id}, and what `session = { page = true }` answers.",
    settings: &[
        setting(
            "sdk",
            Accepts::Text(&SDK),
            "Where pages load Nutrient's Web SDK from: an absolute address, or a path of the app's own origin.",
        )
        .default(|| format!("\"{SDK_URL}\""))
        .example("\"/assets/nutrient-viewer.js\""),
    ],
};
