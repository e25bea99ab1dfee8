//! Why a request got no reply from the upstream.

use std::io;

use crate::http::causes::causes;

use super::body::ClientGone;
use super::connect::ConnectTimedOut;
use super::connections::SendError;

/// A request without a reply.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    #[error(transparent)]
    Send(#[from] SendError),
    #[error("CONNECT, for which there is no tunnel here")]
    Connect,
    #[error("the target behind the upstream's own path")]
    Target(#[source] http::Error),
    #[error("101 in reply to a request that asked for no upgrade")]
    UnaskedSwitch,
    #[error("a reply with two lengths")]
    TwoLengths,
    #[error("an exchange that was over")]
    Over,
}

/// What kept the reply away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// There was no connection.
    Unreachable,
    /// The upstream closed the connection, or its reply is not HTTP.
    BrokenReply,
    /// It did not answer in time.
    TimedOut,
    /// The client did not send its request to the end.
    ClientGone,
    /// A tunnel to an address of the client's choice is not offered.
    Connect,
    /// The request's path is too long once the upstream's own is before it.
    Target,
}

impl UpstreamError {
    pub(crate) fn failure(&self) -> Failure {
        match self {
            Self::Send(error) => of_sending(error),
            Self::Connect => Failure::Connect,
            Self::Target(_) => Failure::Target,
            Self::UnaskedSwitch | Self::TwoLengths | Self::Over => Failure::BrokenReply,
        }
    }
}

impl Failure {
    /// Whether it tells something about the upstream rather than about the request.
    pub(crate) fn is_the_upstreams(self) -> bool {
        matches!(self, Self::Unreachable | Self::BrokenReply | Self::TimedOut)
    }

    /// Whether the upstream has not seen a byte of the request.
    pub(crate) fn is_unsent(self) -> bool {
        matches!(self, Self::Unreachable | Self::Connect | Self::Target)
    }
}

fn of_sending(error: &SendError) -> Failure {
    let known = causes(error).find_map(|cause| {
        if cause.is::<ClientGone>() {
            return Some(Failure::ClientGone);
        }
        let timed_out = |error: &io::Error| error.kind() == io::ErrorKind::TimedOut;
        let timed_out =
            cause.is::<ConnectTimedOut>() || cause.downcast_ref().is_some_and(timed_out);
        timed_out.then_some(Failure::TimedOut)
    });
    known.unwrap_or(match error.is_connect() {
        true => Failure::Unreachable,
        false => Failure::BrokenReply,
    })
}
