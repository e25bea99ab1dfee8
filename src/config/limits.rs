//! `[server.limits]` and `[app.limits]`.

use std::time::Duration;

use super::tree::{Table, Value};
use super::units::{duration, size};
use super::{AppLimits, ServerLimits};

impl ServerLimits {
    pub(crate) const USUAL: Self = Self {
        header_time: Duration::from_secs(30),
        header_size: 64 << 10,
        header_count: 100,
        receive_idle: Duration::from_secs(60),
        send_idle: Duration::from_secs(60),
        rate: 1 << 10,
        rate_grace: Duration::from_secs(30),
        keep_alive: Duration::from_secs(75),
        connections: 10_000,
    };
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self::USUAL
    }
}

impl Default for AppLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_byte: None,
            reply_idle: Some(Duration::from_secs(3600)),
            requests: 10_000,
            queue: 1_000,
            queue_time: Duration::from_secs(10),
            idle: 512,
            fetches: Some(600),
        }
    }
}

pub(super) fn of_clients(table: Table<'_>) -> ServerLimits {
    let mut limits = ServerLimits::default();
    for (key, limit) in [
        ("header_time", &mut limits.header_time),
        ("receive_idle", &mut limits.receive_idle),
        ("send_idle", &mut limits.send_idle),
        ("rate_grace", &mut limits.rate_grace),
        ("keep_alive", &mut limits.keep_alive),
    ] {
        set(limit, table.get(key).and_then(|value| value.parse(some_time)));
    }
    set(&mut limits.header_size, table.get("header_size").and_then(|value| value.parse(head)));
    let count = table.get("header_count").and_then(|value| value.number());
    set(&mut limits.header_count, count);
    let rate = table.get("rate").and_then(|value| match value.as_text() {
        Some("off") => Some(0),
        _ => value.parse(size),
    });
    set(&mut limits.rate, rate);
    let connections = table.get("connections").and_then(|value| value.number());
    set(&mut limits.connections, connections);
    table.finish();
    limits
}

pub(super) fn of_app(table: Table<'_>) -> AppLimits {
    let mut limits = AppLimits::default();
    set(&mut limits.connect, table.get("connect").and_then(|value| value.parse(some_time)));
    set(&mut limits.queue_time, table.get("queue_time").and_then(|value| value.parse(some_time)));
    set(&mut limits.first_byte, table.get("first_byte").and_then(|value| time_or_off(&value)));
    set(&mut limits.reply_idle, table.get("reply_idle").and_then(|value| time_or_off(&value)));
    let requests = table.get("requests").and_then(|value| value.number());
    set(&mut limits.requests, requests);
    set(&mut limits.queue, table.get("queue").and_then(|value| value.number()));
    let fetches = table.get("fetches").and_then(|value| match value.as_text() {
        Some("off") => Some(None),
        _ => value.number().map(Some),
    });
    set(&mut limits.fetches, fetches);
    table.finish();
    limits
}

fn set<T>(limit: &mut T, written: Option<T>) {
    if let Some(written) = written {
        *limit = written;
    }
}

fn some_time(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("a limit of no time at all lets nothing through".to_owned()),
        time => Ok(time),
    }
}

fn time_or_off(value: &Value<'_>) -> Option<Option<Duration>> {
    if value.as_text() == Some("off") {
        return Some(None);
    }
    value.parse(some_time).map(Some)
}

/// At least what hyper's buffer holds, and no more than a peer should make us keep.
fn head(text: &str) -> Result<u32, String> {
    match size(text)? {
        bytes @ 8192..=1_048_576 => Ok(bytes as u32),
        _ => Err(format!("`{text}` is out of range: 8 KiB to 1 MiB")),
    }
}
