//! TLS towards clients, with certificates that are replaced by replacing their files.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use tokio_rustls::TlsAcceptor;

use crate::config::TlsConfig;
use crate::stamp::Stamp;
use crate::telemetry::Metrics;

use crate::http::downstream::signal::Shutdown;

/// The certificate that new connections get. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Certificate(Arc<Shared>);

struct Shared {
    files: ArcSwap<TlsConfig>,
    key: ArcSwap<CertifiedKey>,
    /// Why the files as they are now are not what is in use.
    trouble: RwLock<Option<String>>,
}

/// Why a certificate can't be used, as a sentence for the operator.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct TlsError(String);

impl TlsConfig {
    /// Whether both are of the same files, wherever they are written.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (&self.cert, &self.key) == (&other.cert, &other.key)
    }
}

impl Certificate {
    /// # Errors
    /// The files can't be read, or do not belong together.
    pub(crate) fn load(files: &TlsConfig) -> Result<Self, TlsError> {
        let key = ArcSwap::from_pointee(read(files)?);
        let files = ArcSwap::from_pointee(files.clone());
        Ok(Self(Arc::new(Shared { files, key, trouble: RwLock::new(None) })))
    }

    /// TLS 1.2 and 1.3 for HTTP/2 and HTTP/1.1.
    ///
    /// # Errors
    /// The TLS library refuses to be set up.
    pub(crate) fn acceptor(&self) -> Result<TlsAcceptor, TlsError> {
        // Named, since the process may hold no default or another one.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| TlsError(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// What an operator should know about the files; `None` when they are in use.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.0.trouble.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on this is `other`, whose files are others.
    pub(crate) fn become_like(&self, other: &Self) {
        self.0.files.store(other.0.files.load_full());
        self.0.key.store(other.0.key.load_full());
        self.set_trouble(None);
    }

    /// Takes files that have changed into use, until `shutdown`. What can't be used is said once.
    pub(crate) async fn follow(self, metrics: Arc<Metrics>, mut shutdown: Shutdown) {
        let mut seen = self.stamps();
        loop {
            tokio::select! {
                () = tokio::time::sleep(POLL) => {}
                () = shutdown.requested() => return,
            }
            let found = self.stamps();
            if found != seen {
                seen = found;
                self.reload(&metrics);
            }
        }
    }

    fn reload(&self, metrics: &Metrics) {
        let files = self.0.files.load();
        let certificate = files.cert.display();
        let trouble = match read(&files) {
            Ok(key) => {
                self.0.key.store(Arc::new(key));
                metrics.reload("tls", true);
                tracing::info!(%certificate, "new connections get the new certificate");
                None
            }
            Err(error) => {
                metrics.reload("tls", false);
                tracing::error!(%error, "the new certificate can't be used; the old one stays");
                Some(format!("{error}; the old certificate stays"))
            }
        };
        self.set_trouble(trouble);
    }

    fn set_trouble(&self, trouble: Option<String>) {
        *self.0.trouble.write().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// Differ after either file was written or replaced.
    fn stamps(&self) -> [Option<Stamp>; 2] {
        let files = self.0.files.load();
        [&files.cert, &files.key].map(|path| Stamp::of(path))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.key.load_full())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("files", &self.0.files).finish_non_exhaustive()
    }
}

fn read(files: &TlsConfig) -> Result<CertifiedKey, TlsError> {
    let open = |path: &Path| {
        let unreadable =
            |error: io::Error| TlsError(format!("can't read {}: {error}", path.display()));
        fs::read(path).map_err(unreadable)
    };
    let (cert, key) = (open(&files.cert)?, open(&files.key)?);
    let chain = CertificateDer::pem_slice_iter(&cert).collect::<Result<Vec<_>, _>>();
    let chain = chain.ok().filter(|chain| !chain.is_empty());
    let chain = chain.ok_or_else(|| wrong(&files.cert, "holds no certificate in PEM"))?;
    let key = PrivateKeyDer::from_pem_slice(&key)
        .map_err(|_| wrong(&files.key, "holds no private key in PEM"))?;
    let usable = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider());
    usable.map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            wrong(&files.key, &format!("is not the key of {}", files.cert.display()))
        }
        error => wrong(&files.cert, &format!("can't be used: {error}")),
    })
}

fn wrong(path: &Path, what: &str) -> TlsError {
    TlsError(format!("{} {what}", path.display()))
}

