//! Who the client is, in the words of a proxy that speaks the PROXY protocol (versions 1 and 2).
//!
//! <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>

use std::io;
use std::net::SocketAddr;

use ppp::{HeaderResult, v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Reads the header that the stream begins with, and not a byte more. `None`: the proxy speaks for itself.
pub(super) async fn read<S>(stream: &mut S) -> Result<Option<SocketAddr>, Unreadable>
where
    S: AsyncRead + Unpin,
{
    let mut header = Vec::with_capacity(USUAL);
    loop {
        match missing(&header)? {
            0 => return client(&header),
            more => {
                let whole = header.len() + more;
                stream.take(more as u64).read_to_end(&mut header).await?;
                match header.len() {
                    0 => return Err(Unreadable::Silent),
                    length if length < whole => return Err(Unreadable::Malformed("it breaks off")),
                    _ => {}
                }
            }
        }
    }
}

/// Why a connection says nothing of its client.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    /// As the checks of load balancers do.
    #[error("it was closed before its first byte")]
    Silent,
    #[error("{0}")]
    Malformed(&'static str),
    #[error(transparent)]
    Broken(#[from] io::Error),
}

/// How many bytes the header certainly has besides these; 0 once it is whole.
fn missing(header: &[u8]) -> Result<usize, Unreadable> {
    let length = header.len();
    let whole = if length < SHORTEST {
        SHORTEST
    } else if header.starts_with(v2::PROTOCOL_PREFIX) {
        match header.get(LENGTH_AT..LENGTH_AT + 2) {
            Some(&[high, low]) => LENGTH_AT + 2 + usize::from(u16::from_be_bytes([high, low])),
            _ => LENGTH_AT + 2,
        }
    } else if !header.starts_with(v1::PROTOCOL_PREFIX.as_bytes()) {
        return Err(Unreadable::Malformed("it does not begin like one"));
    } else if header.ends_with(b"\r\n") {
        length
    } else if length >= LONGEST_V1 {
        return Err(Unreadable::Malformed("it is too long"));
    } else {
        length + if header.ends_with(b"\r") { 1 } else { 2 }
    };
    if whole > LONGEST {
        return Err(Unreadable::Malformed("it is too long"));
    }
    Ok(whole - length)
}

fn client(header: &[u8]) -> Result<Option<SocketAddr>, Unreadable> {
    match HeaderResult::parse(header) {
        HeaderResult::V1(Ok(header)) => Ok(match header.addresses {
            v1::Addresses::Tcp4(ip) => Some((ip.source_address, ip.source_port).into()),
            v1::Addresses::Tcp6(ip) => Some((ip.source_address, ip.source_port).into()),
            v1::Addresses::Unknown => None,
        }),
        HeaderResult::V2(Ok(header)) => Ok(match (header.command, header.addresses) {
            (v2::Command::Local, _) => None,
            (_, v2::Addresses::IPv4(ip)) => Some((ip.source_address, ip.source_port).into()),
            (_, v2::Addresses::IPv6(ip)) => Some((ip.source_address, ip.source_port).into()),
            (_, v2::Addresses::Unix(_) | v2::Addresses::Unspecified) => None,
        }),
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => {
            Err(Unreadable::Malformed("it can't be understood"))
        }
    }
}

/// `PROXY UNKNOWN\r\n`; version 2 has a byte more before its addresses.
const SHORTEST: usize = 15;
/// Where version 2 says how much follows: after its signature, the command and the family.
const LENGTH_AT: usize = 14;
const LONGEST_V1: usize = 107;
/// Version 2 could have 64 KiB; what is sent with it (TLS details, ids of a cloud) takes some hundred bytes.
const LONGEST: usize = 4096;
const USUAL: usize = 128;

#[cfg(test)]
#[path = "../../../tests/fuzz/proxy_header.rs"]
mod fuzz;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut header = v2::PROTOCOL_PREFIX.to_vec();
        header.extend([command, family]);
        header.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
        header.extend(rest);
        header
    }

    /// What is read of these bytes, and how many of them.
    fn read_from(bytes: &[u8]) -> (Result<Option<SocketAddr>, Unreadable>, usize) {
        let mut rest = bytes;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let found = runtime.block_on(read(&mut rest));
        (found, bytes.len() - rest.len())
    }

    fn headers() -> Vec<(Vec<u8>, Option<&'static str>)> {
        let four = [192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x67, 0x01, 0xbb];
        let mut six = [0; 36];
        six[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        (six[15], six[32], six[33]) = (1, 0x12, 0x67);
        let tlv = [&four[..], &[0x03, 0, 4, 1, 2, 3, 4, 0x04, 0, 1, 0]].concat();
        vec![
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r\n".to_vec(), Some("192.0.2.7:4711")),
            (b"PROXY TCP6 2001:db8::1 ::1 4711 443\r\n".to_vec(), Some("[2001:db8::1]:4711")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ::1 ::1 1 2\r\n".to_vec(), None),
            (v2(0x21, 0x11, &four), Some("192.0.2.7:4711")),
            (v2(0x21, 0x21, &six), Some("[2001:db8::1]:4711")),
            (v2(0x21, 0x11, &tlv), Some("192.0.2.7:4711")),
            (v2(0x21, 0x31, &[b'/'; 216]), None),
            (v2(0x21, 0x00, b""), None),
            (v2(0x20, 0x00, b""), None),
            (v2(0x20, 0x11, &four), None),
        ]
    }

    #[test]
    fn headers_are_read_and_nothing_behind_them() {
        for (header, client) in headers() {
            let bytes = [&header[..], b"GET / HTTP/1.1\r\n\r\n"].concat();
            let (found, read) = read_from(&bytes);
            let told = String::from_utf8_lossy(&header);
            assert_eq!(found.unwrap(), client.map(|client| client.parse().unwrap()), "{told}");
            assert_eq!(read, header.len(), "{told}");
        }
    }

    #[test]
    fn a_header_that_breaks_off_is_none() {
        for (header, _) in headers() {
            for length in 1..header.len() {
                let (found, _) = read_from(&header[..length]);
                assert!(matches!(found, Err(Unreadable::Malformed(_))), "{length} of {header:?}");
            }
        }
        assert!(matches!(read_from(b"").0, Err(Unreadable::Silent)));
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(92));
        let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(91));
        assert!(read_from(longest.as_bytes()).0.is_ok());
        for bytes in [
            b"GET / HTTP/1.1\r\nHost: d\r\n\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 10.0.0.1 4711\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 443 5\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.777 10.0.0.1 4711 443\r\n".to_vec(),
            b"PROXY TCP4 2001:db8::1 ::1 4711 443\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 70000\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\nGET / HTTP/1.1\r\nHost: d\r\n\r\n".to_vec(),
            b"PROXY UDP4 192.0.2.7 10.0.0.1 4711 443\r\n".to_vec(),
            b"proxy TCP4 192.0.2.7 10.0.0.1 4711 443\r\n".to_vec(),
            long.into_bytes(),
            v2(0x11, 0x11, &[0; 12]),
            v2(0x22, 0x11, &[0; 12]),
            v2(0x21, 0x41, &[0; 12]),
            v2(0x21, 0x11, &[0; 11]),
            v2(0x21, 0x11, &[0; LONGEST]),
            [b"\r\n\r\n\0\r\nQUIX\n".as_slice(), &[0; 20]].concat(),
        ] {
            let told = String::from_utf8_lossy(&bytes).into_owned();
            assert!(matches!(read_from(&bytes).0, Err(Unreadable::Malformed(_))), "{told:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(
            start in prop_oneof![Just(&b""[..]), Just(&b"PROXY "[..]), Just(v2::PROTOCOL_PREFIX)],
            rest in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let bytes = [start, &rest].concat();
            let (_, read) = read_from(&bytes);
            prop_assert!(read <= LONGEST.min(bytes.len()));
        }
    }
}
