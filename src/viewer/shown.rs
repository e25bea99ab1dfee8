//! Whether a reply is for a person.

use http::{HeaderMap, HeaderValue};

use super::navigation::names_html;

/// Headers by which a browser tells that it shows the reply to a person, whichever method and frame it is for.
#[derive(Debug, Default)]
pub(crate) struct Shown<'h> {
    mode: Option<&'h HeaderValue>,
    accept: Option<&'h HeaderValue>,
    library: bool,
}

impl<'h> Shown<'h> {
    pub(crate) fn of(headers: &'h HeaderMap) -> Self {
        let mut shown = Self::default();
        headers.iter().for_each(|(name, value)| shown.note(name.as_str(), value));
        shown
    }

    pub(crate) fn note(&mut self, name: &str, value: &'h HeaderValue) {
        match name {
            "sec-fetch-mode" => self.mode = Some(value),
            "accept" => _ = self.accept.get_or_insert(value),
            "x-requested-with" => self.library = true,
            _ => {}
        }
    }

    /// As for [`is_navigation`](super::is_navigation), the `Accept` counts where there is no Fetch Metadata.
    pub(crate) fn to_a_person(&self) -> bool {
        match (self.mode, self.accept) {
            (Some(mode), _) => mode == "navigate",
            (None, Some(accept)) => !self.library && accept.to_str().is_ok_and(names_html),
            (None, None) => false,
        }
    }
}
