//! Where the app is, and how it is spoken to: the part of `[app]` that only the proxy needs.

use std::path::{Path, PathBuf};

use http::Uri;

use super::server::web;
use super::tree::{Table, Value};
use super::{AppConfig, AppTls};

/// `url`: an `http` or `https` address, or a Unix socket, each with an optional path before every path.
pub(super) fn address(value: &Value<'_>) -> Option<AppConfig> {
    let directory = value.reader.directory;
    value.parse(|text| match text.strip_prefix("unix:") {
        Some(text) => {
            let (socket, prefix) = unix(text, directory)?;
            Ok(AppConfig { socket: Some(socket), ..AppConfig::at(prefix) })
        }
        None => without_query(text, web(text)?).map(AppConfig::at),
    })
}

/// The keys that say how to speak to it.
pub(super) fn connection(table: &Table<'_>, app: &mut AppConfig) {
    for (key, setting) in
        [("http2", &mut app.http2), ("rewrite_host", &mut app.rewrite_host), ("via", &mut app.via)]
    {
        *setting = table.get(key).and_then(|value| value.bool()).unwrap_or(false);
    }
    if let Some(value) = table.get("tls") {
        app.tls = value.table("`tls`").map(tls).unwrap_or_default();
        if app.url.scheme_str().is_some_and(|scheme| scheme != "https") {
            value
                .error::<()>("`tls` for an app that is reached without", "expected an https `url`");
        }
    }
}

/// `/run/app.sock` or `/run/app.sock:/prefix`, as nginx writes it.
fn unix(text: &str, directory: &Path) -> Result<(PathBuf, Uri), String> {
    if !cfg!(unix) {
        return Err("this system has no Unix sockets: expected http:// or https://".to_owned());
    }
    let (socket, prefix) = text.split_once(':').unwrap_or((text, "/"));
    if socket.is_empty() || !prefix.starts_with('/') {
        return Err(format!("`unix:{text}` is not a socket such as \"unix:/run/app.sock\""));
    }
    let socket = directory.join(socket);
    let length = socket.as_os_str().len();
    if length > LONGEST_SOCKET {
        return Err(format!("a socket's path has at most {LONGEST_SOCKET} bytes, not {length}"));
    }
    let prefix = format!("http://localhost{prefix}").parse();
    let prefix =
        prefix.map_err(|_| format!("`unix:{text}`: what follows the socket is no path"))?;
    Ok((socket, without_query(text, prefix)?))
}

fn without_query(text: &str, uri: Uri) -> Result<Uri, String> {
    if uri.query().is_some() {
        return Err(format!("`{text}`: the app's address can't have a query"));
    }
    Ok(uri)
}

#[cfg(feature = "server")]
fn tls(table: Table<'_>) -> AppTls {
    let directory = table.reader.directory;
    let roots = table.get("ca").and_then(|value| {
        value.parse(|name| roots(&directory.join(name)).map(std::sync::Arc::new))
    });
    let server_name = table.get("server_name").and_then(|value| {
        let name = |text: &str| rustls::pki_types::ServerName::try_from(text.to_owned());
        value.parse(|text| name(text).map_err(|_| format!("`{text}` is not a host name")))
    });
    table.finish();
    AppTls { roots, server_name }
}

/// The service around the layer reaches the app in its own way.
#[cfg(not(feature = "server"))]
fn tls(table: Table<'_>) -> AppTls {
    for key in ["ca", "server_name"] {
        table.get(key).and_then(|value| value.text());
    }
    table.finish();
    AppTls::default()
}

#[cfg(feature = "server")]
fn roots(path: &Path) -> Result<rustls::RootCertStore, String> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    let shown = path.display();
    let pem = std::fs::read(path).map_err(|error| format!("can't read {shown}: {error}"))?;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| format!("{shown} is not PEM: {error}"))?;
        roots.add(certificate).map_err(|error| format!("{shown}: {error}"))?;
    }
    if roots.is_empty() {
        return Err(format!("{shown} holds no certificate in PEM"));
    }
    Ok(roots)
}

/// `sockaddr_un` has room for this and a zero byte, on Linux; on BSDs and macOS for 4 bytes less.
const LONGEST_SOCKET: usize = if cfg!(target_os = "linux") { 107 } else { 103 };
