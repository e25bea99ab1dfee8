//! All rules, found by path.

use std::borrow::Cow;
use std::collections::HashMap;

use http::{HeaderMap, Method, Uri};

use super::Rule;
use super::meant::{self, Document, Form};
use crate::random::RandomState;
use crate::reading::decode;
use crate::route::{
    Captures, Fold, Outgoing, Overlap, Pattern, Segment, effective, lenient, overriding_paths,
    precedence, relation,
};

/// All rules, ready to be asked.
#[derive(Debug, Default)]
pub(crate) struct RouteTable {
    /// In order of precedence.
    rules: Vec<Rule>,
    /// Rules by the first segment of the path, with those of `others` among them.
    by_first: HashMap<String, Vec<usize>, RandomState>,
    /// Rules whose path does not start with a literal.
    others: Vec<usize>,
    /// The patterns of `rules` for an app that sees neither case nor trailing slashes.
    loose: Vec<Pattern>,
    /// Some rule's path has capital letters.
    capitals: bool,
    /// Kinds without a `source`.
    trusted: Vec<usize>,
    /// Some rule has a query part.
    queries: bool,
    /// Some rule captures a number.
    numbers: bool,
    /// How documents are addressed, by rules and by what Transom itself asks for.
    forms: Vec<Form>,
    fold: Fold,
}

#[derive(Debug)]
pub(crate) struct Candidate<'t> {
    /// The rule's place in [`RouteTable::rules`].
    pub(crate) index: usize,
    pub(crate) rule: &'t Rule,
    pub(crate) captures: Captures,
}

impl RouteTable {
    /// The table, and the pairs of rules that get in each other's way. What such a pair means
    /// (`when` and `file` may tell the two apart) is the caller's to judge.
    pub(crate) fn build(rules: Vec<Rule>, fold: Fold) -> (Self, Vec<Overlap>) {
        let mut rules: Vec<_> = rules.into_iter().enumerate().collect();
        for (_, rule) in &mut rules {
            rule.pattern = rule.pattern.clone().folding(fold);
        }
        rules.sort_by_cached_key(|(_, rule)| precedence(rule));
        let overlaps = overlaps(&rules);
        let rules: Vec<_> = rules.into_iter().map(|(_, rule)| rule).collect();
        let mut table = Self { fold, ..Self::default() };
        for rule in &rules {
            if let Some(Segment::Literal(first)) = rule.pattern.segments.first() {
                table.by_first.entry(table.fold_case(first).into_owned()).or_default();
            }
        }
        for (index, rule) in rules.iter().enumerate() {
            match rule.pattern.segments.first() {
                Some(Segment::Literal(first)) => {
                    let first = table.fold_case(first).into_owned();
                    table.by_first.entry(first).or_default().push(index);
                }
                _ => {
                    table.others.push(index);
                    table.by_first.values_mut().for_each(|bucket| bucket.push(index));
                }
            }
        }
        table.loose = rules.iter().map(|rule| rule.pattern.clone().loosened()).collect();
        let capital = |segment: &Segment| matches!(segment, Segment::Literal(text) if text.bytes().any(|b| b.is_ascii_uppercase()));
        table.capitals = rules.iter().any(|rule| rule.pattern.segments.iter().any(capital));
        table.queries = rules.iter().any(|rule| rule.pattern.asks_query());
        table.numbers = rules.iter().any(|rule| !rule.pattern.numbers().is_empty());
        table.forms = rules.iter().filter_map(|rule| Form::of_rule(rule, fold)).collect();
        table.rules = rules;
        (table, overlaps)
    }

