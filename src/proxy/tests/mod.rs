//! The proxy between raw sockets: what each side gets to see of the other, byte by byte.

mod downstream;
mod downstream_http2;
mod interim;
mod limits;
mod proxy_protocol;
mod reach;
mod reuse;
mod upgrade;
mod upstream;
mod upstream_http2;
