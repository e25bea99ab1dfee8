//! Which view's rights a page has.

use http::Method;
use serde_json::{Value, json};

use crate::support::{CONFIG, Form, World, tokens};

/// After the two usual views.
const MORE: &str = r#"
[[documents.files.view]]
name = "desk"
route = "GET /desk/files/{id}"
session = { page = true }
permissions = ["read", "write"]
allow = "claims.role == 'clerk'"
ttl = "5m"

[[documents.files.view]]
name = "public"
route = "GET /public/files/{id}"
session = { page = true }
authorize = ["app"]
"#;

/// Where the page's script asks for its session.
fn asks_at(page: &str) -> String {
    let data = page.split("id=\"page\"").nth(1).unwrap().split_once('>').unwrap().1;
    let data: Value = serde_json::from_str(data.split("</script").next().unwrap()).unwrap();
    let (session, fresh) = (data["session"].as_str().unwrap(), data["fresh"].as_str().unwrap());
    assert_eq!(fresh, format!("{session}&fresh"));
    session.to_owned()
}

in_both_forms! {
    async fn a_pages_session_goes_by_the_view_that_served_it(form: Form) {
        let world = World::with(&format!("{CONFIG}{MORE}")).app_settings("remember_decisions = \"off\"").start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.session_in_the_end("ann", &id).await;
        let pdf = crate::support::files::pdf("a");
        world.app.answers(move |_, _| crate::support::app::reply(200, &[("content-type", "application/pdf")], pdf.clone()));
        let page = async |path: String, token: Option<&String>| {
            let visit = world.request(Method::GET, &path).header("accept", "text/html");
            let visit = token.into_iter().fold(visit, reqwest::RequestBuilder::bearer_auth);
            visit.send().await.unwrap().text().await.unwrap()
        };
        let ask = async |address: &str, token: Option<&String>| {
            let asked = world.request(Method::GET, address);
            let asked = token.into_iter().fold(asked, reqwest::RequestBuilder::bearer_auth);
            let reply = asked.send().await.unwrap();
            (reply.status().as_u16(), reply.json::<Value>().await.unwrap())
        };

        let clerk = tokens::with("ann", &json!({ "role": "clerk" }));
        let other = tokens::for_user("ann");
        let address = asks_at(&page(format!("/desk/files/{id}"), Some(&clerk)).await);
        assert_eq!(address, format!("/.transom/session/files/{id}?view=desk"));
        let (status, session) = ask(&address, Some(&clerk)).await;
        assert_eq!((status, &session["permissions"]), (200, &json!(["read", "write"])));
        assert!(session["expires_at"].as_u64().unwrap() <= tokens::now() + 300);
        assert_eq!(ask(&address, Some(&other)).await.1["code"], "denied_by_policy");
        assert!(page(format!("/desk/files/{id}"), Some(&other)).await.starts_with("%PDF"));

        let address = asks_at(&page(format!("/public/files/{id}"), None).await);
        assert_eq!(address, format!("/.transom/session/files/{id}?view=public"));
        let (status, session) = ask(&address, None).await;
        assert_eq!((status, &session["permissions"]), (200, &json!(["read"])));

        // A view without a name has its number; what names none is the first.
        let address = asks_at(&page(format!("/files/{id}/content"), Some(&other)).await);
        assert_eq!(address, format!("/.transom/session/files/{id}?view=1"));
        let own = |query: &str| format!("/.transom/session/files/{id}{query}");
        assert_eq!(ask(&own(""), None).await.1["code"], "token_missing");
        for query in ["", "?view=0", "?view=1", "?fresh", "?view=0&fresh"] {
            assert_eq!(ask(&own(query), Some(&other)).await.0, 200, "{query}");
        }
        for query in ["?view=Desk", "?view=", "?view=2", "?view=documents.files.view%5B0%5D"] {
            let (status, problem) = ask(&own(query), Some(&clerk)).await;
            assert_eq!((status, problem["code"].as_str()), (404, Some("not_found")), "{query}");
        }
        for query in ["?view=desk&view=public", "?view=desk&View=public", "?view%5B%5D=desk", "?%20view=public"] {
            let (status, problem) = ask(&own(query), Some(&clerk)).await;
            assert_eq!((status, problem["code"].as_str()), (403, Some("parameter_unclear")), "{query}");
        }
        let view = page(format!("/.transom/view/files/{id}?view=desk"), Some(&clerk)).await;
        assert_eq!(asks_at(&view), format!("/.transom/session/files/{id}?view=desk"));
        let refused = page(format!("/.transom/view/files/{id}?view=desk"), Some(&other)).await;
        assert!(refused.contains("denied_by_policy"), "{refused}");
    }
}
