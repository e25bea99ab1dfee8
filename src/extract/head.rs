//! What the headers beside a body say of it.

use http::HeaderMap;
use http::header::{CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_TYPE};

use memchr::memmem;

use super::disposition::Disposition;
use super::parameters::Parameterized;
use crate::reason::Reason;

/// The head of what carries a body.
pub(crate) struct Head<'h> {
    pub(crate) headers: &'h HeaderMap,
    /// What the file is called unless the headers say.
    pub(crate) name: &'h dyn Fn() -> Option<String>,
}

impl Head<'_> {
    /// Whether the body is a file as it is, or holds one.
    ///
    /// # Errors
    /// `body_encoded`, `body_partial`.
    pub(super) fn check_whole(&self) -> Result<(), Reason> {
        match () {
            () if is_encoded(self.headers) => Err(Reason::BodyEncoded),
            () if PARTIAL.iter().any(|name| self.headers.contains_key(*name)) => {
                Err(Reason::BodyPartial)
            }
            () => Ok(()),
        }
    }

    /// multipart/form-data
    pub(super) fn is_form(&self) -> bool {
        self.headers.get_all(CONTENT_TYPE).iter().any(|v| essence(v.as_bytes()) == FORM)
    }

    pub(super) fn is_url_encoded(&self) -> bool {
        content_type(self.headers) == URL_ENCODED
    }

    /// Rack and Commons FileUpload read every `multipart/…` as a form, Django all that begins like the
    /// right name.
    pub(super) fn is_other_form(&self) -> bool {
        let other = |essence: String| essence.starts_with("multipart/") && essence != FORM;
        self.headers.get_all(CONTENT_TYPE).iter().any(|value| other(essence(value.as_bytes())))
    }

    pub(super) fn file_name(&self) -> Option<String> {
        let disposition = Disposition::parse(self.headers.get(CONTENT_DISPOSITION)?.as_bytes())?;
        disposition.file_name.filter(|name| !name.is_empty())
    }

    pub(super) fn boundary(&self) -> Option<String> {
        boundary(self.headers)
    }
}

/// Whether the body calls itself a form, of either kind.
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    let types = headers.get_all(CONTENT_TYPE).iter().map(|value| essence(value.as_bytes()));
    types.into_iter().any(|of| of == FORM || of == URL_ENCODED)
}

/// Whether the body calls itself JSON.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let content_type = content_type(headers);
    matches!(content_type.as_str(), "application/json" | "text/json")
        || content_type.ends_with("+json")
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .flat_map(|value| value.as_bytes().split(|b| *b == b','))
        .map(<[u8]>::trim_ascii)
        .any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"))
}

/// The type without its parameters, in lower case.
fn content_type(headers: &HeaderMap) -> String {
    headers.get(CONTENT_TYPE).map(|value| essence(value.as_bytes())).unwrap_or_default()
}

fn essence(value: &[u8]) -> String {
    let essence = value.split(|b| *b == b';').next().unwrap_or_default();
    String::from_utf8_lossy(essence.trim_ascii()).to_ascii_lowercase()
}

/// `None` also where it can't be known which boundary the app goes by: PHP takes the first word
/// `boundary` anywhere, and ends its value at a comma.
fn boundary(headers: &HeaderMap) -> Option<String> {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else { return None };
    let written = only.as_bytes().to_ascii_lowercase();
    let (before, after) = written.split_at(memmem::find(&written, b"boundary")?);
    // Values hold the word too, as in `----WebKitFormBoundary`.
    let is_parameter = before.trim_ascii_end().ends_with(b";")
        && after
            .get(b"boundary".len()..)
            .is_some_and(|rest| rest.trim_ascii_start().starts_with(b"="));
    if !is_parameter || written.contains(&b'\\') {
        return None;
    }
    let is_quoted = written.contains(&b'"');
    let parsed = Parameterized::parse(only.as_bytes())?;
    let boundary = std::str::from_utf8(parsed.value(b"boundary")?).ok()?;
    // RFC 2046 allows fewer characters, but `*****` is in every other Android tutorial.
    let fits = (1..=MAX_BOUNDARY).contains(&boundary.len())
        && boundary.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
        && (is_quoted || !boundary.contains([' ', ',']))
        && !boundary.ends_with(' ');
    fits.then(|| boundary.to_owned())
}

