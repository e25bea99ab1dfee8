//! The app's HTML, of the year it was written in.

use super::files::File;
use super::login::USERS;
use crate::viewer::escape;

pub(super) fn login() -> String {
    let known = USERS.map(|(name, password, _)| format!("<b>{name}</b>, password {password}"));
    page(
        "Log in",
        &format!(
            "<form method=post action=/login>\
             <p><label>Name <input name=username autofocus></label></p>\
             <p><label>Password <input name=password type=password></label></p>\
             <p><button>Log in</button></p></form><p>Known here: {}.</p>",
            known.join("; ")
        ),
    )
}

pub(super) fn list(user: &str, files: &[File]) -> String {
    let row = |file: &File| {
        let (id, name, size) = (file.id, escape(&file.name), file.bytes.len());
        format!("<li><a href=\"/files/{id}\">{name}</a> ({size} bytes)</li>")
    };
    let rows: String = files.iter().map(row).collect();
    let rows = if rows.is_empty() { "<li>Nothing yet.</li>".to_owned() } else { rows };
    page(
        &format!("Files of {}", escape(user)),
        &format!(
            "<ul id=files>{rows}</ul>\
             <form id=upload method=post action=/upload enctype=multipart/form-data>\
             <input type=file name=file required> <button>Upload</button></form>\
             <p><a href=/login>Log in as somebody else</a></p>"
        ),
    )
}

pub(super) fn file(file: &File) -> String {
    let (id, size, content_type) = (file.id, file.bytes.len(), escape(&file.content_type));
    page(
        &escape(&file.name),
        &format!(
            "<p>{size} bytes, {content_type}</p>\
             <p><a id=content href=\"/files/{id}/content\">Open</a> &middot; <a href=/>All files</a></p>\
             <form method=post action=\"/files/{id}/delete\"><button>Delete</button></form>"
        ),
    )
}

pub(super) fn message(text: &str) -> String {
    page(&escape(text), "<p><a href=/>All files</a></p>")
}

/// Title and body are HTML.
fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>\
         <meta name=viewport content=\"width=device-width\"><link rel=icon href=\"data:,\">\
         <style>{STYLE}</style><h1>{title}</h1>{body}</html>"
    )
}

const STYLE: &str = "body{font:16px/1.5 Georgia,serif;max-width:40rem;margin:2rem auto;padding:0 1rem}\
    h1{overflow-wrap:anywhere}label{display:inline-block}";
