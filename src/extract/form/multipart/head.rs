//! The headers of one part, and what readers make of them.

use super::Malformed;
use crate::extract::disposition::{Disposition, NamesFile};

/// What the headers of a part say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::extract) struct PartHead {
    /// As written. More than one where readers differ; none where a part has no name.
    pub(in crate::extract) names: Vec<String>,
    /// As [`Disposition::file_name`].
    pub(in crate::extract) file_name: Option<String>,
    pub(in crate::extract) is_file: IsFile,
    /// By its Content-Transfer-Encoding or Content-Encoding, which some readers undo.
    pub(in crate::extract) is_coded: bool,
    /// By its Content-Length, which some readers go by.
    pub(in crate::extract) length: Option<u64>,
}

/// Whether a part is a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::extract) enum IsFile {
    No,
    Yes,
    /// To some readers, if it is not empty: `filename=""`, or busboy's octet-stream without a name.
    IfFilled,
    /// Readers differ.
    Unclear,
}

/// The headers as they come in.
#[derive(Default)]
pub(super) struct Headers {
    bytes: usize,
    lines: usize,
    disposition: Option<Field>,
    content_type: Option<Field>,
    transfer_encoding: Option<Field>,
    encoding: Option<Field>,
    length: Option<Field>,
    last: Last,
}

/// Which header a folded line would continue.
#[derive(Default, Clone, Copy)]
enum Last {
    #[default]
    None,
    Known(fn(&mut Headers) -> &mut Option<Field>),
    Other,
}

/// The value of a header that matters here.
struct Field {
    first_line: Vec<u8>,
    /// Without the blanks at their beginnings.
    further_lines: Vec<Vec<u8>>,
}

impl Field {
    fn joined(&self, with: &[u8]) -> Vec<u8> {
        let lines = std::iter::once(&self.first_line).chain(&self.further_lines);
        lines.map(Vec::as_slice).collect::<Vec<_>>().join(with)
    }

    /// The value in lower case up to its parameters, if all readers agree on it.
    fn essence(&self) -> Option<String> {
        let essence = |value: &[u8]| {
            let value = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
            String::from_utf8_lossy(value).to_ascii_lowercase()
        };
        let read = essence(&self.first_line);
        (read == essence(&self.joined(b""))).then_some(read)
    }
}

impl Headers {
    /// Counts bytes that belong to the headers.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Malformed> {
        self.bytes += bytes;
        if self.bytes > MAX_BYTES { Err(Malformed::HeadersTooLarge) } else { Ok(()) }
    }

    /// One line, without its end.
    pub(super) fn read(&mut self, line: &[u8]) -> Result<(), Malformed> {
        self.lines += 1;
        if self.lines > MAX_LINES {
            return Err(Malformed::HeadersTooLarge);
        }
        // To PHP a NUL ends the line; others end lines at a CR or at a form feed.
        if line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Err(Malformed::Header);
        }
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            return self.fold(line.trim_ascii());
        }
        let colon = memchr::memchr(b':', line).ok_or(Malformed::Header)?;
        let (name, value) = line.split_at(colon);
        if name.is_empty() || !name.iter().all(|b| is_token(*b)) {
            return Err(Malformed::Header);
        }
        let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii().to_vec();
        let Some(known) = known(name) else {
            self.last = Last::Other;
            return Ok(());
        };
        let field = Field { first_line: value, further_lines: Vec::new() };
        self.last = Last::Known(known);
        // Two of them: which one the app believes can't be known.
        if known(self).replace(field).is_some() { Err(Malformed::Header) } else { Ok(()) }
    }

    /// A line that continues the one before (RFC 5322, 2.2.3).
    fn fold(&mut self, line: &[u8]) -> Result<(), Malformed> {
        // Django reads it as a header of its own.
        let colon = memchr::memchr(b':', line);
        let reads_as = colon.and_then(|colon| line.get(..colon));
        if reads_as.is_some_and(|name| known(name.trim_ascii()).is_some()) {
            return Err(Malformed::Header);
        }
        match self.last {
            Last::None => Err(Malformed::Header),
            Last::Other => Ok(()),
            Last::Known(known) => {
                let field = known(self).as_mut().ok_or(Malformed::Header)?;
                field.further_lines.push(line.to_vec());
                Ok(())
            }
        }
    }

    pub(super) fn head(self) -> Result<PartHead, Malformed> {
        let content_type = match &self.content_type {
            Some(field) => field.essence().ok_or(Malformed::Header)?,
            None => String::new(),
        };
        if content_type.starts_with("multipart/") {
            return Err(Malformed::Nested);
        }
        let is_plain = |field: &Option<Field>, plain: &[&str]| {
            let essence = field.as_ref().map_or_else(|| Some(String::new()), Field::essence);
            essence.is_some_and(|essence| essence.is_empty() || plain.contains(&essence.as_str()))
        };
        let is_coded = !is_plain(&self.transfer_encoding, &["7bit", "8bit", "binary"])
            || !is_plain(&self.encoding, &["identity"]);
        let mut head = match &self.disposition {
            Some(field) => disposed(field)?,
            None => PartHead::nameless(),
        };
        head.is_file = match head.is_file {
            IsFile::Yes if is_coded || content_type.starts_with("message/") => IsFile::Unclear,
            IsFile::No if content_type == "application/octet-stream" => IsFile::IfFilled,
            is_file => is_file,
        };
        let length = self.length.as_ref().map(|field| decimal(&field.joined(b" ")));
        head.length = length.map(|length| length.ok_or(Malformed::Header)).transpose()?;
        Ok(PartHead { is_coded, ..head })
    }
}

