//! What texts look like.

/// A kind of text.
#[derive(Debug)]
pub(in crate::config) struct Syntax {
    /// In `transom reference`: `duration`.
    pub(in crate::config) name: &'static str,
    /// In messages: `a duration such as "30s"`.
    pub(in crate::config) expected: &'static str,
    /// A regular expression (ECMA-262) that every good text matches, for editors. Bad ones may match it too; empty:
    /// any text.
    pub(in crate::config) pattern: &'static str,
}

const fn syntax(name: &'static str, expected: &'static str, pattern: &'static str) -> Syntax {
    Syntax { name, expected, pattern }
}

pub(super) static TEXT: Syntax = syntax("text", "a string", "");
pub(super) static ADDRESS: Syntax = syntax(
    "address",
    "an IP address with a port, such as \"127.0.0.1:8080\"",
    r"^(\d{1,3}(\.\d{1,3}){3}|\[[0-9A-Fa-f:.%]+\]):\d{1,5}$",
);
pub(super) static HOST: Syntax =
    syntax("host", "a host such as \"a.example\"", r"^[A-Za-z0-9._:\[\]-]+$");
pub(super) static NETWORK: Syntax =
    syntax("network", "a network (CIDR) such as \"10.0.0.0/8\"", r"^[0-9A-Fa-f:.]+/\d{1,3}$");
pub(super) static PREFIX: Syntax =
    syntax("path of an address", "a prefix such as \"/.transom\"", "^/.*[^/]$");
pub(super) static DURATION: Syntax =
    syntax("duration", "a duration such as \"30s\"", r"^\s*\d+\s*(ms|s|m|h|d)\s*$");
pub(super) static SIZE: Syntax =
    syntax("size", "a size such as \"100 MiB\"", r"^\s*\d+\s*(B|kB|KB|MB|GB|KiB|MiB|GiB|TiB)?\s*$");
pub(super) static FILE_PATH: Syntax = syntax("path of a file", "the path of a file", "");
pub(super) static WEB: Syntax =
    syntax("web address", "an address that starts with http:// or https://", "^https?://");
pub(super) static APP_ADDRESS: Syntax = syntax(
    "web address or socket",
    "an address that starts with http:// or https://, or \"unix:/….sock\"",
    "^(https?://|unix:)",
);
pub(super) static SDK: Syntax = syntax(
    "web address or path",
    "an address that starts with http:// or https://, or a path of the app",
    "^(https?://|/)",
);
pub(super) static ORIGIN: Syntax =
    syntax("origin", "an origin such as \"https://app.example\"", "^https?://[^/?#]+/?$");
pub(super) static ROUTE: Syntax = syntax(
    "route",
    "a method, one space and a path: \"GET /files/{id}\"",
    r"^[A-Za-z!#$%&'*+.^_`|~0-9-]+ /",
);
pub(super) static REQUEST: Syntax = syntax(
    "method and path",
    "a method, one space and a path: \"GET /api/files/7\"",
    r"^[A-Za-z!#$%&'*+.^_`|~0-9-]+ /",
);
pub(super) static CONDITION: Syntax =
    syntax("condition", "a condition such as \"reply.status == 201\"", "");
pub(super) static EXPRESSION: Syntax =
    syntax("expression", "an expression such as \"claims.tenant\"", "");
pub(super) static POINTER: Syntax =
    syntax("JSON pointer", "a JSON pointer such as \"/data/session\"", "^(/|$)");
pub(super) static JSON_PATH: Syntax =
    syntax("JSONPath", "a JSONPath such as \"$.data.id\"", r"^\$");
pub(super) static PATTERN: Syntax =
    syntax("pattern", "a path with `{id}`, such as \"/files/{id}\"", r"\{\*?id(:[a-z]+)?\}");
pub(super) static TEXT_PATTERN: Syntax =
    syntax("text with {id}", "a text with one `{id}`, such as \"created {id}.\"", r"\{id\}");
pub(super) static CAPTURE: Syntax = syntax("capture", "the name of a capture of the route", "");
pub(super) static HEADER: Syntax =
    syntax("header", "the name of a header", r"^[A-Za-z!#$%&'*+.^_`|~0-9-]+$");
pub(super) static TOKEN: Syntax =
    syntax("name", "a name: letters, digits and `-_.` only", r"^[A-Za-z!#$%&'*+.^_`|~0-9-]+$");
pub(super) static VIEW_NAME: Syntax =
    syntax("name", "letters, digits, `-` and `_`", "^[A-Za-z0-9_-]+$");
pub(super) static KIND: Syntax = syntax("kind", "letters, digits, `-` and `_`", "^[A-Za-z0-9_-]+$");
pub(super) static CLAIM_NAME: Syntax = syntax("claim", "the name of a claim", "");
pub(super) static ATTRIBUTE: Syntax = syntax("attribute", "letters, digits and `_`", "");
pub(super) static CLAIM: Syntax =
    syntax("claim", "the name of a claim, or a JSON pointer to it", "^.+$");
/// Others are taken too, with a warning.
pub(super) static MEDIA_TYPE: Syntax =
    syntax("media type", "a media type such as \"application/pdf\"", "");
