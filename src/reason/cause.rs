use std::error::Error;

use tracing::debug;

use super::Reason;

/// Makes a reason of an error without losing what caused it: that goes to the log, with all of its sources.
pub(crate) trait Because<T> {
    /// `doing` says what failed, as in "reading the mapping".
    fn because(self, reason: Reason, doing: &'static str) -> Result<T, Reason>;
}

impl<T, E: Error> Because<T> for Result<T, E> {
    fn because(self, reason: Reason, doing: &'static str) -> Result<T, Reason> {
        self.map_err(|error| {
            debug!(code = %reason, error = causes(&error), "{doing} failed");
            reason
        })
    }
}

/// An error with the sources that `Display` leaves out.
pub(crate) fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
