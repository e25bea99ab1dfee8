//! Whether two routes can match the same request.

use std::collections::HashSet;

use super::pattern::{Class, Pattern, QueryPart, Segment};
use super::precedence;

/// Two rules of one method of which one hides, or may be mistaken for, the other.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Overlap {
    /// The one that is asked first, as an index into the rules as they were given.
    pub(crate) first: usize,
    pub(crate) second: usize,
    pub(crate) relation: Relation,
    /// A path and query that both match.
    pub(crate) example: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    /// Both match the same requests.
    Same,
    /// Some requests match both, and neither is the special case of the other.
    Crossing,
}

/// How two routes relate, and a request that hits both. `None` when nothing hits both, or when
/// one is a special case of the other, which is what precedence is for.
pub(crate) fn relation(a: &Pattern, b: &Pattern) -> Option<(Relation, String)> {
    let path = meet(a, b)?;
    let query = meet_queries(&a.query, &b.query)?;
    let (wide, narrow) = (covers(a, b), covers(b, a));
    let relation = match (wide, narrow) {
        (true, true) => {
            match (covers_query(&a.query, &b.query), covers_query(&b.query, &a.query)) {
                (true, true) => Relation::Same,
                (false, false) if precedence::query(a) == precedence::query(b) => {
                    Relation::Crossing
                }
                _ => return None,
            }
        }
        (false, false) => Relation::Crossing,
        _ => return None,
    };
    Some((relation, if query.is_empty() { path } else { format!("{path}?{query}") }))
}

/// A path that both match: a walk through both at once, where a rest may stay where it is.
fn meet(a: &Pattern, b: &Pattern) -> Option<String> {
    let fold = a.fold.trailing_slash || a.segments.is_empty();
    if a.trailing_slash != b.trailing_slash && !fold {
        return None;
    }
    let mut path = Vec::new();
    let slash = if a.trailing_slash && b.trailing_slash { "/" } else { "" };
    meet_from(a, b, (0, 0), &mut HashSet::new(), &mut path)
        .then(|| format!("/{}{slash}", path.join("/")))
}

fn meet_from(
    a: &Pattern,
    b: &Pattern,
    at: (usize, usize),
    seen: &mut HashSet<(usize, usize)>,
    path: &mut Vec<String>,
) -> bool {
    let (left, right) = match (a.segments.get(at.0), b.segments.get(at.1)) {
        (None, None) => return true,
        (Some(left), Some(right)) => (left, right),
        _ => return false,
    };
    if !seen.insert(at) {
        return false;
    }
    let Some(example) = common(left, right, a.fold.case) else { return false };
    path.push(example);
    let stays = |segment: &Segment| matches!(segment, Segment::Rest { .. });
    let found = meet_from(a, b, (at.0 + 1, at.1 + 1), seen, path)
        || (stays(left) && meet_from(a, b, (at.0, at.1 + 1), seen, path))
        || (stays(right) && meet_from(a, b, (at.0 + 1, at.1), seen, path));
    if !found {
        path.pop();
    }
    found
}

fn meet_queries(a: &[QueryPart], b: &[QueryPart]) -> Option<String> {
    let mut parts = Vec::new();
    for part in a {
        let other = b.iter().find(|other| other.key == part.key).map_or(&part.value, |o| &o.value);
        parts.push(format!("{}={}", part.key, common(&part.value, other, false)?));
    }
    for part in b.iter().filter(|part| !a.iter().any(|other| other.key == part.key)) {
        parts.push(format!("{}={}", part.key, common(&part.value, &part.value, false)?));
    }
    Some(parts.join("&"))
}

/// A text that both accept.
fn common(a: &Segment, b: &Segment, fold_case: bool) -> Option<String> {
    let literal = [a, b].into_iter().find_map(|segment| match segment {
        Segment::Literal(text) => Some(text.as_str()),
        _ => None,
    });
    let samples = ["a", "7", "00000000-0000-0000-0000-000000000000"];
    let fits = |text: &&str| a.accepts_text(text, fold_case) && b.accepts_text(text, fold_case);
    match literal {
        Some(text) => Some(text).filter(fits),
        None => samples.into_iter().find(fits),
    }
    .map(str::to_owned)
}

