//! `[app]`

use super::super::units::written_time;
use super::super::{AppLimits, Remember};
use super::server::OFF;
use super::syntax::{APP_ADDRESS, DURATION, FILE_PATH, HOST, ORIGIN};
use super::{Accepts, Choice, Section, choice, setting};

pub(super) static APP: Section = Section {
    title: "[app]",
    about: "The app behind Transom, as it is today.",
    settings: &[
        setting(
            "url",
            Accepts::Text(&APP_ADDRESS),
            "Where the app is: http://, https:// or unix:/run/app.sock. A path here goes before every path; after a \
             socket it follows a colon, as in unix:/run/app.sock:/prefix.",
        )
        .required()
        .example("\"http://127.0.0.1:3000\""),
        setting(
            "http2",
            Accepts::Bool,
            "Speaks HTTP/2 with an app that offers it over https, or that speaks nothing else over http. WebSockets keep \
             HTTP/1.1.",
        )
        .default(|| "false".to_owned())
        .example("true"),
        setting(
            "rewrite_host",
            Accepts::Bool,
            "The app sees its own address as Host, not the client's, which is in X-Forwarded-Host.",
        )
        .default(|| "false".to_owned())
        .example("true"),
        setting(
            "via",
            Accepts::Bool,
            "Names Transom in Via, as RFC 9110 wants it. nginx and IIS stop compressing for requests that carry it.",
        )
        .default(|| "false".to_owned())
        .example("true"),
        setting("tls", Accepts::Table(&TLS), "How an https app shows that it is the app.")
            .unwritten("the CAs that browsers believe, and the host of `url`")
            .example("{ ca = \"ca.pem\" }"),
        setting(
            "origins",
            Accepts::List(&Accepts::Text(&ORIGIN)),
            "Other addresses under which the app knows itself, as where it writes absolute links with its public name. \
             They count as its own in redirects and in patterns.",
        )
        .default(|| "[]".to_owned())
        .example("[\"https://app.example\"]"),
        setting(
            "rewrite_origin",
            Accepts::Bool,
            "The app's own address in Location, Content-Location and the Domain of Set-Cookie becomes Transom's, and \
             Transom's in Destination the app's.",
        )
        .default(|| "true".to_owned())
        .example("false"),
        setting(
            "remember_decisions",
            Accepts::Either(&[Accepts::Text(&DURATION), Accepts::Choice(OFF)]),
            "How long the app's yes to a probe counts, at most \"1m\". A no is asked again each time.",
        )
        .default(|| written_time(Remember::default().life))
        .example("\"off\""),
        setting("limits", Accepts::Table(&LIMITS), "What the app is asked to bear.")
            .example("{ requests = 200 }"),
        setting("paths", Accepts::Table(&PATHS), "Differences between paths that the app does not see.")
            .example("{ case = \"ignore\" }"),
    ],
};

static TLS: Section = Section {
    title: "[app.tls]",
    about: "",
    settings: &[
        setting(
            "ca",
            Accepts::Text(&FILE_PATH),
            "The CAs to believe in place of the well-known ones: certificates in PEM.",
        )
        .unwritten("those that browsers believe")
        .example("\"ca.pem\""),
        setting("server_name", Accepts::Text(&HOST), "The name in the app's certificate.")
            .unwritten("the host of `url`")
            .example("\"app.internal\""),
    ],
};

static LIMITS: Section = Section {
    title: "[app.limits]",
    about: "What the app is asked to bear, and how long it may take.",
    settings: &[
        setting("connect", Accepts::Text(&DURATION), "For a connection to the app.")
            .default(|| written_time(AppLimits::default().connect))
            .example("\"3s\""),
        setting("first_byte", TIME_OR_OFF, "For the head of its reply.")
            .default(|| time_or_off(AppLimits::default().first_byte))
            .example("\"60s\""),
        setting("reply_idle", TIME_OR_OFF, "Without a byte, once the reply has begun.")
            .default(|| time_or_off(AppLimits::default().reply_idle))
            .example("\"off\""),
        setting(
            "requests",
            Accepts::Number(1, 1_000_000),
            "On their way at once; further ones wait.",
        )
        .default(|| AppLimits::default().requests.to_string())
        .example("200"),
        setting(
            "queue",
            Accepts::Number(0, 1_000_000),
            "Requests that may wait; further ones get 503.",
        )
        .default(|| AppLimits::default().queue.to_string())
        .example("100"),
        setting(
            "queue_time",
            Accepts::Text(&DURATION),
            "How long a request may wait; then it gets 503.",
        )
        .default(|| written_time(AppLimits::default().queue_time))
        .example("\"5s\""),
        setting(
            "fetches",
            Accepts::Either(&[Accepts::Number(1, 1_000_000), Accepts::Choice(OFF)]),
            "Documents that one caller may have fetched from a `source` in an hour.",
        )
        .default(|| match AppLimits::default().fetches {
            Some(fetches) => fetches.to_string(),
            None => "\"off\"".to_owned(),
        })
        .example("60"),
    ],
};

const TIME_OR_OFF: Accepts = Accepts::Either(&[Accepts::Text(&DURATION), Accepts::Choice(OFF)]);

fn time_or_off(time: Option<std::time::Duration>) -> String {
    time.map_or_else(|| "\"off\"".to_owned(), written_time)
}

static PATHS: Section = Section {
    title: "[app.paths]",
    about: "Routes and patterns read paths as the app does.",
    settings: &[
        setting("case", Accepts::Choice(EXACT), "Upper and lower case of ASCII letters.")
            .default(|| "\"exact\"".to_owned())
            .example("\"ignore\""),
        setting("trailing_slash", Accepts::Choice(EXACT), "A slash at the end.")
            .default(|| "\"exact\"".to_owned())
            .example("\"ignore\""),
        setting("encoded_slash", Accepts::Choice(SLASH), "`%2F` in a path.")
            .default(|| "\"separates\"".to_owned())
            .example("\"kept\""),
    ],
};

const EXACT: &[Choice] = &[choice("exact", "differs"), choice("ignore", "makes no difference")];

const SLASH: &[Choice] = &[
    choice("separates", "separates two segments, as most frameworks read it"),
    choice("kept", "stays part of its segment"),
];
