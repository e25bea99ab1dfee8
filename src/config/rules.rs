//! The rules of a kind: upload, replace, delete, and those that wait for a later version.

use http::Method;

use super::locate::{ids, locators};
use super::problem::{Problem, Span};
use super::tree::{Table, Value};
use super::units::size;
use super::view::{self, view};
use super::{Action, Confirm, DeleteRule, Identity, UploadRule, VIEWABLE_TYPES, ViewRule, names};
use crate::condition::Condition;
use crate::extract::{self, FileSource, Takes};
use crate::inject::Pointer;
use crate::nearest::nearest;
use crate::route::{Pattern, split_method};
use crate::rules::Rule;

/// A rule and where its route is written.
pub(super) struct Placed {
    pub(super) rule: Rule,
    pub(super) span: Span,
}

/// What rules are read against.
pub(super) struct Reading<'a> {
    pub(super) identities: &'a [Identity],
    /// Every name that is written, also of identities that could not be read.
    pub(super) identity_names: &'a [String],
    /// `/.transom`
    pub(super) prefix: &'a str,
    /// The app does not see the case of paths.
    pub(super) fold_case: bool,
}

impl Reading<'_> {
    pub(super) fn has_identity(&self) -> bool {
        !self.identity_names.is_empty()
    }
}

/// Every rule of `[documents.<kind>]`.
pub(super) fn rules(
    table: &Table<'_>,
    kind_name: &str,
    kind: usize,
    hosts: &std::sync::Arc<[String]>,
    reading: &Reading<'_>,
) -> Vec<Placed> {
    let mut rules = Vec::new();
    for action in ["upload", "replace", "delete", "view", "move", "changed"] {
        let Some(list) = table.get(action) else { continue };
        let mut views = Vec::new();
        for (index, item) in list.array().iter().enumerate() {
            let name = format!("documents.{kind_name}.{action}[{index}]");
            let Some(table) = item.table(format!("`[[documents.{kind_name}.{action}]]`")) else {
                continue;
            };
            let route = table.require("route");
            let parsed = route.as_ref().and_then(|value| read_route(value, reading));
            let pattern = parsed.as_ref().map(|(_, pattern)| pattern);
            let when = table.get("when").and_then(|value| condition(&value, &["request", "form"]));
            let action = match action {
                "view" => {
                    let rule = view(&table, pattern, reading);
                    let view = view::name(&table, index, &mut views);
                    Some(Action::View(ViewRule { name: name.clone(), view, ..rule }.into()))
                }
                "delete" => Some(Action::Delete(delete(&table, pattern))),
                "move" | "changed" => {
                    later(&table, pattern, action);
                    None
                }
                _ => Some(Action::Upload(upload(&table, pattern, action == "replace"))),
            };
            table.finish();
            if let (Some(route), Some((method, pattern)), Some(action)) = (route, parsed, action) {
                check_method(&route, &method, &action);
                let hosts = hosts.clone();
                let rule = Rule { name, kind, hosts, method, pattern, when, action };
                rules.push(Placed { rule, span: route.span });
            }
        }
    }
    rules
}

/// CEL over `variables`.
pub(super) fn condition(value: &Value<'_>, variables: &[&str]) -> Option<Condition> {
    match Condition::compile(value.text()?.trim_end(), variables) {
        Ok(condition) => Some(condition),
        Err(error) => {
            let span = match error.position {
                Some((line, column)) => value.span_within(line, column),
                None => value.span.clone(),
            };
            let problem = Problem::error(span, format!("`{}` is not a condition", value.key));
            value.report(problem.label(error.message));
            None
        }
    }
}

fn read_route(value: &Value<'_>, reading: &Reading<'_>) -> Option<(Method, Pattern)> {
    let (method, pattern) = value.parse(|text| {
        let (method, path) = split_method(text)?;
        Ok((method, Pattern::parse(path)?))
    })?;
    let ours = pattern.text().strip_prefix(reading.prefix);
    if ours.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?'])) {
        let label = "no request for it reaches the app";
        return value.error(format!("`{}` is Transom's own address", reading.prefix), label);
    }
    Some((method, pattern))
}

fn check_method(route: &Value<'_>, method: &Method, action: &Action) {
    let safe = [Method::GET, Method::HEAD, Method::OPTIONS].contains(method);
    match action {
        Action::Upload(_) if safe => {
            let message = format!("{method} requests carry no file");
            route.error::<()>(message, "expected POST, PUT or another method with a body");
        }
        Action::Delete(_) if safe => {
            let message = format!("a {method} request deletes nothing (RFC 9110, section 9.2.1)");
            route.warn(message, "an app that deletes on it can be made to by any link");
        }
        _ => {}
    }
}

