//! `[[documents.<kind>.view]]`

use super::super::units::written_time;
use super::super::view::{TTL, WAIT};
use super::locators::IDS;
use super::rules::{WHEN, route};
use super::syntax::{CONDITION, DURATION, HEADER, POINTER, TEXT, TOKEN, VIEW_NAME};
use super::{Accepts, Choice, Section, choice, setting};

pub(super) static VIEW: Section = Section {
    title: "[[documents.<kind>.view]]",
    about: "Requests that get a viewer session, if their caller may see the document.",
    settings: &[
        route("\"GET /api/files/{id}\""),
        WHEN,
        setting(
            "name",
            Accepts::Text(&VIEW_NAME),
            "What `?view=` of Transom's own addresses calls it: letters, digits, `-` and `_`.",
        )
        .unwritten("its number among the kind's views, from 0")
        .example("\"detail\""),
        setting("session", Accepts::OneOrMore(&Accepts::Table(&DELIVERY)), "How the session reaches its user: one way, or several.")
            .required()
            .example("{ json = \"/data/viewer_session\" }"),
        setting("id", IDS, "Where the document's id is in the request.")
            .unwritten("the capture `{id}` of the route")
            .example("{ query = \"doc\" }"),
        setting("authorize", Accepts::OneOrMore(&Accepts::Choice(AUTHORIZE)), "Who has to say yes.")
            .unwritten("[\"token\", \"app\"]; without any [[identity]] [\"app\"]; \"probe\" for \"app\" where the id is not in the path alone")
            .example("[\"token\", \"probe\"]"),
        setting("identity", Accepts::OneOrMore(&Accepts::Text(&TEXT)), "The identities that count here, by name.")
            .unwritten("all")
            .example("[\"app\"]"),
        setting("allow", Accepts::Text(&CONDITION), "A condition over `claims`, `document` and `request`: who gets a session.")
            .unwritten("whom `authorize` lets in")
            .example("\"claims.role != 'guest'\""),
        setting("permissions", PERMISSIONS, "What a session lets its user do.")
            .default(|| "[\"read\"]".to_owned())
            .example("[\"read\", \"download\"]"),
        setting("grant", Accepts::List(&Accepts::Table(&GRANT)), "Permissions that some get in addition.")
            .example("[{ when = \"claims.role == 'editor'\", permissions = [\"write\", \"download\"] }]"),
        setting("ttl", Accepts::Text(&DURATION), "How long a session lives, and never longer than the app's token.")
            .default(|| written_time(TTL))
            .example("\"5m\""),
        setting(
            "wait",
            Accepts::Text(&DURATION),
            "How long a request waits for a document that is still on its way to DWS.",
        )
        .default(|| written_time(WAIT))
        .example("\"2s\""),
    ],
};

static DELIVERY: Section = Section {
    title: "[documents.<kind>.view.session]",
    about: "How the session reaches its user.",
    settings: &[
        setting(
            "request_header",
            Accepts::Text(&HEADER),
            "In this header of the request that the app gets; the app's `probe` is asked before.",
        )
        .tag()
        .example("\"X-Viewer-Session\""),
        setting("response_header", Accepts::Text(&HEADER), "In this header of the reply.")
            .tag()
            .example("\"X-Viewer-Session\""),
        setting("cookie", Accepts::Text(&TOKEN), "In a cookie of this name.").tag().example("\"viewer_session\""),
        setting("json", Accepts::Text(&POINTER), "In the JSON of the reply, as this member: a JSON pointer (RFC 6901).")
            .tag()
            .example("\"/data/viewer_session\""),
        setting("html", Accepts::Text(&TEXT), "In the app's own page, in this element.")
            .tag()
            .later("mounting the viewer in the app's own pages (`html`)")
            .example("\"#viewer\""),
        setting(
            "page",
            Accepts::True,
            "A browser's navigation that the app answers with a document gets a viewer page in its place. `fetch`, curl, \
             Range requests and `?download` get the document as ever.",
        )
        .tag()
        .example("true"),
    ],
};

static GRANT: Section = Section {
    title: "[[documents.<kind>.view.grant]]",
    about: "Permissions that are added to the view's own where the condition holds.",
    settings: &[
        setting(
            "when",
            Accepts::Text(&CONDITION),
            "A condition over `claims`, `document` and `request`.",
        )
        .unwritten("always")
        .example("\"claims.role == 'editor'\""),
        setting("permissions", PERMISSIONS, "What is added.").required().example("[\"download\"]"),
    ],
};

const PERMISSIONS: Accepts = Accepts::OneOrMore(&Accepts::Choice(&[
    choice("read", "see the document"),
    choice("write", "annotate and change it"),
    choice("download", "save it"),
]));

const AUTHORIZE: &[Choice] = &[
    choice("token", "a valid token of an identity"),
    choice("app", "the app: this request's own 2xx, or the probe where that comes too late"),
    choice("probe", "the app: always the probe, where this route's own 2xx proves nothing"),
];
