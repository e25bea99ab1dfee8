//! Reader, table, schema and the shipped files say the same.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::json;
use toml::{Table, Value};

use super::super::{Config, reference};
use super::*;
use crate::{extract, inject, locate};

/// A file in which one key is written, beside what has to be.
struct File {
    /// Where: `server.limits.rate`.
    path: String,
    table: Table,
    setting: &'static Setting,
}

/// A file for each key, later ones too.
fn files() -> Vec<File> {
    written(&FILE, &mut Vec::new())
}

fn written(section: &'static Section, above: &mut Vec<&'static str>) -> Vec<File> {
    let mut files = Vec::new();
    if above.contains(&section.title) {
        return files;
    }
    above.push(section.title);
    for setting in section.settings {
        let beside = fewest(section, setting);
        let with = |value: Value| {
            let mut table = beside.clone();
            table.insert(setting.key.to_owned(), value);
            table
        };
        let path = setting.key.to_owned();
        files.push(File { path, table: with(value(setting.example)), setting });
        if setting.later.is_some() {
            continue;
        }
        for inner in setting.takes.sections() {
            files.extend(written(inner, above).into_iter().map(|file| File {
                path: format!("{}.{}", setting.key, file.path),
                table: with(around(&setting.takes, file.table)),
                setting: file.setting,
            }));
        }
    }
    above.pop();
    files
}

/// What has to be written beside this key.
fn fewest(section: &'static Section, setting: &Setting) -> Table {
    let tag = match setting.role {
        Role::Tag => None,
        Role::Beside(tags) => tags.first().copied(),
        Role::Free => section.tags().next().map(|tag| tag.key),
    };
    let needed = |other: &&Setting| other.is_required() || Some(other.key) == tag;
    let needed = section.settings.iter().filter(needed);
    let mut table: Table =
        needed.map(|other| (other.key.to_owned(), value(other.example))).collect();
    match section.title {
        "[test.expect]" => table.insert("lane".to_owned(), "view".into()),
        "[[documents.<kind>.upload]]" => {
            table.insert("id".to_owned(), value("{ json = \"$.id\" }"))
        }
        _ => None,
    };
    table
}

/// The value of a key that has this table somewhere in it.
fn around(takes: &Accepts, table: Table) -> Value {
    match takes {
        Accepts::List(item) | Accepts::OneOrMore(item) => Value::Array(vec![around(item, table)]),
        Accepts::Named(_, item) => {
            Value::Table(Table::from_iter([("files".to_owned(), around(item, table))]))
        }
        _ => Value::Table(table),
    }
}

fn value(text: &str) -> Value {
    let table: Table =
        format!("value = {text}").parse().unwrap_or_else(|error| panic!("{text}: {error}"));
    table["value"].clone()
}

/// Reads files in a directory that has what the examples name.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let ca = rcgen::CertificateParams::default().self_signed(&key).unwrap().pem();
        let jwk =
            r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        for (name, content) in [
            ("ca.pem", ca),
            ("public.pem", key.public_key_pem()),
            ("jwk.json", jwk.to_owned()),
            ("audit.key", "0123456789abcdef0123456789abcdef".to_owned()),
            ("app.key", "0123456789abcdef0123456789abcdef".to_owned()),
        ] {
            std::fs::write(directory.path().join(name), content).unwrap();
        }
        Self(directory)
    }

    fn read(&self, table: &Table) -> Result<Config, String> {
        let text = toml::to_string(table).unwrap();
        let env = |_: &str| Some("0123456789abcdef".repeat(4));
        let config = Config::parse_with(&text, &self.0.path().join("config.toml"), &env);
        config.map_err(|error| error.to_string())
    }
}

struct Validator(boon::Schemas, boon::SchemaIndex);

impl Validator {
    /// Fails where the schema itself is none by the rules of its draft.
    fn new() -> Self {
        let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
        compiler.add_resource("transom.json", Config::schema()).unwrap();
        let index = compiler.compile("transom.json", &mut schemas);
        let index = index.unwrap_or_else(|error| panic!("{error:#}"));
        Self(schemas, index)
    }

