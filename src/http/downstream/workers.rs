//! Threads that serve connections: each has a runtime, a listening socket and connections to the app
//! of its own, so that a request stays on one core from its first byte to its last.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::thread;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::sync::oneshot;

use super::signal::{self, Trigger};

/// Dropping it ends the threads, whatever they are at.
#[derive(Debug)]
pub(crate) struct Workers {
    serving: Vec<oneshot::Receiver<()>>,
    end: Trigger,
}

impl Workers {
    /// One thread per element of `jobs`, each on the socket that comes with it.
    ///
    /// # Errors
    /// No thread or no runtime can be had.
    pub(crate) fn start<J, F>(jobs: Vec<(StdListener, J)>) -> io::Result<Self>
    where
        J: FnOnce(TcpListener) -> F + Send + 'static,
        F: Future<Output = ()>,
    {
        let (trigger, end) = signal::shutdown();
        let mut serving = Vec::with_capacity(jobs.len());
        for (number, (listener, job)) in jobs.into_iter().enumerate() {
            let runtime = runtime::Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(BLOCKING_THREADS)
                .build()?;
            let (served, ended) = oneshot::channel();
            let mut end = end.clone();
            thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
                runtime.block_on(async move {
                    match TcpListener::from_std(listener) {
                        Ok(listener) => job(listener).await,
                        Err(error) => tracing::error!(%error, "a worker can't use its socket"),
                    }
                    // Nobody waits for it any more if the end was brought about by a drop.
                    let _ = served.send(());
                    // What requests left behind, such as the rest of a reply whose client is gone, is still at work.
                    end.requested().await;
                });
                runtime.shutdown_background();
            })?;
            serving.push(ended);
        }
        Ok(Self { serving, end: trigger })
    }

    /// Waits until every worker has served its last connection.
    pub(crate) async fn drained(&mut self) {
        while let Some(worker) = self.serving.last_mut() {
            let served = worker.await;
            // Forgotten at once: this may be given up, and asked for again.
            self.serving.pop();
            if served.is_err() {
                tracing::error!("worker {} ended by a fault", self.serving.len());
            }
        }
    }

    pub(crate) fn end(self) {
        self.end.pull();
    }
}

/// `count` sockets on one address, among which the kernel spreads connections.
///
/// # Errors
/// The address can't be listened on, or somebody listens there already.
pub(crate) fn listen(address: SocketAddr, count: usize) -> io::Result<Vec<StdListener>> {
    if count <= 1 {
        return Ok(vec![bind(address, false)?]);
    }
    // Sockets that share an address would share it with another process of this user too; one that does
    // not share finds that process. With port 0 it is also the one that picks the port.
    let address = bind(address, false)?.local_addr()?;
    (0..count).map(|_| bind(address, true)).collect()
}

fn bind(address: SocketAddr, shared: bool) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // On Windows this would allow what on Unix only the other option allows.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    #[cfg(target_os = "linux")]
    socket.set_reuse_port(shared)?;
    debug_assert!(
        !shared || cfg!(target_os = "linux"),
        "the configuration asks for this on Linux only"
    );
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Per runtime, for files and name lookups.
pub(crate) const BLOCKING_THREADS: usize = 16;
/// What the kernel holds for us while we are busy; it takes less where `somaxconn` is lower.
const BACKLOG: i32 = 1024;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shared_by_workers_and_by_nobody_else() {
        let count = if cfg!(target_os = "linux") { 3 } else { 1 };
        let ours = listen(SocketAddr::from(([127, 0, 0, 1], 0)), count).unwrap();
        let address = ours[0].local_addr().unwrap();
        assert!(ours.iter().all(|socket| socket.local_addr().unwrap() == address));
        assert_eq!(ours.len(), count);
        for count in [1, count] {
            assert_eq!(listen(address, count).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        }
        drop(ours);
        listen(address, count).unwrap();
    }

    #[tokio::test]
    async fn every_worker_serves_on_a_runtime_of_its_own() {
        let (told, mut heard) = tokio::sync::mpsc::channel(4);
        let job = |_| {
            let told = told.clone();
            move |_: TcpListener| async move {
                let kind = tokio::runtime::Handle::current().runtime_flavor();
                let thread = thread::current().name().map(str::to_owned);
                told.send((kind, thread)).await.unwrap();
            }
        };
        let sockets = (0..2).map(|_| bind(SocketAddr::from(([127, 0, 0, 1], 0)), false).unwrap());
        let mut workers =
            Workers::start(sockets.enumerate().map(|(n, s)| (s, job(n))).collect()).unwrap();
        workers.drained().await;
        let mut names = Vec::new();
        for _ in 0..2 {
            let (kind, name) = heard.recv().await.unwrap();
            assert_eq!(kind, tokio::runtime::RuntimeFlavor::CurrentThread);
            names.push(name.unwrap());
        }
        names.sort();
        assert_eq!(names, ["worker-0", "worker-1"]);
        workers.end();
    }
}
