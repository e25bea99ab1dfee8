//! `[documents.<kind>]`: how to get at the documents of a kind, and its rules.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, header};

use super::locate::{locators, report};
use super::problem::{Problem, Severity};
use super::rules::{DEFAULT_MAX_SIZE, Placed, Reading, viewable};
use super::tenants;
use super::tree::{Table, Value};
use super::view::default_view;
use super::{Action, AppSays, Kind, ListRequest, Validate, ViewRule, names};
use crate::locate::{Locator, json_path};
use crate::route::{IdForm, Outgoing, Pattern};

/// All kinds in the order of the file, and their rules.
pub(super) fn kinds(root: &Table<'_>, reading: &Reading<'_>) -> (Vec<Arc<Kind>>, Vec<Placed>) {
    let documents = root.get("documents").and_then(|value| value.table("`[documents]`"));
    let (mut kinds, mut rules) = (Vec::new(), Vec::new());
    for entry in documents.iter().flat_map(Table::entries) {
        let Some(table) = entry.table(format!("`[documents.{}]`", entry.key)) else { continue };
        if entry.key.is_empty() || !entry.key.chars().all(fits_in_an_address) {
            let message = format!("`{}` is not a name for a kind of document", entry.key);
            let problem = Problem::error(entry.key_span.clone(), message);
            entry.report(
                problem.label("expected letters, digits, `-` and `_`: it is part of addresses"),
            );
        }
        let hosts = tenants::hosts(&table).into();
        let mut own = super::rules::rules(&table, entry.key, kinds.len(), &hosts, reading);
        let kind = kind(&table, entry.key, hosts, &own, reading);
        if let Some(source) = &kind.source {
            own.iter_mut().for_each(|placed| serve_bytes(placed, source));
        }
        kinds.push(Arc::new(kind));
        rules.extend(own);
        table.finish();
    }
    if kinds.is_empty() {
        let message = "no kind of document: every request passes through untouched";
        let problem = Problem::new(Severity::Warning, None, message);
        root.reader.problems.push(problem.help("add a table `[documents.files]`"));
    }
    (kinds, rules)
}

pub(super) fn fits_in_an_address(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_".contains(c)
}

fn kind(
    table: &Table<'_>,
    name: &str,
    hosts: Arc<[String]>,
    rules: &[Placed],
    reading: &Reading<'_>,
) -> Kind {
    let views = || {
        rules.iter().filter_map(|placed| match &placed.rule.action {
            Action::View(view) => Some((placed, view)),
            _ => None,
        })
    };
    let source = table.get("source").and_then(|value| outgoing(&value, true));
    let list = table.get("list").and_then(|value| list(&value));
    let probe = match table.get("probe") {
        Some(value) => {
            let items = value.at_least_one("no request that could ask the app");
            items.iter().filter_map(|item| outgoing(item, false)).collect()
        }
        None => match &source {
            Some(source) => vec![first_byte(source.clone())],
            None => views().find_map(|(placed, _)| by_id_alone(placed)).into_iter().collect(),
        },
    };
    if let Some(value) = table.get("resolve") {
        resolve(&value);
    }
    let default = || ViewRule { name: format!("documents.{name}"), ..default_view(reading) };
    let mut all: Vec<_> = views().map(|(_, view)| view.clone()).collect();
    if all.is_empty() {
        all.push(default().into());
    }
    let (max_size, types) = limits(rules);
    let validate = validate(table, source.as_ref(), &probe);
    let per_host = table.get("per_host").and_then(|value| value.bool()).unwrap_or(false);
    let ids = id_form(rules, source.iter().chain(&probe), reading);
    let name = name.to_owned();
    let kind = Kind {
        name: name.into(),
        hosts,
        per_host,
        ids,
        source,
        list,
        max_size,
        types,
        probe,
        validate,
        views: all,
    };
    if kind.probe.is_empty() && table.get("probe").is_none() {
        no_probe(table, &kind, views());
    }
    kind
}

/// What the types of captures say about ids.
fn id_form<'o>(
    rules: &[Placed],
    templates: impl Iterator<Item = &'o Outgoing>,
    reading: &Reading<'_>,
) -> IdForm {
    let mut form = IdForm::new(reading.fold_case);
    for Placed { rule, .. } in rules {
        for name in rule.action.ids().iter().filter_map(Locator::capture) {
            form.learn(&rule.pattern, name);
        }
    }
    for template in templates {
        if let Ok(pattern) = Pattern::parse(template.text()) {
            form.learn(&pattern, "id");
        }
    }
    form
}