    fn check(&self, table: &Table) -> Result<(), String> {
        let json = serde_json::to_value(table).unwrap();
        self.0.validate(&json, self.1).map_err(|error| format!("{error:#}"))
    }
}

/// Messages that say that reader and table differ.
const OF_FORM: &[&str] = &[
    "unknown key",
    " must be ",
    " is missing from ",
    "does not say what it is",
    "says two things",
    "is not a value of",
    "out of range",
    "` is for `",
];

#[test]
fn every_key_is_read_as_its_example_shows_and_the_schema_takes_it() {
    let (place, schema) = (Place::new(), Validator::new());
    let mut refused = Vec::new();
    for File { path, table, setting } in files() {
        let read = place.read(&table);
        let told = read.as_ref().err().cloned().unwrap_or_default();
        assert!(!OF_FORM.iter().any(|form| told.contains(form)), "{path}: {told}");
        if is_complete(&path, setting) && !told.is_empty() {
            refused.push(format!("{path}: {told}"));
        }
        assert_eq!(told.contains("not available yet"), setting.later.is_some(), "{path}: {told}");
        let checked = schema.check(&table);
        assert_eq!(checked.is_ok(), setting.later.is_none(), "{path}: {checked:?}");
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

/// Whether the example needs nothing else than what has to be written anyway.
fn is_complete(path: &str, setting: &Setting) -> bool {
    let needs = [
        // An app at https://.
        "app.tls",
        // `algorithms` for public keys, and an `issuer`.
        "identity.key.jwk",
        "identity.key.public_key",
        "identity.key.discovery",
        // A `probe`, an identity, or a route with or without the id.
        "documents.validate",
        "documents.view.",
        "documents.upload.id.",
        "documents.replace.id.",
        "documents.delete.id.",
        // An identity.
        "test.claims",
        "test.identity",
    ];
    setting.later.is_none() && !needs.iter().any(|start| path.starts_with(start))
}

#[test]
fn what_is_no_key_is_refused_by_reader_and_schema() {
    let (place, schema) = (Place::new(), Validator::new());
    for File { path, mut table, setting } in files() {
        if setting.later.is_some() || !innermost_is_fixed(&path) {
            continue;
        }
        let parent = parent_of(&mut table, &path);
        parent.insert("zz-no-key".to_owned(), true.into());
        let told = place.read(&table).map(|_| ()).unwrap_err();
        assert!(told.contains("unknown key `zz-no-key`"), "{path}: {told}");
        assert!(schema.check(&table).is_err(), "{path}");
    }
}

#[test]
fn what_has_to_be_written_is_asked_for() {
    let (place, schema) = (Place::new(), Validator::new());
    for File { path, mut table, setting } in files() {
        if setting.later.is_none() && setting.is_required() {
            let parent = parent_of(&mut table, &path);
            parent.remove(setting.key);
            let told = place.read(&table).map(|_| ()).unwrap_err();
            assert!(told.contains(" is missing"), "{path}: {told}");
            assert!(schema.check(&table).is_err(), "{path}");
        }
    }
}

#[test]
fn the_schema_refuses_nothing_that_is_read() {
    let (place, schema) = (Place::new(), Validator::new());
    let values = [
        "1",
        "0",
        "200",
        "1.5",
        "true",
        "false",
        "\"\"",
        "\"x\"",
        "\"off\"",
        "\"5 s\"",
        "\"1 MiB\"",
        "\"12\"",
        "\"/x\"",
        "\"read\"",
        "\"auto\"",
        "\"http://a\"",
        "\"POST /x/{id}\"",
        "[]",
        "{}",
        "[1]",
        "[\"x\"]",
        "[\"a\", \"b\"]",
        "[{}]",
        "{ a = 1 }",
        "{ a = \"x\" }",
        "{ env = \"K\" }",
        "{ path = \"id\" }",
        "[{ query = \"a\" }, { field = \"b\" }]",
        "2020-01-01",
    ];
    let mut refused = Vec::new();
    for File { path, mut table, setting } in files() {
        if setting.later.is_some() {
            continue;
        }
        for text in values {
            parent_of(&mut table, &path).insert(setting.key.to_owned(), value(text));
            if place.read(&table).is_ok()
                && let Err(error) = schema.check(&table)
            {
                refused.push(format!("{path} = {text}: {error}"));
            }
        }
    }
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn a_default_is_what_holds_when_nothing_is_written() {
    let place = Place::new();
    let mut compared = 0;
    for File { path, mut table, setting } in files() {
        let Unwritten::Value(default) = setting.unwritten else { continue };
        let parent = parent_of(&mut table, &path);
        parent.remove(setting.key);
        let without = meaning(&place.read(&table).unwrap_or_else(|told| panic!("{path}: {told}")));
        parent_of(&mut table, &path).insert(setting.key.to_owned(), value(&default()));
        let with = meaning(&place.read(&table).unwrap_or_else(|told| panic!("{path}: {told}")));
        assert_eq!(with, without, "{path}");
        compared += 1;
    }
    assert!(compared > 40, "{compared}");
}

/// All that a configuration means, but for places in its text.
fn meaning(config: &Config) -> String {
    let Config {
        server, app, backend, store, viewer, audit, identities, kinds, routes, tests, ..
    } = config;
    let all = format!(
        "{server:?} {app:?} {backend:?} {store:?} {viewer:?} {audit:?} {identities:?} {kinds:?} {routes:?} {tests:?}"
    );
    let mut parts = all.split("place: ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| {
        all + part.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
    })
}

/// Whether the keys beside this one are ours, and not the operator's.
fn innermost_is_fixed(path: &str) -> bool {
    path != "documents"
}

/// The table that has the last key of `path`.
fn parent_of<'t>(table: &'t mut Table, path: &str) -> &'t mut Table {
    let mut takes: &Accepts = &Accepts::Table(&FILE);
    let mut keys: Vec<_> = path.split('.').collect();
    keys.pop();
    let mut at = table;
    for key in keys {
        let settings = takes.sections();
        let setting = settings.iter().find_map(|section| section.setting(key)).unwrap();
        at = inner(at.get_mut(key).unwrap(), &setting.takes);
        takes = &setting.takes;
    }
    at
}

