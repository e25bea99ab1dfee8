//! A small app with files, users and its own JWTs. It knows nothing of Transom.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use super::AppFile;

mod files;
mod login;
mod pages;
mod reply;
mod routes;

pub(crate) use login::USERS;

/// The running app. Dropping it stops it.
#[derive(Debug)]
pub(crate) struct LegacyApp {
    address: SocketAddr,
    app: Arc<routes::App>,
    accepting: JoinHandle<()>,
}

impl LegacyApp {
    /// Listens on `address` (port 0: any). Logins are signed with `secret`, as HS256, issuer and audience
    /// `legacy-app`.
    pub(crate) async fn start(address: SocketAddr, secret: &str) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let app = Arc::new(routes::App::new(secret));
        let accepting = tokio::spawn(accept(listener, app.clone()));
        Ok(Self { address, app, accepting })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it stores now, in the order of the ids.
    pub(crate) fn files(&self) -> Vec<AppFile> {
        self.app.files.all()
    }

    /// Drops all connections and everything stored.
    pub(crate) async fn stop(mut self) {
        self.accepting.abort();
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for LegacyApp {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, app: Arc<routes::App>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    let app = app.clone();
                    connections.spawn(async move {
                        let answer = service_fn(|request| {
                            let app = app.clone();
                            async move { Ok::<_, std::convert::Infallible>(app.answer(request).await) }
                        });
                        let connection = http1::Builder::new()
                            .timer(TokioTimer::new())
                            .serve_connection(TokioIo::new(stream), answer);
                        // A client that went away is nobody's concern.
                        let _ = connection.await;
                    });
                }
                // Most likely out of file descriptors, which passes.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

const MAX_CONNECTIONS: usize = 1024;

#[cfg(test)]
mod tests;
