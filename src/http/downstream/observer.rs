//! Who hears what happens on connections: counting, logging and the access log are no matter of HTTP.

use std::net::SocketAddr;

use http::{Extensions, Request, StatusCode};

use crate::http::ClientInfo;
use crate::http::guard::RefusalObserver;

use super::arriving::Arriving;
use super::limits::Limit;
use super::proxy_protocol::Unreadable;

/// Hears of what is rare, and of each request.
pub(crate) trait Observer: RefusalObserver {
    /// By this client, if it is about one.
    fn limit_reached(&self, limit: Limit, peer: Option<SocketAddr>);

    /// A silent connection is closed to make room for another.
    fn evicted(&self, peer: SocketAddr);

    /// So many connections did not finish in the time that the last requests had.
    fn cut_at_end(&self, connections: usize);

    /// A proxy did not say whom it speaks for.
    fn not_introduced(&self, proxy: SocketAddr, error: &Unreadable);

    /// A request has come. What is returned hears of its reply, and is dropped at the reply's end.
    fn request(
        &self,
        request: &mut Request<Arriving>,
        client: ClientInfo,
    ) -> Option<Box<dyn ReplyObserver>>;
}

/// Hears of one reply.
pub(crate) trait ReplyObserver: Send + Sync {
    /// Its head goes out now.
    fn answered(&mut self, status: StatusCode, extensions: &Extensions);

    /// So many bytes more of its body are on their way to the client, and its end.
    fn sent(&mut self, bytes: usize, is_last: bool);

    /// Its source broke off.
    fn failed(&mut self);
}

#[cfg(test)]
pub(super) mod testing {
    use std::sync::Arc;

    use super::*;
    use crate::http::guard::Refusal;

    /// Nothing is heard.
    #[derive(Debug)]
    struct Unheard;

    pub(crate) fn unheard() -> Arc<dyn Observer> {
        Arc::new(Unheard)
    }

    impl RefusalObserver for Unheard {
        fn refused(&self, _: SocketAddr, _: Refusal, _: &'static str) {}
    }

    impl Observer for Unheard {
        fn limit_reached(&self, _: Limit, _: Option<SocketAddr>) {}
        fn evicted(&self, _: SocketAddr) {}
        fn cut_at_end(&self, _: usize) {}
        fn not_introduced(&self, _: SocketAddr, _: &Unreadable) {}
        fn request(
            &self,
            _: &mut Request<Arriving>,
            _: ClientInfo,
        ) -> Option<Box<dyn ReplyObserver>> {
            None
        }
    }
}
