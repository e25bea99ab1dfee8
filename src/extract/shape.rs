//! Which of the ways to read a body its headers ask for.

use http::HeaderMap;
use http::header::{CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_TYPE};

use memchr::memmem;

use super::disposition::Disposition;
use super::parameters::Parameterized;
use super::{Parts, Shape};
use crate::reason::Reason;

impl Shape {
    /// How these headers say the body is to be read. `raw`: a rule wants the body itself, under this
    /// name unless the request gives one; a form is still read as a form if `parts` names any.
    /// Errors are reasons not to capture: `body_encoded`, `body_partial`, `multipart_malformed`.
    pub(crate) fn of(
        headers: &HeaderMap,
        parts: Parts,
        raw: Option<Option<String>>,
    ) -> Result<Self, Reason> {
        if is_encoded(headers) {
            return Err(Reason::BodyEncoded);
        }
        if PARTIAL.iter().any(|name| headers.contains_key(*name)) {
            return Err(Reason::BodyPartial);
        }
        let is_form = headers.get_all(CONTENT_TYPE).iter().any(|v| essence(v.as_bytes()) == FORM);
        match raw {
            Some(name) if !is_form || parts == Parts::Named(Vec::new()) => {
                Ok(Self::Raw { name: file_name(headers).or(name) })
            }
            _ if parts != Parts::Named(Vec::new()) && is_other_form(headers) => {
                Err(Reason::MultipartMalformed)
            }
            _ if is_form => {
                let boundary = boundary(headers).ok_or(Reason::MultipartMalformed)?;
                Ok(Self::Multipart { boundary, parts })
            }
            _ if content_type(headers) == "application/x-www-form-urlencoded" => {
                Ok(Self::UrlEncoded)
            }
            _ => Ok(Self::Other),
        }
    }
}

/// Whether the body calls itself a form, of either kind.
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    let types = headers.get_all(CONTENT_TYPE).iter().map(|value| essence(value.as_bytes()));
    types.into_iter().any(|of| of == FORM || of == "application/x-www-form-urlencoded")
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

/// Rack and Commons FileUpload read every `multipart/…` as a form, Django all that begins like the
/// right name.
fn is_other_form(headers: &HeaderMap) -> bool {
    let other = |essence: String| essence.starts_with("multipart/") && essence != FORM;
    headers.get_all(CONTENT_TYPE).iter().any(|value| other(essence(value.as_bytes())))
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

fn file_name(headers: &HeaderMap) -> Option<String> {
    let disposition = Disposition::parse(headers.get(CONTENT_DISPOSITION)?.as_bytes())?;
    disposition.file_name.filter(|name| !name.is_empty())
}

const FORM: &str = "multipart/form-data";
/// RFC 2046, 5.1.1.
const MAX_BOUNDARY: usize = 70;
/// Content-Range on a request (RFC 9110, 14.5), tus, and the IETF's resumable uploads.
const PARTIAL: &[&str] = &["content-range", "tus-resumable", "upload-offset", "upload-complete"];

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

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
            let expected = expected
                .map(|boundary| format!("multipart {boundary}"))
                .ok_or(Reason::MultipartMalformed);
            assert_eq!(read(&headers, Parts::AnyFile, None), expected, "{content_type}");
        }
        let two = headers(&[("content-type", "text/plain"), ("content-type", &form("b"))]);
        assert_eq!(read(&two, Parts::AnyFile, None), Err(Reason::MultipartMalformed));
    }

    #[test]
    fn raw_bodies_and_their_names() {
        let raw = |given: &[(&str, &str)], parts| {
            read(&headers(given), parts, Some(Some("given.pdf".to_owned())))
        };
        let none = Parts::Named(Vec::new());
        let disposed = ("content-disposition", "attachment; filename=\"a/b.pdf\"");
        for (given, parts, expected) in [
            (&[][..], Parts::AnyFile, "raw given.pdf"),
            (&[disposed], Parts::AnyFile, "raw b.pdf"),
            (&[("content-disposition", "inline")], Parts::AnyFile, "raw given.pdf"),
            (&[("content-type", "application/json")], Parts::AnyFile, "raw given.pdf"),
            (&[("content-type", &form("b"))], none, "raw given.pdf"),
            (&[("content-type", &form("b"))], Parts::AnyFile, "multipart b"),
        ] {
            assert_eq!(raw(given, parts).as_deref(), Ok(expected), "{given:?}");
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
            ("content-type", "application/x-www-form-urlencoded;charset=utf-8", Ok("fields")),
            ("content-type", "application/json", Ok("other")),
        ] {
            let read = read(&headers(&[(name, value)]), Parts::AnyFile, None);
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

    fn read(
        headers: &HeaderMap,
        parts: Parts,
        raw: Option<Option<String>>,
    ) -> Result<String, Reason> {
        Shape::of(headers, parts, raw).map(|shape| match shape {
            Shape::Multipart { boundary, .. } => format!("multipart {boundary}"),
            Shape::Raw { name } => format!("raw {}", name.unwrap_or_default()),
            Shape::UrlEncoded => "fields".to_owned(),
            Shape::Other => "other".to_owned(),
        })
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
