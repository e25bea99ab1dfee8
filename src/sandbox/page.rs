//! The control page: what is stored, what was asked, what is set to fail.

use std::fmt::Write;

use http::HeaderMap;
use http::header::HOST;

use super::clock;
use super::state::Shared;

/// `asked` are the headers of the request for it: they say where this page is.
pub(super) fn render(shared: &Shared, asked: &HeaderMap) -> String {
    let host = asked.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let here = format!("http://{host}/control/");
    let live = shared.live();
    let counters = live.counters;
    let limit = |limit: Option<u64>| limit.map_or("no limit".to_owned(), |limit| limit.to_string());
    let plan = table(
        ["", "used", "limit"],
        [
            ("documents", live.documents.len() as u64, live.quota.documents),
            ("uploads", counters.uploads, live.quota.uploads),
            ("sessions", counters.sessions, live.quota.sessions),
        ]
        .map(|(name, used, most)| [name.to_owned(), used.to_string(), limit(most)]),
    );
    let faults = table(
        ["route", "fault", "times left"],
        live.faults.iter().map(|rule| {
            let route = serde_json::to_value(rule.route).unwrap_or_default();
            [
                route.as_str().unwrap_or_default().to_owned(),
                rule.fault.name(),
                rule.times.map_or("until removed".to_owned(), |times| times.to_string()),
            ]
        }),
    );
    let documents = table(
        ["id", "title", "type", "bytes", "stored"],
        live.documents.iter().rev().take(SHOWN).map(|document| {
            [
                document.id.clone(),
                document.title.clone().unwrap_or_default(),
                document.content.content_type.clone(),
                document.content.bytes.to_string(),
                clock::rfc3339(document.created),
            ]
        }),
    );
    let requests = table(
        ["#", "time", "request", "caller", "file", "fault", "status"],
        live.journal.entries().rev().take(SHOWN).map(|entry| {
            [
                entry.number.to_string(),
                entry.time.clone(),
                format!("{} {}", entry.method, entry.path),
                entry.caller.unwrap_or_default().to_owned(),
                entry.file.as_ref().and_then(|file| file.name.clone()).unwrap_or_default(),
                entry.fault.clone().unwrap_or_default(),
                entry.status.map_or("none".to_owned(), |status| status.to_string()),
            ]
        }),
    );
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>DWS sandbox</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <link rel=\"icon\" href=\"data:,\">\
         <meta http-equiv=\"refresh\" content=\"5\"><style>{STYLE}</style>\
         <h1>DWS sandbox</h1><p>A local stand-in of DWS Viewer at <code>{origin}viewer</code>. \
         {tokens} tokens minted, {deletes} documents deleted.</p>\
         <h2>Plan</h2>{plan}<h2>Faults on order</h2>{faults}\
         <p>To order and to end them, and to revoke every session:</p>\
         <pre>curl -d '{{\"route\":\"upload\",\"fault\":\"status\",\"status\":503}}' {here}faults\n\
         curl -X DELETE {here}faults\ncurl -X POST {here}revoke</pre>\
         <h2>Documents</h2>{documents}<h2>Requests</h2>{requests}</html>\n",
        origin = escape(&shared.origin),
        here = escape(&here),
        tokens = counters.tokens,
        deletes = counters.deletes,
    )
}

fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut html = String::from("<div><table><tr>");
    for name in head {
        let _ = write!(html, "<th>{name}</th>");
    }
    html.push_str("</tr>");
    let before = html.len();
    for row in rows {
        html.push_str("<tr>");
        for cell in row {
            let _ = write!(html, "<td>{}</td>", escape(&cell));
        }
        html.push_str("</tr>");
    }
    if html.len() == before {
        let _ = write!(html, "<tr><td colspan=\"{N}\">none</td></tr>");
    }
    html.push_str("</table></div>");
    html
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const SHOWN: usize = 50;
const STYLE: &str = ":root{color-scheme:light dark}\
    body{font:15px/1.5 system-ui,sans-serif;max-width:76rem;margin:2rem auto;padding:0 1rem}\
    div,pre{overflow-x:auto}table{border-collapse:collapse;min-width:40rem}\
    th,td{text-align:left;padding:.25rem 1.5rem .25rem 0;border-bottom:1px solid #8886;\
    white-space:nowrap;max-width:24rem;overflow:hidden;text-overflow:ellipsis}h2{margin-top:2rem}";
