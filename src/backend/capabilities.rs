use std::fmt;

/// What a backend can be relied on for. What is not known counts as no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capabilities {
    /// An upload may name its id, and a second one under the same id stores nothing: an attempt can be repeated.
    pub(crate) honours_ids: Honours,
    /// The title that is sent is the one that viewers show, whatever the file says of itself.
    pub(crate) honours_titles: Honours,
    /// Sessions are signed here, so that no call is made for one.
    pub(crate) mints_locally: bool,
    /// Larger files are refused; in bytes.
    pub(crate) max_size: Option<u64>,
    /// The content types that it can show.
    pub(crate) types: &'static [&'static str],
}

/// Whether a backend heeds what an upload asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Honours {
    Yes,
    No,
    /// No reply has told yet.
    #[default]
    Unknown,
}

impl Honours {
    pub(crate) fn surely(self) -> bool {
        self == Self::Yes
    }

    fn name(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "not known yet",
        }
    }
}

impl From<Option<bool>> for Honours {
    fn from(told: Option<bool>) -> Self {
        match told {
            Some(true) => Self::Yes,
            Some(false) => Self::No,
            None => Self::Unknown,
        }
    }
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { honours_ids, honours_titles, mints_locally, max_size, types } = self;
        let said = |yes: bool| if yes { "yes" } else { "no" };
        write!(
            f,
            "ids of our own: {}; titles: {}; mints locally: {}; ",
            honours_ids.name(),
            honours_titles.name(),
            said(*mints_locally),
        )?;
        match max_size {
            Some(bytes) => write!(f, "files up to {bytes} bytes of {} types", types.len()),
            None => write!(f, "files of any size of {} types", types.len()),
        }
    }
}
