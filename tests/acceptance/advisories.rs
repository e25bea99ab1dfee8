//! What other proxies had to publish advisories for, tried on Transom.

use http::{Method, StatusCode};

use crate::support::app::{App, Seen, reply};
use crate::support::{CONFIG, Form, World, app, tokens};

/// An app that says yes to everything, behind a view whose session goes to the app by a request header. Its
/// document 1 is at DWS.
async fn world(form: Form) -> World {
    world_of(CONFIG, form).await
}

async fn world_of(config: &str, form: Form) -> World {
    let view = "[[documents.files.view]]\nroute = \"GET /request/{id}\"\nsession = { request_header = \"X-Session-For-App\" }\n";
    let world = World::with(&format!("{config}\n{view}"))
        .app_settings("remember_decisions = \"off\"")
        .start(form)
        .await;
    let id = world.upload_as("ann", "a.pdf").await;
    assert_eq!(id, "1");
    world.session_in_the_end("ann", &id).await;
    world.app.answers(|_, _| app::json(200, &serde_json::json!({ "data": {} })));
    world
}

/// The last request that reached the app.
fn last(world: &World) -> Seen {
    world.app.seen().last().expect("the app saw something").clone()
}

fn holds_a_session(answer: &str) -> bool {
    answer.contains("x-viewer-session") || answer.contains("eyj")
}

fn head(target: &str, more: &str) -> String {
    let token = tokens::for_user("ann");
    format!("GET {target} HTTP/1.1\r\nhost: app\r\nauthorization: Bearer {token}\r\n{more}\r\n")
}

