//! The table of configuration keys: what may be written, what it means, and what holds where it is not written.
//!
//! The reader walks the file along this table and words its messages from it; `transom reference` and
//! `transom schema` print it. A new key is an entry here, a line in the reader of its table, and a line in
//! `config.toml`: a test fails while one of them is missing.

mod app;
mod audit;
mod cases;
mod documents;
mod identity;
mod locators;
mod rules;
mod server;
mod store;
mod syntax;
#[cfg(test)]
mod tests;

mod view;

use super::problem::alternatives;
pub(super) use store::BACKENDS;
pub(super) use syntax::Syntax;

/// The keys of one table. A table that may stand in several places is described once.
#[derive(Debug)]
pub(super) struct Section {
    /// As a file writes it: `[server.limits]`, `[[identity]]`; in words for tables that are written as values.
    pub(super) title: &'static str,
    pub(super) about: &'static str,
    pub(super) settings: &'static [Setting],
}

/// One key.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) key: &'static str,
    pub(super) takes: Accepts,
    pub(super) unwritten: Unwritten,
    pub(super) meaning: &'static str,
    /// A value in TOML.
    pub(super) example: &'static str,
    /// The first version that has it.
    pub(super) since: &'static str,
    /// For part of the language that this version only understands: what a message calls it.
    pub(super) later: Option<&'static str>,
    pub(super) role: Role,
}

/// How keys of one table go together.
#[derive(Debug, Clone, Copy)]
pub(super) enum Role {
    /// By itself.
    Free,
    /// Exactly one of those with this role says what the table is.
    Tag,
    /// Only beside one of these tags.
    Beside(&'static [&'static str]),
}

/// What holds where a key is not written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unwritten {
    /// It has to be written.
    Refused,
    /// In words.
    Means(&'static str),
    /// As this value in TOML, made of what the reader itself uses.
    Value(fn() -> String),
}

