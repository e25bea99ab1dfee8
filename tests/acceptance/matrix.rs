//! Who gets a session: every combination of token, place, app's answer, policy and delivery; and nobody by any spelling.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::support::{CONFIG, Form, World, app, files, tokens};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Token {
    Owners,
    Strangers,
    Expired,
    Forged,
    Unsigned,
    ForOthers,
    FromOthers,
    Missing,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Bearer,
    Cookie,
    OtherHeader,
    Query,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    Json,
    Document,
    Html,
    Forbidden,
    NotFound,
    Redirect,
    Failure,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Policy {
    None,
    OfMembers,
    OfEditors,
    OfOwners,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Delivery {
    Endpoint,
    ViewerPage,
    ResponseHeader,
    Cookie,
    Json,
    Navigation,
    RequestHeader,
}

const TOKENS: [Token; 8] = [
    Token::Owners,
    Token::Strangers,
    Token::Expired,
    Token::Forged,
    Token::Unsigned,
    Token::ForOthers,
    Token::FromOthers,
    Token::Missing,
];
const PLACES: [Place; 4] = [Place::Bearer, Place::Cookie, Place::OtherHeader, Place::Query];
const ANSWERS: [Answer; 7] = [
    Answer::Json,
    Answer::Document,
    Answer::Html,
    Answer::Forbidden,
    Answer::NotFound,
    Answer::Redirect,
    Answer::Failure,
];
const POLICIES: [Policy; 4] =
    [Policy::None, Policy::OfMembers, Policy::OfEditors, Policy::OfOwners];
const DELIVERIES: [Delivery; 7] = [
    Delivery::Endpoint,
    Delivery::ViewerPage,
    Delivery::ResponseHeader,
    Delivery::Cookie,
    Delivery::Json,
    Delivery::Navigation,
    Delivery::RequestHeader,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_given_in_exactly_these_cells() {
    let (mut cells, mut given) = (0, 0);
    for policy in POLICIES {
        let world = World::with(&config(policy)).app_settings(ASK_ALWAYS).start(Form::Layer).await;
        let id = uploaded(&world).await;
        for answer in ANSWERS {
            world.app.answers(move |_, _| answer.reply());
            for delivery in DELIVERIES {
                for (token, place) in TOKENS.into_iter().flat_map(|t| PLACES.map(|p| (t, p))) {
                    let got = asks(&world, &id, delivery, token, place, answer).await;
                    let due = is_due(token, place, answer, policy, delivery);
                    assert_eq!(got, due, "{token:?} {place:?} {answer:?} {policy:?} {delivery:?}");
                    cells += 1;
                    given += usize::from(got);
                }
            }
        }
    }
    assert_eq!(cells, 6272);
    // Owner and stranger, two places; answers that are a yes, by delivery.
    let by_policy = [2, 2, 0, 1].iter().sum::<usize>();
    let by_delivery = [2, 2, 3, 3, 1, 1, 2].iter().sum::<usize>();
    assert_eq!(given, by_policy * 2 * by_delivery);
}

fn is_due(token: Token, place: Place, answer: Answer, policy: Policy, delivery: Delivery) -> bool {
    let known = matches!(token, Token::Owners | Token::Strangers)
        && matches!(place, Place::Bearer | Place::Cookie);
    let said_yes = match delivery {
        // A probe's page may be a login.
        Delivery::Endpoint | Delivery::ViewerPage | Delivery::RequestHeader => {
            matches!(answer, Answer::Json | Answer::Document)
        }
        // The view's own 2xx is shown to the caller whatever its type.
        Delivery::ResponseHeader | Delivery::Cookie => {
            matches!(answer, Answer::Json | Answer::Document | Answer::Html)
        }
        // There has to be something that takes it.
        Delivery::Json => answer == Answer::Json,
        Delivery::Navigation => answer == Answer::Document,
    };
    let allowed = match policy {
        Policy::None | Policy::OfMembers => true,
        Policy::OfEditors => false,
        Policy::OfOwners => token == Token::Owners,
    };
    known && said_yes && allowed
}

async fn asks(
    world: &World,
    id: &str,
    delivery: Delivery,
    token: Token,
    place: Place,
    answer: Answer,
) -> bool {
    let path = match delivery {
        Delivery::Endpoint => format!("/.transom/session/files/{id}"),
        Delivery::ViewerPage => format!("/.transom/view/files/{id}"),
        Delivery::ResponseHeader => format!("/api/files/{id}"),
        Delivery::Cookie => format!("/cookie/{id}"),
        Delivery::Json => format!("/json/{id}"),
        Delivery::Navigation => format!("/files/{id}/content"),
        Delivery::RequestHeader => format!("/request/{id}"),
    };
    let mut request = carrying(world, &path, token, place);
    if delivery == Delivery::Navigation {
        request = request.header("sec-fetch-mode", "navigate").header("sec-fetch-dest", "document");
    }
    let reply = request.send().await.unwrap();
    let own = matches!(delivery, Delivery::Endpoint | Delivery::ViewerPage);
    if !own {
        assert_eq!(reply.status(), answer.reply().status(), "the app's reply in any case");
    }
    let headers = reply.headers().clone();
    let body = reply.text().await.unwrap();
    let given = match delivery {
        Delivery::Endpoint => body.contains("\"session\":\"ey"),
        Delivery::ViewerPage | Delivery::Navigation => body.contains("nutrient-viewer.js"),
        Delivery::ResponseHeader => headers.contains_key("x-viewer-session"),
        Delivery::Cookie => headers.contains_key("set-cookie"),
        Delivery::Json => body.contains("\"viewer_session\":\"ey"),
        Delivery::RequestHeader => {
            let seen = world.app.last(&Method::GET, &path);
            let header = seen.headers.contains_key("x-session-for-app");
            assert_eq!(header, seen.viewer_session.is_some(), "the handler sees the same");
            header
        }
    };
    if !given && !own {
        assert_eq!(body, answer.body(), "the app's reply as it was");
    }
    given
}

fn carrying(world: &World, path: &str, token: Token, place: Place) -> RequestBuilder {
    let token = match token {
        Token::Owners => tokens::for_user("ann"),
        Token::Strangers => tokens::for_user("bob"),
        Token::Expired => tokens::with("ann", &json!({ "exp": tokens::now() - 3600 })),
        Token::Forged => {
            tokens::signed_with(&tokens::claims("ann"), "another secret of thirty-two bytes")
        }
        Token::Unsigned => tokens::unsigned("ann"),
        Token::ForOthers => tokens::with("ann", &json!({ "aud": "another-app" })),
        Token::FromOthers => tokens::with("ann", &json!({ "iss": "another-issuer" })),
        Token::Missing => String::new(),
    };
    let query = match place {
        Place::Query => format!("{path}?access_token={token}"),
        _ => path.to_owned(),
    };
    let request = world.request(Method::GET, &query);
    match place {
        _ if token.is_empty() => request,
        Place::Bearer => request.bearer_auth(token),
        Place::Cookie => request.header("cookie", format!("access_token={token}")),
        Place::OtherHeader => request.header("x-access-token", token),
        Place::Query => request,
    }
}

impl Answer {
    fn reply(self) -> axum::response::Response {
        let json = ("content-type", "application/json");
        let (status, header) = match self {
            Self::Json => (200, json),
            Self::Document => (200, ("content-type", "application/pdf")),
            Self::Html => (200, ("content-type", "text/html")),
            Self::Forbidden => (403, json),
            Self::NotFound => (404, json),
            Self::Redirect => (302, ("location", "/login")),
            Self::Failure => (500, json),
        };
        app::reply(status, &[header], self.body())
    }

    fn body(self) -> &'static str {
        match self {
            Self::Json => "{\"data\":{}}",
            Self::Document => "%PDF-1.7",
            Self::Html => "<form>Log in</form>",
            Self::Redirect => "",
            _ => "{}",
        }
    }
}

/// No request without a valid token gets a session from an app that says yes to everything, and none with a
/// valid one from an app that says no: whatever else it carries, and wherever it goes.
#[test]
fn no_spelling_of_anything_earns_a_session() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (world, id, session) = runtime.block_on(async {
        let world =
            World::with(&config(Policy::None)).app_settings(ASK_ALWAYS).start(Form::Layer).await;
        let id = uploaded(&world).await;
        let session = world.session_in_the_end("ann", &id).await;
        (world, id, session["session"].as_str().unwrap().to_owned())
    });
    let minted = runtime.block_on(world.dws.sessions_minted());
    let headers = prop::collection::vec((header_name(), header_value(&session)), 0..6);
    let case = (path(id), headers, any::<bool>());
    let mut runner =
        TestRunner::new(Config { cases: 400, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&case, |(path, headers, known)| {
        let answer = if known { Answer::Forbidden } else { Answer::Json };
        world.app.answers(move |_, _| answer.reply());
        let mut request = world.request(Method::GET, &path);
        if known {
            request = request.bearer_auth(tokens::for_user("ann"));
        }
        for (name, value) in &headers {
            request = request.header(name, value);
        }
        let before = world.app.seen().len();
        let told = runtime.block_on(async {
            let reply = request.send().await.unwrap();
            let headers = format!("{:?}", reply.headers());
            headers + &reply.text().await.unwrap()
        });
        prop_assert!(!told.contains(&session), "the reply has a session");
        for seen in &world.app.seen()[before..] {
            let ours = |name: &str| name.replace(['_', '.'], "-") == "x-session-for-app";
            prop_assert!(!seen.headers.keys().any(|name| ours(name.as_str())), "{seen:?}");
            prop_assert!(seen.viewer_session.is_none());
        }
        Ok(())
    });
    outcome.unwrap();
    assert_eq!(runtime.block_on(world.dws.sessions_minted()), minted, "none was even minted");
}

fn path(id: String) -> impl Strategy<Value = String> {
    let starts = [
        "/api/files/",
        "/cookie/",
        "/request/",
        "/.transom/session/files/",
        "/.transom/view/files/",
        "//api/files/",
        "/api/./files/",
        "/.transom/../api/files/",
        "/.TRANSOM/session/files/",
    ];
    let ends = [
        "",
        "?access_token=x",
        "?_method=GET",
        "?user=ann",
        ";a=b",
        "/",
        "/.",
        "%2f",
        "?x=/.transom",
    ];
    (prop::sample::select(starts.to_vec()), prop::sample::select(ends.to_vec()))
        .prop_map(move |(start, end)| format!("{start}{id}{end}"))
}

/// Without `x-request-id`, which a refusal repeats to whoever sent it.
fn header_name() -> impl Strategy<Value = String> {
    let known = [
        "x-session-for-app",
        "X_Session_For_App",
        "x.session.for.app",
        "X-SESSION_for-app",
        "x-user",
        "x-forwarded-user",
        "x-auth-request-user",
        "remote-user",
        "x-original-url",
        "x-rewrite-url",
        "x-forwarded-uri",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-http-method-override",
        "cookie",
        "authorization",
        "proxy-authorization",
        "user-agent",
        "x-viewer-session",
        "range",
        "accept",
        "x-transom",
        "te",
    ];
    prop_oneof![
        prop::sample::select(known.to_vec()).prop_map(str::to_owned),
        "[a-zA-Z][a-zA-Z0-9_.-]{0,20}".prop_filter("the client's own", |name| {
            let name = name.to_ascii_lowercase();
            !["host", "connection", "content-length", "transfer-encoding", "expect", "upgrade"]
                .contains(&name.as_str())
        }),
    ]
}

fn header_value(session: &str) -> impl Strategy<Value = String> + use<> {
    prop_oneof![
        Just(format!("Basic {}", "YW5uOg==")),
        Just(format!("access_token={}", tokens::unsigned("ann"))),
        Just(format!("Bearer {}", tokens::unsigned("ann"))),
        // A viewer's session is no token of the app.
        Just(format!("Bearer {session}")),
        Just(format!("access_token={session}")),
        Just("ann".to_owned()),
        Just("GET".to_owned()),
        Just("/api/files/1".to_owned()),
        "[ -~]{0,30}".prop_map(|text| text.trim().to_owned()),
    ]
}

fn config(policy: Policy) -> String {
    let allow = match policy {
        Policy::None => "",
        Policy::OfMembers => "allow = \"claims.role == 'member'\"\n",
        Policy::OfEditors => "allow = \"claims.role == 'editor'\"\n",
        Policy::OfOwners => "allow = \"document.uploader == claims.sub\"\n",
    };
    let view = |route: &str, session: &str| {
        format!("[[documents.files.view]]\nroute = \"GET {route}\"\nsession = {session}\n{allow}\n")
    };
    let views = CONFIG.find("[[documents.files.view]]").unwrap();
    [
        CONFIG[..views].to_owned(),
        view("/api/files/{id}", "{ response_header = \"X-Viewer-Session\" }"),
        view("/json/{id}", "{ json = \"/data/viewer_session\" }"),
        view("/files/{id}/content", "{ page = true }"),
        view("/cookie/{id}", "{ cookie = \"viewer\" }"),
        view("/request/{id}", "{ request_header = \"X-Session-For-App\" }"),
    ]
    .concat()
}

/// Uploaded by ann, and at DWS.
async fn uploaded(world: &World) -> String {
    let reply = world.post_file_as("ann", "a.pdf", files::pdf("a.pdf")).await;
    let json: serde_json::Value = reply.json().await.unwrap();
    world.dws.has_documents(1).await;
    world.counted("deliver", "delivered").await;
    json["data"]["id"].to_string()
}

const ASK_ALWAYS: &str = "remember_decisions = \"off\"";
