//! Times as people and machines read them.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

/// A time since the epoch, shown as `2026-06-23T12:00:00.123Z` (RFC 3339).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rfc3339(pub(crate) Duration);

impl Rfc3339 {
    pub(crate) fn now() -> Self {
        Self(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }
}

impl Rfc3339 {
    /// For years up to 9999. A tenth of what formatting seven numbers costs; every line of a log begins with it.
    pub(crate) fn text(&self) -> [u8; 24] {
        let seconds = self.0.as_secs();
        let (year, month, day) = civil(seconds / 86_400);
        let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
        let millis = u64::from(self.0.subsec_millis());
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let mut put = |place: usize, number: u64, unit: u64| {
            text[place] = b'0' + (number / unit % 10) as u8;
        };
        put(0, year, 1000);
        put(1, year, 100);
        for (place, number) in
            [(2, year), (5, month), (8, day), (11, hour), (14, minute), (17, second), (21, millis)]
        {
            put(place, number, 10);
            put(place + 1, number, 1);
        }
        put(20, millis, 100);
        text
    }
}

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.text()))
    }
}

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Days since the epoch to a date of the Gregorian calendar, by Howard Hinnant's
/// `civil_from_days`, which counts in eras of 400 years from 1 March 0000.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates() {
        let at = |seconds: u64| Rfc3339(Duration::from_millis(seconds * 1_000 + 7)).to_string();
        assert_eq!(at(0), "1970-01-01T00:00:00.007Z");
        assert_eq!(at(951_782_399), "2000-02-28T23:59:59.007Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00.007Z");
        assert_eq!(at(1_767_225_599), "2025-12-31T23:59:59.007Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00.007Z");
    }
}
