//! What a route looks like, and whether a request has that look.

use std::borrow::Cow;
use std::sync::Arc;

use crate::reading::{Parameter, decode, parameter};

/// The path and query part of a route: `/path/{name}/{id:digits}/{*rest}?key={name}&key=literal`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    pub(crate) segments: Vec<Segment>,
    /// The path ends in `/` (`/` itself does not count).
    pub(crate) trailing_slash: bool,
    pub(crate) query: Vec<QueryPart>,
    pub(crate) fold: Fold,
    /// The app takes captures that differ in case for the same.
    pub(crate) fold_values: bool,
    text: String,
}

/// One piece of a path between slashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Segment {
    /// Decoded text.
    Literal(String),
    One {
        name: Arc<str>,
        class: Class,
    },
    /// One or more segments.
    Rest {
        name: Arc<str>,
    },
}

/// `key=value` of a query part; never a `Segment::Rest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QueryPart {
    pub(crate) key: String,
    pub(crate) value: Segment,
}

/// What a capture accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Any,
    Digits,
    Uuid,
}

/// Differences that the app does not see (`[app] paths`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Fold {
    /// ASCII letters of literal segments.
    pub(crate) case: bool,
    pub(crate) trailing_slash: bool,
    /// `%2F` stays part of its segment. Most frameworks decode it first, and it separates two.
    pub(crate) encoded_slash: bool,
}

/// Values of a match, percent-decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Captures(pub(crate) Vec<(Arc<str>, String)>);

impl Captures {
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(key, _)| **key == *name)?;
        Some(self.0.swap_remove(at).1)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| **key == *name).map(|(_, value)| value.as_str())
    }
}