/// Between two looks at the files.
const POLL: Duration = Duration::from_secs(1);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http::Version;
    use tokio::io::AsyncReadExt;

    use crate::config::AppLimits;

    use super::*;
    use crate::http::downstream::signal;
    use crate::proxy::testing::{App, PATIENT, Proxy};

    struct Files {
        dir: tempfile::TempDir,
    }

    impl Files {
        fn new() -> Self {
            Self { dir: tempfile::tempdir().unwrap() }
        }

        fn config(&self) -> TlsConfig {
            let file = |name| self.dir.path().join(name);
            TlsConfig { cert: file("c.pem"), key: file("k.pem"), place: 0..0 }
        }

        fn write(&self, name: &str) {
            let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
            fs::write(self.config().cert, made.cert.pem()).unwrap();
            fs::write(self.config().key, made.signing_key.serialize_pem()).unwrap();
        }
    }

    #[test]
    fn what_is_wrong_with_the_files_is_said() {
        let files = Files::new();
        let config = files.config();
        let said = || Certificate::load(&config).unwrap_err().to_string();
        assert!(said().contains("can't read ") && said().contains("c.pem"), "{}", said());
        files.write("a.test");
        assert!(Certificate::load(&config).is_ok());
        let first = fs::read(&config.key).unwrap();
        files.write("b.test");
        fs::write(&config.key, first).unwrap();
        assert!(said().contains("k.pem is not the key of "), "{}", said());
        fs::write(&config.key, "no key").unwrap();
        assert!(said().ends_with("k.pem holds no private key in PEM"), "{}", said());
        fs::write(&config.cert, "").unwrap();
        assert!(said().ends_with("c.pem holds no certificate in PEM"), "{}", said());
    }

    #[tokio::test(start_paused = true)]
    async fn files_that_change_are_taken_if_they_are_good() {
        let files = Files::new();
        files.write("a.test");
        let certificate = Certificate::load(&files.config()).unwrap();
        let metrics = Arc::new(Metrics::new());
        let (_stop, shutdown) = signal::shutdown();
        tokio::spawn(certificate.clone().follow(metrics.clone(), shutdown));
        tokio::time::sleep(POLL).await;
        let first = certificate.0.key.load_full();

        fs::write(files.config().cert, "half a").unwrap();
        tokio::time::sleep(3 * POLL).await;
        assert!(Arc::ptr_eq(&certificate.0.key.load_full(), &first));
        assert!(certificate.trouble().unwrap().contains("holds no certificate"));
        assert!(
            metrics.render().contains("transom_reloads_total{what=\"tls\",result=\"refused\"} 1")
        );

        files.write("a-longer-name.test");
        tokio::time::sleep(3 * POLL).await;
        assert!(certificate.0.key.load_full().cert != first.cert);
        assert_eq!(certificate.trouble(), None);
        assert!(
            metrics.render().contains("transom_reloads_total{what=\"tls\",result=\"taken\"} 1")
        );
    }

    #[tokio::test]
    async fn other_files_take_the_place_of_the_first() {
        let (first, second) = (Files::new(), Files::new());
        first.write("a.test");
        second.write("b.test");
        let certificate = Certificate::load(&first.config()).unwrap();
        let acceptors = certificate.clone();
        certificate.set_trouble(Some("old".to_owned()));
        let other = Certificate::load(&second.config()).unwrap();
        certificate.become_like(&other);
        assert_eq!(acceptors.0.key.load().cert, other.0.key.load().cert);
        assert_eq!(certificate.trouble(), None);
        second.write("c.test");
        certificate.reload(&Metrics::new());
        assert_ne!(acceptors.0.key.load().cert, other.0.key.load().cert);
    }

    #[tokio::test]
    async fn clients_choose_their_http_and_the_app_is_told_of_tls() {
        let files = Files::new();
        files.write("localhost");
        let acceptor = Certificate::load(&files.config()).unwrap().acceptor().unwrap();
        let app = App::start().await;
        let proxy = Proxy::entered_by(&app.url(), PATIENT, AppLimits::default(), |entrance| {
            entrance.with_tls(acceptor)
        })
        .await;
        let root = reqwest::Certificate::from_pem(&fs::read(files.config().cert).unwrap()).unwrap();
        let client = || {
            let client = reqwest::Client::builder().tls_certs_only([root.clone()]);
            client.resolve("localhost", proxy.address)
        };
        let url = format!("https://localhost:{}/", proxy.address.port());
        for (client, version) in [
            (client().build().unwrap(), Version::HTTP_2),
            (client().http1_only().build().unwrap(), Version::HTTP_11),
            (
                client().tls_version_max(reqwest::tls::Version::TLS_1_2).build().unwrap(),
                Version::HTTP_2,
            ),
        ] {
            let answer = async {
                let mut at_app = app.accept().await;
                let head = at_app.hear("\r\n\r\n").await;
                at_app
                    .say("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
                    .await;
                head
            };
            let (reply, head) = tokio::join!(client.get(&url).send(), answer);
            let reply = reply.unwrap();
            assert_eq!(reply.version(), version);
            assert_eq!(reply.text().await.unwrap(), "ok");
            assert!(head.contains("x-forwarded-proto: https\r\n"), "{head}");
        }
        // A client that does not know the certificate does not get past it, and no plain one past TLS.
        let stranger =
            reqwest::Client::builder().resolve("localhost", proxy.address).build().unwrap();
        assert!(stranger.get(&url).send().await.is_err());
        let mut plain = proxy.connect().await;
        plain.say("GET / HTTP/1.1\r\nHost: d\r\n\r\n").await;
        let mut rest = Vec::new();
        let _ = plain.0.read_to_end(&mut rest).await;
        assert!(!rest.starts_with(b"HTTP"));
    }
}
