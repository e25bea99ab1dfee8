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
            Ok(behind(socket, prefix))
        }
        None => {
            let url = web(text).map_err(|expected| format!("{expected}, or \"unix:/….sock\""))?;
            without_query(text, url).map(AppConfig::at)
        }
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
        if app.url.as_ref().and_then(Uri::scheme_str).is_some_and(|scheme| scheme != "https") {
            value
                .error::<()>("`tls` for an app that is reached without", "expected an https `url`");
        }
    }
}

#[cfg(feature = "cli")]
fn behind(socket: PathBuf, prefix: Uri) -> AppConfig {
    AppConfig { socket: Some(socket), ..AppConfig::at(prefix) }
}

/// The service around the layer reaches the app in its own way.
#[cfg(not(feature = "cli"))]
fn behind(_: PathBuf, prefix: Uri) -> AppConfig {
    AppConfig::at(prefix)
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

#[cfg(feature = "cli")]
fn tls(table: Table<'_>) -> AppTls {
    let directory = table.reader.directory;
    let roots = table.get("ca").and_then(|value| {
        let path = directory.join(value.text()?);
        // A changed bundle is a changed configuration.
        let bytes = std::fs::read(&path).unwrap_or_default();
        value.reader.files.borrow_mut().insert(path.clone(), super::changes::hash(&bytes));
        value.parse(|_| roots(&path).map(std::sync::Arc::new))
    });
    let server_name = table.get("server_name").and_then(|value| {
        let name = |text: &str| rustls::pki_types::ServerName::try_from(text.to_owned());
        value.parse(|text| name(text).map_err(|_| format!("`{text}` is not a host name")))
    });
    table.finish();
    AppTls { roots, server_name }
}

/// The service around the layer reaches the app in its own way.
#[cfg(not(feature = "cli"))]
fn tls(table: Table<'_>) -> AppTls {
    for key in ["ca", "server_name"] {
        table.get(key).and_then(|value| value.text());
    }
    table.finish();
    AppTls::default()
}

#[cfg(feature = "cli")]
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

#[cfg(all(test, unix, feature = "cli"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::Config;
    use super::*;

    fn read(directory: &Path, app: &str) -> Result<AppConfig, String> {
        let text = format!("[app]\n{app}\n\n[dws]\napi_key = {{ env = \"KEY\" }}\n");
        let config = Config::parse_with(&text, &directory.join("c.toml"), &|_| Some("key".into()));
        config.map(|config| config.app).map_err(|error| error.to_string())
    }

    #[test]
    fn sockets_with_and_without_a_prefix() {
        for (url, socket, prefix) in [
            ("unix:/run/app.sock", "/run/app.sock", "/"),
            ("unix:/run/app.sock:/base/", "/run/app.sock", "/base/"),
            ("unix:app.sock", "/etc/transom/app.sock", "/"),
        ] {
            let app = read(Path::new("/etc/transom"), &format!("url = \"{url}\"")).unwrap();
            assert_eq!(app.socket.as_deref(), Some(Path::new(socket)), "{url}");
            let at = app.url.unwrap();
            assert_eq!((at.host(), at.path()), (Some("localhost"), prefix), "{url}");
        }
        let long = format!("unix:/{}", "x".repeat(LONGEST_SOCKET));
        for url in ["unix:", "unix::/x", "unix:/a:b", "unix:/a:/?b", "unix:/a:/ b", &long] {
            let error = read(Path::new("/etc"), &format!("url = \"{url}\"")).unwrap_err();
            assert!(error.contains("c.toml:2:7"), "{url}: {error}");
        }
    }

    #[test]
    fn an_address_is_shown_as_it_is_written() {
        for url in ["unix:/run/app.sock", "unix:/run/app.sock:/base", "https://app.example/base"] {
            let app = read(Path::new(""), &format!("url = \"{url}\"")).unwrap();
            assert_eq!(app.address(), url);
        }
    }

    #[test]
    fn a_ca_that_can_not_be_read_is_told_with_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let good = rcgen::CertificateParams::default().self_signed(&key).unwrap().pem();
        let broken = good.replacen("MII", "AAA", 1);
        let private = key.serialize_pem();
        for (name, content) in [("good", good.as_str()), ("broken", &broken), ("key", &private)] {
            std::fs::write(directory.path().join(name), content).unwrap();
        }
        let with = |tls: &str| {
            read(directory.path(), &format!("url = \"https://app.example\"\ntls = {tls}"))
        };
        let app = with("{ ca = \"good\", server_name = \"app.internal\" }").unwrap();
        assert_eq!(app.tls.roots.unwrap().len(), 1);
        assert!(app.tls.server_name.is_some());
        for (tls, place, told) in [
            ("{ ca = \"none\" }", "c.toml:3:14", "can't read "),
            ("{ ca = \"broken\" }", "c.toml:3:14", "broken: "),
            ("{ ca = \"key\" }", "c.toml:3:14", "holds no certificate in PEM"),
            ("{ server_name = \"a b\" }", "c.toml:3:23", "`a b` is not a host name"),
            ("{ roots = \"good\" }", "c.toml:3:9", "unknown key `roots`"),
        ] {
            let error = with(tls).unwrap_err();
            assert!(error.contains(place) && error.contains(told), "{tls}: {error}");
        }
        let error =
            read(directory.path(), "url = \"http://a\"\ntls = { ca = \"good\" }").unwrap_err();
        assert!(error.contains("`tls` for an app that is reached without"), "{error}");
    }
}