/// Whether every path of `narrow` is one of `wide`.
fn covers(wide: &Pattern, narrow: &Pattern) -> bool {
    let (outer, inner) = (&wide.segments, &narrow.segments);
    let is_rest = |segment: &Segment| matches!(segment, Segment::Rest { .. });
    let each = |outer: &[Segment], inner: &[Segment]| {
        outer.iter().zip(inner).all(|(outer, inner)| contains(outer, inner, wide.fold.case))
    };
    let Some(head) = outer.iter().position(is_rest) else {
        return outer.len() == inner.len() && each(outer, inner);
    };
    let tail = outer.len() - head - 1;
    inner.len() >= outer.len()
        && each(&outer[..head], &inner[..head])
        && each(&outer[head + 1..], &inner[inner.len() - tail..])
}

fn covers_query(wide: &[QueryPart], narrow: &[QueryPart]) -> bool {
    wide.iter().all(|outer| {
        narrow
            .iter()
            .any(|inner| outer.key == inner.key && contains(&outer.value, &inner.value, false))
    })
}

/// Whether every segment that `inner` accepts is one that `outer` accepts.
fn contains(outer: &Segment, inner: &Segment, fold_case: bool) -> bool {
    match (outer, inner) {
        (Segment::Rest { .. }, _) => true,
        (_, Segment::Rest { .. }) => false,
        (outer, Segment::Literal(text)) => outer.accepts_text(text, fold_case),
        (Segment::Literal(_), _) => false,
        (Segment::One { class, .. }, Segment::One { class: inner, .. }) => {
            *class == Class::Any || class == inner
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(a: &str, b: &str) -> Option<(Relation, String)> {
        relation(&Pattern::parse(a).unwrap(), &Pattern::parse(b).unwrap())
    }

    #[test]
    fn the_same_route_under_other_names() {
        let same = |text: &str| Some((Relation::Same, text.to_owned()));
        assert_eq!(of("/f/{id}", "/f/{name}"), same("/f/a"));
        assert_eq!(of("/f/{id:digits}/x", "/f/{n:digits}/x"), same("/f/7/x"));
        assert_eq!(of("/a/{*x}/z?k={v}", "/a/{*y}/z?k={w}"), same("/a/a/z?k=a"));
    }

    #[test]
    fn crossing_routes() {
        let crossing = |text: &str| Some((Relation::Crossing, text.to_owned()));
        assert_eq!(of("/{a}/x", "/y/{b}"), crossing("/y/x"));
        assert_eq!(of("/{*a}/x", "/y/{*b}"), crossing("/y/x"));
        assert_eq!(of("/f?a={x}", "/f?b={x}"), crossing("/f?a=a&b=a"));
    }

    #[test]
    fn special_cases_and_strangers_are_no_problem() {
        for (a, b) in [
            ("/f/{id}", "/f/new"),
            ("/f/{id}", "/f/{id:digits}"),
            ("/f/{*id}", "/f/{a}/{b}"),
            ("/f/{*id}", "/f/{*id}/x"),
            ("/f/{id}", "/f/{id}?a=1"),
            ("/f?a=1", "/f?a=2"),
            ("/f?a=1", "/f?b=1&c=2"),
            ("/f", "/f/"),
            ("/f/{a:digits}", "/f/{a:uuid}"),
            ("/", "/{*a}"),
        ] {
            assert_eq!(of(a, b), None, "{a} {b}");
            assert_eq!(of(b, a), None, "{b} {a}");
        }
    }

    proptest! {
        #[test]
        fn an_example_matches_both(a in ROUTE, b in ROUTE) {
            let (Ok(a), Ok(b)) = (Pattern::parse(&a), Pattern::parse(&b)) else { return Ok(()) };
            if let Some((_, example)) = relation(&a, &b) {
                let (path, query) =
                    example.split_once('?').map_or((&*example, None), |(p, q)| (p, Some(q)));
                prop_assert!(a.captures(path, query).is_some());
                prop_assert!(b.captures(path, query).is_some());
            }
        }
    }

    const ROUTE: &str =
        r"(/(a|7|\{x\}|\{y:digits\}|\{z:uuid\}|\{\*r\})){1,4}(\?(k=\{q\}|k=a|l=\{p\}))?";
}
