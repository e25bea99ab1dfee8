//! Tables that stand in many places: locators and secrets.

use super::syntax::{CAPTURE, FILE_PATH, HEADER, JSON_PATH, PATTERN, TEXT, TEXT_PATTERN};
use super::{Accepts, Section, setting};

/// A text that is better kept elsewhere.
pub(super) const SECRET: Accepts = Accepts::Either(&[OUTSIDE, Accepts::Text(&TEXT)]);

/// A text that is elsewhere.
pub(super) const OUTSIDE: Accepts = Accepts::Table(&OUTSIDE_TABLE);

/// One locator, or a list of which the first that yields counts.
pub(super) const IDS: Accepts = Accepts::OneOrMore(&Accepts::Table(&LOCATOR));

static OUTSIDE_TABLE: Section = Section {
    title: "a secret",
    about: "A text that is kept outside of the configuration. A secret that is written into the file itself works, with a \
            warning.",
    settings: &[
        setting("env", Accepts::Text(&TEXT), "The environment variable that holds it.")
            .tag()
            .example("\"APP_JWT_SECRET\""),
        setting(
            "file",
            Accepts::Text(&FILE_PATH),
            "The file that holds it, in UTF-8; a byte order mark, blanks and line breaks around it are dropped. A changed \
             file is a changed configuration.",
        )
        .tag()
        .example("\"app.key\""),
    ],
};

static LOCATOR: Section = Section {
    title: "a locator",
    about: "Where a value is, in the request or in the app's reply. A list of locators means the first that yields. What \
            comes twice, or could be read as another, yields nothing (`id_unclear`). The id of a view has to be in the \
            request.",
    settings: &[
        setting("path", Accepts::Text(&CAPTURE), "A capture of the route, from its path or its query part.")
            .tag()
            .example("\"id\""),
        setting("query", Accepts::Text(&TEXT), "A query parameter of the request.").tag().example("\"doc\""),
        setting("field", Accepts::Text(&TEXT), "A form field of the request.").tag().example("\"doc\""),
        setting(
            "header",
            Accepts::Text(&HEADER),
            "A header of the reply. With `pattern` it is read as an address: absolute, relative to the request, or a path; \
             path parameters such as `;jsessionid=` are dropped.",
        )
        .tag()
        .example("\"location\""),
        setting("request_header", Accepts::Text(&HEADER), "The same of the request.").tag().example("\"destination\""),
        setting(
            "json",
            Accepts::Text(&JSON_PATH),
            "A JSONPath (RFC 9535) over the reply, whatever its Content-Type says. Several matches are several files in \
             order; numbers become text.",
        )
        .tag()
        .example("\"$.data.id\""),
        setting("body_json", Accepts::Text(&JSON_PATH), "The same over the request.").tag().example("\"$[*]\""),
        setting("text", Accepts::Text(&TEXT_PATTERN), "The reply as plain text, with `{id}` where the value is.")
            .tag()
            .example("\"created {id}\""),
        setting("html", Accepts::Text(&TEXT), "A CSS selector over the reply.")
            .tag()
            .later("locators in HTML (`html`)")
            .example("\"a.doc\""),
        setting("attribute", Accepts::Text(&TEXT), "The attribute that holds the value.")
            .beside(&["html"])
            .later("locators in HTML (`html`)")
            .example("\"href\""),
        setting(
            "pattern",
            Accepts::Text(&PATTERN),
            "What an address must look like, with `{id}` where the value is; it follows `[app] paths`. Without a slash \
             before it, it is matched against the text as it is.",
        )
        .beside(&["header", "request_header", "json", "body_json", "text", "html"])
        .unwritten("the value is taken as it is")
        .example("\"/files/{id}\""),
    ],
};
