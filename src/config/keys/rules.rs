//! Rules of a kind: upload and replace, delete, and those of later versions.

use super::super::rules::{DEFAULT_MAX_SIZE, MAX_ATTRIBUTES};
use super::super::units::written_size;
use super::locators::IDS;
use super::syntax::{ATTRIBUTE, CONDITION, EXPRESSION, MEDIA_TYPE, POINTER, ROUTE, SIZE, TEXT};
use super::{Accepts, Choice, Section, Setting, Unwritten, choice, setting};

pub(super) static UPLOAD: Section = Section {
    title: "[[documents.<kind>.upload]]",
    about: "Requests that bring a file to the app; `[[documents.<kind>.replace]]` has the same keys. Once the app has \
            accepted one, it reaches DWS.",
    settings: &[
        route("\"POST /api/files\""),
        WHEN,
        setting("alias", IDS, "A second name of the document, for views.")
            .later("second names (`alias`)")
            .example("{ json = \"$.url\" }"),
        setting("mode", Accepts::Choice(MODES), "Whether the app gets the bytes.")
            .default(|| "\"tee\"".to_owned())
            .example("\"tee\""),
        setting("file", Accepts::Table(&FILE), "Where the file is in the request.")
            .unwritten("each part of a form that has a file name, with a warning")
            .example("{ part = \"file\" }"),
        setting("id", IDS, "Where the document's id is.")
            .unwritten("the capture `{id}` of the route")
            .example("{ json = \"$.data.id\" }"),
        accepted("any 2xx; with a header pattern that matches, 3xx too", "\"reply.status == 201\""),
        CONFIRM,
        setting("max_size", Accepts::Text(&SIZE), "Larger files still reach the app, and are not captured.")
            .default(|| written_size(DEFAULT_MAX_SIZE))
            .example("\"20 MiB\""),
        setting(
            "types",
            Accepts::OneOrMore(&Accepts::Text(&MEDIA_TYPE)),
            "Types of files that are captured, by what their bytes look like; what the client says does not count.",
        )
        .unwritten("what DWS can show: PDF, PNG, JPEG, TIFF and Office documents")
        .example("[\"application/pdf\", \"image/png\"]"),
        setting(
            "attributes",
            Accepts::Named(&ATTRIBUTE, &Accepts::Text(&EXPRESSION)),
            "What is remembered of an upload, at most 16 of them, as `document.attributes` in conditions of views.",
        )
        .example("{ tenant = \"claims.tenant\" }"),
    ],
};

// The sentence on `attributes` has this number.
const _: () = assert!(MAX_ATTRIBUTES == 16);

static FILE: Section = Section {
    title: "[documents.<kind>.upload.file]",
    about: "Where the file is in the request.",
    settings: &[
        setting("part", Accepts::Text(&TEXT), "The parts of a multipart form with this name.")
            .tag()
            .example("\"file\""),
        setting("body", Accepts::True, "The whole body is the file.").tag().example("true"),
        setting("json", Accepts::Text(&POINTER), "A member of a JSON body.")
            .tag()
            .later("files inside JSON (`file = { json = … }`)")
            .example("\"/content\""),
        setting("tus", Accepts::Table(&TUS), "Resumable uploads.")
            .tag()
            .later("resumable uploads (`file = { tus = … }`)")
            .example("{ name = \"filename\" }"),
        setting("name", Accepts::Text(&POINTER), "The member with the file's name.")
            .beside(&["json"])
            .later("files inside JSON (`file = { json = … }`)")
            .example("\"/name\""),
        setting("type", Accepts::Text(&POINTER), "The member with the file's type.")
            .beside(&["json"])
            .later("files inside JSON (`file = { json = … }`)")
            .example("\"/type\""),
        setting("encoding", Accepts::Choice(&[choice("base64", "")]), "How the file is written.")
            .beside(&["json"])
            .later("files inside JSON (`file = { json = … }`)")
            .example("\"base64\""),
    ],
};

static TUS: Section = Section {
    title: "[documents.<kind>.upload.file.tus]",
    about: "",
    settings: &[
        setting("name", Accepts::Text(&TEXT), "The metadata with the file's name.")
            .example("\"filename\""),
        setting("type", Accepts::Text(&TEXT), "The metadata with the file's type.")
            .example("\"filetype\""),
    ],
};

pub(super) static DELETE: Section = Section {
    title: "[[documents.<kind>.delete]]",
    about: "Requests with which the app deletes documents.",
    settings: &[
        route("\"DELETE /files/{id}\""),
        WHEN,
        setting(
            "prefix",
            Accepts::Bool,
            "All documents whose ids begin with this one and a slash go, too.",
        )
        .default(|| "false".to_owned())
        .example("true"),
        setting("id", IDS, "Where the document's id is; several are several documents.")
            .unwritten("the capture `{id}` of the route")
            .example("{ body_json = \"$[*]\" }"),
        accepted("any 2xx", "\"reply.status in [200, 204, 302, 303]\""),
        CONFIRM,
    ],
};

pub(super) static MOVE: Section = Section {
    title: "[[documents.<kind>.move]]",
    about: "",
    settings: &[
        route("\"MOVE /files/{id}\""),
        WHEN,
        accepted("any 2xx", "\"reply.status == 201\""),
        setting("from", IDS, "The id until now.").required().example("{ path = \"id\" }"),
        setting("to", IDS, "The id from now on.")
            .required()
            .example("{ request_header = \"destination\" }"),
    ],
};

pub(super) static CHANGED: Section = Section {
    title: "[[documents.<kind>.changed]]",
    about: "",
    settings: &[
        route("\"PATCH /files/{id}\""),
        WHEN,
        accepted("any 2xx", "\"reply.status == 200\""),
        setting("id", IDS, "Where the document's id is.").example("{ path = \"id\" }"),
    ],
};

pub(super) const fn route(example: &'static str) -> Setting {
    setting("route", Accepts::Text(&ROUTE), "The requests that the rule is for.")
        .required()
        .example(example)
}

pub(super) const WHEN: Setting = setting(
    "when",
    Accepts::Text(&CONDITION),
    "A condition over `request` and `form`; the rule is for requests that meet it.",
)
.unwritten("each request of the route")
.example("\"form.action == 'upload'\"");

const fn accepted(unwritten: &'static str, example: &'static str) -> Setting {
    let meaning = "A condition over `reply`: whether the app has done what it was asked for.";
    let setting = setting("accepted", Accepts::Text(&CONDITION), meaning).example(example);
    Setting { unwritten: Unwritten::Means(unwritten), ..setting }
}

const CONFIRM: Setting = setting(
    "confirm",
    Accepts::Either(&[Accepts::Bool, Accepts::Choice(&[choice("auto", "where the reply proves little")])]),
    "Whether Transom looks at the app before the reply counts: forms are answered with redirects and pages, and so are \
     logins and mistakes.",
)
.default(|| "\"auto\"".to_owned())
.example("true");

const MODES: &[Choice] = &[
    choice("tee", "the app gets the bytes, and DWS a copy"),
    Choice {
        word: "divert",
        meaning: "the app gets a reference",
        later: Some("keeping the bytes from the app (`mode = \"divert\"`)"),
    },
];
