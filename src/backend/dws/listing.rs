//! Which documents there are, and what DWS says of one.

use std::time::{SystemTime, UNIX_EPOCH};

use http::header::DATE;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Response;
use serde_json::Value;

use super::client::{CALL_TIMEOUT, DwsClient, is_document_id};
use super::{BackendError, BackendErrorKind, Listed, ListedDocument, Properties};
use crate::telemetry::BackendCall;

impl DwsClient {
    /// A page of documents, the newest first.
    pub(super) async fn list(&self, cursor: Option<&str>) -> Result<Listed, BackendError> {
        let asked = match self.list_page(ORDERED, cursor).await {
            // Its parameters are those of a relative's documentation; newest first is what DWS does without.
            Err(error) if matches!(error.status, Some(400 | 422)) => {
                self.list_page("", cursor).await
            }
            asked => asked,
        };
        let reply = asked?;
        let now = reply.headers().get(DATE).and_then(|date| date.to_str().ok()).and_then(read_date);
        let (status, body) = self.json(reply).await?;
        let Some(Value::Array(items)) = body.get("data") else {
            return Err(self.unusable(status, "no list of documents"));
        };
        let next = body.get("next_cursor").and_then(Value::as_str);
        Ok(Listed {
            documents: items.iter().filter_map(document).collect(),
            next: next.filter(|next| !next.is_empty()).map(str::to_owned),
            count: body.get("document_count").and_then(Value::as_u64),
            now,
        })
    }

    async fn list_page(
        &self,
        parameters: &str,
        cursor: Option<&str>,
    ) -> Result<Response, BackendError> {
        let mut url = format!("{}/documents?{parameters}", self.url);
        if let Some(cursor) = cursor {
            url.push_str("&cursor=");
            url.extend(utf8_percent_encode(cursor, NON_ALPHANUMERIC));
        }
        self.send(BackendCall::List, self.calls.get(url).timeout(CALL_TIMEOUT)).await
    }

    /// By its properties, since the document's own address is 404 whether it is there or not.
    pub(super) async fn properties(
        &self,
        document_id: &str,
    ) -> Result<Option<Properties>, BackendError> {
        let request = self.calls.get(format!("{}/properties", self.address_of(document_id)));
        let reply = match self.send(BackendCall::Properties, request.timeout(CALL_TIMEOUT)).await {
            Err(error) if error.kind == BackendErrorKind::NotFound => return Ok(None),
            reply => reply?,
        };
        let (_, body) = self.json(reply).await?;
        let body = body.get("data").unwrap_or(&body);
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        Ok(Some(Properties {
            title: text("title").map(str::to_owned),
            sha256: text("sourcePdfSha256").map(str::to_ascii_lowercase),
            size: body.get("byteSize").and_then(Value::as_u64),
        }))
    }
}

fn document(item: &Value) -> Option<ListedDocument> {
    let text = |names: [&str; 2]| names.into_iter().find_map(|name| item.get(name)?.as_str());
    let id = text(["id", "document_id"]).filter(|id| is_document_id(id))?;
    Some(ListedDocument {
        id: id.to_owned(),
        title: text(["title", "name"]).map(str::to_owned),
        created_at: text(["created_at", "createdAt"]).and_then(read_time),
    })
}

fn read_date(date: &str) -> Option<u64> {
    let at: SystemTime = httpdate::parse_http_date(date).ok()?;
    at.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs() * 1000)
}

/// Unix milliseconds of a time as RFC 3339 writes it, with `Z` or an offset.
fn read_time(text: &str) -> Option<u64> {
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let marks = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if marks.iter().any(|(at, mark)| text.as_bytes().get(*at) != Some(mark)) {
        return None;
    }
    let days = days(number(0, 4)?, number(5, 7)?, number(8, 10)?)?;
    let seconds = number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?;
    let rest = text.get(19..)?;
    let digits = rest.strip_prefix('.').map_or("", |rest| {
        let end = rest.find(|digit: char| !digit.is_ascii_digit()).unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default()
    });
    let millis: i64 = format!("{digits:0<3}").get(..3)?.parse().ok()?;
    let zone = rest.trim_start_matches(|mark: char| mark == '.' || mark.is_ascii_digit());
    let offset = match zone.as_bytes() {
        // Some services write none and mean UTC.
        [] | [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), ..] => {
            let (hours, minutes) = zone.get(1..)?.split_once(':')?;
            let minutes = hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?;
            if *sign == b'+' { minutes * 60 } else { -minutes * 60 }
        }
        _ => return None,
    };
    u64::try_from((days * 86_400 + seconds - offset) * 1000 + millis).ok()
}

/// Days since the epoch, by Howard Hinnant's `days_from_civil`.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// As many as are known to be given at a time; fewer are fine.
const ORDERED: &str = "page_size=100&order_by=created_at&order_direction=desc";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::telemetry::Rfc3339;

    proptest! {
        #[test]
        fn a_time_is_read_as_it_is_written(millis in 0..4_000_000_000_000_u64) {
            let written = Rfc3339(Duration::from_millis(millis)).to_string();
            prop_assert_eq!(read_time(&written), Some(millis));
        }

        #[test]
        fn any_text_is_a_time_or_none(text in "[0-9TZ:.+ é-]{0,40}") {
            let _ = read_time(&text);
        }
    }

    #[test]
    fn times_have_zones_and_parts_of_seconds() {
        let at = Some(1_782_216_000_000);
        for text in ["2026-06-23T12:00:00Z", "2026-06-23T12:00:00.000000Z", "2026-06-23 12:00:00"] {
            assert_eq!(read_time(text), at, "{text}");
        }
        assert_eq!(read_time("2026-06-23T14:00:00+02:00"), at);
        assert_eq!(read_time("2026-06-23T12:00:00.25Z"), at.map(|at| at + 250));
        for text in ["", "soon", "2026-13-01T00:00:00Z", "2026-06-23", "2026-06-23T12:00:00X"] {
            assert_eq!(read_time(text), None, "{text}");
        }
    }
}
