//! JSON, written piece by piece: each request has a line, and a serializer for anything takes a fifth longer for it.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::Value;

/// Appends members to an object. Their names come with all that is between two values: `,"status":`.
pub(super) struct Line<'t>(&'t mut Vec<u8>);

impl<'t> Line<'t> {
    pub(super) fn new(text: &'t mut Vec<u8>) -> Self {
        Self(text)
    }

    /// A string that has nothing to escape.
    pub(super) fn word(&mut self, name: &str, word: &str) {
        self.raw(name.as_bytes());
        self.quoted(word.as_bytes());
    }

    /// Any string; what is no UTF-8 in it becomes `U+FFFD`.
    pub(super) fn text(&mut self, name: &str, text: &[u8]) {
        self.raw(name.as_bytes());
        // Without a way out on the first that is not, which takes many at a time.
        if text.iter().fold(true, |plain, byte| plain & is_plain(*byte)) {
            self.quoted(text);
        } else {
            let escaped = Value::from(String::from_utf8_lossy(text)).to_string();
            self.raw(escaped.as_bytes());
        }
    }

    pub(super) fn number(&mut self, name: &str, number: u64) {
        self.raw(name.as_bytes());
        self.digits(number);
    }

    /// In milliseconds, to the microsecond.
    pub(super) fn milliseconds(&mut self, name: &str, time: Duration) {
        self.number(name, time.as_secs() * 1000 + u64::from(time.subsec_millis()));
        let [a, b, c] = [100, 10, 1].map(|place| b'0' + (time.subsec_micros() / place % 10) as u8);
        self.raw(&[b'.', a, b, c]);
    }

    pub(super) fn address(&mut self, name: &str, address: IpAddr) {
        let IpAddr::V4(address) = address else {
            return self.word(name, &address.to_string());
        };
        self.raw(name.as_bytes());
        for (before, octet) in [b"\"", b".", b".", b"."].into_iter().zip(address.octets()) {
            self.raw(before);
            self.digits(u64::from(octet));
        }
        self.raw(b"\"");
    }

    pub(super) fn raw(&mut self, text: &[u8]) {
        self.0.extend_from_slice(text);
    }

    fn quoted(&mut self, text: &[u8]) {
        self.raw(b"\"");
        self.raw(text);
        self.raw(b"\"");
    }

    fn digits(&mut self, number: u64) {
        self.raw(itoa::Buffer::new().format(number).as_bytes());
    }
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') & (byte != b'"') & (byte != b'\\')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(write: impl FnOnce(&mut Line<'_>)) -> Value {
        let mut text = b"{".to_vec();
        let mut line = Line::new(&mut text);
        write(&mut line);
        line.raw(b"}");
        serde_json::from_slice::<Value>(&text).unwrap()["it"].clone()
    }

    proptest! {
        #[test]
        fn any_text_is_read_back(text in prop_oneof![any::<Vec<u8>>(), "[ -~]*".prop_map(String::into_bytes)]) {
            let read = written(|line| line.text("\"it\":", &text));
            prop_assert_eq!(read, Value::from(String::from_utf8_lossy(&text)));
        }

        #[test]
        fn any_number_is_read_back(number: u64, micros in 0..1_u64 << 50) {
            prop_assert_eq!(written(|line| line.number("\"it\":", number)), number);
            let read = written(|line| line.milliseconds("\"it\":", Duration::from_micros(micros)));
            prop_assert_eq!((read.as_f64().unwrap() * 1000.0).round() as u64, micros);
        }

        #[test]
        fn any_address_is_read_back(address: IpAddr) {
            let read = written(|line| line.address("\"it\":", address));
            prop_assert_eq!(read, address.to_string());
        }
    }
}