impl Pattern {
    /// The error is a sentence for the operator.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_TEXT {
            return Err(format!("a route has at most {MAX_TEXT} characters"));
        }
        let (path, query) = text.split_once('?').map_or((text, None), |(p, q)| (p, Some(q)));
        let Some(path) = path.strip_prefix('/') else {
            return Err("a path starts with `/`".to_owned());
        };
        if text.contains('#') {
            return Err("a route can't have a fragment (`#…`): browsers do not send it".to_owned());
        }
        let stem = path.strip_suffix('/').unwrap_or(path);
        let segments: Vec<_> = if stem.is_empty() && path.is_empty() {
            Vec::new()
        } else {
            stem.split('/').map(Segment::parse).collect::<Result<_, _>>()?
        };
        let query = query.into_iter().flat_map(|query| query.split('&'));
        let query: Vec<_> = query.map(QueryPart::parse).collect::<Result<_, _>>()?;
        let pattern = Self {
            segments,
            trailing_slash: stem.len() != path.len(),
            query,
            fold: Fold::default(),
            fold_values: false,
            text: text.to_owned(),
        };
        pattern.check_names()?;
        Ok(pattern)
    }

    pub(crate) fn folding(mut self, fold: Fold) -> Self {
        self.fold = fold;
        self.fold_values = fold.case;
        self
    }

    /// As if the app saw neither case nor trailing slashes; what is captured stays the same.
    pub(crate) fn loosened(mut self) -> Self {
        self.fold = Fold { case: true, trailing_slash: true, ..self.fold };
        self
    }

    /// Names it captures.
    pub(crate) fn names(&self) -> Vec<&str> {
        let query = self.query.iter().map(|part| &part.value);
        self.segments.iter().chain(query).filter_map(Segment::name).map(|name| &**name).collect()
    }

    pub(crate) fn is_in_path(&self, name: &str) -> bool {
        self.segments.iter().filter_map(Segment::name).any(|known| **known == *name)
    }

    /// The key of the query part that captures this.
    pub(crate) fn key_of(&self, name: &str) -> Option<&str> {
        let captures = |part: &&QueryPart| part.value.name().is_some_and(|known| **known == *name);
        self.query.iter().find(captures).map(|part| part.key.as_str())
    }

    pub(crate) fn class_of(&self, name: &str) -> Option<Class> {
        let query = self.query.iter().map(|part| &part.value);
        self.segments.iter().chain(query).find_map(|segment| match segment {
            Segment::One { name: known, class } if **known == *name => Some(*class),
            _ => None,
        })
    }

    /// As it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Matches a raw (still percent-encoded) path and query; captures are percent-decoded once.
    /// Allocates only when all literals and the query match, or when a segment is percent-encoded.
    pub(crate) fn captures(&self, path: &str, query: Option<&str>) -> Option<Captures> {
        let literal = |segment: &Segment, raw: &str| segment.accepts(raw, self.fold.case);
        let is_literal = |segment: &Segment| matches!(segment, Segment::Literal(_));
        // Those behind a capture are looked at first, and else everything at one go.
        let late = self.segments.iter().skip_while(|segment| is_literal(segment)).any(is_literal);
        if late && !self.walk(path, |segment, raw| !is_literal(segment) || literal(segment, raw)) {
            return None;
        }
        if !self.query.iter().all(|part| part.find(query).is_some()) {
            return None;
        }
        let mut captures = self.path_captures(path)?;
        for part in &self.query {
            if let (Some(name), Some(value)) = (part.value.name(), part.find(query)) {
                let mut value = value.into_owned();
                part.value.make_canonical(&mut value, self.fold_values);
                captures.0.push((name.clone(), value));
            }
        }
        Some(captures)
    }

    /// The same of the path alone, whatever the query says.
    pub(crate) fn path_captures(&self, path: &str) -> Option<Captures> {
        let mut captures = Captures::default();
        let captured = self.walk(path, |segment, raw| {
            let Some(name) = segment.name() else { return segment.accepts(raw, self.fold.case) };
            let Some(value) = segment.value(raw, self.fold_values) else { return false };
            captures.0.push((name.clone(), value));
            true
        });
        captured.then_some(captures)
    }

    /// Pairs each segment with its raw text (several segments for a rest) until `visit` says no.
    /// Whether every segment was paired and nothing was left over.
    pub(crate) fn walk(&self, path: &str, mut visit: impl FnMut(&Segment, &str) -> bool) -> bool {
        let Some(mut left) = self.stem(path) else { return false };
        let is_rest = |segment: &Segment| matches!(segment, Segment::Rest { .. });
        let head = self.segments.iter().position(is_rest).unwrap_or(self.segments.len());
        let (head, tail) = self.segments.split_at(head);
        for segment in head {
            let Some(text) = left else { return false };
            let (raw, next) = first_segment(text);
            if !visit(segment, raw) {
                return false;
            }
            left = next;
        }
        let Some((rest, tail)) = tail.split_first() else { return left.is_none() };
        for segment in tail.iter().rev() {
            let Some((before, raw)) = left.and_then(|text| text.rsplit_once('/')) else {
                return false;
            };
            if !visit(segment, raw) {
                return false;
            }
            left = Some(before);
        }
        left.is_some_and(|text| visit(rest, text))
    }

    /// The path without its slashes at both ends; `Some(None)` is the root. `None`: not ours.
    fn stem<'p>(&self, path: &'p str) -> Option<Option<&'p str>> {
        let path = path.strip_prefix('/')?;
        if path.is_empty() {
            return self.segments.is_empty().then_some(None);
        }
        let stem = path.strip_suffix('/').unwrap_or(path);
        let slash = stem.len() != path.len();
        (slash == self.trailing_slash || self.fold.trailing_slash).then_some(Some(stem))
    }

    fn check_names(&self) -> Result<(), String> {
        let names = self.names();
        if let Some(twice) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name))
        {
            return Err(format!("the capture `{}` is there twice", twice.1));
        }
        let rests = self.segments.iter().filter(|s| matches!(s, Segment::Rest { .. })).count();
        if rests > 1 {
            return Err("a route can have one `{*…}` only".to_owned());
        }
        let keys: Vec<_> = self.query.iter().map(|part| &part.key).collect();
        match keys.iter().enumerate().find(|(at, key)| keys[..*at].contains(key)) {
            Some((_, key)) => Err(format!("the query key `{key}` is there twice")),
            None => Ok(()),
        }
    }
}

