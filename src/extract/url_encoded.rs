//! Forms without files: application/x-www-form-urlencoded.

use std::fmt;

use bytes::Bytes;

use super::files::Files;
use super::form::Epilogue;
use super::head::Head;
use super::{Extract, FileSource, MAX_FIELDS, Reading};
use crate::reason::Reason;

/// An application/x-www-form-urlencoded body, of which the first 64 KiB are read.
#[derive(Default)]
struct UrlEncoded {
    body: Vec<u8>,
    is_cut: bool,
}

pub(super) fn reading() -> Box<dyn Extract> {
    Box::new(UrlEncoded::default())
}

pub(super) fn read(head: &Head<'_>, _: &[&FileSource]) -> Reading {
    head.is_url_encoded().then(|| Ok(reading()))
}

impl Extract for UrlEncoded {
    fn begin(&mut self, _: &mut Files) {}

    fn data(&mut self, data: Bytes, _: &mut Files) -> Result<bool, Reason> {
        let room = MAX_FIELDS - self.body.len();
        self.is_cut |= data.len() > room;
        self.body.extend(data.iter().take(room));
        Ok(false)
    }

    fn epilogue(&mut self) -> Result<Option<Epilogue>, Reason> {
        Ok(None)
    }

    fn end(&mut self, _: &mut Files) -> Result<(), Reason> {
        Ok(())
    }

    fn fields(&self) -> Vec<(String, String)> {
        let body = match self.is_cut {
            // A value of which only the beginning is known is no value.
            true => self.body.get(..memchr::memrchr(b'&', &self.body).unwrap_or(0)),
            false => Some(&self.body[..]),
        };
        form_urlencoded::parse(body.unwrap_or_default()).into_owned().collect()
    }

    fn has_other_files(&self) -> bool {
        false
    }

    fn may_be_json(&self) -> bool {
        false
    }
}

impl fmt::Debug for UrlEncoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("url-encoded")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::spool::Spool;

    #[test]
    fn a_cut_value_does_not_count() {
        let fixture = tempfile::tempdir().unwrap();
        let spool = Spool::open(fixture.path()).unwrap();
        let mut files = Files::new(&spool, 0, Vec::new());
        let mut body = UrlEncoded::default();
        body.data(Bytes::from_static(b"a=1%20+2&b=%C3%BC&c="), &mut files).unwrap();
        assert!(!body.is_cut);
        body.data(Bytes::from(vec![b'x'; MAX_FIELDS]), &mut files).unwrap();
        let kept = [("a".to_owned(), "1  2".to_owned()), ("b".to_owned(), "ü".to_owned())];
        assert_eq!(body.fields(), kept);
    }
}
