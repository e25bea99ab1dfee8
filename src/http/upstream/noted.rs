//! What a hop has to know of a message's headers, from one look at each: to look up every name that may be there
//! costs several times that.

use http::{HeaderMap, HeaderValue};

use crate::http::headers::is_hop_by_hop;

#[derive(Debug, Default)]
pub(super) struct Noted<'h> {
    pub(super) names: Names,
    /// The first of each name.
    host: Option<&'h HeaderValue>,
    forwarded_host: Option<&'h HeaderValue>,
}

/// Which names are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    /// Any that ends at this hop.
    pub(super) hop_by_hop: bool,
    pub(super) upgrade: bool,
    pub(super) transfer_encoding: bool,
    pub(super) content_length: bool,
    pub(super) host: bool,
    /// Any that may hold an address of the app's.
    pub(super) addresses: bool,
}

impl<'h> Noted<'h> {
    /// `besides` is given the fields that tell nothing here.
    pub(super) fn of(
        headers: &'h HeaderMap,
        mut besides: impl FnMut(&'h str, &'h HeaderValue),
    ) -> Self {
        let mut noted = Self::default();
        for (name, value) in headers {
            match name.as_str() {
                "host" => _ = noted.host.get_or_insert(value),
                "x-forwarded-host" => _ = noted.forwarded_host.get_or_insert(value),
                "content-length" => noted.names.content_length = true,
                "content-location" | "destination" | "location" | "set-cookie" => {
                    noted.names.addresses = true;
                }
                name if is_hop_by_hop(name) => {
                    noted.names.hop_by_hop = true;
                    noted.names.transfer_encoding |= name == "transfer-encoding";
                    noted.names.upgrade |= name == "upgrade";
                }
                name => besides(name, value),
            }
        }
        noted.names.host = noted.host.is_some();
        noted
    }

    /// The authority under which the client knows us, as far as is known.
    pub(super) fn public_authority(&self) -> Option<&'h HeaderValue> {
        self.forwarded_host.or(self.host)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    #[test]
    fn each_name_is_noted_and_the_first_value_counts() {
        let mut headers = HeaderMap::new();
        for name in ["host", "x-forwarded-host", "accept"] {
            for value in ["first", "second"] {
                headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
        }
        let mut besides = Vec::new();
        let noted = Noted::of(&headers, |name, value| besides.push((name, value)));
        let first = HeaderValue::from_static("first");
        let values = [noted.host, noted.forwarded_host, noted.public_authority()];
        assert_eq!(values, [Some(&first); 3]);
        let second = HeaderValue::from_static("second");
        assert_eq!(besides, [("accept", &first), ("accept", &second)]);
        assert_eq!(noted.names, Names { host: true, ..Names::default() });

        let nothing = Names::default();
        let hop = Names { hop_by_hop: true, ..nothing };
        let addresses = Names { addresses: true, ..nothing };
        for (name, names) in [
            ("accept", nothing),
            ("connection", hop),
            ("te", hop),
            ("upgrade", Names { upgrade: true, ..hop }),
            ("transfer-encoding", Names { transfer_encoding: true, ..hop }),
            ("content-length", Names { content_length: true, ..nothing }),
            ("content-location", addresses),
            ("destination", addresses),
            ("location", addresses),
            ("set-cookie", addresses),
        ] {
            let headers = HeaderMap::from_iter([(HeaderName::from_static(name), first.clone())]);
            assert_eq!(Noted::of(&headers, |_, _| {}).names, names, "{name}");
        }
    }
}
