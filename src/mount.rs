//! Whether the layer is around the whole app, or somewhere inside of it, where it can't do its work.
//!
//! Transom asks its inner service for the app's own word. axum's `Router::layer` wraps the service of each
//! route, after routing: what is inside then answers every address alike, a probe too, with the yes of a route that
//! was never asked for. Below a `nest`, addresses come without their beginning, so that neither rules nor
//! Transom's own addresses mean what they say. The compiler takes both.

use std::any::type_name;
use std::fmt::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::Extensions;
use tracing::error;

use crate::reason::Reason;
use crate::trail::{Finding, Trail};

/// How one service carries the layer. Clones are the same mount.
#[derive(Clone, Debug)]
pub(crate) struct Mount {
    inside: Inside,
    looked: Arc<AtomicBool>,
    told: Told,
}

/// Which faults the operator knows of, for all mounts of one Transom: a router has as many as it has routes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told(Arc<[AtomicBool; 2]>);

/// By which Transom an upload is being captured; an extension of its request.
#[derive(Clone)]
struct Taken(Told);

/// Why a mount gives no session; an extension of the requests that it lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misplaced {
    AroundRoutes,
    BelowPrefix,
}

/// What the type of the inner service tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    /// Nothing that speaks against its being the whole app.
    App,
    /// Handlers, which are the whole app unless a router has chosen them.
    Handlers,
    /// A part of an axum router.
    Route,
}

impl Mount {
    pub(crate) fn around<S>(told: Told) -> Self {
        let inside = Inside::of(type_name::<S>());
        Self { inside, looked: Arc::default(), told }
    }

    /// Looks at a request on its way in, and tells the operator of a fault once. With `decides`, a session may
    /// depend on it; of other requests, the first one tells enough.
    pub(crate) fn look(
        &self,
        extensions: &Extensions,
        path: &str,
        decides: bool,
    ) -> Option<Misplaced> {
        if self.looked.load(Ordering::Relaxed) && !decides {
            return None;
        }
        self.looked.store(true, Ordering::Relaxed);
        let misplaced = self.judge(Routed::of(extensions))?;
        if !self.told.0[misplaced as usize].swap(true, Ordering::Relaxed) {
            error!(code = %Reason::LayerMisplaced, path, "{}", misplaced.remedy());
        }
        Some(misplaced)
    }

    /// Whether a mount of the same Transom further out has this upload already; from now on one has.
    pub(crate) fn takes_again(&self, upload: &mut Extensions) -> bool {
        let before = upload.insert(Taken(self.told.clone()));
        before.is_some_and(|Taken(told)| Arc::ptr_eq(&told.0, &self.told.0))
    }

    fn judge(&self, routed: Routed) -> Option<Misplaced> {
        match self.inside {
            Inside::Route => Some(Misplaced::AroundRoutes),
            Inside::Handlers if routed.to_route => Some(Misplaced::AroundRoutes),
            _ => routed.below_prefix.then_some(Misplaced::BelowPrefix),
        }
    }
}

impl Misplaced {
    /// Whether a session may be given, and the app be asked, on behalf of a request with these.
    ///
    /// # Errors
    /// `layer_misplaced`.
    pub(crate) fn check(extensions: &Extensions) -> Result<(), Reason> {
        match extensions.get::<Self>() {
            Some(misplaced) => {
                Trail::step(extensions, "mount", || (Finding::No, misplaced.remedy().to_owned()));
                Err(Reason::LayerMisplaced)
            }
            None => Ok(()),
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::AroundRoutes => {
                "Transom is mounted around single routes of the app, as axum's `Router::layer`, `route_layer` \
                 and `MethodRouter::layer` do it; there it can't ask the app who may see what, and gives no \
                 session. Take the layer off there, and serve \
                 `Router::new().fallback_service(transom.around(router))`, where `router` is the whole app"
            }
            Self::BelowPrefix => {
                "Transom is mounted below a prefix, as by axum's `nest` or `nest_service`; it sees addresses \
                 without their beginning, so that its rules and its own addresses do not mean what they say, \
                 and gives no session. Nest the app's own routers as ever, and serve \
                 `Router::new().fallback_service(transom.around(router))`, where `router` is the whole app"
            }
        }
    }
}