/// Up to the first slash, and what is behind it. Segments are short, so that a search made for long texts would cost
/// several times as much.
fn first_segment(text: &str) -> (&str, Option<&str>) {
    let slash = text.bytes().position(|byte| byte == b'/');
    let parts = slash.and_then(|at| Some((text.get(..at)?, text.get(at + 1..)?)));
    parts.map_or((text, None), |(first, rest)| (first, Some(rest)))
}

impl Segment {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("a path has an empty segment (`//`), which no request matches".to_owned());
        }
        if !text.contains(['{', '}']) {
            return match decode::segment(text) {
                Some(literal) => Ok(Self::Literal(literal.into_owned())),
                None => Err(format!("the segment `{text}` can't be matched by any request")),
            };
        }
        Self::parse_capture(text)
    }

    fn parse_capture(text: &str) -> Result<Self, String> {
        let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
        let Some(inner) = inner.filter(|inner| !inner.contains(['{', '}'])) else {
            return Err(format!("`{text}`: a capture fills its whole segment, as in `/{{id}}/`"));
        };
        let (rest, inner) = inner.strip_prefix('*').map_or((false, inner), |name| (true, name));
        let (name, class) = inner.split_once(':').map_or((inner, None), |(n, c)| (n, Some(c)));
        let class = match class {
            None => Class::Any,
            Some("digits") if !rest => Class::Digits,
            Some("uuid") if !rest => Class::Uuid,
            Some(_) if rest => return Err(format!("`{text}`: a `{{*…}}` can't have a type")),
            Some(class) => {
                return Err(format!("unknown type `{class}`; there are `digits` and `uuid`"));
            }
        };
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(word) {
            return Err(format!("`{text}`: a capture's name has letters, digits and `_`"));
        }
        let name = name.into();
        Ok(if rest { Self::Rest { name } } else { Self::One { name, class } })
    }

    pub(crate) fn name(&self) -> Option<&Arc<str>> {
        match self {
            Self::Literal(_) => None,
            Self::One { name, .. } | Self::Rest { name } => Some(name),
        }
    }

    /// Whether a literal is there.
    pub(crate) fn accepts(&self, raw: &str, fold_case: bool) -> bool {
        // Most segments of most requests end here, without a look at each byte.
        if !raw.contains('%') {
            return self.accepts_text(raw, fold_case);
        }
        decode::segment(raw).is_some_and(|text| self.accepts_text(&text, fold_case))
    }

    /// What is captured of this raw text, if it is accepted.
    pub(crate) fn value(&self, raw: &str, fold_case: bool) -> Option<String> {
        let mut value = if let Self::Rest { .. } = self {
            let segments = raw.split('/').map(decode::segment);
            segments.collect::<Option<Vec<_>>>()?.join("/")
        } else {
            let text = decode::segment(raw)?;
            self.accepts_text(&text, false).then(|| text.into_owned())?
        };
        self.make_canonical(&mut value, fold_case);
        Some(value)
    }

    /// One spelling for what the app takes for one value. `fold_case` is for ASCII alone, as with literals: which
    /// other letters are the same depends on the app's file system and database, and two documents must not become
    /// one.
    fn make_canonical(&self, value: &mut str, fold_case: bool) {
        if fold_case || matches!(self, Self::One { class: Class::Uuid, .. }) {
            value.make_ascii_lowercase();
        }
    }

    pub(crate) fn accepts_text(&self, text: &str, fold_case: bool) -> bool {
        match self {
            Self::Literal(literal) if fold_case => literal.eq_ignore_ascii_case(text),
            Self::Literal(literal) => literal == text,
            Self::One { class, .. } => class.accepts(text),
            Self::Rest { .. } => true,
        }
    }
}

