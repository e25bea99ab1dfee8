/// A valid PDF of one A5 page that shows these lines. Characters beyond ASCII become `?`.
pub(crate) fn sample_pdf(lines: &[&str]) -> Vec<u8> {
    let text: String = lines.iter().map(|line| format!("({}) Tj T*\n", escape(line))).collect();
    let content =
        format!("BT /F1 18 Tf 24 TL 40 520 Td\n{text}ET\n0 0.36 0.68 rg 40 40 340 12 re f\n");
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 420 595] /Contents 4 0 R \
         /Resources << /Font << /F1 5 0 R >> >> >>"
            .to_owned(),
        format!("<< /Length {} >>\nstream\n{content}endstream", content.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_owned(),
    ];

    let mut pdf = String::from("%PDF-1.4\n");
    let mut table = String::from("0000000000 65535 f \n");
    for (object, number) in objects.iter().zip(1..) {
        table.push_str(&format!("{:010} 00000 n \n", pdf.len()));
        pdf.push_str(&format!("{number} 0 obj\n{object}\nendobj\n"));
    }
    let (start, size) = (pdf.len(), objects.len() + 1);
    pdf.push_str(&format!(
        "xref\n0 {size}\n{table}trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n"
    ));
    pdf.into_bytes()
}

/// For a literal string (ISO 32000-1, section 7.3.4.2).
fn escape(line: &str) -> String {
    let mut escaped = String::with_capacity(line.len());
    for c in line.chars() {
        match c {
            '(' | ')' | '\\' => escaped.extend(['\\', c]),
            ' '..='~' => escaped.push(c),
            _ => escaped.push('?'),
        }
    }
    escaped
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_offset_is_true() {
        let pdf = String::from_utf8(sample_pdf(&["A (small) \\ page", "\u{fc}ber"])).unwrap();
        assert!(pdf.contains("(A \\(small\\) \\\\ page) Tj") && pdf.contains("(?ber) Tj"));
        let start: usize = pdf.lines().rev().nth(1).unwrap().parse().unwrap();
        let table = pdf[start..].strip_prefix("xref\n0 6\n").unwrap();
        for (entry, number) in table.lines().skip(1).take(5).zip(1..) {
            let at: usize = entry[..10].parse().unwrap();
            assert!(pdf[at..].starts_with(&format!("{number} 0 obj\n")), "{number}");
            assert_eq!(entry.len() + 1, 20);
        }
        let (_, stream) = pdf.split_once("stream\n").unwrap();
        let length = stream.split("endstream").next().unwrap().len();
        assert!(pdf.contains(&format!("/Length {length} ")));
    }
}
