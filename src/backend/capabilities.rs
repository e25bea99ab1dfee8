use std::fmt;

/// What a backend can be relied on for. What is not known counts as no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capabilities {
    /// An upload may name its id, and a second one under the same id stores nothing: an attempt can be repeated.
    pub(crate) honours_ids: bool,
    /// The title that is sent is the one that viewers show, whatever the file says of itself.
    pub(crate) honours_titles: bool,
    /// Sessions are signed here, so that no call is made for one.
    pub(crate) mints_locally: bool,
    /// Larger files are refused; in bytes.
    pub(crate) max_size: Option<u64>,
    /// The content types that it can show.
    pub(crate) types: &'static [&'static str],
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { honours_ids, honours_titles, mints_locally, max_size, types } = self;
        let said = |yes: bool| if yes { "yes" } else { "no" };
        write!(
            f,
            "ids of our own: {}; titles: {}; mints locally: {}; ",
            said(*honours_ids),
            said(*honours_titles),
            said(*mints_locally),
        )?;
        match max_size {
            Some(bytes) => write!(f, "files up to {bytes} bytes of {} types", types.len()),
            None => write!(f, "files of any size of {} types", types.len()),
        }
    }
}
