//! Which of several matching routes comes first.

use std::cmp::Reverse;

use super::pattern::{Class, Pattern, Segment};

/// Which path comes first; equal for paths of the same shape.
pub(crate) fn path(pattern: &Pattern) -> impl Ord + use<> {
    // The end of a path comes after everything: of `/{*a}/x` and `/{*a}` the longer is the
    // more specific.
    pattern.segments.iter().map(rank).chain([Rank::End]).collect::<Vec<_>>()
}

pub(crate) fn query(pattern: &Pattern) -> impl Ord + use<> {
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
