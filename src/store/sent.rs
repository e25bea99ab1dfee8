//! What an upload was sent as.

use serde::{Deserialize, Serialize};

/// An upload as it was sent, written down before its first byte, so that it can be found at DWS whatever becomes of the
/// reply.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Sent {
    /// The id that it was to have. `None` in records that are older than this field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document_id: Option<String>,
    /// Where it was sent: a fingerprint of address and key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// When the first attempt began that may have stored it, in Unix milliseconds.
    pub since: u64,
    /// Whether it was stored is not known: it is looked for, and not sent.
    #[serde(skip_serializing_if = "is_false")]
    pub unclear: bool,
    /// The backend said of itself that it was away.
    #[serde(skip_serializing_if = "is_false")]
    pub away: bool,
    /// When it was looked for and not found for the first time, in Unix milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absent_since: Option<u64>,
    /// How often it was found to be absent for good.
    #[serde(skip_serializing_if = "is_zero")]
    pub settlements: u32,
    /// How many of those don't count, since the backend said of itself that it was away.
    #[serde(skip_serializing_if = "is_zero")]
    pub excused: u32,
    /// When it was first refused, in Unix milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused_at: Option<u64>,
    /// How many documents there were before it was sent, where nothing better tells whether it arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// When the newest of those was stored, by the backend's clock in Unix milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest: Option<u64>,
    /// Documents that may be it, for the operator to choose from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<String>,
}

impl Sent {
    /// An id that looks as those of DWS do: 26 characters of Crockford's base32, of 128 random bits.
    #[must_use]
    pub fn new_id() -> String {
        let bits = crate::random::u128();
        let digit = |place: u32| CROCKFORD.get((bits >> (5 * place) & 31) as usize).copied();
        (0..26).rev().filter_map(digit).map(char::from).collect()
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn ids_look_like_those_of_dws() {
        let id = Sent::new_id();
        assert!(id.len() == 26 && id.bytes().all(|byte| CROCKFORD.contains(&byte)), "{id}");
        assert!(id.as_bytes()[0] <= b'7', "128 bits: {id}");
        assert_ne!(id, Sent::new_id());
    }

    #[test]
    fn a_record_without_later_fields_is_read() {
        let sent: Sent = serde_json::from_str(r#"{"since":7}"#).unwrap();
        assert_eq!(sent, Sent { since: 7, ..Sent::default() });
        assert_eq!(serde_json::to_string(&sent).unwrap(), r#"{"since":7}"#);
    }
}
