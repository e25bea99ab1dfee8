//! Every outcome that Transom can have, each with one stable code.
//!
//! The codes are the same in logs, metrics and problem replies; operators alert on them, so a code
//! is never renamed and never gets a second meaning. All that is said of one stands in its row of the table:
//! problem replies, pages, `explain` and the README follow from it.

mod cause;
mod row;
mod table;

#[cfg(test)]
mod tests;

use std::fmt;

use http::StatusCode;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(crate) use self::cause::{Because, causes};
use self::row::Row;
pub use self::row::Side;
pub(crate) use self::row::{Class, Page, Step};
use self::table::ROWS;
pub use self::table::Reason;

impl Reason {
    /// The stable code, in `snake_case`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.row().code
    }

    /// The status of a problem reply with this code; `None` for outcomes that are never a reply.
    #[must_use]
    pub const fn status(self) -> Option<StatusCode> {
        self.row().status
    }

    /// Whose failure it is; `None` for what is no failure.
    #[must_use]
    pub const fn side(self) -> Option<Side> {
        self.row().side
    }

    /// Whether the same request, sent again in a moment, does no harm and may well end otherwise.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        self.row().is_transient
    }

    /// The title of a problem reply.
    pub(crate) const fn title(self) -> &'static str {
        self.row().title
    }

    /// What visitors are told.
    pub(crate) const fn page(self) -> Page {
        self.row().page
    }

    /// What it means for an operator who wonders why there is no viewer, and where to look next. `None` for
    /// outcomes that an explanation does not have.
    #[cfg_attr(not(feature = "cli"), expect(dead_code))]
    pub(crate) const fn explanation(self) -> Option<&'static str> {
        self.row().explanation
    }

    pub(crate) const fn class(self) -> Class {
        self.row().class
    }

    /// What it says, as a sentence.
    #[must_use]
    pub const fn description(self) -> &'static str {
        self.row().doc.trim_ascii()
    }

    const fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = String::deserialize(deserializer)?;
        Reason::from_code(&code)
            .ok_or_else(|| D::Error::custom(format_args!("unknown reason code `{code}`")))
    }
}
