//! The JSON Schema of the file.

use serde_json::{Map, Value, json};

use super::super::keys::{Accepts, FILE, Role, Section, Setting, Unwritten};
use super::plain;

pub(super) fn schema() -> Value {
    let sections = super::sections().into_iter().skip(1);
    let named = sections.map(|section| (name(section), table(section)));
    let mut schema = Map::new();
    schema.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
    schema.insert("title".to_owned(), "The configuration of Transom".into());
    schema.extend(table(&FILE));
    schema.insert(
        "$defs".to_owned(),
        named.map(|(name, table)| (name, Value::from(table))).collect(),
    );
    schema.into()
}

/// In `$defs`.
pub(in crate::config) fn name(section: &Section) -> String {
    plain(section.title).replace(' ', "_").replace('\'', "")
}

fn table(section: &'static Section) -> Map<String, Value> {
    let now = || section.settings.iter().filter(|setting| setting.later.is_none());
    let properties: Map<_, _> =
        now().map(|setting| (setting.key.to_owned(), property(setting))).collect();
    let mut table = Map::new();
    if !section.about.is_empty() {
        table.insert("description".to_owned(), section.about.into());
    }
    table.insert("type".to_owned(), "object".into());
    table.insert("properties".to_owned(), properties.into());
    table.insert("additionalProperties".to_owned(), false.into());
    let required: Vec<_> =
        now().filter(|setting| setting.is_required()).map(|setting| setting.key).collect();
    if !required.is_empty() {
        table.insert("required".to_owned(), required.into());
    }
    let tags: Vec<_> = now().filter(|setting| setting.is_tag()).map(|tag| tag.key).collect();
    if !tags.is_empty() {
        let ways = tags.iter().map(|tag| {
            let beside = now().filter(|setting| match setting.role {
                Role::Free => true,
                Role::Tag => setting.key == *tag,
                Role::Beside(tags) => tags.contains(tag),
            });
            let keys: Vec<_> = beside.map(|setting| setting.key).collect();
            json!({ "required": [tag], "propertyNames": { "enum": keys } })
        });
        table.insert("oneOf".to_owned(), ways.collect());
    }
    table
}

fn property(setting: &'static Setting) -> Value {
    let mut property = takes(&setting.takes);
    property.insert("description".to_owned(), setting.meaning.into());
    if let Unwritten::Value(value) = setting.unwritten {
        property.extend(toml(&value()).map(|value| ("default".to_owned(), value)));
    }
    let example = toml(setting.example).map(|value| ("examples".to_owned(), json!([value])));
    property.extend(example);
    property.into()
}

fn takes(takes: &'static Accepts) -> Map<String, Value> {
    let schema = match takes {
        Accepts::Text(syntax) if syntax.pattern.is_empty() => json!({ "type": "string" }),
        Accepts::Text(syntax) => json!({ "type": "string", "pattern": syntax.pattern }),
        Accepts::Choice(choices) => {
            let now = choices.iter().filter(|choice| choice.later.is_none());
            json!({ "enum": now.map(|choice| choice.word).collect::<Vec<_>>() })
        }
        Accepts::Bool => json!({ "type": "boolean" }),
        Accepts::True => json!({ "const": true }),
        Accepts::Number(least, most) => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Accepts::List(item) => json!({ "type": "array", "items": self::takes(item) }),
        Accepts::OneOrMore(item) => {
            let item = self::takes(item);
            json!({ "anyOf": [item, { "type": "array", "items": item }] })
        }
        Accepts::Table(section) => json!({ "$ref": format!("#/$defs/{}", name(section)) }),
        Accepts::Named(syntax, item) => {
            let mut table = json!({ "type": "object", "additionalProperties": self::takes(item) });
            if !syntax.pattern.is_empty() {
                table["propertyNames"] = json!({ "pattern": syntax.pattern });
            }
            table
        }
        Accepts::Either(all) => {
            json!({ "anyOf": all.iter().map(self::takes).collect::<Vec<_>>() })
        }
        Accepts::Json => json!({}),
    };
    match schema {
        Value::Object(schema) => schema,
        _ => Map::new(),
    }
}

/// The same value in JSON.
fn toml(value: &str) -> Option<Value> {
    let table: toml::Table = format!("value = {value}").parse().ok()?;
    serde_json::to_value(table.get("value")?).ok()
}
