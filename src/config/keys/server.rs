//! `[server]`

use super::super::units::{written_size, written_time};
use super::super::{ServerConfig, ServerLimits};
use super::syntax::{ADDRESS, DURATION, FILE_PATH, HOST, NETWORK, PREFIX, SIZE};
use super::{Accepts, Choice, Section, choice, setting};

pub(super) static SERVER: Section = Section {
    title: "[server]",
    about: "Where the proxy listens, and for whom. A service that mounts the layer needs none of it but `prefix`.",
    settings: &[
        setting("listen", Accepts::Text(&ADDRESS), "What browsers and clients talk to.")
            .default(|| format!("\"{}\"", ServerConfig::default().listen))
            .example("\"0.0.0.0:8080\""),
        setting(
            "admin",
            Accepts::Either(&[Accepts::Text(&ADDRESS), Accepts::Choice(OFF)]),
            "Health, metrics and what operators ask. Not for the public.",
        )
        .default(|| {
            let admin = ServerConfig::default().admin;
            admin.map_or_else(|| "\"off\"".to_owned(), |admin| format!("\"{admin}\""))
        })
        .example("\"off\""),
        setting(
            "admin_hosts",
            Accepts::List(&Accepts::Text(&HOST)),
            "Names under which the admin listener answers, besides IP addresses and localhost; without a port.",
        )
        .default(|| "[]".to_owned())
        .example("[\"ops.example\"]"),
        setting("workers", Accepts::Number(1, 1024), "Threads that serve connections.")
            .unwritten("one per core")
            .example("4"),
        setting("runtime", Accepts::Choice(RUNTIME), "How the workers share connections.")
            .unwritten("\"per_core\" on Linux, \"shared\" elsewhere")
            .example("\"shared\""),
        setting(
            "trusted_proxies",
            Accepts::List(&Accepts::Text(&NETWORK)),
            "Networks of the load balancers whose X-Forwarded-* are believed; what others send is replaced.",
        )
        .default(|| "[]".to_owned())
        .example("[\"10.0.0.0/8\"]"),
        setting(
            "proxy_protocol",
            Accepts::List(&Accepts::Text(&NETWORK)),
            "Networks whose connections begin with a header of the PROXY protocol (v1 or v2); without a good one they \
             are closed.",
        )
        .default(|| "[]".to_owned())
        .example("[\"10.0.0.0/8\"]"),
        setting(
            "allow_any_proxy",
            Accepts::Bool,
            "Lets the two keys above name everybody (\"0.0.0.0/0\"), for a port that nothing but proxies reaches.",
        )
        .default(|| "false".to_owned())
        .example("true"),
        setting(
            "prefix",
            Accepts::Text(&PREFIX),
            "Where Transom's own addresses live. It has to be below the path of the app's cookies, or browsers do not \
             send them there: WordPress needs \"/wp-admin/.transom\".",
        )
        .default(|| format!("\"{}\"", ServerConfig::default().prefix))
        .example("\"/wp-admin/.transom\""),
        setting("drain", Accepts::Text(&DURATION), "How long requests in flight may take after SIGTERM.")
            .default(|| written_time(ServerConfig::default().drain))
            .example("\"30s\""),
        setting(
            "limits",
            Accepts::Table(&LIMITS),
            "What a slow or greedy client can't do. The limit that strikes is named in the log and in \
             transom_limits_reached_total.",
        )
        .example("{ connections = 2000 }"),
        setting(
            "tls",
            Accepts::Table(&TLS),
            "Serves HTTPS (TLS 1.2 and 1.3) with HTTP/2. Files that change are taken within a second.",
        )
        .unwritten("plain HTTP")
        .example("{ cert = \"cert.pem\", key = \"key.pem\" }"),
        setting(
            "access_log",
            Accepts::Either(&[Accepts::Text(&FILE_PATH), Accepts::Choice(ACCESS_LOG)]),
            "A line of JSON per request, once its reply has ended.",
        )
        .default(|| "\"off\"".to_owned())
        .example("\"access.log\""),
    ],
};

static TLS: Section = Section {
    title: "[server.tls]",
    about: "Files in PEM.",
    settings: &[
        setting(
            "cert",
            Accepts::Text(&FILE_PATH),
            "The certificate, and those that lead from it to a root that clients know.",
        )
        .required()
        .example("\"cert.pem\""),
        setting("key", Accepts::Text(&FILE_PATH), "Its private key.")
            .required()
            .example("\"key.pem\""),
    ],
};

static LIMITS: Section = Section {
    title: "[server.limits]",
    about: "What a slow or greedy client can't do.",
    settings: &[
        setting(
            "header_time",
            Accepts::Text(&DURATION),
            "From the first byte of a request's head to its last.",
        )
        .default(|| written_time(ServerLimits::USUAL.header_time))
        .example("\"10s\""),
        setting(
            "header_size",
            Accepts::Text(&SIZE),
            "Of a head, 8 KiB to 1 MiB; more is answered with 431.",
        )
        .default(|| written_size(ServerLimits::USUAL.header_size.into()))
        .example("\"32 KiB\""),
        setting(
            "header_count",
            Accepts::Number(1, 1000),
            "Headers of a request; more are answered with 431.",
        )
        .default(|| ServerLimits::USUAL.header_count.to_string())
        .example("200"),
        setting(
            "receive_idle",
            Accepts::Text(&DURATION),
            "An upload from which no byte comes: 408.",
        )
        .default(|| written_time(ServerLimits::USUAL.receive_idle))
        .example("\"2m\""),
        setting(
            "send_idle",
            Accepts::Text(&DURATION),
            "A reply of which no byte is taken: the connection is closed.",
        )
        .default(|| written_time(ServerLimits::USUAL.send_idle))
        .example("\"2m\""),
        setting(
            "rate",
            Accepts::Either(&[Accepts::Text(&SIZE), Accepts::Choice(OFF)]),
            "The least per second, either way, while Transom waits for the client.",
        )
        .default(|| written_size(ServerLimits::USUAL.rate))
        .example("\"off\""),
        setting("rate_grace", Accepts::Text(&DURATION), "The time over which the rate is judged.")
            .default(|| written_time(ServerLimits::USUAL.rate_grace))
            .example("\"1m\""),
        setting("keep_alive", Accepts::Text(&DURATION), "Between two requests of a connection.")
            .default(|| written_time(ServerLimits::USUAL.keep_alive))
            .example("\"15s\""),
        setting(
            "connections",
            Accepts::Number(1, 1_000_000),
            "At a time; further ones wait to be accepted.",
        )
        .default(|| ServerLimits::USUAL.connections.to_string())
        .example("2000"),
    ],
};

pub(super) const OFF: &[Choice] = &[choice("off", "none")];

const RUNTIME: &[Choice] = &[
    choice("per_core", "each keeps what the kernel gives it: cheapest per request; Linux only"),
    choice(
        "shared",
        "one scheduler moves work between them: steadier where some requests are heavy",
    ),
];

const ACCESS_LOG: &[Choice] = &[choice("off", "none"), choice("stdout", "to standard output")];