    /// The rules whose path and query match, in order of precedence, of any method: the caller
    /// decides on the effective method. Empty, without allocating, for a path of no rule.
    pub(crate) fn candidates(&self, path: &str, query: Option<&str>) -> Vec<Candidate<'_>> {
        let matched = self.bucket(path).iter().filter_map(|index| {
            let rule = &self.rules[*index];
            let captures = rule.pattern.captures(path, query)?;
            Some(Candidate { index: *index, rule, captures })
        });
        matched.collect()
    }

    /// Whether an app that reads paths less strictly could take this one for another route or document than
    /// the `candidates` of it say. Then no rule governs the request.
    pub(crate) fn is_unclear(
        &self,
        path: &str,
        query: Option<&str>,
        candidates: &[Candidate<'_>],
    ) -> bool {
        let hidden = |found: &Candidate<'_>| found.rule.pattern.hides_slash(path);
        lenient::readings(path, !candidates.is_empty()).iter().any(|reading| {
            let read = self.loosely(reading, query);
            !read.is_empty() && !same(&read, candidates)
        }) || candidates.iter().any(hidden)
            || (candidates.is_empty()
                && self.may_fold(path)
                && !self.loosely(path, query).is_empty())
            || (self.numbers
                && self.bucket(path).iter().any(|at| self.rules[*at].pattern.mistakes_number(path)))
    }

    /// Whether an app could find something else in the query than Transom does, where a rule for this path and method
    /// looks. Then no rule governs the request.
    ///
    /// `has_body`: a form in it may add parameters, and a request that only reads has no use for one.
    pub(crate) fn is_query_unclear(
        &self,
        method: &Method,
        path: &str,
        query: Option<&str>,
        has_body: impl Fn() -> bool,
    ) -> bool {
        let unclear = |rule: &Rule| {
            let pattern = &rule.pattern;
            // A POST may be meant as another method.
            (rule.method == *method || *method == Method::POST)
                && pattern.asks_query()
                && pattern.is_path(path)
                && (pattern.is_query_unclear(query) || (method.is_safe() && has_body()))
        };
        self.queries && self.bucket(path).iter().any(|at| unclear(&self.rules[*at]))
    }

    /// Whether a form says something else than the query where a rule for this path looks.
    pub(crate) fn are_fields_unclear(
        &self,
        path: &str,
        query: Option<&str>,
        fields: &[(String, String)],
    ) -> bool {
        let unclear = |pattern: &Pattern| {
            pattern.asks_query()
                && pattern.is_path(path)
                && pattern.are_fields_unclear(query, fields)
        };
        self.queries
            && !fields.is_empty()
            && self.bucket(path).iter().any(|at| unclear(&self.rules[*at].pattern))
    }

    /// Documents of this kind are also found at this address of the app's.
    pub(crate) fn add_address(&mut self, kind: usize, template: &Outgoing) {
        self.forms.extend(Form::of_template(kind, template, self.fold));
    }

    /// The documents that a request may change in the hands of some app, whichever way that reads it: with a rule or
    /// without, by double slashes, `%2F`, case, dot segments, path parameters or a second decoding, under another
    /// method or path that its headers name, and as the `Destination` of a move. Empty, without allocating, for
    /// methods that change nothing.
    pub(crate) fn may_change(
        &self,
        method: &Method,
        headers: &HeaderMap,
        uri: &Uri,
    ) -> Vec<Document> {
        let meant = effective(method, headers, uri.query(), &[]);
        if !meant::may_write(method) && meant.is_ok_and(|method| !meant::may_write(&method)) {
            return Vec::new();
        }
        let mut found = meant::documents(&self.forms, uri.path(), uri.query());
        // RFC 4918, sections 9.8 and 9.9.
        let is_moved = matches!(method.as_str(), "MOVE" | "COPY");
        let destination = headers.get("destination").filter(|_| is_moved);
        if let Some(destination) = destination.and_then(|value| value.to_str().ok()) {
            found.extend(meant::documents_at(&self.forms, destination, uri.path()));
        }
        // Without a `source` a doubt lasts: what few apps honour must not raise one by any request of any stranger.
        let heals = |(kind, _): &Document| !self.trusted.contains(kind);
        if !meant::may_write(method) {
            found.retain(heals);
        }
        for address in overriding_paths(headers) {
            let more = meant::documents_at(&self.forms, address, uri.path());
            found.extend(more.into_iter().filter(heals));
        }
        found
    }

    /// The documents that these may name in some reading, by a request with this method.
    #[cfg(test)]
    pub(crate) fn documents_meant(
        &self,
        method: &Method,
        path: &str,
        query: Option<&str>,
    ) -> Vec<Document> {
        match meant::may_write(method) {
            true => meant::documents(&self.forms, path, query),
            false => Vec::new(),
        }
    }

    /// Only the rules that write documents of this kind say where they are written: without a `source` a doubt lasts
    /// until the next upload, so that a rename at a view's address must not raise one.
    pub(crate) fn trust_views(&mut self, kind: usize) {
        self.forms.retain(|form| form.kind != kind || form.writes);
        self.trusted.push(kind);
    }

    /// As if the app saw neither case nor trailing slashes.
    fn loosely(&self, path: &str, query: Option<&str>) -> Vec<Candidate<'_>> {
        let rules = self.rules.iter().zip(&self.loose).enumerate();
        let matched = rules.filter_map(|(index, (rule, loose))| {
            Some(Candidate { index, rule, captures: loose.captures(path, query)? })
        });
        matched.collect()
    }

    /// Whether folding could lead this path to a rule: a cheap no for most.
    fn may_fold(&self, path: &str) -> bool {
        let capitals = self.capitals || path.bytes().any(|byte| byte.is_ascii_uppercase());
        if !capitals && !path.ends_with('/') {
            return false;
        }
        let first = path.split('/').nth(1).unwrap_or_default();
        let near = |key: &String| key.eq_ignore_ascii_case(first);
        !self.others.is_empty() || self.by_first.keys().any(near)
    }

    pub(crate) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    fn bucket(&self, path: &str) -> &[usize] {
        let Some(path) = path.strip_prefix('/') else { return &[] };
        let end = path.bytes().position(|byte| byte == b'/').unwrap_or(path.len());
        let first = path.get(..end).unwrap_or_default();
        let Some(first) = decode::segment(first) else {
            return if first.is_empty() { &self.others } else { &[] };
        };
        self.by_first.get(&*self.fold_case(&first)).unwrap_or(&self.others)
    }

    fn fold_case<'s>(&self, text: &'s str) -> Cow<'s, str> {
        if self.fold.case && text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Cow::Owned(text.to_ascii_lowercase());
        }
        Cow::Borrowed(text)
    }
}