fn inner<'v>(value: &'v mut Value, takes: &Accepts) -> &'v mut Table {
    match (value, takes) {
        (Value::Array(items), Accepts::List(item) | Accepts::OneOrMore(item)) => {
            inner(&mut items[0], item)
        }
        (Value::Table(table), Accepts::Named(_, item)) => inner(&mut table["files"], item),
        (Value::Table(table), _) => table,
        (value, _) => panic!("{value}"),
    }
}

#[test]
fn the_shipped_files_are_good_by_the_schema() {
    let schema = Validator::new();
    let table: Table = shipped("config.toml").parse().unwrap();
    assert_eq!(schema.check(&table), Ok(()));
    let readme = shipped("README.md");
    let blocks = readme.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut checked = 0;
    for table in blocks.filter(|block| block.contains("[app]")) {
        assert_eq!(schema.check(&table.parse().unwrap()), Ok(()), "{table}");
        checked += 1;
    }
    assert!(checked > 0);
}

/// `config.toml` shows each key once, if only behind a `#`.
#[test]
fn config_toml_shows_every_key() {
    static ROOT: Accepts = Accepts::Table(&FILE);
    let mut shown = BTreeSet::new();
    let mut header = Vec::new();
    for line in shipped("config.toml").lines() {
        let line = line.strip_prefix("# ").unwrap_or(line);
        let Ok(table) = line.parse::<Table>() else { continue };
        if line.starts_with('[') {
            let name = line.split(']').next().unwrap_or_default().trim_start_matches('[');
            header = name.split('.').map(str::to_owned).collect();
        }
        let table =
            header.iter().rev().fold(table.clone(), |table, key| match line.starts_with('[') {
                true => table,
                false => Table::from_iter([(key.clone(), Value::Table(table))]),
            });
        look(&ROOT, &Value::Table(table), &mut shown);
    }
    let missing: Vec<_> = reference::sections()
        .into_iter()
        .flat_map(|section| section.keys().map(move |key| (section.title, key)))
        .filter(|key| !shown.contains(key))
        .collect();
    assert!(missing.is_empty(), "config.toml does not show {missing:#?}");
}

