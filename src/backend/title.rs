//! What a document is called at a backend.

/// The title as it is sent, which can stand in the header of a multipart part, too; `document` where there is none.
pub(crate) fn shown_title(title: Option<&str>) -> String {
    let name = title.map(file_name).filter(|name| !name.is_empty());
    name.unwrap_or_else(|| "document".to_owned())
}

/// Readers of multipart disagree on how a backslash is escaped (RFC 7578 section 4.2 leaves it open), and no control
/// character may end the line.
fn file_name(title: &str) -> String {
    title
        .chars()
        .filter(|char| !char.is_control())
        .map(|char| if char == '\\' { '_' } else { char })
        .take(MAX_NAME_CHARS)
        .collect()
}

const MAX_NAME_CHARS: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_cannot_break_the_header() {
        assert_eq!(shown_title(Some("Übersicht \"Q3\".pdf")), "Übersicht \"Q3\".pdf");
        assert_eq!(shown_title(Some("a\r\nX-Evil: 1\\.pdf")), "aX-Evil: 1_.pdf");
        assert_eq!(shown_title(Some(&"ü".repeat(1_000))).chars().count(), MAX_NAME_CHARS);
        assert_eq!(
            (shown_title(None), shown_title(Some("\n"))),
            ("document".into(), "document".into())
        );
    }
}
