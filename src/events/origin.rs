use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderValue};

use crate::telemetry::{Visit, request_id};

/// The request that an event comes from, as far as who tells it has that at hand.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Origin<'a> {
    pub(crate) extensions: Option<&'a Extensions>,
    /// Where the extensions are gone.
    pub(crate) visit: Option<&'a Visit>,
    pub(crate) request_id: RequestId<'a>,
}

/// Where the id of the request is; read by those who need it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum RequestId<'a> {
    #[default]
    None,
    In(&'a HeaderMap),
    Is(&'a HeaderValue),
}

impl<'a> Origin<'a> {
    pub(crate) fn of(parts: &'a Parts) -> Self {
        Self::at(&parts.extensions, &parts.headers)
    }

    pub(crate) fn at(extensions: &'a Extensions, headers: &'a HeaderMap) -> Self {
        Self { extensions: Some(extensions), visit: None, request_id: RequestId::In(headers) }
    }

    pub(super) fn visit(&self) -> Option<&'a Visit> {
        self.visit.or_else(|| self.extensions.and_then(Visit::of))
    }

    pub(super) fn request_id(&self) -> &'a str {
        match self.request_id {
            RequestId::None => "-",
            RequestId::In(headers) => request_id::of(headers),
            RequestId::Is(value) => value.to_str().unwrap_or("-"),
        }
    }
}
