//! Errors with what they were caused by.

use std::error::Error;
use std::fmt;
use std::iter;

/// An error with all its causes, for logs.
pub(crate) struct Causes<'a>(pub(crate) &'a (dyn Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, cause) in causes(self.0).enumerate() {
            let separator = if place == 0 { "" } else { ": " };
            write!(f, "{separator}{cause}")?;
        }
        Ok(())
    }
}

/// The error and what it was caused by.
pub(crate) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| error.source())
}