in_both_forms! {
    /// oauth2-proxy matched its list of open paths against the query too, so that `?x=/open` opened any path. A
    /// query that spells a view route or an address of Transom's own would have made a session here.
    async fn ghsa_7rh7_c77v_6434(form: Form) {
        let world = world(form).await;
        for target in ["/other?/api/files/1", "/other?x=/api/files/1", "/other?/.transom/session/files/1", "/?/../api/files/1"] {
            let got = world.get_as("ann", target).await;
            assert!(!got.headers().contains_key("x-viewer-session"), "{target}");
            assert!(!got.text().await.unwrap().contains("eyJ"), "{target}");
            assert_eq!(last(&world).uri.to_string(), target, "the app's to answer");
        }
    }

    /// oauth2-proxy again, after the fragment, which servers are sent although no browser sends it. What follows a
    /// `#` would have been a part of the document's id for us and nothing for the app, or the other way round.
    async fn ghsa_pxq7_h93f_9jrg(form: Form) {
        let world = world(form).await;
        for target in ["/other#/api/files/1", "/other#/../api/files/1", "/#/.transom/session/files/1"] {
            let before = world.app.seen().len();
            let answer = world.raw(head(target, "connection: close\r\n")).await;
            assert!(!holds_a_session(&answer), "{target}: {answer}");
            for seen in &world.app.seen()[before..] {
                let path = seen.uri.path();
                assert!(!path.contains("files"), "{target} became {path}");
            }
        }
    }

    /// CVE-2025-64484: oauth2-proxy removed `X-Forwarded-User` from requests and let `X_Forwarded_User` by, which
    /// WSGI and PHP read as the same. A forged session would have reached the app in such a spelling.
    async fn cve_2025_64484(form: Form) {
        let world = world(form).await;
        for name in ["X_Session_For_App", "x_session-for_app", "X-SESSION_FOR-APP"] {
            for target in ["/request/1", "/other"] {
                let request = world.request_as("bob", Method::GET, target).header(name, "forged");
                request.send().await.unwrap();
                let seen = last(&world);
                assert!(seen.headers.values().all(|value| value != "forged"), "{name} {target}");
            }
        }
    }

    /// CVE-2026-88011: Traefik folded `_` by then, and not yet `.`, `~` and the rest of what a name may hold.
    async fn cve_2026_88011(form: Form) {
        let world = world(form).await;
        for name in ["X.Session.For.App", "x~session~for~app", "x!session+for|app"] {
            world.request_as("bob", Method::GET, "/request/1").header(name, "forged").send().await.unwrap();
            assert!(last(&world).headers.values().all(|value| value != "forged"), "{name}");
        }
    }

    /// oauth2-proxy took the path that it judged from `X-Forwarded-Uri` and forwarded another one. A header that
    /// names a path would have chosen the document, or the lane.
    async fn ghsa_7x63_xv5r_3p2x(form: Form) {
        let world = world(form).await;
        for name in ["x-forwarded-uri", "x-original-url", "x-rewrite-url", "x-original-uri", "x-forwarded-path"] {
            let request = world.request_as("ann", Method::GET, "/other").header(name, "/api/files/1");
            let got = request.send().await.unwrap();
            assert!(!got.headers().contains_key("x-viewer-session"), "{name}");
            assert_eq!(last(&world).uri.path(), "/other");
            let anonymous = world.request(Method::GET, "/.transom/session/files/1").header(name, "/healthz");
            assert_eq!(anonymous.send().await.unwrap().status(), StatusCode::UNAUTHORIZED, "{name}");
        }
    }

    /// oauth2-proxy answered whoever called himself a load balancer's health check as if he were one. A
    /// `User-Agent` would have been a credential.
    async fn ghsa_5hvv_m4w4_gf6v(form: Form) {
        let world = world(form).await;
        for agent in ["GoogleHC/1.0", "kube-probe/1.30", "ELB-HealthChecker/2.0", "transom"] {
            for target in ["/.transom/session/files/1", "/.transom/view/files/1"] {
                let request = world.request(Method::GET, target).header("user-agent", agent);
                assert_eq!(request.send().await.unwrap().status(), StatusCode::UNAUTHORIZED, "{agent} {target}");
            }
            let got = world.request(Method::GET, "/api/files/1").header("user-agent", agent).send().await.unwrap();
            assert!(!got.headers().contains_key("x-viewer-session"), "{agent}");
        }
    }

    /// Envoy matched paths as they were written, and apps resolved their dots: `/public/../admin` passed as public
    /// (its default to this day). Two readings of one path would have been two documents.
    async fn cve_2019_9901(form: Form) {
        let world = world(form).await;
        for target in ["/other/../api/files/1", "/api/files/2/../1", "/api/./files/1", "/api//files/1", "/api/files/%2e%2e/files/1", "/api%2ffiles%2f1", "/.transom/../api/files/1"] {
            let before = world.app.seen().len();
            let answer = world.raw(head(target, "connection: close\r\n")).await;
            assert!(!holds_a_session(&answer), "{target}: {answer}");
            for seen in &world.app.seen()[before..] {
                assert_eq!(seen.uri.to_string(), target, "forwarded as it was judged");
            }
        }
    }

    /// Oathkeeper remembered what one introspection server said of a token, and believed it for another one. A
    /// token that is good for one identity would have been good for a view that counts only another.
    async fn ghsa_4mq7_pvjg_xp2r(form: Form) {
        let staff = "[[identity]]\nname = \"staff\"\ntokens = [{ bearer = true }]\nalgorithms = [\"HS256\"]\nissuer = \"my-app\"\naudience = [\"my-app\"]\nkey = { secret = \"another secret of thirty-two bytes\" }\n\
            [[documents.files.view]]\nroute = \"GET /staff/{id}\"\nsession = { response_header = \"X-Viewer-Session\" }\nidentity = [\"staff\"]\n";
        let world = world_of(&format!("{CONFIG}\n{staff}"), form).await;
        for _ in 0..3 {
            assert!(world.get_as("ann", "/api/files/1").await.headers().contains_key("x-viewer-session"));
            assert!(!world.get_as("ann", "/staff/1").await.headers().contains_key("x-viewer-session"));
        }
    }
}

/// CVE-2026-35051: Traefik rebuilt the `X-Forwarded-*` that it knew and left `X-Forwarded-Prefix` as the client sent
/// it, for the app to decide by. Probes carry what says where the client is, so it would have come with a yes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cve_2026_35051() {
    let world = world(Form::Binary).await;
    for target in ["/other", "/api/files/1", "/.transom/session/files/1"] {
        let request = world.request_as("ann", Method::GET, target);
        let request = request.header("x-forwarded-prefix", "/admin");
        let request = request.header("x-forwarded-for", "10.0.0.1").header("x-real-ip", "10.0.0.1");
        request.send().await.unwrap();
        let seen = last(&world).headers;
        assert!(!seen.contains_key("x-forwarded-prefix"), "{target}");
        assert!(!seen.contains_key("x-real-ip"), "{target}");
        assert_eq!(seen["x-forwarded-for"], "127.0.0.1", "{target}");
    }
}