fn same(some: &[Candidate<'_>], others: &[Candidate<'_>]) -> bool {
    let alike = |(a, b): (&Candidate<'_>, &Candidate<'_>)| {
        std::ptr::eq(a.rule, b.rule) && a.captures == b.captures
    };
    some.len() == others.len() && some.iter().zip(others).all(alike)
}

fn overlaps(rules: &[(usize, Rule)]) -> Vec<Overlap> {
    let mut found = Vec::new();
    for (at, (first, rule)) in rules.iter().enumerate() {
        for (second, other) in rules[at + 1..].iter().filter(|(_, o)| o.method == rule.method) {
            if let Some((relation, example)) = relation(&rule.pattern, &other.pattern) {
                let (first, second) = (*first, *second);
                found.push(Overlap { first, second, relation, example });
            }
        }
    }
    found
}

/// Sorts the more specific route first: by its path from left to right (literal, typed, untyped,
/// rest), then by the number of query parts, then by how specific those are, then rules
/// for some hosts before those for all, then conditions before none. The rest is the order of the file.
fn precedence(rule: &Rule) -> impl Ord + use<> {
    (
        precedence::path(&rule.pattern),
        precedence::query(&rule.pattern),
        rule.hosts.is_empty(),
        rule.when.is_none(),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::condition::Condition;
    use crate::route::{Relation, split_method};
    use crate::rules::{Action, Confirm, DeleteRule};

    fn table(routes: &[&str], fold: Fold) -> (RouteTable, Vec<Overlap>) {
        let rule = |text: &&str| {
            let (when, text) = match text.strip_prefix("when ") {
                Some(text) => (Some(Condition::compile("true", &[]).unwrap()), text),
                None => (None, *text),
            };
            let (method, path) = split_method(text).unwrap();
            let pattern = Pattern::parse(path).unwrap();
            let action = Action::Delete(DeleteRule {
                id: vec![],
                prefix: false,
                accepted: None,
                confirm: Confirm::Auto,
            });
            Rule {
                name: text.to_owned(),
                kind: 0,
                hosts: std::sync::Arc::default(),
                method,
                pattern,
                when,
                action,
            }
        };
        RouteTable::build(routes.iter().map(rule).collect(), fold)
    }

    fn found<'t>(table: &'t RouteTable, path: &str) -> Vec<&'t str> {
        let (path, query) = path.split_once('?').map_or((path, None), |(p, q)| (p, Some(q)));
        table.candidates(path, query).iter().map(|found| found.rule.name.as_str()).collect()
    }

    #[test]
    fn the_more_specific_comes_first() {
        let (table, _) = table(
            &[
                "GET /{*rest}",
                "GET /f/{id}",
                "GET /f/{*rest}",
                "GET /f/{n:digits}",
                "GET /f/7?a={a}&b=1",
                "GET /f/7?a={a}",
                "GET /f/7",
                "when GET /f/7",
            ],
            Fold::default(),
        );
        assert_eq!(
            found(&table, "/f/7?b=1&a=2"),
            [
                "GET /f/7?a={a}&b=1",
                "GET /f/7?a={a}",
                "GET /f/7",
                "GET /f/7",
                "GET /f/{n:digits}",
                "GET /f/{id}",
                "GET /f/{*rest}",
                "GET /{*rest}",
            ]
        );
        assert!(table.candidates("/f/7", None)[0].rule.when.is_some());
        assert_eq!(found(&table, "/%66/x"), ["GET /f/{id}", "GET /f/{*rest}", "GET /{*rest}"]);
        assert_eq!(found(&table, "/g"), ["GET /{*rest}"]);
        for none in ["/", "", "*", "/../f/7", "//f/7", "/f/7/.."] {
            assert!(found(&table, none).is_empty(), "{none}");
        }
    }

    #[test]
    fn folding_reaches_the_buckets() {
        let fold = Fold { case: true, trailing_slash: true, ..Fold::default() };
        let (table, overlaps) = table(&["GET /Files/{id}", "GET /files/{x}/"], fold);
        assert_eq!(found(&table, "/FILES/7/").len(), 2);
        assert_eq!(overlaps.len(), 1);
        assert_eq!(overlaps[0].relation, Relation::Same);
    }

    #[test]
    fn overlaps_name_rules_as_given() {
        let (_, overlaps) = table(&["GET /{a}/x", "POST /f", "GET /y/{b}"], Fold::default());
        let expected =
            Overlap { first: 2, second: 0, relation: Relation::Crossing, example: "/y/x".into() };
        assert_eq!(overlaps, [expected]);
    }
}
