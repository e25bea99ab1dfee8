//! What a file is, by its first bytes. What an uploader says about its type decides nothing.

use memchr::memmem;

/// How many first bytes are looked at.
pub(crate) const SNIFFED: usize = 8 * 1024;

/// The type of a file that begins with `head` (all of it, if the file is shorter than [`SNIFFED`]).
/// The name's extension only decides within a family that the bytes have shown: which Office
/// document a ZIP or OLE2 container holds. `None` is a type that DWS does not show.
pub(crate) fn content_type(head: &[u8], file_name: Option<&str>) -> Option<&'static str> {
    if head.starts_with(b"\x89PNG\r\n\x1a\n") {
        Some(PNG)
    } else if head.starts_with(b"\xff\xd8\xff") {
        Some(JPEG)
    } else if head.starts_with(b"II*\0") || head.starts_with(b"MM\0*") {
        Some(TIFF)
    } else if head.starts_with(LOCAL_FILE) {
        office_package(head, file_name)
    } else if head.starts_with(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") {
        office_binary(head, file_name)
    } else {
        is_pdf(head).then_some(PDF)
    }
}

/// Readers look for the header within the first 1024 bytes (PDF 1.7, implementation note H.13: pdf.js,
/// PDFium and Poppler do), since printers' and mail headers stand before it in old files. A text
/// about PDF may mention it there too, so what is not at the beginning takes more to count.
fn is_pdf(head: &[u8]) -> bool {
    let start = head.get(..PDF_HEADER_WITHIN).unwrap_or(head);
    let Some(at) = memmem::find(start, PDF_HEADER) else { return false };
    let (before, pdf) = head.split_at(at);
    let before = before.strip_prefix(b"\xef\xbb\xbf").unwrap_or(before);
    let after = pdf.get(PDF_HEADER.len()..).unwrap_or_default();
    if at == 0 {
        return true;
    }
    let has_version = matches!(after, [b'0'..=b'9', b'.', b'0'..=b'9', ..]);
    let line_end = after.iter().skip(3).find(|byte| !matches!(byte, b' ' | b'\t'));
    if !has_version || !line_end.is_none_or(|byte| matches!(byte, b'\r' | b'\n' | b'%')) {
        return false;
    }
    before.iter().all(|byte| byte.is_ascii_whitespace() || *byte == 0)
        || (has_object(after) && is_binary(after))
}

/// `1 0 obj` (PDF 1.7, 7.3.10)
fn has_object(content: &[u8]) -> bool {
    let is_number = |word: &[u8]| !word.is_empty() && word.iter().all(u8::is_ascii_digit);
    memmem::find_iter(content, b" obj").any(|at| {
        let line = content.get(at.saturating_sub(20)..at).unwrap_or_default();
        let mut words = line.rsplit(u8::is_ascii_whitespace);
        words.next().is_some_and(is_number) && words.next().is_some_and(is_number)
    })
}

/// Whether there is what no text holds: the comment of bytes above 127 that follows the header
/// (PDF 1.7, 7.5.2), or the control characters of a compressed stream.
fn is_binary(content: &[u8]) -> bool {
    let comment = memmem::find(content.get(..64).unwrap_or(content), b"%");
    let comment = comment.and_then(|at| content.get(at + 1..at + 5));
    comment.is_some_and(|bytes| bytes.iter().all(|byte| *byte >= 128))
        || content.iter().any(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace())
}

/// OOXML, by the names of the ZIP's first entries.
fn office_package(head: &[u8], file_name: Option<&str>) -> Option<&'static str> {
    for (position, name) in local_names(head).enumerate() {
        match name {
            // OpenDocument and EPUB begin with this entry.
            b"mimetype" if position == 0 => return None,
            _ if name.starts_with(b"word/") => return Some(DOCX),
            _ if name.starts_with(b"xl/") => return Some(XLSX),
            _ if name.starts_with(b"ppt/") => return Some(PPTX),
            _ => {}
        }
    }
    match extension(file_name)?.as_str() {
        "docx" => Some(DOCX),
        "xlsx" => Some(XLSX),
        "pptx" => Some(PPTX),
        _ => None,
    }
}

