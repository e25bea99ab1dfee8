//! Forms with files.

use bytes::Bytes;
use memchr::memmem;

use super::{Epilogue, Event, Malformed, Scanner};
use crate::fuzz::{cut, feed};

#[test]
fn a_form_has_the_same_parts_however_it_is_cut_and_its_bytes_are_the_senders() {
    feed(SEEDS, |bytes, random| {
        let whole = events(&[bytes]);
        assert_eq!(events(&cut(bytes, random)), whole);
        let events = whole.map_err(|error| error.to_string())?;
        let (mut at, mut contents) = (0, events.iter().peekable());
        while let Some(event) = contents.next() {
            let Event::Part(_) = event else { continue };
            let data = contents.next_if(|event| matches!(event, Event::Data(_)));
            let data = data
                .map_or(&b""[..], |event| if let Event::Data(data) = event { data } else { b"" });
            let framed = [b"\r\n\r\n", data, b"\r\n--b"].concat();
            at += memmem::find(&bytes[at..], &framed).expect("the content stands in the form") + 4;
        }
        Ok::<_, String>(events.iter().filter(|event| matches!(event, Event::Part(_))).count())
    });
}

/// With data that follows data added to it.
fn events(pieces: &[&[u8]]) -> Result<Vec<Event>, Malformed> {
    let (mut scanner, mut events, mut epilogue) = (Scanner::new("b"), Vec::new(), None);
    for piece in pieces {
        if let Some(epilogue) = &mut epilogue {
            Epilogue::watch(epilogue, piece)?;
            continue;
        }
        scanner.push(Bytes::copy_from_slice(piece));
        while let Some(event) = scanner.next()? {
            match (events.last_mut(), event) {
                (Some(Event::Data(before)), Event::Data(data)) => {
                    *before = [&**before, &*data].concat().into();
                }
                (_, Event::End) => epilogue = Some(scanner.epilogue()?),
                (_, event) => events.push(event),
            }
            if epilogue.is_some() {
                break;
            }
        }
    }
    scanner.finish().map(|()| events)
}

const SEEDS: &[&[u8]] = &[
    b"--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.pdf\"\r\nContent-Type: application/pdf\r\n\r\n%PDF-1.7\r\n\r\n--b--\r\n",
    b"pre\r\n--b\r\ncontent-disposition:form-data;name=f\r\n\r\nhi\r\n--b\r\nContent-Disposition: form-data; name=\"g\"\r\n\r\n\r\n--b-- \r\nepilogue\r\n",
    b"--b\r\nContent-Disposition: form-data; name=f; filename*=UTF-8''%e2%82%ac.pdf; filename=\"x\\\"y\"\r\n\r\na\r\n-\r\n--\r\n--c\r\n--b--",
    b"--b\r\nContent-Disposition: form-data;\r\n name=f\r\nContent-Transfer-Encoding: base64\r\nContent-Length: 2\r\n\r\naa\r\n--b--",
    b"--b--\r\n",
];