impl PartHead {
    fn nameless() -> Self {
        let names = Vec::new();
        Self { names, file_name: None, is_file: IsFile::No, is_coded: false, length: None }
    }
}

/// What readers make of a Content-Disposition that may be folded: most join its lines with blanks,
/// some without any, and Django takes the first one alone.
fn disposed(field: &Field) -> Result<PartHead, Malformed> {
    let read = |value: Vec<u8>| Disposition::parse(&value).filter(|read| read.is_certain);
    let whole = read(field.joined(b" ")).ok_or(Malformed::Disposition)?;
    let mut names: Vec<String> = whole.name.iter().cloned().collect();
    let mut is_file = match whole.names_file {
        NamesFile::No => IsFile::No,
        NamesFile::Yes => IsFile::Yes,
        NamesFile::Empty => IsFile::IfFilled,
        NamesFile::Unclear => IsFile::Unclear,
    };
    let is_form_data = whole.kind == "form-data";
    if is_file != IsFile::No && (names.is_empty() || !is_form_data) {
        is_file = IsFile::Unclear;
        // Rack's name for a part without one.
        if names.is_empty() {
            names.extend(whole.file_name.clone());
        }
    }
    if !field.further_lines.is_empty() {
        let others = [read(field.joined(b"")), read(field.first_line.clone())];
        let agrees = |other: &Option<Disposition>| {
            other.as_ref().is_some_and(|other| {
                (&other.name, other.names_file) == (&whole.name, whole.names_file)
            })
        };
        let is_agreed = others.iter().all(agrees);
        let may_be_file = |other: &Option<Disposition>| {
            other.as_ref().is_none_or(|other| other.names_file != NamesFile::No)
        };
        if !is_agreed && (is_file != IsFile::No || others.iter().any(may_be_file)) {
            is_file = IsFile::Unclear;
        }
        let other_names = others.into_iter().flatten().filter_map(|other| other.name);
        names.extend(other_names.filter(|name| Some(name) != whole.name.as_ref()));
    }
    Ok(PartHead { names, file_name: whole.file_name, is_file, ..PartHead::nameless() })
}

type Known = fn(&mut Headers) -> &mut Option<Field>;

fn known(name: &[u8]) -> Option<Known> {
    let known: Known = match name.to_ascii_lowercase().as_slice() {
        b"content-disposition" => |headers| &mut headers.disposition,
        b"content-type" => |headers| &mut headers.content_type,
        b"content-transfer-encoding" => |headers| &mut headers.transfer_encoding,
        b"content-encoding" => |headers| &mut headers.encoding,
        b"content-length" => |headers| &mut headers.length,
        _ => return None,
    };
    Some(known)
}

fn decimal(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// RFC 9110, 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

pub(super) const MAX_LINES: usize = 32;
/// PHP cuts lines that are longer than 5 KiB.
pub(super) const MAX_BYTES: usize = 4 * 1024;
