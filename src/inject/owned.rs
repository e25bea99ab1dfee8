use http::header::CONNECTION;
use http::{HeaderMap, HeaderName, HeaderValue};

/// Header names that only Transom may set.
#[derive(Debug, Default)]
pub(crate) struct Owned {
    folded: Vec<Box<[u8]>>,
}

impl Owned {
    pub(crate) fn new(headers: &[HeaderName]) -> Self {
        let mut folded: Vec<Box<[u8]>> =
            headers.iter().map(|name| name.as_str().bytes().map(fold).collect()).collect();
        folded.sort_unstable();
        folded.dedup();
        Self { folded }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.folded.is_empty()
    }

    /// Removes every spelling of an owned header that an app server could fold into ours (CGI-like
    /// servers read `x_session` and `X.Session` as `X-Session`), and every `Connection` option that
    /// would have a hop behind us remove what we set. Costs nothing when nothing is owned.
    pub(crate) fn strip(&self, headers: &mut HeaderMap) {
        if self.folded.is_empty() {
            return;
        }
        let foreign: Vec<HeaderName> =
            headers.keys().filter(|name| self.owns(name.as_str().as_bytes())).cloned().collect();
        for name in foreign {
            headers.remove(name);
        }
        if headers.get_all(CONNECTION).iter().any(|line| options(line).any(|name| self.owns(name)))
        {
            self.strip_nominations(headers);
        }
    }

    fn strip_nominations(&self, headers: &mut HeaderMap) {
        let lines: Vec<HeaderValue> = headers.get_all(CONNECTION).iter().cloned().collect();
        headers.remove(CONNECTION);
        for line in lines {
            let kept: Vec<&[u8]> = options(&line).filter(|name| !self.owns(name)).collect();
            if let (false, Ok(line)) =
                (kept.is_empty(), HeaderValue::from_bytes(&kept.join(&b", "[..])))
            {
                headers.append(CONNECTION, line);
            }
        }
    }

    fn owns(&self, name: &[u8]) -> bool {
        self.folded.iter().any(|owned| {
            owned.len() == name.len()
                && owned.iter().zip(name).all(|(&owned, &byte)| owned == fold(byte))
        })
    }
}

fn options(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    line.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

fn fold(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn owned() -> Owned {
        Owned::new(&[HeaderName::from_static("x-viewer-session")])
    }

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let line = |&(name, value): &(&str, &str)| -> (HeaderName, HeaderValue) {
            (name.parse().unwrap(), value.parse().unwrap())
        };
        lines.iter().map(line).collect()
    }

    #[test]
    fn only_other_headers_stay() {
        let mut request = headers(&[
            ("X-Viewer-Session", "forged"),
            ("x-viewer-session", "again"),
            ("x_viewer_session", "forged"),
            ("X.Viewer~Session", "forged"),
            ("x-viewer-sessions", "mine"),
            ("xviewersession", "mine"),
            ("cookie", "a=b"),
        ]);
        owned().strip(&mut request);
        let rest = [("x-viewer-sessions", "mine"), ("xviewersession", "mine"), ("cookie", "a=b")];
        assert_eq!(request, headers(&rest));
    }

    #[test]
    fn nominations_of_owned_headers_go() {
        let mut request = headers(&[
            ("connection", "keep-alive, X-Viewer-Session ,x_viewer_session"),
            ("connection", "x-viewer-session"),
            ("connection", "x-other"),
        ]);
        owned().strip(&mut request);
        assert_eq!(request, headers(&[("connection", "keep-alive"), ("connection", "x-other")]));
    }

    #[test]
    fn without_owned_names_nothing_happens() {
        let mut request = headers(&[("x-viewer-session", "1"), ("connection", "a ,b,")]);
        let before = request.clone();
        Owned::default().strip(&mut request);
        assert_eq!(request, before);
    }

    proptest! {
        #[test]
        fn no_spelling_survives(separators in "[!#$%&'*+.^_`|~-]{2}", upper in any::<u16>()) {
            let mut separators = separators.chars();
            let name: String = "x-viewer-session"
                .chars()
                .enumerate()
                .map(|(at, c)| match c {
                    '-' => separators.next().unwrap(),
                    c if upper >> at & 1 == 1 => c.to_ascii_uppercase(),
                    c => c,
                })
                .collect();
            let mut request = headers(&[(&name, "forged"), ("connection", &name)]);
            owned().strip(&mut request);
            prop_assert!(request.is_empty(), "{:?}", request);
        }
    }
}