/// CVE-2026-39858: Traefik removed a stranger's `X-Forwarded-Proto` and let `X_Forwarded_Proto` by. An app that folds
/// the two would have believed the client about itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cve_2026_39858() {
    let world = world(Form::Binary).await;
    for name in ["X_Forwarded_Proto", "x-forwarded_for", "X.Forwarded.User", "x_real_ip"] {
        for target in ["/other", "/.transom/session/files/1"] {
            let request = world.request_as("ann", Method::GET, target).header(name, "forged");
            request.send().await.unwrap();
            let seen = last(&world).headers;
            assert!(seen.values().all(|value| value != "forged"), "{name} {target}");
        }
    }
}

/// CVE-2026-2833: Pingora took a request with `Upgrade` for a tunnel before the server had said 101, and whatever
/// followed went to the server unseen. A forged session would have reached the app that way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cve_2026_2833() {
    let world = world(Form::Binary).await;
    let first = head("/other", "connection: upgrade\r\nupgrade: anything\r\n");
    let second = head("/request/2", "connection: close\r\nx-session-for-app: forged\r\n");
    let before = world.app.seen().len();
    world.raw(first + &second).await;
    let seen = &world.app.seen()[before..];
    assert!(!seen.is_empty());
    for seen in seen {
        assert!(!seen.headers.contains_key("x-session-for-app"), "{seen:?}");
        assert!(seen.headers.contains_key("x-forwarded-for"), "it came past us: {seen:?}");
    }
}

/// CVE-2026-58055: nghttpx passed a body behind a request that asked for an upgrade, and the server read it as the
/// next request. The body's bytes would have been a request that nobody had judged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cve_2026_58055() {
    let world = world(Form::Binary).await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: app\r\nx-session-for-app: forged\r\n\r\n";
    for framing in [
        format!("content-length: {}\r\n\r\n{smuggled}", smuggled.len()),
        format!(
            "transfer-encoding: chunked\r\n\r\n{:x}\r\n{smuggled}\r\n0\r\n\r\n",
            smuggled.len()
        ),
    ] {
        for method in ["GET", "POST"] {
            let head = format!(
                "{method} /other HTTP/1.1\r\nhost: app\r\nconnection: upgrade, close\r\nupgrade: websocket\r\n{framing}"
            );
            world.raw(head).await;
            let seen = world.app.seen();
            assert!(seen.iter().all(|seen| seen.uri.path() != "/smuggled"), "{method} {framing}");
        }
    }
}

/// CVE-2026-2835: Pingora read a request with `Transfer-Encoding` in HTTP/1.0, or with several codings, as one whose
/// body ends with the connection, and the server as one with chunks. The rest would have been a request of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cve_2026_2835() {
    let world = world(Form::Binary).await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: app\r\n\r\n";
    for head in [
        "POST /other HTTP/1.0\r\nhost: app\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /other HTTP/1.0\r\nhost: app\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
        "POST /other HTTP/1.1\r\nhost: app\r\ntransfer-encoding: identity, chunked\r\n\r\n0\r\n\r\n",
        "POST /other HTTP/1.1\r\nhost: app\r\ntransfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n",
        "POST /other HTTP/1.1\r\nhost: app\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
    ] {
        let before = world.app.seen().len();
        let answer = world.raw(format!("{head}{smuggled}")).await;
        let refused = answer.starts_with("http/1.1 4")
            || answer.starts_with("http/1.1 501")
            || answer.starts_with("http/1.0 ");
        assert!(refused, "{head:?}: {answer}");
        assert_eq!(world.app.seen().len(), before, "{head:?}");
    }
}

/// The app's half of the smuggling tests: it would see whatever came by.
#[tokio::test]
async fn the_app_of_these_tests_sees_a_second_request() {
    let app = App::answering(|_, _| reply(200, &[], ""));
    let address = app.serve().await;
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let two = "GET /one HTTP/1.1\r\nhost: app\r\n\r\nGET /two HTTP/1.1\r\nhost: app\r\nconnection: close\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut stream, two.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer).await.unwrap();
    assert_eq!(app.seen().len(), 2);
}
