#![allow(clippy::unwrap_used)]

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use http::HeaderValue;
use proptest::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::*;

const TEXT: &[u8] = b"{\"data\": {\"id\": 7, \"price\": 1.10}}";
/// Made with Node.js 20 (`zlib.brotliCompressSync`).
const BROTLI: &[u8] = &[
    139, 16, 128, 123, 34, 100, 97, 116, 97, 34, 58, 32, 123, 34, 105, 100, 34, 58, 32, 55, 44, 32,
    34, 112, 114, 105, 99, 101, 34, 58, 32, 49, 46, 49, 48, 125, 125, 3,
];
/// 2 MiB of blanks.
const BROTLI_BOMB: &[u8] = &[155, 255, 255, 31, 248, 37, 64, 226, 177, 64, 32, 247, 254, 3];
/// Made with zstd 1.5.
const ZSTD: &[u8] = &[
    40, 181, 47, 253, 4, 88, 17, 1, 0, 123, 34, 100, 97, 116, 97, 34, 58, 32, 123, 34, 105, 100,
    34, 58, 32, 55, 44, 32, 34, 112, 114, 105, 99, 101, 34, 58, 32, 49, 46, 49, 48, 125, 125, 31,
    26, 128, 29,
];
const MOST: usize = 1 << 20;
const HEADS: &[&[u8]] = &[b"", b"\x1f\x8b\x08\0", b"\x28\xb5\x2f\xfd", b"\x78\x9c"];

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

fn decoded(codings: &[&'static str], body: impl Into<Bytes>) -> Result<Bytes, Reason> {
    let lines = codings.iter().map(|line| (CONTENT_ENCODING, HeaderValue::from_static(line)));
    decode(&lines.collect(), &body.into(), MOST)
}

#[test]
fn each_coding_is_undone() {
    for (coding, body) in [
        ("gzip", gzip(TEXT)),
        ("GZip", gzip(TEXT)),
        ("x-gzip", gzip(TEXT)),
        ("gzip", [gzip(&TEXT[..9]), gzip(&TEXT[9..])].concat()),
        ("deflate", zlib(TEXT)),
        ("deflate", deflate(TEXT)),
        ("br", BROTLI.to_vec()),
        ("zstd", ZSTD.to_vec()),
        (
            "zstd",
            [zstd(&TEXT[..9]), b"\x5a\x2a\x4d\x18\x02\0\0\0xy".to_vec(), zstd(&TEXT[9..])].concat(),
        ),
        ("identity", TEXT.to_vec()),
        ("", TEXT.to_vec()),
        ("gzip, identity, deflate", zlib(&gzip(TEXT))),
    ] {
        assert_eq!(decoded(&[coding], body).as_deref(), Ok(TEXT), "{coding}");
    }
    assert_eq!(decoded(&["gzip", "deflate"], zlib(&gzip(TEXT))).as_deref(), Ok(TEXT));
    assert_eq!(decoded(&[], TEXT).as_deref(), Ok(TEXT));
}

#[test]
fn what_is_not_understood_is_told() {
    for (codings, body) in [
        (&["compress"][..], TEXT.to_vec()),
        (&["dcb"], TEXT.to_vec()),
        (&["gzip, what"], gzip(TEXT)),
        (&["gzip, gzip, gzip, gzip"], gzip(TEXT)),
        (&["gzip"], TEXT.to_vec()),
        (&["gzip"], Vec::new()),
        (&["gzip"], gzip(TEXT)[..20].to_vec()),
        (&["deflate"], b"\xff\xff\xff".to_vec()),
        (&["br"], BROTLI[..9].to_vec()),
        (&["zstd"], ZSTD[..9].to_vec()),
        (&["zstd"], b"\x28\xb5\x2f".to_vec()),
        (&["zstd"], TEXT.to_vec()),
    ] {
        assert_eq!(decoded(codings, body), Err(Reason::ReplyEncoded), "{codings:?}");
    }
}

#[test]
fn no_more_comes_out_than_is_allowed() {
    let (fits, larger) = (vec![b' '; MOST], vec![b' '; MOST + 1]);
    for (coding, encode) in [
        ("gzip", gzip as fn(&[u8]) -> Vec<u8>),
        ("deflate", zlib),
        ("deflate", deflate),
        ("zstd", zstd),
    ] {
        assert_eq!(decoded(&[coding], encode(&fits)).unwrap(), fits, "{coding}");
        assert_eq!(decoded(&[coding], encode(&larger)), Err(Reason::ReplyTooLarge), "{coding}");
    }
    assert_eq!(decoded(&["br"], BROTLI_BOMB), Err(Reason::ReplyTooLarge));
    let layered = gzip(&gzip(&vec![0; 64 << 20]));
    assert_eq!(decoded(&["gzip, gzip"], layered), Err(Reason::ReplyTooLarge));
    // A window of 64 MiB, and one of 1 EiB.
    for window in [0x80, 0xff] {
        let frame = [b"\x28\xb5\x2f\xfd\0", &[window][..], &[0; 9]].concat();
        assert_eq!(decoded(&["zstd"], frame), Err(Reason::ReplyTooLarge));
    }
}

proptest! {
    #[test]
    fn what_was_encoded_comes_back(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        for (coding, body) in [
            ("gzip", gzip(&bytes)),
            ("deflate", zlib(&bytes)),
            ("zstd", zstd(&bytes)),
        ] {
            prop_assert_eq!(decoded(&[coding], body).unwrap(), bytes.clone());
        }
    }

    #[test]
    fn arbitrary_bytes_end_without_a_panic(
        coding in prop::sample::select(&["gzip", "deflate", "br", "zstd"][..]),
        head in prop::sample::select(HEADS),
        rest in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = decoded(&[coding], [head, &rest].concat());
    }
}