/// Notes the keys that are written in `value`.
fn look(
    takes: &'static Accepts,
    value: &Value,
    shown: &mut BTreeSet<(&'static str, &'static str)>,
) {
    match (takes, value) {
        (Accepts::List(item) | Accepts::OneOrMore(item), Value::Array(items)) => {
            items.iter().for_each(|value| look(item, value, shown));
        }
        (Accepts::List(item) | Accepts::OneOrMore(item), value) => look(item, value, shown),
        (Accepts::Either(all), value) => all.iter().for_each(|takes| look(takes, value, shown)),
        (Accepts::Named(_, item), Value::Table(table)) => {
            table.values().for_each(|value| look(item, value, shown));
        }
        (Accepts::Table(section), Value::Table(table)) => {
            for (key, value) in table {
                if let Some(setting) = section.setting(key) {
                    shown.insert((section.title, setting.key));
                    look(&setting.takes, value, shown);
                }
            }
        }
        _ => {}
    }
}

/// The README leads to the reference, and names every section at least.
#[test]
fn the_readme_names_every_section_and_the_reference() {
    let readme = shipped("README.md");
    for command in ["transom reference", "transom schema"] {
        assert!(readme.contains(command), "README.md does not name `{command}`");
    }
    for key in FILE.keys() {
        let named = [format!("[{key}"), format!("{key}]]"), format!("[{key}.")];
        assert!(
            named.iter().any(|name| readme.contains(name)),
            "README.md does not name `[{key}]`"
        );
    }
}

#[test]
fn every_key_is_in_the_reference_and_in_the_schema() {
    let text = Config::reference(reference::ReferenceFormat::Text);
    let schema = Config::schema();
    for section in reference::sections() {
        let properties = match std::ptr::eq(section, &raw const FILE) {
            true => &schema["properties"],
            false => &schema["$defs"][reference::name(section)]["properties"],
        };
        for setting in section.settings {
            assert_eq!(
                properties.get(setting.key).is_some(),
                setting.later.is_none(),
                "{}",
                setting.key
            );
            assert!(setting.meaning.ends_with(['.', '`']), "{}", setting.meaning);
            let line = format!("\n  {}\n", setting.key);
            assert!(text.contains(&line), "{line}");
        }
    }
}

/// Kinds of locators, files and deliveries are registered in their rooms, and described here.
#[test]
fn what_is_registered_is_in_the_table() {
    let section = |title: &str| {
        let found = reference::sections().into_iter().find(|section| section.title == title);
        found.unwrap_or_else(|| panic!("{title}"))
    };
    let now = |title: &str| {
        let tags = section(title).tags().filter(|tag| tag.later.is_none());
        BTreeSet::from_iter(tags.map(|tag| tag.key))
    };
    let locators = || locate::NOTATIONS.iter();
    assert_eq!(now("a locator"), locators().map(|notation| notation.key).collect());
    let files = extract::NOTATIONS.iter().map(|notation| notation.key);
    assert_eq!(now("[documents.<kind>.upload.file]"), files.collect());
    let ways = inject::WAYS.iter().map(|way| way.key);
    assert_eq!(now("[documents.<kind>.view.session]"), ways.collect());
    let pattern = section("a locator").setting("pattern").unwrap();
    let Role::Beside(beside) = pattern.role else { panic!() };
    for notation in locators() {
        assert_eq!(beside.contains(&notation.key), notation.takes_pattern, "{}", notation.key);
    }
}

#[test]
fn editors_learn_what_the_reference_says() {
    let schema = Config::schema();
    let drain = &schema["$defs"]["server"]["properties"]["drain"];
    assert_eq!(drain["default"], json!("20s"));
    assert_eq!(drain["description"], json!("How long requests in flight may take after SIGTERM."));
    let runtime = &schema["$defs"]["server"]["properties"]["runtime"];
    assert_eq!(runtime["enum"], json!(["per_core", "shared"]));
}

fn shipped(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}