/// The names in the local file headers (APPNOTE 4.3.7) that lie within `head`.
fn local_names(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = head;
    std::iter::from_fn(move || {
        rest = rest.get(memmem::find(rest, LOCAL_FILE)?..)?;
        let flags = u16_at(rest, 6)?;
        let size = u32_at(rest, 18)? as usize;
        let name_len = usize::from(u16_at(rest, 26)?);
        let extra_len = usize::from(u16_at(rest, 28)?);
        let (name, content) = rest.get(30..)?.split_at_checked(name_len)?;
        // With a data descriptor the size is not known here, so the next signature is searched
        // for. Otherwise the content is skipped: it may be a package itself.
        let skipped = if flags & DATA_DESCRIPTOR == 0 { extra_len.saturating_add(size) } else { 0 };
        rest = content.get(skipped..).unwrap_or_default();
        Some(name)
    })
}

/// OLE2, by the extension, else by the names of its streams where the directory is near the start.
fn office_binary(head: &[u8], file_name: Option<&str>) -> Option<&'static str> {
    match extension(file_name).as_deref() {
        Some("doc") => return Some(DOC),
        Some("xls") => return Some(XLS),
        Some("ppt") => return Some(PPT),
        _ => {}
    }
    [("WordDocument", DOC), ("Workbook", XLS), ("PowerPoint Document", PPT)]
        .into_iter()
        .find(|(stream, _)| {
            let utf16: Vec<u8> = stream.encode_utf16().flat_map(u16::to_le_bytes).collect();
            memmem::find(head, &utf16).is_some()
        })
        .map(|(_, content_type)| content_type)
}

fn extension(file_name: Option<&str>) -> Option<String> {
    file_name?.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase())
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}

const PDF: &str = "application/pdf";
const PNG: &str = "image/png";
const JPEG: &str = "image/jpeg";
const TIFF: &str = "image/tiff";
const DOC: &str = "application/msword";
const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
const XLS: &str = "application/vnd.ms-excel";
const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
const PPT: &str = "application/vnd.ms-powerpoint";
const PPTX: &str = "application/vnd.openxmlformats-officedocument.presentationml.presentation";