/// The largest size and all types of the upload rules.
fn limits(rules: &[Placed]) -> (u64, Vec<String>) {
    let uploads = || {
        rules.iter().filter_map(|placed| match &placed.rule.action {
            Action::Upload(upload) if !upload.only_known => Some(upload),
            _ => None,
        })
    };
    let max_size = uploads().map(|upload| upload.max_size).max().unwrap_or(DEFAULT_MAX_SIZE);
    let mut types: Vec<String> = Vec::new();
    for name in uploads().flat_map(|upload| &upload.types) {
        if !types.contains(name) {
            types.push(name.clone());
        }
    }
    if uploads().next().is_none() {
        types = viewable();
    }
    (max_size, types)
}

/// Reports what needs the app's word when nothing says how to ask for it.
fn no_probe<'r>(
    table: &Table<'_>,
    kind: &Kind,
    views: impl Iterator<Item = (&'r Placed, &'r Arc<ViewRule>)>,
) {
    let name = &kind.name;
    let help = format!("add `source = \"GET /…/{{id}}\"` or `probe` to [documents.{name}]");
    for (placed, view) in views {
        let early = !view.session.request.is_empty();
        if view.authorize.app == AppSays::Probe || (early && view.authorize.app == AppSays::Reply) {
            let message = match early || view.names_document_in_path(&placed.rule.pattern) {
                true => "this view needs the app's word before the app answers",
                false => "the id is not in the path alone, so the app's own reply proves nothing",
            };
            let problem = Problem::error(placed.span.clone(), message);
            let problem = problem.label("and nothing says how to ask for its word");
            table.reader.problems.push(problem.help(help.clone()));
        }
    }
    if kind.views.iter().any(|view| view.authorize.app != AppSays::NotAsked) {
        let message = format!("nothing says how to ask the app about documents of `{name}`");
        let label = format!("so `/.transom/session/{name}/…` is never allowed");
        let problem = Problem::warning(table.span.clone(), message).label(label);
        table.reader.problems.push(problem.help(help));
    }
}

/// `"GET /files/{id}"` or `{ route = "GET /files/{id}", headers = { … } }`.
fn outgoing(value: &Value<'_>, is_source: bool) -> Option<Outgoing> {
    let table = match value.is_table() {
        true => Some(value.table(format!("`{}`", value.key))?),
        false => None,
    };
    let route = match &table {
        Some(table) => table.require("route"),
        None => Some(value.clone()),
    };
    let outgoing = route.and_then(|route| template(&route, is_source));
    let Some(table) = table else { return outgoing };
    let headers = table.get("headers").and_then(|value| value.table("`headers`"));
    let headers = headers.map(|table| given_headers(&table)).unwrap_or_default();
    if is_source {
        table.get("url").and_then(|url| url.text());
    }
    table.finish();
    let mut outgoing = outgoing?;
    outgoing.headers = headers;
    Some(outgoing)
}

fn template(route: &Value<'_>, is_source: bool) -> Option<Outgoing> {
    let outgoing = route.parse(Outgoing::parse)?;
    let other = outgoing.names().into_iter().find(|name| *name != "id").map(str::to_owned);
    if let Some(name) = other {
        let label = "only `{id}` and `{*id}` are known here";
        return route.error(format!("nothing fills `{{{name}}}`"), label);
    }
    if outgoing.names().is_empty() {
        let label = "write `{id}` where the document's id belongs";
        return route.error("this request is the same for every document", label);
    }
    if is_source && outgoing.method != Method::GET {
        return route
            .error(format!("{} does not fetch a document", outgoing.method), "expected GET");
    }
    Some(outgoing)
}

/// `{ route = "GET /api/files?page={page}", ids = "$.data[*].id", next = "$.next" }`
fn list(value: &Value<'_>) -> Option<ListRequest> {
    let table = value.table("`list`")?;
    let request = table.require("route").and_then(|route| page(&route));
    let path = |value: Value<'_>| {
        let text = value.text()?;
        json_path(text).map_err(|mistake| report::<()>(&value, text, mistake)).ok()
    };
    let ids = table.require("ids").and_then(path);
    let next = table.get("next").map(path);
    let headers = table.get("headers").and_then(|value| value.table("`headers`"));
    let headers = headers.map(|table| given_headers(&table)).unwrap_or_default();
    table.finish();
    let mut request = request?;
    request.headers = headers;
    // A `next` that is wrong must not become none.
    let next = match next {
        None => None,
        Some(next) => Some(next?),
    };
    Some(ListRequest { request, ids: ids?, next })
}

