//! One spelling for each id, wherever it comes from.

use super::pattern::{Class, Pattern};

/// How the ids of a kind are written, by the types of its captures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct IdForm {
    /// The app does not see the case of paths.
    fold_case: bool,
    uuids: bool,
    numbers: bool,
}

impl IdForm {
    pub(crate) fn new(fold_case: bool) -> Self {
        Self { fold_case, ..Self::default() }
    }

    /// Learns from a route or template that captures an id under this name.
    pub(crate) fn learn(&mut self, pattern: &Pattern, name: &str) {
        match pattern.class_of(name) {
            Some(Class::Uuid) => self.uuids = true,
            Some(Class::Digits) => self.numbers = true,
            Some(Class::Any) | None => {}
        }
    }

    /// `None` for a number that is written as no number should be (`007`, or in the digits of another script): it may
    /// be read as another document's.
    pub(crate) fn canonical(self, mut id: String) -> Option<String> {
        if self.fold_case || (self.uuids && Class::Uuid.accepts(&id)) {
            id.make_ascii_lowercase();
        }
        let is_number = self.numbers && !id.is_empty() && id.chars().all(char::is_numeric);
        (!is_number || Class::Digits.accepts(&id)).then_some(id)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn canonical(route: &str, fold_case: bool, id: &str) -> Option<String> {
        let mut form = IdForm::new(fold_case);
        form.learn(&Pattern::parse(route).unwrap(), "id");
        form.canonical(id.to_owned())
    }

    #[test]
    fn an_id_has_one_spelling() {
        const UUID: &str = "9BC01234-5678-9ABC-DEF0-123456789ABC";
        assert_eq!(canonical("/f/{id:uuid}", false, UUID).unwrap(), UUID.to_lowercase());
        assert_eq!(canonical("/f/{id}", false, UUID).unwrap(), UUID);
        assert_eq!(canonical("/f/{id:uuid}", false, "Abc").unwrap(), "Abc");
        assert_eq!(canonical("/f?i={id:digits}", false, "70").unwrap(), "70");
        for none in ["007", "٧", "00"] {
            assert_eq!(canonical("/f/{id:digits}", false, none), None, "{none}");
        }
        assert_eq!(canonical("/f/{id}", false, "007").unwrap(), "007");
        // Which letters beyond ASCII are alike is for the app's database to say.
        assert_eq!(canonical("/f/{id}", true, "AbÜ").unwrap(), "abÜ");
    }
}
