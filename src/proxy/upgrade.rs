//! A new version in the place of this one, without a moment in which nobody listens (SIGUSR2).
//!
//! The program is started again with the sockets of this process. Connections wait in the kernel until it accepts
//! them, which it does once it has the store.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use tokio::io::AsyncReadExt;

use super::sockets::{ADMIN, CLIENTS, PREDECESSOR, SERVES, Sockets};

/// The program that this process was started from, by its path: another file may lie there by now.
#[derive(Clone, Debug)]
pub(crate) struct Program(PathBuf);

impl Program {
    /// To be called at the start, since a file that was replaced has no path of its own any more.
    pub(crate) fn own() -> io::Result<Self> {
        std::env::current_exe().map(Self)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Whether it would start with this configuration; if not, the error is what it says to that.
    pub(crate) async fn check(&self, config: &Path) -> Result<(), String> {
        let mut check = Command::new(&self.0);
        check.arg("check").arg("--config").arg(config);
        let Output { status, stderr, .. } = blocking(move || check.output()).await?;
        match status.success() {
            true => Ok(()),
            false => Err(format!(
                "`{} check` fails with {status}: {}",
                self.0.display(),
                String::from_utf8_lossy(&stderr).trim_end()
            )),
        }
    }

    /// Starts it with the arguments of this process and these sockets, and waits until it serves; gives its process id.
    ///
    /// # Errors
    /// It did not start, or ended before it served: a sentence for the operator.
    pub(crate) async fn take_over(&self, sockets: &Sockets) -> Result<u32, String> {
        let sockets = sockets.again().map_err(|error| error.to_string())?;
        let (ours, theirs) = UnixStream::pair().map_err(|error| error.to_string())?;
        let mut next = Command::new(&self.0);
        next.args(std::env::args_os().skip(1));
        pass(&mut next, sockets, theirs).map_err(|error| error.to_string())?;
        let mut child = blocking(move || next.spawn()).await?;
        match hears(ours).await {
            Ok(()) => Ok(child.id()),
            Err(why) => {
                // It may hang, with the store and the sockets in its hands.
                let ended = blocking(move || child.kill().and_then(|()| child.wait())).await?;
                Err(format!("{}: {why} ({ended})", self.0.display()))
            }
        }
    }
}

/// As systemd passes sockets, but for `LISTEN_PID`, which is not known before there is a process.
fn pass(next: &mut Command, sockets: Sockets, theirs: UnixStream) -> io::Result<()> {
    let clients = sockets.clients.into_iter().map(|socket| (CLIENTS, OwnedFd::from(socket)));
    let admin = sockets.admin.into_iter().map(|socket| (ADMIN, OwnedFd::from(socket)));
    let named = clients.chain(admin).chain([(PREDECESSOR, OwnedFd::from(theirs))]);
    let (names, descriptors): (Vec<_>, Vec<_>) = named.unzip();
    next.env("LISTEN_FDS", names.len().to_string());
    next.env("LISTEN_FDNAMES", names.join(":"));
    next.env_remove("LISTEN_PID");
    let mapped = (FIRST_DESCRIPTOR..).zip(descriptors);
    let mapped = mapped.map(|(child_fd, parent_fd)| FdMapping { parent_fd, child_fd });
    next.fd_mappings(mapped.collect()).map_err(io::Error::other)?;
    Ok(())
}

/// Waits for the word that the next process serves.
async fn hears(stream: UnixStream) -> Result<(), String> {
    let read = async {
        stream.set_nonblocking(true)?;
        let mut word = Vec::new();
        tokio::net::UnixStream::from_std(stream)?.read_to_end(&mut word).await?;
        Ok::<_, io::Error>(word)
    };
    match tokio::time::timeout(START_AT_MOST, read).await {
        Ok(Ok(word)) if word == SERVES => Ok(()),
        Ok(Ok(_)) => Err("it ended before it served".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("it does not serve after {} s", START_AT_MOST.as_secs())),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, String> {
    let done = tokio::task::spawn_blocking(work).await.map_err(io::Error::other);
    done.and_then(|done| done).map_err(|error| error.to_string())
}

/// `SD_LISTEN_FDS_START` of sd_listen_fds(3).
const FIRST_DESCRIPTOR: i32 = 3;
/// Connections wait meanwhile.
const START_AT_MOST: Duration = Duration::from_secs(20);
