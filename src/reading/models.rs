//! Readers of queries, each as its source says, to compare with.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::{Parameter, parameter};

/// What a reader finds under a name: nothing, a text, or something that is no text.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Read {
    Nothing,
    Text(String),
    NoText,
    /// The reader refuses the whole request.
    Refused,
}

type Reader = fn(&str, &str) -> Read;

const READERS: [(&str, Reader); 9] = [
    ("PHP", php),
    ("Rack 2", rack2),
    ("Rack 3", rack3),
    ("Django", django),
    ("Python before 3.9.2, first", |query, name| python(query, name, false)),
    ("Python before 3.9.2, last", |query, name| python(query, name, true)),
    ("ASP.NET", asp_net),
    ("Tomcat", tomcat),
    ("qs", qs),
];

/// main/php_variables.c: `php_default_treat_data`, `php_register_variable_ex`.
fn php(query: &str, name: &str) -> Read {
    let mut found = Read::Nothing;
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let key = bytes(key);
        let key: Vec<u8> =
            key.into_iter().skip_while(|b| *b == b' ').take_while(|b| *b != 0).collect();
        let fold = |b: &u8| if matches!(b, b' ' | b'.' | b'[') { b'_' } else { *b };
        let bracket = key.iter().position(|b| *b == b'[');
        let is_array = bracket.is_some_and(|at| at > 0 && key[at..].contains(&b']'));
        let end = bracket.filter(|_| is_array).unwrap_or(key.len());
        let variable: Vec<u8> = key[..end].iter().map(fold).collect();
        if variable == name.as_bytes() && bracket != Some(0) {
            found = if is_array { Read::NoText } else { text(bytes(value)) };
        }
    }
    found
}

/// lib/rack/query_parser.rb of 2.2: `parse_nested_query`, `normalize_params`.
fn rack2(query: &str, name: &str) -> Read {
    rack(query, name, &['&', ';'], |key| {
        let start = key.trim_start_matches(['[', ']']);
        let end = start.find(['[', ']']).unwrap_or(start.len());
        let after = start[end..].trim_start_matches(']');
        (start[..end].to_owned(), after.is_empty())
    })
}

/// The same of 3.0.
fn rack3(query: &str, name: &str) -> Read {
    rack(query, name, &['&'], |key| {
        let bracket = key.char_indices().skip(1).find(|(_, c)| *c == '[').map(|(at, _)| at);
        (key[..bracket.unwrap_or(key.len())].to_owned(), bracket.is_none())
    })
}

fn rack(query: &str, name: &str, separators: &[char], split: fn(&str) -> (String, bool)) -> Read {
    let mut found = Read::Nothing;
    for part in
        query.split(separators).map(|part| part.trim_start_matches(' ')).filter(|p| !p.is_empty())
    {
        let (key, value) = part.split_once('=').map_or((part, None), |(k, v)| (k, Some(v)));
        let escapes = part.split('%').skip(1);
        let whole = |escape: &str| {
            escape.len() > 1 && escape.bytes().take(2).all(|b| b.is_ascii_hexdigit())
        };
        let (Ok(key), true) = (String::from_utf8(bytes(key)), escapes.into_iter().all(whole))
        else {
            return Read::Refused;
        };
        let (variable, is_text) = split(&key);
        if variable == name {
            found = match value {
                Some(value) if is_text => text(bytes(value)),
                Some(_) => Read::NoText,
                None => Read::Text(String::new()),
            };
        }
    }
    found
}

/// `QueryDict`: as WHATWG says; the last wins.
fn django(query: &str, name: &str) -> Read {
    let pairs = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
    pairs.last().map_or(Read::Nothing, |(_, value)| Read::Text(value.into_owned()))
}

/// `urllib.parse.parse_qsl` and `cgi.FieldStorage`.
fn python(query: &str, name: &str, last: bool) -> Read {
    let parts = query.split(['&', ';']).filter_map(|part| part.split_once('='));
    let mut values = parts.filter(|(key, _)| text(bytes(key)) == Read::Text(name.to_owned()));
    let value = if last { values.next_back() } else { values.next() };
    value.map_or(Read::Nothing, |(_, value)| text(bytes(value)))
}