fn upload(table: &Table<'_>, route: Option<&Pattern>, only_known: bool) -> UploadRule {
    if let Some(value) = table.get("alias") {
        locators(&value, route);
    }
    if let Some(value) = table.get("mode") {
        value.choice(&[("tee", ())]);
    }
    if table.get("file").is_none() {
        let message = "any part of a form with a file name is taken";
        let problem = Problem::warning(table.span.clone(), message);
        let label =
            "a form where it is not plain to every reader which parts those are is left alone";
        let help = "name the part: file = { part = \"file\" }; or, if the body itself is the file, \
                    file = { body = true }";
        table.reader.problems.push(problem.label(label).help(help));
    }
    UploadRule {
        only_known,
        file: table.get("file").and_then(|value| file(&value)).unwrap_or(FileSource::AnyPart),
        id: ids(table, route),
        accepted: accepted(table),
        confirm: confirm(table),
        max_size: table
            .get("max_size")
            .and_then(|value| value.parse(some_size))
            .unwrap_or(DEFAULT_MAX_SIZE),
        types: table.get("types").map_or_else(viewable, |value| types(&value)),
        attributes: table.get("attributes").map(|value| attributes(&value)).unwrap_or_default(),
    }
}

/// `{ tenant = "claims.tenant" }`
fn attributes(value: &Value<'_>) -> Vec<(String, Condition)> {
    let Some(table) = value.table("`attributes`") else { return Vec::new() };
    let entries = table.entries();
    if entries.len() > MAX_ATTRIBUTES {
        let label = format!("expected at most {MAX_ATTRIBUTES}");
        value.error::<()>("too many attributes for one document", label);
    }
    let read = entries.iter().filter_map(|entry| {
        if names::token(entry.key).is_err() || entry.key.contains(['-', '.']) {
            let message = format!("`{}` can't follow `document.attributes.`", entry.key);
            entry.error::<()>(message, "expected letters, digits and `_`");
        }
        let source = condition(entry, &["claims", "request", "form"])?;
        Some((entry.key.to_owned(), source))
    });
    read.collect()
}

fn delete(table: &Table<'_>, route: Option<&Pattern>) -> DeleteRule {
    let prefix = table.get("prefix").and_then(|value| value.bool()).unwrap_or(false);
    DeleteRule { id: ids(table, route), prefix, accepted: accepted(table), confirm: confirm(table) }
}

/// `move` and `changed`.
fn later(table: &Table<'_>, route: Option<&Pattern>, action: &str) {
    accepted(table);
    if action == "changed" {
        ids(table, route);
    } else {
        for key in ["from", "to"] {
            if let Some(value) = table.require(key) {
                locators(&value, route);
            }
        }
    }
}

fn accepted(table: &Table<'_>) -> Option<Condition> {
    condition(&table.get("accepted")?, &["reply"])
}

/// `"auto"`, `true` or `false`.
fn confirm(table: &Table<'_>) -> Confirm {
    let Some(value) = table.get("confirm") else { return Confirm::Auto };
    let read = match value.as_text() {
        Some(_) => value.choice(&[("auto", Confirm::Auto)]),
        None => value.bool().map(|look| if look { Confirm::Always } else { Confirm::Never }),
    };
    read.unwrap_or_default()
}

fn file(value: &Value<'_>) -> Option<FileSource> {
    let table = value.table("`file`")?;
    let known = extract::NOTATIONS;
    let source = table.one_of();
    let file = source.and_then(|source| {
        let notation = known.iter().find(|notation| notation.key == source.key);
        match notation.map(|notation| &notation.takes) {
            Some(Takes::Text(file)) => source.text().map(file),
            Some(Takes::Flag(file)) if source.bool()? => Some(file()),
            Some(Takes::Flag(_)) => {
                source.error(format!("`{}` is the file or not", source.key), "expected `true`")
            }
            None => later_file(&source, &table),
        }
    });
    table.finish();
    file
}

/// Files in JSON and resumable uploads.
fn later_file(source: &Value<'_>, table: &Table<'_>) -> Option<FileSource> {
    if source.key == "json" {
        source.parse(Pointer::parse);
        for pointer in [table.get("name"), table.get("type")].into_iter().flatten() {
            pointer.parse(Pointer::parse);
        }
        if let Some(encoding) = table.get("encoding") {
            encoding.choice(&[("base64", ())]);
        }
        return None;
    }
    if let Some(names) = source.table("`tus`") {
        for key in ["name", "type"] {
            names.get(key).and_then(|value| value.text());
        }
        names.finish();
    }
    None
}

fn some_size(text: &str) -> Result<u64, String> {
    match size(text)? {
        0 => Err("nothing would be captured".to_owned()),
        bytes => Ok(bytes),
    }
}

fn types(value: &Value<'_>) -> Vec<String> {
    let items = value.at_least_one("nothing would be captured");
    for item in &items {
        let Some(text) = item.text() else { continue };
        if !VIEWABLE_TYPES.contains(&text) {
            let label = match nearest(text, VIEWABLE_TYPES.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "nothing is captured because of it".to_owned(),
            };
            item.warn(format!("`{text}` is not recognised by content"), label);
        }
    }
    items.iter().filter_map(Value::as_text).map(str::to_ascii_lowercase).collect()
}

pub(super) fn viewable() -> Vec<String> {
    VIEWABLE_TYPES.iter().map(|name| (*name).to_owned()).collect()
}

/// Of one document; each rests in the store with it.
pub(super) const MAX_ATTRIBUTES: usize = 16;
pub(super) const DEFAULT_MAX_SIZE: u64 = 100 << 20;
