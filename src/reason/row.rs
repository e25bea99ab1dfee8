use http::StatusCode;

/// What is to be said of one reason.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) code: &'static str,
    /// As in the documentation, each line with the blank that it begins with.
    pub(super) doc: &'static str,
    pub(super) class: Class,
    pub(super) side: Option<Side>,
    pub(super) is_transient: bool,
    pub(super) status: Option<StatusCode>,
    pub(super) title: &'static str,
    pub(super) page: Page,
    pub(super) explanation: Option<&'static str>,
}

/// What a reason says of how it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// What was to be done is done.
    Success,
    /// There was nothing to be done.
    Ordinary,
    Failure,
}

/// Whose failure it is: where to look, and who can mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Side {
    /// Who sent the request, or the rules that say no to it.
    Client,
    /// The app behind Transom, or the issuer of its tokens.
    App,
    /// The service that documents are viewed in.
    Backend,
    /// Transom itself, its disk or its configuration.
    Us,
}

impl Side {
    /// In one lower-case word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::App => "app",
            Self::Backend => "backend",
            Self::Us => "us",
        }
    }
}

/// Which step an outcome belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    Capture,
    Delete,
    Deliver,
    Session,
    /// Fetching a document that Transom has not seen.
    Source,
}

impl Step {
    pub(crate) const COUNT: usize = 5;

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Delete => "delete",
            Self::Deliver => "deliver",
            Self::Session => "session",
            Self::Source => "source",
        }
    }
}

/// What visitors are told: what happened, and what they can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) title: &'static str,
    pub(crate) advice: &'static str,
}

impl Row {
    /// What was to be done is done.
    pub(super) const fn success() -> Self {
        Self::of(Class::Success, None)
    }

    /// There was nothing to be done.
    pub(super) const fn ordinary() -> Self {
        Self::of(Class::Ordinary, None)
    }

    pub(super) const fn failure(side: Side) -> Self {
        Self::of(Class::Failure, Some(side))
    }

    const fn of(class: Class, side: Option<Side>) -> Self {
        Self {
            code: "",
            doc: "",
            class,
            side,
            is_transient: false,
            status: None,
            title: "The request could not be answered",
            page: Page {
                title: "The document can't be shown",
                advice: "You can still get it from the application. If this goes on, please tell the operator.",
            },
            explanation: None,
        }
    }

    pub(super) const fn named(self, code: &'static str, doc: &'static str) -> Self {
        Self { code, doc, ..self }
    }

    /// The same request, sent again in a moment, does no harm and may well end otherwise.
    pub(super) const fn retry(self) -> Self {
        Self { is_transient: true, ..self }
    }

    /// Of a problem reply.
    pub(super) const fn status(self, status: StatusCode) -> Self {
        Self { status: Some(status), ..self }
    }

    /// Of a problem reply.
    pub(super) const fn title(self, title: &'static str) -> Self {
        Self { title, ..self }
    }

    /// For visitors.
    pub(super) const fn page(self, title: &'static str, advice: &'static str) -> Self {
        Self { page: Page { title, advice }, ..self }
    }

    /// For an operator who wonders why there is no viewer, and where to look next.
    pub(super) const fn explain(self, explanation: &'static str) -> Self {
        Self { explanation: Some(explanation), ..self }
    }
}