impl Inside {
    /// The names of types are not promised to stay, so an unknown one speaks for the mount; that these are known
    /// is tested with axum itself.
    fn of(name: &str) -> Self {
        let types = || name.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
        if types().any(|name| name == ROUTE) {
            Self::Route
        } else if types().any(|name| HANDLERS.contains(&name)) {
            Self::Handlers
        } else {
            Self::App
        }
    }
}

/// What axum's routers outside of the layer have left in a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Routed {
    to_route: bool,
    below_prefix: bool,
}

impl Routed {
    /// axum is no dependency of ours, so its types can only be told by their names, which `Extensions` shows
    /// as its `Debug`, each in one piece.
    fn of(extensions: &Extensions) -> Self {
        let mut routed = Self::default();
        if !extensions.is_empty() {
            // It never fails.
            let _ = write!(routed, "{extensions:?}");
        }
        routed
    }
}

impl Write for Routed {
    fn write_str(&mut self, name: &str) -> fmt::Result {
        self.to_route |= name == MATCHED_PATH;
        self.below_prefix |= name == NESTED_PATH;
        Ok(())
    }
}

const ROUTE: &str = "axum::routing::route::Route";
const HANDLERS: [&str; 2] =
    ["axum::handler::service::HandlerService", "axum::routing::method_routing::MethodRouter"];
const MATCHED_PATH: &str = "axum::extract::matched_path::MatchedPath";
const NESTED_PATH: &str = "axum::extract::nested_path::NestedPath";

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::extract::Request;
    use axum::handler::HandlerService;
    use axum::middleware::{FromFn, Next, from_fn};
    use axum::response::Response;
    use axum::routing::{MethodRouter, Route};
    use tower::ServiceBuilder;
    use tower::util::{BoxCloneService, MapRequest, service_fn};

    use super::*;

    fn inside<S>(_: &S) -> Inside {
        Inside::of(type_name::<S>())
    }

    #[test]
    fn parts_of_a_router_are_known_by_their_types() {
        assert_eq!(Inside::of(type_name::<Route>()), Inside::Route);
        let wrapped = type_name::<MapRequest<FromFn<fn(), (), Route, ()>, fn()>>();
        assert_eq!(Inside::of(wrapped), Inside::Route);
        assert_eq!(Inside::of(type_name::<MethodRouter>()), Inside::Handlers);
        let handler = type_name::<HandlerService<fn(), (), u8>>();
        assert_eq!(Inside::of(handler), Inside::Handlers);
    }

    #[test]
    fn nothing_speaks_against_an_app() {
        let router = Router::new().fallback(pass_on);
        assert_eq!(inside(&router), Inside::App);
        let stack = ServiceBuilder::new()
            .map_response(|response: Response| response)
            .layer(from_fn::<_, (Request,)>(pass_on_next))
            .service(router.clone());
        assert_eq!(inside(&stack), Inside::App);
        assert_eq!(inside(&BoxCloneService::new(stack)), Inside::App);
        assert_eq!(inside(&service_fn(async |()| Ok::<_, ()>(()))), Inside::App);
        assert_eq!(Inside::of("my_axum::routing::route::Route"), Inside::App);
        assert_eq!(Inside::of("axum::routing::route::RouteFuture"), Inside::App);
    }

    async fn pass_on(_: Request) {}

    async fn pass_on_next(request: Request, next: Next) -> Response {
        next.run(request).await
    }

    #[test]
    fn a_request_shows_no_router_that_it_has_not_met() {
        let mut extensions = Extensions::new();
        assert_eq!(Routed::of(&extensions), Routed::default());
        extensions.insert("axum::extract::matched_path::MatchedPath");
        extensions.insert(1_u8);
        assert_eq!(Routed::of(&extensions), Routed::default());
    }
}