/// `HttpValueCollection.FillFromString`, `HttpEncoder.UrlDecode`: no case, values joined.
fn asp_net(query: &str, name: &str) -> Read {
    let decode = |raw: &str| {
        let plain = raw.replace("%u0064", "d").replace("%u0069", "i").replace("%U0064", "d");
        String::from_utf8_lossy(&bytes(&plain)).into_owned()
    };
    let pairs = query.split('&').filter_map(|part| part.split_once('='));
    let values = pairs.filter(|(key, _)| decode(key).eq_ignore_ascii_case(name));
    let values: Vec<_> = values.map(|(_, value)| decode(value)).collect();
    if values.is_empty() { Read::Nothing } else { Read::Text(values.join(",")) }
}

/// `Parameters.processParameters`: the first wins.
fn tomcat(query: &str, name: &str) -> Read {
    let parts = query.split('&').map(|part| part.split_once('=').unwrap_or((part, "")));
    let value = parts
        .filter(|(key, _)| bytes(key) == name.as_bytes())
        .map(|(_, value)| text(bytes(value)))
        .next();
    value.unwrap_or(Read::Nothing)
}

/// lib/parse.js of 6.14: `parseQueryStringValues`, `parseKeys`.
fn qs(query: &str, name: &str) -> Read {
    let mut found = Read::Nothing;
    let query =
        query.replace("%5B", "[").replace("%5b", "[").replace("%5D", "]").replace("%5d", "]");
    for part in query.split('&').take(1000) {
        let at = part.find("]=").map(|at| at + 1).or(part.find('='));
        let (key, value) = at.map_or((part, ""), |at| (&part[..at], &part[at + 1..]));
        let decode = |raw: &str| String::from_utf8(bytes(raw)).unwrap_or(raw.to_owned());
        let key = decode(key);
        let bracket = key.find('[').filter(|at| key[*at..].contains(']'));
        let (root, is_text) = match bracket {
            Some(0) => (key[1..].split(']').next().unwrap().to_owned(), key.ends_with(']')),
            Some(at) => (key[..at].to_owned(), false),
            None => (key.clone(), true),
        };
        if root == name {
            found = match found {
                Read::Nothing if is_text => Read::Text(decode(value)),
                _ => Read::NoText,
            };
        }
    }
    found
}

fn bytes(raw: &str) -> Vec<u8> {
    percent_encoding::percent_decode_str(&raw.replace('+', " ")).collect()
}

fn text(bytes: Vec<u8>) -> Read {
    let text = String::from_utf8(bytes);
    Read::Text(text.unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn whoever_reads_it_reads_the_same(query in QUERY) {
        let read = parameter(Some(&query), "doc_id");
        for (reader, model) in READERS {
            let theirs = model(&query, "doc_id");
            match (&read, theirs) {
                (Parameter::Unclear, _) | (_, Read::Refused) => {}
                (Parameter::Missing, theirs) => prop_assert_eq!(theirs, Read::Nothing, "{}: {}", reader, query),
                (Parameter::Value(value), theirs) if value.is_empty() => {
                    prop_assert!(matches!(theirs, Read::Nothing | Read::Text(_)), "{}: {}", reader, query);
                }
                (Parameter::Value(value), theirs) => {
                    prop_assert_eq!(theirs, Read::Text(value.to_string()), "{}: {}", reader, query);
                }
            }
        }
    }
}

#[test]
fn a_plain_query_is_read() {
    for (query, value) in [
        ("doc_id=7", "7"),
        ("a=1&doc_id=7&b[]=2&b[]=3", "7"),
        ("doc_id=a%20b%3Bc&x=%zz", "a b;c"),
        ("a=1;b=2&doc_id=%C3%BC", "ü"),
    ] {
        assert_eq!(parameter(Some(query), "doc_id"), Parameter::Value(value.into()), "{query}");
        for (reader, model) in READERS {
            let theirs = model(query, "doc_id");
            assert!(
                theirs == Read::Text(value.to_owned()) || theirs == Read::Refused,
                "{reader}: {theirs:?}"
            );
        }
    }
}

/// Pieces that matter, in any order.
const QUERY: &str = r"((doc_id|doc|id|DOC|Doc_id|_|\.|\+|%20|\[|\]|%5B|%5D|%00|%5F|%64|%u0064|%|x|=|=7|=8|=|&|&|;){1,8}&?){1,4}";