fn page(route: &Value<'_>) -> Option<Outgoing> {
    let outgoing = route.parse(Outgoing::parse)?;
    let other = outgoing.names().into_iter().find(|name| *name != "page").map(str::to_owned);
    if let Some(name) = other {
        let label = "only `{page}` is known here";
        return route.error(format!("nothing fills `{{{name}}}`"), label);
    }
    if outgoing.method != Method::GET {
        return route.error(format!("{} does not list documents", outgoing.method), "expected GET");
    }
    Some(outgoing)
}

fn given_headers(table: &Table<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for entry in table.entries() {
        let name = match names::header(entry.key) {
            Ok(name) if NOT_GIVEN.contains(&name) => {
                let message = format!("`{name}` is not for the configuration");
                entry.error(message, "the caller's own, or the connection's, is used")
            }
            Ok(name) => Some(name),
            Err(message) => entry.error(message, ""),
        };
        let value = entry.parse(|text| {
            HeaderValue::from_str(text).map_err(|_| "not a value for a header".to_owned())
        });
        if let (Some(name), Some(value)) = (name, value) {
            headers.insert(name, value);
        }
    }
    headers
}

fn first_byte(mut source: Outgoing) -> Outgoing {
    source.headers.insert(header::RANGE, HeaderValue::from_static("bytes=0-0"));
    source
}

/// How changes of the bytes are noticed: by default where a probe asks for them anyway.
fn validate(table: &Table<'_>, source: Option<&Outgoing>, probes: &[Outgoing]) -> Option<Validate> {
    let value = table.get("validate");
    let wanted = match &value {
        Some(value) => value.bool()?,
        None => source.is_some_and(|source| probes.iter().any(|probe| probe.is_at(source))),
    };
    if !wanted {
        return None;
    }
    let reads = |source: &Outgoing| probes.iter().find(|probe| probe.is_at(source)).cloned();
    match (source, probes.first()) {
        (Some(source), _) => {
            let request = reads(source).unwrap_or_else(|| first_byte(source.clone()));
            Some(Validate { request, of_bytes: true })
        }
        (None, Some(probe)) => Some(Validate { request: probe.clone(), of_bytes: false }),
        (None, None) => {
            let message = "nothing says where the app's own bytes are";
            value?.error(message, "add `source` or `probe`")
        }
    }
}

/// Marks a view whose route is where the bytes are.
fn serve_bytes(placed: &mut Placed, source: &Outgoing) {
    let route = Outgoing::parse(&format!("GET {}", placed.rule.pattern.text()));
    let is_there = route.is_ok_and(|route| route.is_at(source));
    if let (true, Action::View(view)) = (is_there, &mut placed.rule.action) {
        Arc::make_mut(view).serves_bytes = true;
    }
}

/// The view's own request, if the id is all that it takes.
fn by_id_alone(placed: &Placed) -> Option<Outgoing> {
    let rule = &placed.rule;
    // The `{id}` in its path, and not one that is elsewhere: that can be read in too many ways.
    let is_id = |locator: &Locator| locator.capture() == Some("id");
    let alone = rule.method == Method::GET
        && rule.pattern.names() == ["id"]
        && rule.pattern.is_in_path("id")
        && rule.action.ids().iter().all(is_id);
    alone.then(|| Outgoing::parse(&format!("GET {}", rule.pattern.text())).ok())?
}

fn resolve(value: &Value<'_>) {
    if let Some(table) = value.table("`resolve`") {
        if let Some(get) = table.require("get") {
            get.parse(|path| Outgoing::parse(&format!("GET {path}")));
        }
        table.get("accept").and_then(|accept| accept.text());
        if let Some(id) = table.require("id") {
            locators(&id, None);
        }
        table.finish();
    }
}

const NOT_GIVEN: &[http::HeaderName] = &[
    header::AUTHORIZATION,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::COOKIE,
    header::HOST,
    header::TRANSFER_ENCODING,
];
