//! Cookies with tokens.

use std::borrow::Cow;

use http::header::{COOKIE, HeaderValue};
use http::request::{Parts, Request};
use rand::Rng as _;

use super::find;
use crate::config::TokenPlace;
use crate::fuzz::feed;

#[test]
fn a_cookie_is_the_same_on_one_line_on_several_and_joined_again() {
    let places = [TokenPlace::Cookie("t".into())];
    feed(SEEDS, |bytes, random| {
        // HTTP/2 may split them at any separator.
        let mut lines: Vec<Vec<u8>> = vec![Vec::new()];
        for (pair, number) in bytes.split(|byte| *byte == b';').zip(0..) {
            match (lines.last_mut(), number) {
                (Some(line), 0) => line.extend(pair),
                (Some(line), _) if random.random() => {
                    line.push(b';');
                    line.extend(pair);
                }
                _ => lines.push(pair.to_vec()),
            }
        }
        let lines: Option<Vec<_>> =
            lines.iter().map(|line| HeaderValue::from_bytes(line).ok()).collect();
        let (Ok(line), Some(lines)) = (HeaderValue::from_bytes(bytes), lines) else { return None };
        let (one, mut several) = (request([line]), request(lines));
        let found_in =
            |request: &Parts| find(request, &places).map(|token| token.map(Cow::into_owned));
        let found = found_in(&one);
        assert_eq!(found_in(&several), found);
        crate::cookies::join(&mut several.headers);
        assert!(several.headers.get_all(COOKIE).iter().count() <= 1);
        assert_eq!(found_in(&several), found);
        Some(found.map(|token| token.is_some()))
    });
}

fn request(lines: impl IntoIterator<Item = HeaderValue>) -> Parts {
    let (mut request, ()) = Request::new(()).into_parts();
    for line in lines {
        request.headers.append(COOKIE, line);
    }
    request
}

const SEEDS: &[&[u8]] = &[
    b"t=a.b.c; u=1",
    b"n=\xfc; t=Bearer%20a.b.c",
    b"t=a; t=b",
    b"t=a;t=a; T=x",
    b"u=\"x; t=a\"; t=\"JWT a.b.c\"",
    b"t; t=; =t; ;;",
];