impl QueryPart {
    fn parse(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        let literal = |text| {
            decode::query_text(text)
                .map(Cow::into_owned)
                .ok_or_else(|| format!("`{text}` is not valid in a query"))
        };
        let key = literal(key)?;
        if key.is_empty() || key.contains(['{', '}']) {
            return Err(format!("`{text}`: a query part is `key={{name}}` or `key=text`"));
        }
        let value = if value.contains(['{', '}']) {
            Segment::parse_capture(value)?
        } else {
            Segment::Literal(literal(value)?)
        };
        match value {
            Segment::Rest { .. } => Err(format!("`{text}`: `{{*…}}` is for paths only")),
            value => Ok(Self { key, value }),
        }
    }

    /// The value of this part in a raw query, if it is there clearly and is accepted.
    fn find<'q>(&self, query: Option<&'q str>) -> Option<Cow<'q, str>> {
        let Parameter::Value(value) = parameter(query, &self.key) else { return None };
        let there = self.value.name().is_none() || !value.is_empty();
        (there && self.value.accepts_text(&value, false)).then_some(value)
    }
}

impl Class {
    pub(crate) fn accepts(self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Digits => {
                let zero = text.starts_with('0') && text.len() > 1;
                text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() && !zero
            }
            Self::Uuid => {
                let dash = |at| matches!(at, 8 | 13 | 18 | 23);
                let fits = |(at, b): (usize, u8)| {
                    if dash(at) { b == b'-' } else { b.is_ascii_hexdigit() }
                };
                text.len() == 36 && text.bytes().enumerate().all(fits)
            }
        }
    }
}

