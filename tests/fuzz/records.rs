//! Records as the store gives them back, after a disk, a restore or another version had them.

use super::{decode, encode};
use crate::fuzz::feed;
use crate::store::{Job, Mapping};

#[test]
fn a_record_that_is_read_is_written_and_read_again_as_the_same() {
    feed(SEEDS, |bytes, _| {
        let mapping = decode::<Mapping>("mapping", bytes).ok();
        if let Some(mapping) = &mapping {
            let again = encode(mapping).unwrap();
            assert_eq!(&decode::<Mapping>("mapping", &again).unwrap(), mapping);
        }
        let job = decode::<Job>("journal", bytes).ok();
        if let Some(job) = &job {
            assert_eq!(&decode::<Job>("journal", &encode(job).unwrap()).unwrap(), job);
        }
        (mapping.is_some(), job.is_some(), bytes.first().copied())
    });
}

const SEEDS: &[&[u8]] = &[
    b"\x01{\"key\":{\"kind\":\"files\",\"id\":\"7\"},\"state\":{\"state\":\"ready\",\"document_id\":\"d\"},\"revision\":3,\"title\":null,\"content_type\":\"application/pdf\",\"size\":10,\"sha256\":\"ab\",\"created_at\":1,\"updated_at\":2}",
    b"\x01{\"id\":7,\"task\":{\"task\":\"upload\",\"key\":{\"kind\":\"files\",\"id\":\"7\"},\"spool\":\"s\",\"title\":\"t\",\"content_type\":\"application/pdf\",\"size\":1,\"sha256\":\"ab\"},\"progress\":\"new\",\"attempts\":0,\"created_at\":1,\"last_error\":null}",
    b"\x02{}",
    b"",
];
