//! `[audit]`

use super::syntax::FILE_PATH;
use super::{Accepts, Choice, Section, choice, locators::SECRET, setting};

pub(super) static AUDIT: Section = Section {
    title: "[audit]",
    about: "A record of every session that is handed out, which `transom audit verify` checks for changes. While it can't \
            be written, nobody gets a session.",
    settings: &[
        setting(
            "path",
            Accepts::Text(&FILE_PATH),
            "The file; rotate it by renaming, while Transom runs.",
        )
        .required()
        .example("\"audit.jsonl\""),
        setting(
            "key",
            SECRET,
            "At least 32 bytes, so that nobody without it can forge lines: `openssl rand -hex 32`.",
        )
        .unwritten("the chain shows accidents and careless changes only")
        .example("{ file = \"audit.key\" }"),
        setting("line_per", Accepts::Choice(LINE_PER), "What gets a line.")
            .default(|| "\"session\"".to_owned())
            .example("\"hand_out\""),
        setting(
            "sync",
            Accepts::Bool,
            "Lines outlive a power failure too, for an fsync per batch.",
        )
        .default(|| "false".to_owned())
        .example("true"),
    ],
};

const LINE_PER: &[Choice] = &[
    choice("session", "a session is one line, however often its holder gets it again"),
    choice("hand_out", "one for each time that a session is given again, too"),
];
