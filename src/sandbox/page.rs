//! The control page: what is stored, what was asked, what is set to fail.

use std::fmt::Write;

use super::clock;
use super::state::Shared;

pub(super) fn render(shared: &Shared) -> String {
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
         <meta http-equiv=\"refresh\" content=\"5\"><style>{STYLE}</style>\
         <h1>DWS sandbox</h1><p>A local stand-in of DWS Viewer at <code>{origin}viewer</code>. \
         {tokens} tokens minted, {deletes} documents deleted.</p>\
         <h2>Plan</h2>{plan}<h2>Faults on order</h2>{faults}\
         <h2>Documents</h2>{documents}<h2>Requests</h2>{requests}</html>\n",
        origin = escape(&shared.origin),
        tokens = counters.tokens,
        deletes = counters.deletes,
    )
}

fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut html = String::from("<table><tr>");
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
    html.push_str("</table>");
    html
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const SHOWN: usize = 50;
const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;\
    padding:0 1rem;color:#222}table{border-collapse:collapse;width:100%}\
    th,td{text-align:left;padding:.25rem .75rem .25rem 0;border-bottom:1px solid #ddd;\
    overflow-wrap:anywhere}h2{margin-top:2rem}";
