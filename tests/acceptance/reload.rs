//! Another configuration while requests are served.

use std::path::Path;
use std::time::Duration;

use http::Method;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use transom::Config;

use crate::support::app::{App, reply};
use crate::support::issuer::Issuer;
use crate::support::{CONFIG, Form, RELOADS_REFUSED, RELOADS_TAKEN, World, dws, files, tokens};

const VIEW: &str = "[[documents.files.view]]\nroute = \"GET /api/files/{id}\"\n";

in_both_forms! {
    async fn a_route_works_as_soon_as_it_is_there(form: Form) {
        let world = World::with(&CONFIG.replace(VIEW, &VIEW.replace("/api/", "/later/"))).start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.session_in_the_end("ann", &id).await;
        let path = format!("/api/files/{id}");
        assert!(world.get_as("ann", &path).await.headers().get("x-viewer-session").is_none());
        world.reconfigure(|text| text.replace("/later/", "/api/")).await;
        let reply = world.get_as("ann", &path).await;
        assert!(reply.headers().contains_key("x-viewer-session"), "{reply:?}");
        world.reconfigure(|text| text.replace(VIEW, &VIEW.replace("/api/", "/later/"))).await;
        assert!(world.get_as("ann", &path).await.headers().get("x-viewer-session").is_none());
    }

    async fn an_upload_ends_under_the_configuration_that_it_began_with(form: Form) {
        let world = World::usual().start(form).await;
        let mut upload = SlowUpload::begin(&world).await;
        let removed = |text: String| text.replace("route = \"POST /api/files\"", "route = \"POST /elsewhere\"");
        world.reconfigure(removed).await;
        // The route is gone for everybody else.
        world.upload_as("bob", "b.pdf").await;
        assert!(upload.end().await.starts_with("HTTP/1.1 201"));
        world.dws.has_documents(1).await;
        world.settled().await;
        assert_eq!(world.dws.documents().await.len(), 1);
    }

    async fn a_narrowed_policy_counts_at_once(form: Form) {
        let world = World::usual().start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.session_in_the_end("ann", &id).await;
        let narrowed = format!("{VIEW}allow = \"claims.sub != 'ann'\"\n");
        world.reconfigure(|text| text.replace(VIEW, &narrowed)).await;
        let (status, problem) = world.session_as("ann", &id).await;
        assert_eq!((status, &problem["code"]), (403, &Value::from("denied_by_policy")));
        let reply = world.get_as("ann", &format!("/api/files/{id}")).await;
        assert!(reply.headers().get("x-viewer-session").is_none(), "not from a cache either");
    }

    async fn a_token_of_an_identity_that_is_gone_counts_for_nothing(form: Form) {
        let world = World::usual().start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.session_in_the_end("ann", &id).await;
        let other = "a secret of forty bytes that ann has not".to_owned();
        world.reconfigure(|text| text.replace(tokens::SECRET, &other)).await;
        assert_eq!(world.session_as("ann", &id).await.1["code"], "token_invalid");
    }

    async fn keys_stay_known_while_their_server_is_away(form: Form) {
        let mut issuer = Issuer::start().await;
        let identity = format!(
            "\n[[identity]]\nname = \"staff\"\ntokens = [{{ bearer = true }}]\nalgorithms = [\"ES256\"]\n\
             key = {{ discovery = true }}\nissuer = \"{}\"\naudience = \"my-app\"\n",
            issuer.name()
        );
        let open = CONFIG.replacen("session = [", "authorize = [\"token\"]\nsession = [", 1);
        let world = World::with(&(open + &identity)).start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.session_in_the_end("ann", &id).await;
        let fetches = issuer.fetches();
        issuer.stop().await;
        world.reconfigure(|text| text.replace("8 MiB", "7 MiB")).await;
        let path = format!("/.transom/session/files/{id}");
        let asked = world.request(Method::GET, &path).bearer_auth(issuer.token("eve"));
        let answer = asked.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
        assert_eq!(issuer.fetches(), fetches);
    }

    async fn deliveries_wait_for_the_right_key_and_no_longer(form: Form) {
        let world = World::with(CONFIG).start(form).await;
        world.reconfigure(|text| text.replace(dws::KEY, "not-the-key")).await;
        world.upload_as("ann", "a.pdf").await;
        world.counted("deliver", "delivery_retried").await;
        world.reconfigure(|text| text.replace("not-the-key", dws::KEY)).await;
        // It would have waited for up to a minute.
        world.dws.has_documents(1).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_file_is_taken_without_being_asked_for() {
    let world = World::usual().start(Form::Binary).await;
    let limit = |size: &str| format!("max_size = \"{size}\"");
    // Written over, renamed into place, and as Kubernetes mounts it: a link to a file in a linked folder.
    world.rewrite_config(|text| text.replace(&limit("8 MiB"), &limit("7 MiB")));
    world.until_figure(RELOADS_TAKEN, |taken| taken == 1.0).await;

    let text = std::fs::read_to_string(&world.config_path).unwrap();
    let next = world.dir().join("next.toml");
    std::fs::write(&next, text.replace(&limit("7 MiB"), &limit("6 MiB"))).unwrap();
    std::fs::rename(&next, &world.config_path).unwrap();
    world.until_figure(RELOADS_TAKEN, |taken| taken == 2.0).await;

    mount(&world, "first", &text.replace(&limit("7 MiB"), &limit("5 MiB")));
    std::fs::remove_file(&world.config_path).unwrap();
    std::os::unix::fs::symlink("..data/config.toml", &world.config_path).unwrap();
    world.until_figure(RELOADS_TAKEN, |taken| taken == 3.0).await;
    mount(&world, "second", &text.replace(&limit("7 MiB"), &limit("4 MiB")));
    world.until_figure(RELOADS_TAKEN, |taken| taken == 4.0).await;

    world.logged_times("the new configuration is in use", 4).await;
    let log = world.log();
    assert_eq!(log.matches("the new configuration is in use").count(), 4, "{log}");
    assert!(log.contains("documents.files.upload"), "{log}");
    assert!(!log.contains(tokens::SECRET) && !log.contains(dws::KEY));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_in_a_file_is_followed_too() {
    let world = World::usual().start(Form::Binary).await;
    let key = world.dir().join("dws.key");
    let quoted = format!("\"{}\"", dws::KEY);
    // The file is missing at first; its coming is what mends it.
    world.rewrite_config(|text| text.replace(&quoted, "{ file = \"dws.key\" }"));
    world.until_figure(RELOADS_REFUSED, |refused| refused == 1.0).await;
    std::fs::write(&key, "not-the-key").unwrap();
    world.until_figure(RELOADS_TAKEN, |taken| taken == 1.0).await;
    world.upload_as("ann", "a.pdf").await;
    world.counted("deliver", "delivery_retried").await;
    std::fs::write(&key, format!("{}\n", dws::KEY)).unwrap();
    world.dws.has_documents(1).await;
    assert!(!world.log().contains("not-the-key") && !world.log().contains(dws::KEY));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_file_changes_nothing_and_says_why() {
    let world = World::usual().start(Form::Binary).await;
    let good = std::fs::read_to_string(&world.config_path).unwrap();
    let in_use = readiness(&world, |text| text.contains("config.toml is in use")).await;
    assert!(!in_use.contains("refused"), "{in_use}");

    world.rewrite_config(|text| {
        text.replace("probe =", "prob =").replace("\"8 MiB\"", "\"8 parsecs\"")
    });
    let told = readiness(&world, |text| text.contains("prob")).await;
    assert!(told.contains("(and 1 more); the configuration of before stays in use"), "{told}");
    assert!(told.contains("config.toml:") && told.contains("\"degraded\""), "{told}");
    assert_eq!(world.figure("transom_config_last_reload_successful").await, 0.0);
    assert_eq!(world.figure(RELOADS_REFUSED).await, 1.0);
    for problem in ["unknown key `prob`", "8 parsecs"] {
        world.logged(problem).await;
    }
    let id = world.upload_as("ann", "a.pdf").await;
    world.session_in_the_end("ann", &id).await;
    // Who asks is answered again.
    world.hang_up().await;
    world.until_figure(RELOADS_REFUSED, |refused| refused == 2.0).await;

    std::fs::remove_file(&world.config_path).unwrap();
    readiness(&world, |text| text.contains("can't read the configuration")).await;
    world.session_in_the_end("ann", &id).await;

    std::fs::write(&world.config_path, good).unwrap();
    readiness(&world, |text| text.contains("config.toml is in use")).await;
    assert_eq!(world.figure("transom_config_last_reload_successful").await, 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_exist_follow() {
    let named = |name: &'static str| App::answering(move |_, _| reply(200, &[], name));
    let world = World::usual().app(named("first")).start(Form::Binary).await;
    let second = named("second").serve().await;
    let first = app_address(&world);
    let mut kept = TcpStream::connect(world.address).await.unwrap();
    assert!(ask(&mut kept, "/").await.ends_with("first"));
    world.reconfigure(|text| text.replace(&first, &second.to_string())).await;
    assert!(ask(&mut kept, "/").await.ends_with("second"));
    world.reconfigure(|text| text + "\n[server.limits]\nheader_count = 1\n").await;
    assert!(ask(&mut kept, "/").await.starts_with("HTTP/1.1 431"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_needs_a_start_is_named() {
    let world = World::usual().start(Form::Binary).await;
    let (listen, data) = (world.address.to_string(), world.dir().join("data"));
    world
        .reconfigure(|text| {
            text.replace(&listen, "127.0.0.1:1\"\nworkers = 7\ndrain = \"9s")
                .replace(data.to_str().unwrap(), world.dir().join("other").to_str().unwrap())
                .replace("\"8 MiB\"", "\"1 KiB\"")
        })
        .await;
    for setting in ["server.listen", "server.workers", "store.path"] {
        world.logged(&format!("`{setting}` has changed; it takes effect at the next start")).await;
    }
    assert!(!world.log().contains("`server.drain` has changed"), "{}", world.log());
    let told = readiness(&world, |text| text.contains("at the next start also")).await;
    assert!(told.contains("server.listen, server.workers, store.path"), "{told}");
    assert!(!world.dir().join("other").exists());
    // The rest counts.
    world.post_file_as("ann", "a.pdf", files::large_pdf("large", 20_000)).await;
    world.counted("capture", "file_too_large").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_reloads_its_layer_and_hears_what_changed() {
    let world = World::usual().start(Form::Layer).await;
    let text = std::fs::read_to_string(&world.config_path).unwrap();
    let reload = async |text: &str| {
        let config = Config::parse(text, &world.config_path).unwrap();
        world.transom().reload(config).await.unwrap()
    };
    let same = reload(&text).await;
    assert!(same.changed().is_empty() && same.at_next_start().is_empty());
    let data = world.dir().join("data");
    let moved = Path::new("elsewhere").to_str().unwrap();
    let next = text.replace("\"8 MiB\"", "\"7 MiB\"").replace(data.to_str().unwrap(), moved);
    let reloaded = reload(&next).await;
    assert_eq!(reloaded.changed(), ["documents.files.upload", "store.path"]);
    assert_eq!(reloaded.at_next_start(), ["store.path"]);
    let bad = text.replace(dws::KEY, "a\\nkey");
    let refused = Config::parse(&bad, &world.config_path).unwrap_err().to_string();
    assert!(refused.contains("can stand in no header"), "{refused}");
    let id = world.upload_as("ann", "a.pdf").await;
    world.session_in_the_end("ann", &id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_the_configuration_changes() {
    let world = World::usual().start(Form::Binary).await;
    let id = world.upload_as("ann", "a.pdf").await;
    world.session_in_the_end("ann", &id).await;
    let reloads = async {
        for round in 0..10 {
            let size = |round: usize| format!("\"{} MiB\"", 8 + round);
            world.reconfigure(|text| text.replace(&size(round), &size(round + 1))).await;
        }
    };
    let requests = async {
        loop {
            let reply = world.get_as("ann", &format!("/api/files/{id}")).await;
            assert_eq!(reply.status(), 200);
            assert!(reply.headers().contains_key("x-viewer-session"), "{reply:?}");
        }
    };
    tokio::select! {
        () = reloads => {}
        () = requests => unreachable!(),
    }
}

/// Half of a form, and the rest of it later.
struct SlowUpload {
    stream: TcpStream,
    rest: Vec<u8>,
}

impl SlowUpload {
    async fn begin(world: &World) -> Self {
        let head: &[u8] =
            b"--B\r\ncontent-disposition: form-data; name=\"file\"; filename=\"slow.pdf\"\r\n\r\n";
        let mut body = [head, &files::large_pdf("slow", 200_000), b"\r\n--B--\r\n"].concat();
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        let head = format!(
            "POST /api/files HTTP/1.1\r\nhost: app\r\nconnection: close\r\nauthorization: Bearer {}\r\n\
             content-type: multipart/form-data; boundary=B\r\ncontent-length: {}\r\n\r\n",
            tokens::for_user("ann"),
            body.len()
        );
        let rest = body.split_off(100_000);
        stream.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
        world.until_figure("transom_requests_total{lane=\"capture\"}", |count| count == 1.0).await;
        Self { stream, rest }
    }

    async fn end(&mut self) -> String {
        self.stream.write_all(&self.rest).await.unwrap();
        let mut answer = String::new();
        self.stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

/// `/readyz`, which is always 200 here, once it is so.
async fn readiness(world: &World, so: impl Fn(&str) -> bool) -> String {
    let mut text = String::new();
    for _ in 0..200 {
        let reply = world.http.get(format!("http://{}/readyz", world.admin)).send().await.unwrap();
        assert_eq!(reply.status(), 200);
        text = reply.text().await.unwrap();
        if so(&text) {
            return text;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{text}\n{}", world.log());
}

/// A folder with this file, which `..data` leads to from now on, in one step.
fn mount(world: &World, name: &str, text: &str) {
    let folder = world.dir().join(name);
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("config.toml"), text).unwrap();
    let link = world.dir().join("..data_tmp");
    std::os::unix::fs::symlink(name, &link).unwrap();
    std::fs::rename(&link, world.dir().join("..data")).unwrap();
}

fn app_address(world: &World) -> String {
    let text = std::fs::read_to_string(&world.config_path).unwrap();
    let (_, after) = text.split_once("[app]\nurl = \"http://").unwrap();
    after.split('"').next().unwrap().to_owned()
}

/// A request over a connection that is kept; the reply to its end.
async fn ask(stream: &mut TcpStream, path: &str) -> String {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: app\r\n\r\n").as_bytes()).await.unwrap();
    let mut text = String::new();
    let mut bytes = [0; 4096];
    loop {
        let read = stream.read(&mut bytes).await.unwrap();
        assert!(read > 0, "closed after {text}");
        text += std::str::from_utf8(&bytes[..read]).unwrap();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_lowercase();
            let length = head.split("content-length: ").nth(1).expect("a length");
            let length: usize = length.lines().next().unwrap().parse().unwrap();
            if body.len() == length {
                return text;
            }
        }
    }
}
