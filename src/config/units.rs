//! Durations and sizes with their units.

use std::time::Duration;

use super::problem::suggestion;

/// `"500ms"`, `"30s"`, `"5m"`, `"1h"`. The error is a sentence for the operator.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let Some((_, milliseconds)) = DURATIONS.iter().find(|(name, _)| *name == unit) else {
        return Err(wrong(text, unit, "a duration such as \"30s\"", DURATIONS.iter().map(|d| d.0)));
    };
    let total = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*milliseconds));
    total
        .map(Duration::from_millis)
        .ok_or_else(|| format!("`{text}` is not a duration such as \"30s\""))
}

/// `"100 MiB"`, `"10 MB"`, `"123"`, in bytes. The error is a sentence for the operator.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let Some((_, bytes)) = SIZES.iter().find(|(name, _)| *name == unit) else {
        let names = SIZES.iter().map(|s| s.0).filter(|name| !name.is_empty());
        return Err(wrong(text, unit, "a size such as \"100 MiB\"", names));
    };
    let total = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*bytes));
    total.ok_or_else(|| format!("`{text}` is not a size such as \"100 MiB\""))
}

/// As a configuration has it: `"30s"`, in the largest unit that shows it whole (a minute is sixty seconds).
pub(super) fn written_time(time: Duration) -> String {
    let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let fits = |unit: u64| milliseconds.is_multiple_of(unit) && milliseconds > 0;
    let units = DURATIONS.iter().rev().filter(|(_, unit)| *unit != 60_000 || milliseconds != *unit);
    let (name, unit) = units.copied().find(|(_, unit)| fits(*unit)).unwrap_or(("s", 1000));
    format!("\"{}{name}\"", milliseconds / unit)
}

/// As a configuration has it: `"100 MiB"`, in the largest unit that shows it whole.
pub(super) fn written_size(bytes: u64) -> String {
    let binary = SIZES.iter().rev().filter(|(name, _)| name.ends_with("iB"));
    match binary.copied().find(|(_, unit)| bytes.is_multiple_of(*unit) && bytes > 0) {
        Some((name, unit)) => format!("\"{} {name}\"", bytes / unit),
        None => format!("\"{bytes} B\""),
    }
}

pub(super) fn duration_units() -> Vec<&'static str> {
    DURATIONS.iter().map(|(name, _)| *name).collect()
}

pub(super) fn size_units() -> Vec<&'static str> {
    SIZES.iter().map(|(name, _)| *name).filter(|name| !name.is_empty()).collect()
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    (number, unit.trim_start())
}

fn wrong<'u>(
    text: &str,
    unit: &str,
    what: &str,
    units: impl Iterator<Item = &'u str> + Clone,
) -> String {
    if unit.is_empty() {
        return format!("`{text}` has no unit: write {what}");
    }
    format!("`{text}` is not {what}: {} as its unit", suggestion(unit, units))
}

/// In milliseconds.
const DURATIONS: &[(&str, u64)] =
    &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

const SIZES: &[(&str, u64)] = &[
    ("", 1),
    ("B", 1),
    ("kB", 1000),
    ("KB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, milliseconds) in
            [("500ms", 500), ("30s", 30_000), ("5m", 300_000), ("1h", 3_600_000), ("2 s", 2000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in [
            "",
            "30",
            "s",
            "-1s",
            "1.5s",
            "1 sec",
            "99999999999999999999s",
            "18446744073709551615h",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(
            duration("30"),
            Err("`30` has no unit: write a duration such as \"30s\"".into())
        );
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        for milliseconds in
            [0, 1, 1500, 5000, 60_000, 75_000, 120_000, 900_000, 3_600_000, 86_400_000]
        {
            let time = Duration::from_millis(milliseconds);
            assert_eq!(duration(written_time(time).trim_matches('"')), Ok(time));
        }
        for bytes in [0, 1, 1000, 1024, 1536, 64 << 10, 100 << 20, 10 << 30] {
            assert_eq!(size(written_size(bytes).trim_matches('"')), Ok(bytes));
        }
        assert_eq!(written_time(Duration::from_secs(60)), "\"60s\"");
        assert_eq!(written_time(Duration::from_secs(900)), "\"15m\"");
        assert_eq!(written_size(100 << 20), "\"100 MiB\"");
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("100 MiB", 100 << 20),
            ("2 GiB", 2 << 30),
            ("10 MB", 10_000_000),
            ("512KiB", 512 << 10),
            ("123", 123),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "1 mib", "1.5 MiB", "-1", "99999999999 GiB"] {
            assert!(size(text).is_err(), "{text}");
        }
        assert!(size("1 mib").is_err_and(|error| error.contains("did you mean `MiB`?")));
    }
}
