//! Records as the store gives them back, after a disk, a restore or another version had them.

use super::{decode, encode};
use crate::fuzz::feed;
use crate::store::{Document, Job};

#[test]
fn a_record_that_is_read_is_written_and_read_again_as_the_same() {
    let read = |bytes: &[u8]| {
        let document = decode::<Document>("document", bytes).ok();
        (document, decode::<Job>("journal", bytes).ok())
    };
    assert!(read(SEEDS[0]).0.is_some() && read(SEEDS[1]).1.is_some(), "the seeds are records");
    feed(SEEDS, |bytes, _| {
        let (document, job) = read(bytes);
        if let Some(document) = &document {
            assert_eq!(read(&encode(document).unwrap()).0.as_ref(), Some(document));
        }
        if let Some(job) = &job {
            assert_eq!(read(&encode(job).unwrap()).1.as_ref(), Some(job));
        }
        (document.is_some(), job.is_some(), bytes.first().copied())
    });
}

const SEEDS: &[&[u8]] = &[
    b"\x01{\"id\":\"000102030405060708090a0b0c0d0e0f\",\"names\":[{\"kind\":\"files\",\"id\":\"7\"}],\"state\":{\"state\":\"ready\",\"document_id\":\"d\"},\"revision\":3,\"title\":null,\"content_type\":\"application/pdf\",\"size\":10,\"sha256\":\"ab\",\"created_at\":1,\"updated_at\":2}",
    b"\x01{\"id\":7,\"document\":\"000102030405060708090a0b0c0d0e0f\",\"task\":{\"task\":\"upload\",\"key\":{\"kind\":\"files\",\"id\":\"7\"},\"spool\":\"s\",\"title\":\"t\",\"content_type\":\"application/pdf\",\"size\":1,\"sha256\":\"ab\"},\"progress\":{\"progress\":\"due\",\"at\":1},\"attempts\":0,\"created_at\":1,\"last_error\":null}",
    b"\x02{}",
    b"",
];
