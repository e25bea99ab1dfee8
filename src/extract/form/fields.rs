//! The fields of a form, as text, up to 64 KiB of names and values together.

use crate::extract::MAX_FIELDS;

/// Form fields in order. One that no longer fits, and all after it, are dropped whole.
pub(super) struct Fields {
    fields: Vec<(String, String)>,
    open: Option<(String, Vec<u8>)>,
    /// `None` once something was dropped.
    room: Option<usize>,
}

impl Fields {
    pub(super) fn new() -> Self {
        Self { fields: Vec::new(), open: None, room: Some(MAX_FIELDS) }
    }

    pub(super) fn begin(&mut self, name: String) {
        self.take_room(name.len());
        self.open = self.room.map(|_| (name, Vec::new()));
    }

    pub(super) fn data(&mut self, data: &[u8]) {
        self.take_room(data.len());
        match &mut self.open {
            Some((_, value)) if self.room.is_some() => value.extend_from_slice(data),
            open => *open = None,
        }
    }

    pub(super) fn end(&mut self) {
        let text = |value: Vec<u8>| String::from_utf8_lossy(&value).into_owned();
        self.fields.extend(self.open.take().map(|(name, value)| (name, text(value))));
    }

    pub(super) fn so_far(&self) -> Vec<(String, String)> {
        self.fields.clone()
    }

    fn take_room(&mut self, bytes: usize) {
        self.room = self.room.and_then(|room| room.checked_sub(bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_up_to_the_limit() {
        let mut fields = Fields::new();
        let big = vec![b'x'; MAX_FIELDS - 4];
        for (name, value) in [("a", &b"\xff1"[..]), ("b", &big), ("c", b""), ("", b"")] {
            fields.begin(name.to_owned());
            value.chunks(1000).for_each(|chunk| fields.data(chunk));
            fields.end();
        }
        let big = "x".repeat(MAX_FIELDS - 4);
        let kept = [("a".to_owned(), "\u{fffd}1".to_owned()), ("b".to_owned(), big)];
        assert_eq!(fields.so_far(), kept);
    }
}
