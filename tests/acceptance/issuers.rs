//! Several issuers, and key servers in trouble.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use http::Method;
use serde_json::Value;

use crate::support::app::{self, App};
use crate::support::issuer::Issuer;
use crate::support::{CONFIG, Form, World, tokens};

/// The usual rules with one more identity, and a session for everybody whose token is good.
fn config(issuer: &Issuer) -> String {
    let more = format!(
        "[[identity]]\nname = \"staff\"\ntokens = [{{ bearer = true }}]\nalgorithms = [\"ES256\"]\n\
         key = {{ discovery = true }}\nissuer = \"{}\"\naudience = \"my-app\"\n",
        issuer.name()
    );
    let open = CONFIG.replacen("session = [", "authorize = [\"token\"]\nsession = [", 1);
    format!("{open}\n{more}")
}

async fn world(issuer: &Issuer, form: Form) -> World {
    World::with(&config(issuer)).app(lenient()).start(form).await
}

/// Takes every upload, whoever's token it comes with.
fn lenient() -> App {
    App::answering(|_, seen| match seen.method {
        Method::POST => app::json(201, &serde_json::json!({ "data": { "id": 1 } })),
        _ => app::reply(404, &[], ""),
    })
}

async fn session(world: &World, token: &str) -> (u16, Value) {
    let request = world.request(Method::GET, "/.transom/session/files/1").bearer_auth(token);
    let reply = request.send().await.unwrap();
    (reply.status().as_u16(), reply.json().await.unwrap())
}

fn user_id(answer: &Value) -> String {
    let claims = tokens::payload(answer["session"].as_str().expect("a session"));
    claims["user_id"].as_str().expect("a user").to_owned()
}

in_both_forms! {
    async fn the_same_user_of_two_issuers_is_two_people(form: Form) {
        let issuer = Issuer::start().await;
        let world = world(&issuer, form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        let of_app = world.session_in_the_end("ann", &id).await;
        let minted = world.dws.sessions_minted().await;
        let (status, of_staff) = session(&world, &issuer.token("ann")).await;
        assert_eq!(status, 200, "{of_staff}");
        assert_eq!(world.dws.sessions_minted().await, minted + 1, "no session is shared");
        assert_ne!(of_app["session"], of_staff["session"]);
        assert_eq!((user_id(&of_app), user_id(&of_staff)), ("app:ann".into(), "staff:ann".into()));
        // Each gets their own again.
        assert_eq!(session(&world, &tokens::for_user("ann")).await.1["session"], of_app["session"]);
        assert_eq!(session(&world, &issuer.token("ann")).await.1["session"], of_staff["session"]);
        assert_eq!(world.dws.sessions_minted().await, minted + 1);
    }

    async fn the_key_server_may_be_away_where_its_keys_are_not_asked_for(form: Form) {
        let mut issuer = Issuer::start().await;
        issuer.stop().await;
        let started = Instant::now();
        let world = world(&issuer, form).await;
        assert!(started.elapsed() < Duration::from_secs(30));
        let id = world.upload_as("ann", "a.pdf").await;
        world.session_in_the_end("ann", &id).await;
        let (status, problem) = session(&world, &issuer.token("ann")).await;
        assert_eq!((status, problem["code"].as_str()), (503, Some("keys_unavailable")));
        assert_eq!(session(&world, &tokens::for_user("bob")).await.0, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_on_disk_serve_a_run_without_the_key_server() {
    let mut issuer = Issuer::start().await;
    let mut world = world(&issuer, Form::Binary).await;
    let id = world.upload_as("ann", "a.pdf").await;
    world.session_in_the_end("ann", &id).await;
    assert_eq!(session(&world, &issuer.token("ann")).await.0, 200);
    let kept = || std::fs::read_dir(world.dir().join("data/keys")).unwrap().count();
    assert_eq!(kept(), 1);

    assert!(world.stop().await.success());
    issuer.stop().await;
    world.start_again().await;
    for user in ["ann", "bob"] {
        let (status, answer) = session(&world, &issuer.token(user)).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(user_id(&answer), format!("staff:{user}"));
    }
    // Whether there is such a key can't be known today.
    issuer.rotate(1);
    let (status, problem) = session(&world, &issuer.token("ann")).await;
    assert_eq!((status, problem["code"].as_str()), (503, Some("keys_unavailable")));
}

/// Takes as long as an unknown key may have to wait for the next fetch: half a minute.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_rotate_under_load() {
    tokio::join!(a_key_that_is_used_at_once(), a_key_that_is_published_first());
}

/// What is signed by it is known after the next fetch, and until then nobody else suffers.
async fn a_key_that_is_used_at_once() {
    let issuer = Issuer::start().await;
    let (world, id) = loaded(&issuer).await;
    let old = issuer.token("ann");
    assert_eq!(session(&world, &old).await.0, 200);
    let begun = Instant::now();
    issuer.rotate(2);
    let (mut seen, mut served) = (BTreeSet::new(), 0);
    while !seen.contains("200 new") {
        assert!(begun.elapsed() < Duration::from_secs(60), "the new key is never known: {seen:?}");
        let new = issuer.token(&format!("user-{served}"));
        let fresh = format!("bob-{served}");
        let (by_new, by_old, other) = tokio::join!(
            session(&world, &new),
            session(&world, &old),
            world.session_as(&fresh, &id),
        );
        assert_eq!((by_old.0, other.0), (200, 200), "{by_old:?} {other:?}");
        assert!(by_new.0 == 200 || by_new.1["code"] == "token_invalid", "{by_new:?}");
        seen.insert(format!("{} new", by_new.0));
        served += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(seen.contains("401 new"), "{seen:?}");
    assert_eq!(issuer.fetches(), 2, "after {served} rounds");
    assert_eq!(session(&world, &old).await.0, 200, "the old key is still published");
}

/// As issuers should: it is used when everybody may have fetched it.
async fn a_key_that_is_published_first() {
    let issuer = Issuer::start().await;
    let old = issuer.token("ann");
    issuer.rotate(2);
    let (world, _) = loaded(&issuer).await;
    issuer.announce();
    let (announced, current) = (Instant::now(), issuer.token("ann"));
    while announced.elapsed() < Duration::from_secs(31) {
        let (by_old, by_current) = tokio::join!(session(&world, &old), session(&world, &current));
        assert_eq!((by_old.0, by_current.0), (200, 200), "{by_old:?} {by_current:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    issuer.rotate(2);
    let tokens: Vec<_> = (0..50).map(|n| issuer.token(&format!("carol-{n}"))).collect();
    let answers = tokens.iter().map(|token| session(&world, token));
    for (status, answer) in futures_util::future::join_all(answers).await {
        assert_eq!(status, 200, "nobody is refused: {answer}");
    }
    assert_eq!(issuer.fetches(), 2, "one fetch for all of them");
    assert_eq!(session(&world, &current).await.0, 200, "the key before is still published");
    let (status, problem) = session(&world, &old).await;
    assert_eq!((status, problem["code"].as_str()), (401, Some("token_invalid")), "withdrawn");
}

/// With a document that has arrived.
async fn loaded(issuer: &Issuer) -> (World, String) {
    let world = world(issuer, Form::Binary).await;
    let id = world.upload_as("ann", "a.pdf").await;
    world.session_in_the_end("ann", &id).await;
    (world, id)
}
