//! PROXY headers, version 1 and 2.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

use super::read;
use crate::fuzz::{cut, feed};

#[test]
fn a_proxy_header_is_read_alike_however_it_is_cut_and_nothing_behind_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    feed(SEEDS, |bytes, random| {
        let read_from = |pieces: Vec<&[u8]>| {
            let mut stream = Pieces(pieces.into_iter().filter(|piece| !piece.is_empty()).collect());
            let found = runtime.block_on(read(&mut stream)).map_err(|error| error.to_string());
            (found, stream.0.concat().len())
        };
        let whole = read_from(vec![bytes]);
        assert_eq!(read_from(cut(bytes, random)), whole);
        let (found, left) = whole;
        if found.is_ok() {
            let header = &bytes[..bytes.len() - left];
            assert_eq!(read_from(vec![header, b"GET / HTTP/1.1"]), (found.clone(), 14));
        }
        if let Ok(Some(client)) = found {
            assert_eq!(read_from(vec![written(client).as_bytes()]), (Ok(Some(client)), 0));
        }
        found.map(|client| client.map(|client| client.is_ipv4()))
    });
}

fn written(client: SocketAddr) -> String {
    let (family, ours) = if client.is_ipv4() { ("TCP4", "10.0.0.1") } else { ("TCP6", "::1") };
    format!("PROXY {family} {} {ours} {} 443\r\n", client.ip(), client.port())
}

struct Pieces<'b>(Vec<&'b [u8]>);

impl AsyncRead for Pieces<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(piece) = self.0.first_mut() {
            let (now, later) = piece.split_at(buffer.remaining().min(piece.len()));
            buffer.put_slice(now);
            *piece = later;
            if later.is_empty() {
                self.0.remove(0);
            }
        }
        Poll::Ready(Ok(()))
    }
}

const SEEDS: &[&[u8]] = &[
    b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r\nGET / HTTP/1.1\r\n",
    b"PROXY TCP6 2001:db8::1 ::1 4711 443\r\n",
    b"PROXY UNKNOWN ::1 ::1 1 2\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\x0a\0\0\x01\x12\x67\x01\xbb",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x12\x67\x01\xbb",
    b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
];
