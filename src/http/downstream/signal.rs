//! Asks that end the process, and their way to the listeners.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

/// Starts a shutdown when it is asked to, or dropped.
#[derive(Debug)]
pub(crate) struct Trigger {
    pulled: Arc<AtomicBool>,
    waking: watch::Sender<()>,
}

/// Tells whether a shutdown was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Shutdown {
    pulled: Arc<AtomicBool>,
    waiting: watch::Receiver<()>,
}

pub(crate) fn shutdown() -> (Trigger, Shutdown) {
    let pulled = Arc::new(AtomicBool::new(false));
    let (waking, waiting) = watch::channel(());
    (Trigger { pulled: Arc::clone(&pulled), waking }, Shutdown { pulled, waiting })
}

impl Trigger {
    pub(crate) fn pull(&self) {
        self.pulled.store(true, Ordering::Release);
        self.waking.send_replace(());
    }
}

impl Drop for Trigger {
    fn drop(&mut self) {
        self.pull();
    }
}

impl Shutdown {
    pub(crate) fn is_requested(&self) -> bool {
        self.pulled.load(Ordering::Acquire)
    }

    pub(crate) async fn requested(&mut self) {
        let pulled = &self.pulled;
        // It fails when the trigger is gone, which is pulled then.
        let _ = self.waiting.wait_for(|()| pulled.load(Ordering::Acquire)).await;
    }
}

/// SIGTERM and SIGINT.
#[cfg(unix)]
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// From now on these signals do not end the process by themselves.
    pub(crate) fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The name of the next one.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// SIGHUP: read the configuration again.
#[derive(Debug)]
pub(crate) struct Hangups {
    #[cfg(unix)]
    hangup: tokio::signal::unix::Signal,
}

impl Hangups {
    /// From now on SIGHUP does not end the process.
    #[cfg(unix)]
    pub(crate) fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { hangup: signal(SignalKind::hangup())? })
    }

    /// There is no such signal here.
    #[cfg(not(unix))]
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    pub(crate) async fn next(&mut self) {
        #[cfg(unix)]
        if self.hangup.recv().await.is_some() {
            return;
        }
        std::future::pending::<()>().await;
    }
}

/// SIGUSR2: another version of the program is to go on.
#[cfg(unix)]
#[derive(Debug)]
pub(crate) struct Upgrades(tokio::signal::unix::Signal);

#[cfg(unix)]
impl Upgrades {
    /// From now on SIGUSR2 does not end the process.
    pub(crate) fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        signal(SignalKind::user_defined2()).map(Self)
    }

    pub(crate) async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

/// Ctrl-C.
#[cfg(not(unix))]
#[derive(Debug)]
pub(crate) struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self)
    }

    pub(crate) async fn next(&mut self) -> &'static str {
        match tokio::signal::ctrl_c().await {
            Ok(()) => "Ctrl-C",
            // Without a handler the process ends by itself.
            Err(_) => std::future::pending().await,
        }
    }
}
