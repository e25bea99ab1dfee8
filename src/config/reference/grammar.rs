//! What values look like, where a word for their type does not say it.

use super::super::units;
use super::{Chapter, Entry};

pub(super) fn chapters() -> Vec<Chapter> {
    let mut chapters: Vec<_> = GRAMMAR.iter().map(chapter).collect();
    let units = [
        ("duration", units::duration_units(), "\"500ms\", \"30s\", \"15m\""),
        ("size", units::size_units(), "\"100 MiB\", \"2 GiB\", \"10 MB\""),
    ];
    let entries = units.into_iter().map(|(term, units, examples)| Entry {
        term: term.to_owned(),
        meaning: format!("A whole number and a unit: {}. As {examples}.", units.join(", ")),
        facts: None,
    });
    chapters.push(Chapter {
        title: "Durations and sizes".to_owned(),
        about: "Texts in quotes; blanks between number and unit do not matter.".to_owned(),
        entries: entries.collect(),
    });
    chapters
}

struct Grammar {
    title: &'static str,
    about: &'static str,
    /// A form, and what it means.
    forms: &'static [(&'static str, &'static str)],
}

fn chapter(grammar: &Grammar) -> Chapter {
    let entry = |(term, meaning): &(&str, &str)| Entry {
        term: (*term).to_owned(),
        meaning: (*meaning).to_owned(),
        facts: None,
    };
    Chapter {
        title: grammar.title.to_owned(),
        about: grammar.about.to_owned(),
        entries: grammar.forms.iter().map(entry).collect(),
    }
}

const GRAMMAR: &[Grammar] = &[
    Grammar {
        title: "Routes",
        about: "A method, one space and a path, perhaps with a query: `GET /files/{id}?inline={how}&page=1`. The path \
                decides first, segment by segment from the left, and what is written out goes before what is captured; \
                then the rule with the most query parts that match, and a rule without any last. Two rules of one route \
                may differ by `when` or `file` alone.",
        forms: &[
            ("{name}", "One segment. `{id}` is the document's id, where nothing else says so."),
            ("{name:digits}", "One segment of ASCII digits, without leading zeros."),
            ("{name:uuid}", "One segment that is a UUID; upper and lower case are the same id."),
            (
                "{*name}",
                "One or more segments, slashes included; once in a path, at its end or in its middle.",
            ),
            (
                "?id={id}",
                "A query parameter of any value, captured. It counts only if it comes once, in its plain spelling.",
            ),
            ("?action=edit", "A query parameter with this value."),
            (
                "\"GET /files/{id}\" as `source` or `probe`",
                "A request of Transom's own. The id fills `{id}` percent-encoded; `{*id}` keeps its slashes.",
            ),
        ],
    },
    Grammar {
        title: "Conditions",
        about: "The Common Expression Language (cel.dev), in quotes, compiled when the file is read. What can't be evaluated, \
                as a member that is not there, is false; `has(claims.role)` asks for one.",
        forms: &[
            (
                "claims",
                "In `allow`, `grant` and `attributes`: what the app's verified token claims; empty without one.",
            ),
            (
                "document",
                "In `allow` and `grant`: kind, id, content_type; title, route (as `POST /api/files`), uploader, \
                 uploader_identity, each perhaps null; size in bytes, uploaded_at in Unix seconds; attributes.",
            ),
            (
                "request",
                "In `when`, `allow`, `grant` and `attributes`: method, path, query, headers (by lower-case name, repeated \
                 ones joined by `, `); in `when`, json too (null if the body is no JSON).",
            ),
            ("form", "In `when` and `attributes`: the fields of a form, by name."),
            ("reply", "In `accepted`: status, headers, json (null if the body is no JSON)."),
            (
                "'content-range' in request.headers",
                "A header with a dash is there; its value is request.headers['content-range']. With a dot it would be a \
                 subtraction.",
            ),
        ],
    },
    Grammar {
        title: "Paths of files",
        about: "Relative ones begin at the directory of the configuration file, wherever Transom was started: those of \
                secrets, keys, certificates, logs, the store, and the socket in `unix:app.sock`.",
        forms: &[
            ("\"audit.jsonl\"", "Beside the configuration file."),
            ("\"/var/log/audit.jsonl\"", "An absolute path stays as it is."),
        ],
    },
];