/// The values that a key takes.
#[derive(Debug)]
pub(super) enum Accepts {
    Text(&'static Syntax),
    Choice(&'static [Choice]),
    Bool,
    /// `true`, for what is there or not.
    True,
    /// Both ends belong to it.
    Number(i64, i64),
    List(&'static Accepts),
    /// A value alone is a list of one.
    OneOrMore(&'static Accepts),
    Table(&'static Section),
    /// Keys that the operator chooses, and what each takes.
    Named(&'static Syntax, &'static Accepts),
    Either(&'static [Accepts]),
    /// Any value that JSON has too.
    Json,
}

/// A word that may be written.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) word: &'static str,
    pub(super) meaning: &'static str,
    /// As of a [`Setting`].
    pub(super) later: Option<&'static str>,
}

/// The whole file.
pub(super) static FILE: Section = Section {
    title: "the configuration",
    about: "A file in TOML: `config.toml`, unless `--config` names another. Unknown keys are errors.",
    settings: &[
        setting("server", Accepts::Table(&server::SERVER), "Where Transom listens, and for whom.")
            .example("{ listen = \"127.0.0.1:8080\" }"),
        setting("app", Accepts::Table(&app::APP), "The app behind Transom. A layer in a Rust service needs none.")
            .required()
            .example("{ url = \"http://127.0.0.1:3000\" }"),
        setting("dws", Accepts::Table(&store::DWS), "Nutrient's DWS Viewer API.")
            .required()
            .example("{ api_key = { env = \"NUTRIENT_DWS_VIEWER_API_KEY\" } }"),
        setting("store", Accepts::Table(&store::STORE), "What is kept on disk.")
            .example("{ path = \"transom-data\" }"),
        setting("viewer", Accepts::Table(&store::VIEWER), "Transom's own viewer pages.")
            .example("{ sdk = \"/assets/nutrient-viewer.js\" }"),
        setting("audit", Accepts::Table(&audit::AUDIT), "A record of the sessions that are handed out.")
            .unwritten("no record is kept")
            .example("{ path = \"audit.jsonl\" }"),
        setting(
            "identity",
            Accepts::List(&Accepts::Table(&identity::IDENTITY)),
            "The issuers of the app's own tokens, one table each.",
        )
        .unwritten("the app's word alone decides")
        .example(
            "[{ name = \"app\", algorithms = [\"HS256\"], key = { secret = { env = \"APP_JWT_SECRET\" } } }]",
        ),
        setting(
            "documents",
            Accepts::Named(&syntax::KIND, &Accepts::Table(&documents::KIND)),
            "The kinds of the app's documents, each with its rules. The name of a kind is letters, digits, `-` and \
             `_`: it is part of addresses, as in /.transom/view/files/7.",
        )
        .unwritten("every request passes untouched")
        .example("{ files = { source = \"GET /files/{id}/content\" } }"),
        setting(
            "test",
            Accepts::List(&Accepts::Table(&cases::TEST)),
            "What is expected of requests; `transom check` asks the engine whether it is so.",
        )
        .example("[{ name = \"a stranger gets none\", request = \"GET /\", expect = { lane = \"pass\" } }]"),
    ],
};

/// A key that may be left out.
const fn setting(key: &'static str, takes: Accepts, meaning: &'static str) -> Setting {
    let (unwritten, role) = (Unwritten::Means(""), Role::Free);
    Setting { key, takes, unwritten, meaning, example: "", since: "0.1", later: None, role }
}

const fn choice(word: &'static str, meaning: &'static str) -> Choice {
    Choice { word, meaning, later: None }
}

impl Setting {
    const fn required(mut self) -> Self {
        self.unwritten = Unwritten::Refused;
        self
    }

    const fn unwritten(mut self, means: &'static str) -> Self {
        self.unwritten = Unwritten::Means(means);
        self
    }

    const fn default(mut self, value: fn() -> String) -> Self {
        self.unwritten = Unwritten::Value(value);
        self
    }

    const fn example(mut self, example: &'static str) -> Self {
        self.example = example;
        self
    }

    const fn later(mut self, what: &'static str) -> Self {
        self.later = Some(what);
        self
    }

    const fn tag(mut self) -> Self {
        self.role = Role::Tag;
        self
    }

    const fn beside(mut self, tags: &'static [&'static str]) -> Self {
        self.role = Role::Beside(tags);
        self
    }

    pub(super) const fn is_required(&self) -> bool {
        matches!(self.unwritten, Unwritten::Refused)
    }

    pub(super) const fn is_tag(&self) -> bool {
        matches!(self.role, Role::Tag)
    }
}

impl Section {
    pub(super) fn setting(&self, key: &str) -> Option<&'static Setting> {
        self.settings.iter().find(|setting| setting.key == key)
    }

    /// The keys that this version takes.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.settings.iter().filter(|setting| setting.later.is_none()).map(|setting| setting.key)
    }

    /// Those that say what the table is.
    pub(super) fn tags(&self) -> impl Iterator<Item = &'static Setting> + Clone {
        self.settings.iter().filter(|setting| setting.is_tag())
    }
}

impl Accepts {
    /// What messages expect here.
    pub(super) fn expected(&self) -> String {
        match self {
            Self::Text(syntax) => syntax.expected.to_owned(),
            Self::Choice(choices) => {
                let words = choices.iter().filter(|choice| choice.later.is_none());
                let words: Vec<_> = words.map(|choice| format!("\"{}\"", choice.word)).collect();
                words.join(" or ")
            }
            Self::Bool => "`true` or `false`".to_owned(),
            Self::True => "`true`".to_owned(),
            Self::Number(..) => "a whole number".to_owned(),
            Self::List(item) if item.is_table() => {
                "a list of tables: `[[…]]`, or `[{ … }]`".to_owned()
            }
            Self::List(item) => format!("a list, each item {}", item.expected()),
            Self::OneOrMore(item) => format!("{}, or a list", item.expected()),
            Self::Table(section) if section.tags().next().is_some() => {
                let keys = section.tags().filter(|tag| tag.later.is_none()).map(|tag| tag.key);
                format!("a table with {}", alternatives(keys))
            }
            Self::Table(_) | Self::Named(..) => "a table".to_owned(),
            Self::Either(all) => all.iter().map(Self::expected).collect::<Vec<_>>().join(", or "),
            Self::Json => "a string, a number, `true`, `false` or a list".to_owned(),
        }
    }

    /// What its items take, if it is a list.
    pub(super) fn item(&'static self) -> &'static Self {
        match self {
            Self::List(item) | Self::OneOrMore(item) => item,
            _ => self,
        }
    }

    /// What it takes when a table is written.
    pub(super) fn in_table(&'static self) -> Option<&'static Self> {
        match self {
            Self::Table(_) | Self::Named(..) | Self::Json => Some(self),
            Self::OneOrMore(item) => item.in_table(),
            Self::Either(all) => all.iter().find_map(Self::in_table),
            _ => None,
        }
    }

    /// The words that are taken besides what else may be.
    pub(super) fn choices(&self) -> &'static [Choice] {
        match self {
            Self::Choice(choices) => choices,
            Self::OneOrMore(item) => item.choices(),
            Self::Either(all) => {
                all.iter().map(Self::choices).find(|choices| !choices.is_empty()).unwrap_or(&[])
            }
            _ => &[],
        }
    }

    /// The numbers that are taken.
    pub(super) fn range(&self) -> Option<(i64, i64)> {
        match self {
            Self::Number(least, most) => Some((*least, *most)),
            Self::Either(all) => all.iter().find_map(Self::range),
            _ => None,
        }
    }

    /// The tables in it that have keys of their own.
    pub(super) fn sections(&self) -> Vec<&'static Section> {
        match self {
            Self::Table(section) => vec![section],
            Self::List(item) | Self::OneOrMore(item) | Self::Named(_, item) => item.sections(),
            Self::Either(all) => all.iter().flat_map(Self::sections).collect(),
            _ => Vec::new(),
        }
    }

    fn is_table(&self) -> bool {
        matches!(self, Self::Table(_))
    }
}