const PDF_HEADER: &[u8] = b"%PDF-";
const PDF_HEADER_WITHIN: usize = 1024;
const LOCAL_FILE: &[u8] = b"PK\x03\x04";
const DATA_DESCRIPTOR: u16 = 1 << 3;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_bytes_decide() {
        let late_pdf = [b" ".repeat(PDF_HEADER_WITHIN - 5), b"%PDF-1.7".to_vec()].concat();
        let too_late_pdf = [b" ".repeat(PDF_HEADER_WITHIN - 4), b"%PDF-1.7".to_vec()].concat();
        for (head, expected) in [
            (&b"%PDF-1.7\n"[..], Some(PDF)),
            (b"\xef\xbb\xbf\n%PDF-1.4", Some(PDF)),
            (&late_pdf, Some(PDF)),
            (&too_late_pdf, None),
            (b"\x89PNG\r\n\x1a\n\0\0", Some(PNG)),
            (b"\x89PNG\n\x1a\n", None),
            (b"\xff\xd8\xff\xe0", Some(JPEG)),
            (b"II*\0", Some(TIFF)),
            (b"MM\0*", Some(TIFF)),
            (b"GIF89a", None),
            (b"<html>", None),
            (b"", None),
        ] {
            assert_eq!(content_type(head, Some("x.docx")), expected, "{}", head.escape_ascii());
        }
    }

    #[test]
    fn a_text_that_mentions_the_header_is_no_pdf() {
        for head in [
            &b"A PDF file begins with %PDF-1.7, says the standard."[..],
            b"A PDF file begins with\n%PDF-1.7\nsays the standard.",
            b"How to write one:\n\n%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>\nendobj\n",
            b"\n%PDF-1.7 is the header",
            b"\n%PDF-nonsense",
            b"<html>\x00%PDF-1.7 x",
            "Über %PDF-1.4\n1 0 obj".as_bytes(),
        ] {
            assert_eq!(content_type(head, Some("x.pdf")), None, "{}", head.escape_ascii());
        }
        for head in [
            &b"%PDF-\x00"[..],
            b"\r\n\r\n%PDF-1.4\r%\xe2\xe3\xcf\xd3\r1 0 obj\r",
            b"@PJL SET X=1\r\n%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>",
            b"HTTP/1.0 200 OK\r\n\r\n%PDF-1.3\n12 0 obj\nstream\n\x01\x02",
            b"\0\0\x08file.pdf\0%PDF-2.0\r\n%\xff\xff\xff\xff\r\n1 0 obj",
            b"\xef\xbb\xbf%PDF-1.4%\xe2\xe3\xcf\xd3",
        ] {
            assert_eq!(content_type(head, None), Some(PDF), "{}", head.escape_ascii());
        }
    }

    #[test]
    fn packages_are_told_by_their_entries() {
        let types = ("[Content_Types].xml", &b"x"[..]);
        for (entries, name, expected) in [
            (&[types, ("_rels/.rels", b"x"), ("word/document.xml", b"x")][..], "a", Some(DOCX)),
            (&[types, ("xl/workbook.xml", b"x")], "a.docx", Some(XLSX)),
            (&[("ppt/presentation.xml", b"x")], "a.zip", Some(PPTX)),
            (&[types], "a.PPTX", Some(PPTX)),
            (&[types], "a.zip", None),
            (&[types], "docx", None),
            (&[("mimetype", b"application/vnd.oasis.opendocument.text")], "a.docx", None),
            (&[("photo.jpg", b"x")], "a.zip", None),
        ] {
            for descriptor in [false, true] {
                let zip = zip(entries, descriptor);
                assert_eq!(content_type(&zip, Some(name)), expected, "{entries:?} {name}");
            }
        }
        assert_eq!(content_type(&zip(&[types], false), None), None);
    }

    #[test]
    fn a_package_within_a_plain_zip_does_not_count() {
        let inner = zip(&[("word/document.xml", b"x")], false);
        let outer = zip(&[("report.docx", inner.as_slice()), ("notes.txt", b"x")], false);
        assert_eq!(content_type(&outer, Some("all.zip")), None);
    }

    #[test]
    fn binary_office_by_extension_then_by_stream() {
        let ole = |stream: &str| {
            let utf16 = stream.encode_utf16().flat_map(u16::to_le_bytes);
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0".iter().copied().chain(utf16).collect::<Vec<_>>()
        };
        for (stream, name, expected) in [
            ("", Some("a.doc"), Some(DOC)),
            ("", Some("a.XLS"), Some(XLS)),
            ("", Some("a.ppt"), Some(PPT)),
            ("WordDocument", None, Some(DOC)),
            ("Workbook", Some("a.bin"), Some(XLS)),
            ("PowerPoint Document", Some("a"), Some(PPT)),
            ("__substg1.0_", Some("mail.msg"), None),
        ] {
            assert_eq!(content_type(&ole(stream), name), expected, "{stream} {name:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(tail in proptest::collection::vec(any::<u8>(), 0..200)) {
            for magic in [LOCAL_FILE, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b""] {
                content_type(&[magic, &tail].concat(), Some("a.docx"));
            }
        }
    }

    fn zip(entries: &[(&str, &[u8])], descriptor: bool) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, content) in entries {
            let size = if descriptor { 0 } else { u32::try_from(content.len()).unwrap_or(0) };
            out.extend_from_slice(LOCAL_FILE);
            out.extend_from_slice(&[20, 0, if descriptor { 8 } else { 0 }, 0, 0, 0]);
            out.extend_from_slice(&[0; 8]);
            out.extend_from_slice(&size.to_le_bytes());
            out.extend_from_slice(&size.to_le_bytes());
            out.extend_from_slice(&u16::try_from(name.len()).unwrap_or(0).to_le_bytes());
            out.extend_from_slice(&2u16.to_le_bytes());
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(&[0; 2]);
            out.extend_from_slice(content);
        }
        out
    }
}
