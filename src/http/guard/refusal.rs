use std::fmt::Debug;
use std::net::SocketAddr;

/// The part of a request that two programs could read differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// What is asked for (RFC 9112 section 3.2).
    Target,
    /// Where the request ends (RFC 9112 section 6).
    Framing,
    /// Whom it is for (RFC 9110 section 7.2).
    Host,
    /// A transfer coding other than `chunked`.
    Coding,
}

/// Hears of requests that are refused in the bytes of a connection.
pub(crate) trait RefusalObserver: Debug + Send + Sync {
    /// `what` is for the operator.
    fn refused(&self, peer: SocketAddr, refusal: Refusal, what: &'static str);
}
