//! Just enough templating for two pages.

use std::borrow::Cow;

/// Fills `{{name}}` with the escaped value and `{{{name}}}` with the value as it is, in one pass: a value that
/// looks like a slot stays text. An unknown name becomes nothing.
pub(super) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let value = |name| values.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value);
    let mut page = String::with_capacity(template.len() + 1024);
    let mut rest = template;
    while let Some((before, slot)) = rest.split_once("{{") {
        page.push_str(before);
        if let Some((name, after)) = slot.strip_prefix('{').and_then(|raw| raw.split_once("}}}")) {
            page.push_str(value(name));
            rest = after;
        } else if let Some((name, after)) = slot.split_once("}}") {
            page.push_str(&escape(value(name)));
            rest = after;
        } else {
            rest = slot;
        }
    }
    page.push_str(rest);
    page
}

/// Escapes text for HTML content and quoted attribute values.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

/// JSON that may stand inside a `<script>` block: nothing in it ends the block or opens a comment.
pub(super) fn script_json(value: &serde_json::Value) -> String {
    // In JSON, `<` occurs within strings only.
    value.to_string().replace('<', "\\u003c")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn slots() {
        let values = [("a", "<{{b}}>"), ("b", "'&'")];
        assert_eq!(fill("1 {{a}} 2 {{{a}}} 3", &values), "1 &lt;{{b}}&gt; 2 <{{b}}> 3");
        assert_eq!(fill("{{b}}{{none}}.", &values), "&#39;&amp;&#39;.");
    }

    proptest! {
        #[test]
        fn escaped_text_has_no_markup(text in "[a<>&\"'/{}]{0,12}") {
            let escaped = escape(&text);
            prop_assert!(!escaped.contains(['<', '>', '"', '\'']));
            let back = escaped
                .replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&quot;", "\"")
                .replace("&#39;", "'")
                .replace("&amp;", "&");
            prop_assert_eq!(back, text);
        }

        #[test]
        fn script_json_stays_the_same_json(text in "[<>!/a-z\\-\"\\\\]{0,16}") {
            let value = serde_json::json!({ text.clone(): text });
            let json = script_json(&value);
            prop_assert!(!json.contains('<'));
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), value);
        }
    }
}
