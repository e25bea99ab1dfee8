//! Which word was meant by one that is not known.

/// The known word that is meant, if it is clear which one.
pub(crate) fn nearest<'k>(
    written: &str,
    known: impl IntoIterator<Item = &'k str>,
) -> Option<&'k str> {
    let distance =
        |known: &str| strsim::osa_distance(&written.to_lowercase(), &known.to_lowercase());
    let allowed = ((written.chars().count() + 1) / 3).clamp(1, 3);
    let near = known.into_iter().map(|known| (distance(known), known));
    near.filter(|(distance, _)| *distance <= allowed).min_by_key(|near| near.0).map(|near| near.1)
}
