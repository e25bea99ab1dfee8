//! Which of several matching routes comes first.

use std::cmp::Reverse;

use super::Rule;
use super::pattern::{Class, Pattern, Segment};

/// Sorts the more specific route first: by its path from left to right (literal, typed, untyped,
/// rest), then by the number of query parts, then by how specific those are, then rules
/// for some hosts before those for all, then conditions before none. The rest is the order of the file.
pub(super) fn key(rule: &Rule) -> impl Ord + use<> {
    (path(&rule.pattern), query(&rule.pattern), rule.hosts.is_empty(), rule.when.is_none())
}

/// Which path comes first; equal for paths of the same shape.
pub(super) fn path(pattern: &Pattern) -> impl Ord + use<> {
    // The end of a path comes after everything: of `/{*a}/x` and `/{*a}` the longer is the
    // more specific.
    pattern.segments.iter().map(rank).chain([Rank::End]).collect::<Vec<_>>()
}

pub(super) fn query(pattern: &Pattern) -> impl Ord + use<> {
    let mut ranks: Vec<_> = pattern.query.iter().map(|part| rank(&part.value)).collect();
    ranks.sort_unstable();
    (Reverse(ranks.len()), ranks)
}

fn rank(segment: &Segment) -> Rank {
    match segment {
        Segment::Literal(_) => Rank::Literal,
        Segment::One { class: Class::Digits | Class::Uuid, .. } => Rank::Typed,
        Segment::One { class: Class::Any, .. } => Rank::Untyped,
        Segment::Rest { .. } => Rank::Rest,
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Literal,
    Typed,
    Untyped,
    Rest,
    End,
}
