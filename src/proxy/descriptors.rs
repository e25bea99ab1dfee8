//! How many open files the process may have, and what they are for.

use crate::config::Config;

/// Lets the process have as many open files as it may give itself, and limits connections to what these are enough
/// for. Says so if that is less than what `config` asks for.
pub(super) fn fit(config: &mut Config) {
    let Some((files, most)) = raise() else { return };
    let workers = config.server.workers;
    let wanted = Shares {
        connections: config.server.limits.connections,
        requests: config.app.limits.requests,
        idle: config.app.limits.idle,
    };
    let shares = Shares::of(files, workers, wanted);
    if shares.connections < wanted.connections || shares.requests < wanted.requests {
        tracing::warn!(
            files,
            hard_limit = most,
            "this process may have {files} open files, which is enough for {} client connections and {} requests at \
             the app at a time, not for {} (`[server.limits] connections`) and {} (`[app.limits] requests`). Allow \
             it {} files (systemd: LimitNOFILE=, Docker: --ulimit nofile=, a shell: ulimit -n), or lower the limits",
            shares.connections,
            shares.requests,
            wanted.connections,
            wanted.requests,
            wanted.files(workers),
        );
    }
    config.server.limits.connections = shares.connections;
    config.app.limits.requests = shares.requests;
    config.app.limits.idle = shares.idle;
}

/// What open files are for, apart from what Transom needs itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shares {
    /// With clients.
    connections: usize,
    /// At the app: each has a connection, and a file in the spool if it is an upload.
    requests: usize,
    /// Connections to the app that wait, of each worker and kind.
    idle: usize,
}

impl Shares {
    /// Whoever is silent costs one file, so most of them go to connections where there are too few.
    fn of(files: usize, workers: usize, wanted: Self) -> Self {
        if files >= wanted.files(workers) {
            return wanted;
        }
        let ours = own(workers).min(files / 4);
        let left = files - ours;
        // Tunnels, which are no requests any more, have their connection to the app from here too.
        let idle = (left / 16 / pools(workers)).clamp(1, wanted.idle.max(1));
        let connections = wanted.connections.min(left * 5 / 8).max(1);
        let for_requests = left.saturating_sub(connections + idle * pools(workers));
        let requests = wanted.requests.min(for_requests / FILES_OF_A_REQUEST).max(1);
        // What requests leave.
        let connections = wanted
            .connections
            .min(left.saturating_sub(requests * FILES_OF_A_REQUEST + idle * pools(workers)))
            .max(connections);
        Self { connections, requests, idle }
    }

    fn files(self, workers: usize) -> usize {
        let of_requests = self.requests.saturating_mul(FILES_OF_A_REQUEST);
        let idle = self.idle.saturating_mul(pools(workers));
        self.connections.saturating_add(of_requests).saturating_add(idle) + own(workers)
    }
}

/// Store, logs, listeners, runtimes, DWS, key servers, the admin listener's connections.
fn own(workers: usize) -> usize {
    OWN + workers.saturating_mul(OF_A_WORKER)
}

/// There are two kinds of kept connections.
fn pools(workers: usize) -> usize {
    workers.saturating_mul(2).max(1)
}

/// The number that is in force now, and the one that only an administrator may exceed.
#[cfg(unix)]
fn raise() -> Option<(usize, usize)> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    let current = limit.current.unwrap_or(u64::MAX);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let files = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => most,
        Err(error) => {
            tracing::debug!(%error, current, most, "the limit on open files stays as it is");
            current
        }
    };
    let number = |files: u64| usize::try_from(files).unwrap_or(usize::MAX);
    Some((number(files), number(most)))
}

#[cfg(not(unix))]
fn raise() -> Option<(usize, usize)> {
    None
}

const FILES_OF_A_REQUEST: usize = 2;
const OWN: usize = 128;
const OF_A_WORKER: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Shares = Shares { connections: 10_000, requests: 10_000, idle: 512 };

    #[test]
    fn with_files_enough_all_is_as_configured() {
        assert_eq!(Shares::of(WANTED.files(2), 2, WANTED), WANTED);
        assert_eq!(Shares::of(1 << 20, 16, WANTED), WANTED);
        let few = Shares { connections: 100, requests: 100, idle: 16 };
        assert_eq!(Shares::of(1024, 2, few), few);
    }

    #[test]
    fn otherwise_everybody_has_a_share() {
        for files in [64, 128, 256, 1024, 4096, 30_000] {
            for workers in [1, 2, 4] {
                for connections in [20, 300, 10_000] {
                    let wanted = Shares { connections, ..WANTED };
                    let shares = Shares::of(files, workers, wanted);
                    let Shares { connections, requests, idle } = shares;
                    assert!(
                        connections >= 20.min(wanted.connections) && requests >= 4 && idle >= 1
                    );
                    let used = connections + 2 * requests + idle * 2 * workers;
                    assert!(used <= files - own(workers).min(files / 4), "{files}: {shares:?}");
                }
            }
        }
    }
}