const MAX_TEXT: usize = 1024;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::route::Outgoing;

    fn matched(pattern: &str, path: &str) -> Option<Vec<(String, String)>> {
        let (path, query) = path.split_once('?').map_or((path, None), |(p, q)| (p, Some(q)));
        let captures = Pattern::parse(pattern).unwrap().captures(path, query)?.0.into_iter();
        Some(captures.map(|(name, value)| (name.to_string(), value)).collect())
    }

    #[track_caller]
    fn captures(pattern: &str, path: &str, expected: &[(&str, &str)]) {
        let expected = expected.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        assert_eq!(matched(pattern, path), Some(expected), "{pattern} on {path}");
    }

    #[test]
    fn captures_are_decoded_once() {
        captures("/files/{id}", "/files/7", &[("id", "7")]);
        captures("/files/{id}", "/fil%65s/a%2Fb", &[("id", "a/b")]);
        captures("/files/{id}", "/files/%252F", &[("id", "%2F")]);
        captures("/f/{id:digits}/x", "/f/700/x", &[("id", "700")]);
        captures("/f/{id:digits}", "/f/0", &[("id", "0")]);
        let id = "9bc01234-5678-9abc-def0-123456789abc";
        captures("/f/{id:uuid}", &format!("/f/{}", id.to_uppercase()), &[("id", id)]);
        captures("/site/{*folder}/@add", "/site/a/b%2Fc/@add", &[("folder", "a/b/c")]);
        captures("/{*id}", "/a", &[("id", "a")]);
        captures("/", "/", &[]);
        captures("/%C3%BCber/", "/%c3%bcber/", &[]);
        let uuid = "0190a1b2-0000-7abc-8def-0123456789ab";
        captures("/f/{id:uuid}", &format!("/f/{uuid}"), &[("id", uuid)]);
    }

    #[test]
    fn what_is_not_the_route_does_not_match() {
        let none: &[(&str, &str)] = &[
            ("/files/{id}", "/files"),
            ("/files/{id}", "/files/"),
            ("/files/{id}", "/files/7/"),
            ("/files/{id}", "/files/7/x"),
            ("/files/{id}", "/Files/7"),
            ("/files/{id}", "/files//7"),
            ("/files/{id}", "//files/7"),
            ("/files/{id}", "/files/.."),
            ("/files/{id}", "/files/%2e%2E"),
            ("/files/{id}", "/files/a%00"),
            ("/files/{id}", "/files/a%5C..%5Cb"),
            ("/files/{id:digits}", "/files/007"),
            ("/files/{id}", "/files/a%f"),
            ("/files/{id}", "files/7"),
            ("/files/{id}", "*"),
            ("/files/{id:digits}", "/files/7a"),
            ("/files/{id:uuid}", "/files/7"),
            ("/a/{*rest}", "/a"),
            ("/a/{*rest}", "/a/"),
            ("/a/{*rest}", "/a/b//c"),
            ("/a/{*rest}", "/a/b/../c"),
            ("/a/{*rest}/z", "/a/z"),
            ("/", "//"),
            ("/", "/a"),
        ];
        for (pattern, path) in none {
            assert_eq!(matched(pattern, path), None, "{pattern} on {path}");
        }
    }

    #[test]
    fn query_parts_are_found_wherever_they_are() {
        captures("/v?id={id}&a=b+c", "/v?x=1&a=b%20c&id=7", &[("id", "7")]);
        captures("/v?f[id]={id}", "/v?f%5bid%5D=7&f[x]=8", &[("id", "7")]);
        captures("/v?edit", "/v?edit", &[]);
        captures("/v?edit", "/v?edit=", &[]);
        for path in ["/v", "/v?id=", "/v?id=1&id=2", "/v?id=%", "/v?id=%00", "/v?ID=1", "/v?%69d=7"]
        {
            assert_eq!(matched("/v?id={id}", path), None, "{path}");
        }
    }

    #[test]
    fn folding_is_only_what_was_asked_for() {
        let pattern = Pattern::parse("/Files/{id}").unwrap();
        let fold = Fold { case: true, trailing_slash: true, encoded_slash: false };
        let folded = pattern.clone().folding(fold);
        for path in ["/files/Ab", "/FILES/Ab/"] {
            assert_eq!(pattern.captures(path, None), None);
            assert_eq!(folded.captures(path, None).unwrap().get("id"), Some("ab"));
        }
    }

    #[test]
    fn bad_patterns_say_why() {
        let bad = [
            ("files", "a path starts with `/`"),
            ("/a//b", "empty segment"),
            ("/a/../b", "can't be matched"),
            ("/a/x{id}", "fills its whole segment"),
            ("/a/{id", "fills its whole segment"),
            ("/a/{}", "name"),
            ("/a/{id:int}", "`digits` and `uuid`"),
            ("/{a}/{a}", "twice"),
            ("/{*a}/{*b}", "one `{*…}` only"),
            ("/a?x=1&x=2", "twice"),
            ("/a?x={*b}", "paths only"),
            ("/a?=1", "a query part is"),
            ("/a#b", "fragment"),
        ];
        for (text, why) in bad {
            let error = Pattern::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn a_rendered_template_matches_back(id in "[^\\p{Cc}\\\\]{1,40}") {
            for (template, pattern) in [
                ("GET /f/{id}/content", "/f/{id}/content"),
                ("GET /f/{*id}/content", "/f/{*id}/content"),
                ("GET /f?post={id}&x=1", "/f?post={id}"),
            ] {
                if let Some(target) = Outgoing::parse(template).unwrap().target(&id) {
                    let pattern = Pattern::parse(pattern).unwrap();
                    let captures = pattern.captures(target.path(), target.query()).unwrap();
                    prop_assert_eq!(captures.get("id"), Some(id.as_str()));
                } else {
                    let odd = |part: &str| matches!(part, "" | "." | "..");
                    prop_assert!(id.split('/').any(odd), "{id}");
                }
            }
        }

        #[test]
        fn nothing_panics(text in ".{0,60}", path in "(/|%|\\PC|[a.]){0,30}") {
            if let Ok(pattern) = Pattern::parse(&text) {
                pattern.captures(&path, Some(&path));
            }
        }
    }
}