const FORM: &str = "multipart/form-data";
const URL_ENCODED: &str = "application/x-www-form-urlencoded";
/// RFC 2046, 5.1.1.
const MAX_BOUNDARY: usize = 70;
/// Content-Range on a request (RFC 9110, 14.5), tus, and the IETF's resumable uploads.
const PARTIAL: &[&str] = &["content-range", "tus-resumable", "upload-offset", "upload-complete"];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;
    use crate::extract::{FileSource, extractor};

    #[test]
    fn forms_by_their_boundary() {
        for (content_type, expected) in [
            ("multipart/form-data; boundary=b", Some("b")),
            ("Multipart/Form-Data; charset=x; BOUNDARY=\"a b\"", Some("a b")),
            ("multipart/form-data;boundary=*****", Some("*****")),
            (
                "multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gWA",
                Some("----WebKitFormBoundary7MA4YWxkTrZu0gWA"),
            ),
            (
                "multipart/form-data; boundary=----geckoformboundary7ab",
                Some("----geckoformboundary7ab"),
            ),
            ("multipart/form-data; x=boundary; boundary=a", None),
            ("multipart/form-data; xboundary=b; boundary=a", None),
            ("multipart/form-data", None),
            ("multipart/form-data; boundary=", None),
            ("multipart/form-data; boundary=\"a \"", None),
            ("multipart/form-data; boundary=ü", None),
            ("multipart/form-data; boundary=a; boundary=b", None),
            (&format!("multipart/form-data; boundary={}", "x".repeat(71)), None),
        ] {
            let headers = headers(&[("content-type", content_type)]);
            assert_eq!(boundary(&headers).as_deref(), expected, "{content_type}");
            let expected = expected.map(|_| "multipart".to_owned());
            let expected = expected.ok_or(Reason::MultipartMalformed);
            assert_eq!(read(&headers, &[FileSource::AnyPart]), expected, "{content_type}");
        }
        let two = headers(&[("content-type", "text/plain"), ("content-type", &form("b"))]);
        assert_eq!(read(&two, &[FileSource::AnyPart]), Err(Reason::MultipartMalformed));
    }

    #[test]
    fn raw_bodies_and_their_names() {
        let any = [FileSource::Body, FileSource::AnyPart];
        let disposed = ("content-disposition", "attachment; filename=\"a/b.pdf\"");
        for (given, sources, expected) in [
            (&[][..], &any[..], "raw given.pdf"),
            (&[disposed], &any, "raw b.pdf"),
            (&[("content-disposition", "inline")], &any, "raw given.pdf"),
            (&[("content-type", "application/json")], &any, "raw given.pdf"),
            (&[("content-type", &form("b"))], &[FileSource::Body], "raw given.pdf"),
            (&[("content-type", "multipart/mixed; boundary=b")], &any, "raw given.pdf"),
            (&[("content-type", &form("b"))], &any, "multipart given.pdf"),
        ] {
            let headers = headers(given);
            let name = || Some("given.pdf".to_owned());
            let file_name = Head { headers: &headers, name: &name }.file_name();
            let kind = read(&headers, sources).unwrap();
            let told = format!("{kind} {}", file_name.or_else(name).unwrap());
            assert_eq!(told, expected, "{given:?}");
        }
    }

    #[test]
    fn bodies_that_are_not_the_file() {
        for (name, value, expected) in [
            ("content-encoding", "gzip", Err(Reason::BodyEncoded)),
            ("content-encoding", "identity, br", Err(Reason::BodyEncoded)),
            ("content-encoding", "Identity", Ok("other")),
            ("content-range", "bytes 0-9/100", Err(Reason::BodyPartial)),
            ("upload-offset", "0", Err(Reason::BodyPartial)),
            ("tus-resumable", "1.0.0", Err(Reason::BodyPartial)),
            ("content-type", "application/x-www-form-urlencoded;charset=utf-8", Ok("url-encoded")),
            ("content-type", "application/json", Ok("other")),
            ("content-type", "multipart/mixed; boundary=b", Err(Reason::MultipartMalformed)),
        ] {
            let read = read(&headers(&[(name, value)]), &[FileSource::AnyPart]);
            assert_eq!(read, expected.map(str::to_owned), "{name}: {value}");
        }
    }

    #[test]
    fn json_by_its_type() {
        for (content_type, expected) in [
            ("application/json; charset=utf-8", true),
            ("application/vnd.api+JSON", true),
            ("application/jsonp", false),
        ] {
            assert_eq!(is_json(&headers(&[("content-type", content_type)])), expected);
        }
    }

    fn read(headers: &HeaderMap, sources: &[FileSource]) -> Result<String, Reason> {
        let sources: Vec<_> = sources.iter().collect();
        extractor(&Head { headers, name: &|| None }, &sources).map(|body| format!("{body:?}"))
    }

    fn form(boundary: &str) -> String {
        format!("multipart/form-data; boundary={boundary}")
    }

    fn headers(given: &[(&str, &str)]) -> HeaderMap {
        given
            .iter()
            .filter_map(|(name, value)| {
                let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
                Some((name, HeaderValue::from_bytes(value.as_bytes()).ok()?))
            })
            .collect()
    }
}
