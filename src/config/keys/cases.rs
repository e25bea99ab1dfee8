//! `[[test]]`

use super::super::cases::{LANES, PERMISSIONS};
use super::syntax::{ATTRIBUTE, CLAIM_NAME, HEADER, REQUEST, TEXT};
use super::{Accepts, Choice, Section, choice, setting};

pub(super) static TEST: Section = Section {
    title: "[[test]]",
    about: "What is expected of one request. `transom check` asks the engine, with no app, network or store; `transom run` \
            reads tests and does not run them.",
    settings: &[
        setting("name", Accepts::Text(&TEXT), "What it says.")
            .required()
            .example("\"a guest sees no viewer\""),
        setting("request", Accepts::Text(&REQUEST), "Method and target.")
            .required()
            .example("\"GET /api/files/7\""),
        setting(
            "headers",
            Accepts::Named(&HEADER, &Accepts::OneOrMore(&Accepts::Text(&TEXT))),
            "Headers of the request; a list is a repeated one.",
        )
        .example("{ accept = \"text/html\" }"),
        setting(
            "claims",
            Accepts::Named(&CLAIM_NAME, &Accepts::Json),
            "The caller has a good token with these claims.",
        )
        .unwritten("no token")
        .example("{ sub = \"ann\" }"),
        setting(
            "token",
            Accepts::Choice(TOKENS),
            "The caller has no good token, and why: not beside `claims`.",
        )
        .example("\"expired\""),
        setting(
            "identity",
            Accepts::Text(&TEXT),
            "The identity whose token it is, where there are several.",
        )
        .unwritten("the only one")
        .example("\"app\""),
        setting(
            "app",
            Accepts::Number(100, 999),
            "The status that the app answers, whatever it is asked.",
        )
        .default(|| "200".to_owned())
        .example("403"),
        setting("document", Accepts::Choice(DOCUMENTS), "What is known of the document.")
            .default(|| "\"ready\"".to_owned())
            .example("\"pending\""),
        setting(
            "attributes",
            Accepts::Named(&ATTRIBUTE, &Accepts::Json),
            "What was remembered of its upload.",
        )
        .example("{ tenant = \"acme\" }"),
        setting(
            "uploader",
            Accepts::Text(&TEXT),
            "The user who uploaded it, of the caller's identity.",
        )
        .unwritten("nobody who is known")
        .example("\"ann\""),
        setting(
            "expect",
            Accepts::Table(&EXPECT),
            "What should come of it: at least one of these.",
        )
        .required()
        .example("{ lane = \"view\", reason = \"denied_by_policy\" }"),
    ],
};

static EXPECT: Section = Section {
    title: "[test.expect]",
    about: "At least one of these.",
    settings: &[
        setting("lane", Accepts::Choice(LANE), "What the request is to Transom.")
            .example("\"view\""),
        setting("decision", Accepts::Choice(DECISIONS), "Whether there is a session.")
            .example("\"session\""),
        setting("reason", Accepts::Text(&TEXT), "Why there is none: a code, as in the log.")
            .example("\"denied_by_policy\""),
        setting(
            "permissions",
            Accepts::OneOrMore(&Accepts::Choice(PERMISSION)),
            "Those of the session, in any order.",
        )
        .example("[\"read\"]"),
    ],
};

const LANE: &[Choice] = &[
    choice(LANES[0], "no rule is for it"),
    choice(LANES[1], "an upload, a replacement or a deletion"),
    choice(LANES[2], "a view"),
    choice(LANES[3], "an address of Transom's own"),
];

const PERMISSION: &[Choice] =
    &[choice(PERMISSIONS[0], ""), choice(PERMISSIONS[1], ""), choice(PERMISSIONS[2], "")];

const DECISIONS: &[Choice] = &[choice("session", ""), choice("none", "")];

const TOKENS: &[Choice] = &[
    choice("missing", "none"),
    choice("invalid", ""),
    choice("expired", ""),
    choice("keys_unavailable", "the issuer's keys can't be read"),
];

const DOCUMENTS: &[Choice] = &[
    choice("ready", "DWS has it"),
    choice("pending", "on its way"),
    choice("refused", "DWS refused it"),
    choice("unknown", "it never came by"),
];
