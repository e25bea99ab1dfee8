//! How records rest on disk: keys in an order that reading can rely on, values behind a version
//! byte and a checksum.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{JobId, StoreError};
use crate::document::DocumentKey;

/// `kind NUL id`, and for a tenant's document `kind NUL SOH host NUL id`. Neither hosts nor ids hold control characters,
/// so both are told apart, and the order of the bytes is the order of the keys.
pub(super) fn name_key(key: &DocumentKey) -> Vec<u8> {
    let host = key.host().map_or(0, |host| host.len() + 2);
    let mut bytes = Vec::with_capacity(key.kind().len() + 1 + host + key.id().len());
    bytes.extend_from_slice(key.kind().as_bytes());
    bytes.push(0);
    if let Some(host) = key.host() {
        bytes.push(1);
        bytes.extend_from_slice(host.as_bytes());
        bytes.push(0);
    }
    bytes.extend_from_slice(key.id().as_bytes());
    bytes
}

/// Big-endian, so that older jobs come first.
pub(super) fn job_key(id: JobId) -> [u8; 8] {
    id.0.to_be_bytes()
}

/// A record: the version byte, the CRC-32 of what follows, and JSON.
pub(super) fn encode<T: Serialize>(record: &T) -> Result<Vec<u8>, StoreError> {
    let mut bytes = vec![RECORD_VERSION, 0, 0, 0, 0];
    serde_json::to_writer(&mut bytes, record)
        .map_err(|error| StoreError::Io(format!("a record can't be written: {error}")))?;
    let sum = crc32fast::hash(json_of(&bytes)).to_be_bytes();
    bytes[1..HEAD].copy_from_slice(&sum);
    Ok(bytes)
}

/// The JSON of a record.
pub(super) fn json_of(record: &[u8]) -> &[u8] {
    let head = if record.first() == Some(&UNCHECKED_VERSION) { 1 } else { HEAD };
    record.get(head..).unwrap_or_default()
}

/// Reads a record back. `what` names it for the operator.
pub(super) fn decode<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, StoreError> {
    let json = match bytes.split_first() {
        Some((&RECORD_VERSION, rest)) => match rest.split_first_chunk() {
            Some((sum, json)) if u32::from_be_bytes(*sum) == crc32fast::hash(json) => json,
            _ => {
                return Err(StoreError::Corrupt(format!(
                    "a {what} record is damaged: it does not have its checksum; {RESTORE}"
                )));
            }
        },
        Some((&UNCHECKED_VERSION, json)) => json,
        Some((version, _)) => {
            return Err(StoreError::Format(format!(
                "a {what} record has version {version}, this Transom reads versions 1 and 2; \
                 use the Transom that wrote it, or export there and import here"
            )));
        }
        None => return Err(StoreError::Corrupt(format!("a {what} record is empty; {RESTORE}"))),
    };
    serde_json::from_slice(json).map_err(|error| {
        StoreError::Corrupt(format!("a {what} record can't be read ({error}); {RESTORE}"))
    })
}

/// A counter of the store itself.
pub(super) fn decode_counter(what: &str, bytes: &[u8]) -> Result<u64, StoreError> {
    bytes.try_into().map(u64::from_be_bytes).map_err(|_| {
        StoreError::Corrupt(format!("the counter `{what}` has {} bytes; {RESTORE}", bytes.len()))
    })
}

/// What an operator can do about a store that can't be read.
pub(super) const RESTORE: &str = "nothing was changed or deleted: `transom store verify` tells what is damaged, and \
     `transom store repair` puts a store together from what is whole, and keeps the damaged one beside it; \
     `transom mappings export` writes what can still be read; `transom store restore` takes a backup";

const RECORD_VERSION: u8 = 2;
/// Without a checksum, as stores of format 2 and before have them.
const UNCHECKED_VERSION: u8 = 1;
/// Version and checksum.
const HEAD: usize = 5;

#[cfg(test)]
#[path = "../../tests/fuzz/records.rs"]
mod fuzz;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_are_ordered_as_keys_are(
            a in ("[a-c!]{1,3}", "[a.-]{0,3}", "[ -~é]{1,6}"),
            b in ("[a-c!]{1,3}", "[a.-]{0,3}", "[ -~é]{1,6}"),
        ) {
            let key = |(kind, host, id): (String, String, String)| match host.as_str() {
                "" => DocumentKey::new(kind, id),
                host => DocumentKey::new(kind, id)?.at_host(host),
            };
            let (Ok(a), Ok(b)) = (key(a), key(b)) else { return Ok(()) };
            prop_assert_eq!(a.cmp(&b), name_key(&a).cmp(&name_key(&b)));
        }

        #[test]
        fn any_bytes_are_a_record_or_an_error(bytes: Vec<u8>) {
            let _: Result<u64, _> = decode("test", &bytes);
            let _ = decode_counter("test", &bytes);
        }
    }

    #[test]
    fn a_record_reads_back_and_another_version_says_so() {
        let mut bytes = encode(&7_u64).unwrap();
        assert_eq!(decode::<u64>("test", &bytes).unwrap(), 7);
        assert_eq!(decode::<u64>("test", b"\x017").unwrap(), 7, "of format 2");
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(decode::<u64>("test", &bytes).is_err(), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        bytes[0] = 9;
        assert!(matches!(decode::<u64>("test", &bytes), Err(StoreError::Format(_))));
        assert!(matches!(decode::<u64>("test", &[]), Err(StoreError::Corrupt(_))));
    }
}
