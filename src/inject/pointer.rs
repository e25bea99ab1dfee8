/// A JSON pointer (RFC 6901), parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pointer(pub(crate) Vec<String>);

impl Pointer {
    /// The error is a sentence for the operator.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let Some(tokens) = text.strip_prefix('/') else {
            return Err(format!("a JSON pointer starts with `/`: write `/{text}`"));
        };
        tokens.split('/').map(unescape).collect::<Result<_, _>>().map(Self)
    }

    /// Whether the other one leads to the same value, or to one within.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }
}

fn unescape(token: &str) -> Result<String, String> {
    let mut pieces = token.split('~');
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (escaped, rest) = match (piece.strip_prefix('0'), piece.strip_prefix('1')) {
            (Some(rest), _) => ('~', rest),
            (_, Some(rest)) => ('/', rest),
            _ => {
                return Err(format!(
                    "`~` in a JSON pointer is written `~0`, and `/` within a name `~1`: `{token}`"
                ));
            }
        };
        plain.push(escaped);
        plain.push_str(rest);
    }
    Ok(plain)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_6901_section_5() {
        for (text, tokens) in [
            ("", &[][..]),
            ("/foo/0", &["foo", "0"]),
            ("/", &[""]),
            ("/a~1b", &["a/b"]),
            ("/c%d", &["c%d"]),
            ("/k\"l", &["k\"l"]),
            ("/m~0n", &["m~n"]),
            ("/~01", &["~1"]),
        ] {
            assert_eq!(Pointer::parse(text).unwrap().0, tokens, "{text}");
        }
    }

    #[test]
    fn what_lies_within() {
        let covers = |a, b| Pointer::parse(a).unwrap().covers(&Pointer::parse(b).unwrap());
        for (outer, inner) in [("", "/a"), ("/a", "/a"), ("/a", "/a/b"), ("/a~1b", "/a~1b/0")] {
            assert!(covers(outer, inner), "{outer} {inner}");
        }
        for (one, other) in [("/a", "/b"), ("/a/b", "/a"), ("/a", "/ab"), ("/a", "")] {
            assert!(!covers(one, other), "{one} {other}");
        }
    }

    #[test]
    fn a_mistake_is_told_with_its_remedy() {
        assert!(Pointer::parse("data/session").unwrap_err().contains("`/data/session`"));
        for text in ["/a~", "/a~2", "/~~1"] {
            assert!(Pointer::parse(text).unwrap_err().contains("~0"), "{text}");
        }
    }
}
