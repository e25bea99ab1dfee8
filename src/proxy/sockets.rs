//! Listening sockets: bound here, inherited from systemd, or handed over by the Transom that this one takes over from.

use std::env;
use std::io::{self, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;

use listenfd::ListenFd;
use socket2::{Domain, Type};

use super::start::{StartProxyError, listen};
use crate::config::{Config, RuntimeModel};

/// Where clients and operators connect. Connections wait in the kernel while nobody accepts them.
#[derive(Debug)]
pub(crate) struct Sockets {
    pub(crate) clients: Vec<TcpListener>,
    pub(crate) admin: Option<TcpListener>,
}

/// What the process was started with (`LISTEN_FDS`, as systemd passes sockets; sd_listen_fds(3)).
#[derive(Debug, Default)]
pub(crate) struct Inherited {
    clients: Vec<TcpListener>,
    admin: Option<TcpListener>,
    predecessor: Option<Predecessor>,
}

/// The process that this one takes over from, which waits for a word of it.
#[derive(Debug)]
pub(crate) struct Predecessor(UnixStream);

impl Inherited {
    /// Takes them from the environment. To be called once, and before there is another thread.
    ///
    /// The socket that is named [`ADMIN`] is for operators, and all others are for clients.
    ///
    /// # Errors
    /// One is no listening TCP socket.
    pub(crate) fn take() -> io::Result<Self> {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let names: Vec<_> = names.split(':').collect();
        let mut passed = ListenFd::from_env();
        let mut inherited = Self::default();
        for index in 0..passed.len() {
            match names.get(index).copied() {
                Some(PREDECESSOR) => {
                    let (domain, kind) = (Domain::UNIX.into(), Type::STREAM.into());
                    let stream = passed.take_custom(index, domain, kind, "unix stream")?;
                    inherited.predecessor = stream.map(Predecessor);
                }
                Some(ADMIN) => inherited.admin = passed.take_tcp_listener(index)?,
                _ => inherited.clients.extend(passed.take_tcp_listener(index)?),
            }
        }
        Ok(inherited)
    }

    /// Hands it out once.
    pub(crate) fn predecessor(&mut self) -> Option<Predecessor> {
        self.predecessor.take()
    }
}

impl Predecessor {
    /// It can leave: clients are served here. One that is gone already does not need to know.
    pub(crate) fn relieve(mut self) {
        let _ = self.0.write_all(SERVES);
    }
}

impl Sockets {
    /// Those that were inherited, and where there are none, those that `config` names. A predecessor's socket serves
    /// only the address that is configured now; systemd's serve whatever address they have.
    ///
    /// # Errors
    /// An address can't be listened on.
    pub(crate) fn open(
        config: &Config,
        inherited: &mut Inherited,
    ) -> Result<Self, StartProxyError> {
        let count = match config.server.runtime {
            RuntimeModel::PerCore => config.server.workers,
            RuntimeModel::Shared => 1,
        };
        let handed_over = inherited.predecessor.is_some();
        let fits = |socket: &TcpListener, address| {
            let own = socket.local_addr();
            !handed_over || own.is_ok_and(|own| own == address)
        };
        let mut clients = std::mem::take(&mut inherited.clients);
        clients.retain(|socket| fits(socket, config.server.listen));
        // Listeners first: a second process on the same address must not get as far as the store.
        let clients = match clients.is_empty() {
            true => listen("server.listen", config.server.listen, count)?,
            false => shared(clients, count).map_err(StartProxyError::Inherited)?,
        };
        let admin = match (inherited.admin.take(), config.server.admin) {
            (Some(admin), Some(address)) if fits(&admin, address) => {
                admin.set_nonblocking(true).map_err(StartProxyError::Inherited)?;
                Some(admin)
            }
            (_, Some(address)) => listen("server.admin", address, 1)?.pop(),
            (_, None) => None,
        };
        Ok(Self { clients, admin })
    }

    /// The same sockets once more.
    pub(crate) fn again(&self) -> io::Result<Self> {
        let clients = self.clients.iter().map(TcpListener::try_clone).collect::<io::Result<_>>()?;
        Ok(Self { clients, admin: self.admin.as_ref().map(TcpListener::try_clone).transpose()? })
    }
}

/// At least `count`, several of which may be the same.
fn shared(sockets: Vec<TcpListener>, count: usize) -> io::Result<Vec<TcpListener>> {
    let more = sockets.iter().cycle().take(count.saturating_sub(sockets.len()));
    let more = more.map(TcpListener::try_clone).collect::<io::Result<Vec<_>>>()?;
    let all: Vec<_> = sockets.into_iter().chain(more).collect();
    all.iter().try_for_each(|socket| socket.set_nonblocking(true))?;
    Ok(all)
}

/// Names in `LISTEN_FDNAMES`.
pub(super) const CLIENTS: &str = "clients";
pub(super) const ADMIN: &str = "admin";
pub(super) const PREDECESSOR: &str = "predecessor";
/// What a predecessor is told.
pub(super) const SERVES: &[u8] = b"serves";
