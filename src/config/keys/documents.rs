//! `[documents.<kind>]`

use super::locators::IDS;
use super::rules::{CHANGED, DELETE, MOVE, UPLOAD};
use super::syntax::{HEADER, HOST, JSON_PATH, ROUTE, TEXT};
use super::view::VIEW;
use super::{Accepts, Section, setting};

pub(super) static KIND: Section = Section {
    title: "[documents.<kind>]",
    about: "One kind of document of the app, how to get at them, and the routes on which they come and go.",
    settings: &[
        setting("hosts", Accepts::OneOrMore(&Accepts::Text(&HOST)), "The rules hold for these hosts only.")
            .unwritten("for all")
            .example("[\"a.example\"]"),
        setting(
            "upload",
            Accepts::List(&Accepts::Table(&UPLOAD)),
            "New documents. An id that is known already means new bytes for it.",
        )
        .example("[{ route = \"POST /api/files\", file = { part = \"file\" }, id = { json = \"$.data.id\" } }]"),
        setting(
            "replace",
            Accepts::List(&Accepts::Table(&UPLOAD)),
            "New bytes for documents that are known; an unknown id is left alone. The keys are those of `upload`.",
        )
        .example("[{ route = \"PUT /files/{id}\", file = { body = true } }]"),
        setting("delete", Accepts::List(&Accepts::Table(&DELETE)), "What the app deletes is deleted at DWS too.")
            .example("[{ route = \"DELETE /files/{id}\" }]"),
        setting("view", Accepts::List(&Accepts::Table(&VIEW)), "Who gets a session with which request.")
            .example("[{ route = \"GET /files/{id}\", session = { page = true } }]"),
        setting("move", Accepts::List(&Accepts::Table(&MOVE)), "Documents that get another id.")
            .later("`move` rules")
            .example("[{ route = \"MOVE /files/{id}\", from = { path = \"id\" }, to = { request_header = \"destination\" } }]"),
        setting(
            "changed",
            Accepts::List(&Accepts::Table(&CHANGED)),
            "Documents that change in a way that shows no whole file.",
        )
        .later("`changed` rules")
        .example("[{ route = \"PATCH /files/{id}\" }]"),
        setting(
            "source",
            Accepts::Either(&[Accepts::Text(&ROUTE), Accepts::Table(&SOURCE)]),
            "The GET request to which the app answers with the document's bytes. Documents that never came by are read \
             there, with the credentials of a caller who may see them.",
        )
        .unwritten("only what comes by is known")
        .example("\"GET /files/{id}/content\""),
        setting(
            "list",
            Accepts::Table(&LIST),
            "Where the app lists its documents: what `transom backfill` walks through when it is given no file of ids.",
        )
        .unwritten("ids come from a file")
        .example("{ route = \"GET /api/files?page={page}\", ids = \"$.data[*].id\", next = \"$.next\" }"),
        setting(
            "probe",
            Accepts::OneOrMore(&Accepts::Either(&[Accepts::Text(&ROUTE), Accepts::Table(&PROBE)])),
            "The request that tells whether a caller may see the document: a 2xx is a yes, unless it is a web page that \
             was not asked for. Of a list, the first yes counts.",
        )
        .unwritten("`source` with `Range: bytes=0-0`; without one, the first view route with the id in its path")
        .example("\"GET /api/files/{id}\""),
        setting(
            "resolve",
            Accepts::Table(&RESOLVE),
            "Exchanges the id of routes, which may change, for the stable one.",
        )
        .later("exchanging one id for another (`resolve`)")
        .example("{ get = \"/{*id}\", id = { json = \"$.uid\" } }"),
        setting(
            "validate",
            Accepts::Bool,
            "Notices changes that never came by, by the ETag, Last-Modified and length of `source`. Where the probe does \
             not ask for the bytes anyway, that is a request for one byte.",
        )
        .unwritten("where the probe asks for the bytes")
        .example("true"),
        setting("per_host", Accepts::Bool, "The host is a part of a document's name, for tenants by Host.")
            .default(|| "false".to_owned())
            .example("true"),
    ],
};

const HEADERS: Accepts = Accepts::Named(&HEADER, &Accepts::Text(&TEXT));

static PROBE: Section = Section {
    title: "a request of Transom's own",
    about: "In `source` and `probe`. It carries the caller's cookies, Authorization and tokens, no body, and follows no \
            redirects.",
    settings: &[
        setting(
            "route",
            Accepts::Text(&ROUTE),
            "Method and path, with `{id}` or `{*id}` where the id belongs.",
        )
        .required()
        .example("\"GET /files/{id}\""),
        setting("headers", HEADERS, "Headers besides: `accept` says which answer is meant.")
            .example("{ accept = \"application/json\" }"),
    ],
};

static SOURCE: Section = Section {
    title: "[documents.<kind>.source]",
    about: "",
    settings: &[
        setting(
            "route",
            Accepts::Text(&ROUTE),
            "Method and path, with `{id}` or `{*id}` where the id belongs.",
        )
        .required()
        .example("\"GET /files/{id}\""),
        setting("headers", HEADERS, "Headers besides: `accept` says which answer is meant.")
            .example("{ accept = \"application/pdf\" }"),
        setting("url", Accepts::Text(&JSON_PATH), "Where the answer has the address of the bytes.")
            .later("a source in two steps (`url`)")
            .example("\"$.download_url\""),
    ],
};

static LIST: Section = Section {
    title: "[documents.<kind>.list]",
    about: "It carries the headers that `transom backfill --header` gives, and no body.",
    settings: &[
        setting(
            "route",
            Accepts::Text(&ROUTE),
            "Method and path of a page, with `{page}` where its number belongs, from 1, or what `next` says.",
        )
        .required()
        .example("\"GET /api/files?page={page}\""),
        setting("ids", Accepts::Text(&JSON_PATH), "Where a page has the ids of its documents.")
            .required()
            .example("\"$.data[*].id\""),
        setting(
            "next",
            Accepts::Text(&JSON_PATH),
            "Where a page tells of the next: its address at the app, what belongs at `{page}`, or `true` for one more. \
             The last page has nothing there, `null`, `false` or an empty text.",
        )
        .unwritten("pages are counted until one has no ids; without `{page}` there is only one")
        .example("\"$.next\""),
        setting("headers", HEADERS, "Headers besides: `accept` says which answer is meant.")
            .example("{ accept = \"application/json\" }"),
    ],
};

static RESOLVE: Section = Section {
    title: "[documents.<kind>.resolve]",
    about: "",
    settings: &[
        setting("get", Accepts::Text(&TEXT), "The path to ask.").required().example("\"/{*id}\""),
        setting("accept", Accepts::Text(&TEXT), "The Accept header.")
            .example("\"application/json\""),
        setting("id", IDS, "Where the answer has the stable id.")
            .required()
            .example("{ json = \"$.uid\" }"),
    ],
};
