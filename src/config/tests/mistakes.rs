use super::*;

/// BASE and a kind with a source, whose rules follow.
fn kind(text: &str) -> Vec<String> {
    titles(&format!("[documents.f]\nsource = \"GET /f/{{id}}\"\n{text}"))
}

fn identity(text: &str) -> Vec<String> {
    titles(&format!(
        "[documents]\n[[identity]]\nname = \"a\"\nissuer = \"i\"\naudience = \"a\"\n{text}"
    ))
    .into_iter()
    .filter(|title| !title.starts_with("warning: no kind of document"))
    .collect()
}

#[test]
fn crossing_routes_are_a_warning() {
    let rule = |route: &str| {
        format!("[[documents.f.delete]]\nroute = \"DELETE {route}\"\nid = {{ json = \"$.id\" }}\n")
    };
    let crossing =
        "warning: `documents.f.delete[1]` and `documents.f.delete[0]` match some requests alike";
    assert_eq!(kind(&(rule("/a/{x}") + &rule("/{y}/b"))), [crossing]);
    assert_eq!(kind(&(rule("/a/{x}") + &rule("/a/b"))), [""; 0]);
}

#[test]
fn all_that_waits_for_a_later_version() {
    let view = "[[documents.f.view]]\nroute = \"GET /f/{id}\"\n";
    let upload = "[[documents.f.upload]]\nroute = \"POST /f/{id}\"\n";
    for later in [
        format!("{upload}file = {{ json = \"/c\", encoding = \"base64\", name = \"/n\", type = \"/t\" }}"),
        format!("{upload}file = {{ tus = {{ name = \"n\", type = \"t\" }} }}"),
        format!("{upload}alias = {{ json = \"$.url\" }}"),
        format!("{upload}id = {{ html = \"a.doc\", attribute = \"href\", pattern = \"/f/{{id}}\" }}"),
        format!("{view}session = {{ html = \"#v\" }}"),
        "resolve = { get = \"/{*id}\", accept = \"a/b\", id = { json = \"$.uid\" } }".to_owned(),
        "[[documents.f.move]]\nroute = \"MOVE /f/{id}\"\nfrom = { path = \"id\" }\nto = { request_header = \"destination\", pattern = \"/f/{id}\" }".to_owned(),
        "[[documents.f.changed]]\nroute = \"PATCH /f/{id}\"".to_owned(),
    ] {
        let titles = kind(&later);
        assert_eq!(titles.len(), 1, "{later}: {titles:?}");
        assert!(titles[0].starts_with("not available yet: "), "{later}: {titles:?}");
    }
    let titles = titles("documents.f.source = { route = \"GET /f/{id}\", url = \"$.url\" }");
    assert!(titles.len() == 1 && titles[0].starts_with("not available yet: "), "{titles:?}");
}

#[test]
fn views_have_names_of_their_own() {
    let view = |lines: &str, route: &str| {
        format!(
            "[[documents.f.view]]\nroute = \"GET /{route}/{{id}}\"\nsession = {{ page = true }}\n{lines}\n"
        )
    };
    let named = |name: &str| format!("name = \"{name}\"");
    let taken = |name: &str| format!("error: two views of this kind are called `{name}`");
    for (first, second, wrong) in [
        (named("a"), named("a"), taken("a")),
        (named("1"), String::new(), taken("1")),
        (String::new(), named("0"), taken("0")),
    ] {
        assert_eq!(kind(&(view(&first, "a") + &view(&second, "b"))), [wrong]);
    }
    assert_eq!(
        kind(&(view(&named("a-B_9"), "a") + &view("", "b") + &view(&named("0"), "c"))),
        [""; 0]
    );
    for name in ["", "a b", "a/b", "ä", "a.b"] {
        assert_eq!(kind(&view(&named(name), "a")).len(), 1, "{name}");
    }
    let (views, base) =
        (view(&named("a"), "a") + &view("", "b"), "[documents.f]\nsource = \"GET /f/{id}\"\n");
    let config = good(&format!("{base}{views}"));
    let names: Vec<_> = config.kinds[0].views.iter().map(|view| &*view.view).collect();
    assert_eq!(names, ["a", "1"]);
    assert_eq!(config.kinds[0].view(None).map(|view| &*view.view), Some("a"));
    assert!(config.kinds[0].view(Some("b")).is_none());
}

#[test]
fn no_session_lies_within_another() {
    let view = |places: &str| {
        kind(&format!("[[documents.f.view]]\nroute = \"GET /f/{{id}}\"\nsession = [{places}]"))
    };
    for places in [
        "{ json = \"/a\" }, { json = \"/a/b\" }",
        "{ json = \"/a\" }, { json = \"/a\" }",
        "{ json = \"\" }, { json = \"/a\" }",
    ] {
        assert_eq!(
            view(places),
            ["error: one of these places in the JSON lies within another, or is the same"]
        );
    }
    assert_eq!(view("{ json = \"/a\" }, { json = \"/b/a\" }, { json = \"/b/c\" }"), [""; 0]);
}

#[test]
fn sections() {
    for (text, title) in [
        (
            "[server]\nlisten = \"localhost:80\"",
            "`localhost:80` is not an IP address with a port, such as \"127.0.0.1:80\"",
        ),
        ("[server]\nadmin = \"127.0.0.1:8080\"", "`admin` and `listen` are the same address"),
        ("[server]\nadmin = \"0.0.0.0:8080\"", "`admin` and `listen` are the same address"),
        ("[server]\nworkers = 0", "`workers` is out of range"),
        ("[server]\ntls = { cert = \"c.pem\" }", "`key` is missing from `tls`"),
        ("[server]\ntrusted_proxies = [\"0.0.0.0/0\"]", "`0.0.0.0/0` is everybody"),
        ("[server]\nproxy_protocol = [\"::/0\"]\nallow_any_proxy = false", "`::/0` is everybody"),
        ("[server]\nruntime = \"percore\"", "`percore` is not a value of `runtime`"),
        ("[server.limits]\nkeepalive = \"1s\"", "unknown key `keepalive`"),
        ("[server.limits]\nkeep_alive = \"0s\"", "a limit of no time at all lets nothing through"),
        ("[server.limits]\nheader_size = \"1 KiB\"", "`1 KiB` is out of range: 8 KiB to 1 MiB"),
        ("[server.limits]\nconnections = 0", "`connections` is out of range"),
        ("[server]\ndrain = \"5\"", "`5` has no unit: write a duration such as \"30s\""),
        ("[server]\nprefix = \"/\"", "`/` is not a prefix such as \"/.transom\""),
        ("[server]\naccess_log = \"\"", "`access_log` is empty"),
        ("[audit]\nfile = \"audit.jsonl\"", "unknown key `file`"),
        ("[audit]\nfile = \"audit.jsonl\"", "`path` is missing from `[audit]`"),
        ("audit = \"audit.jsonl\"", "`audit` must be a table, not a string"),
        ("[audit]\npath = \"a\"\nline_per = \"handout\"", "`handout` is not a value of `line_per`"),
        ("[audit]\npath = \"a\"\nkey = \"short\"", "this key has fewer than 32 bytes"),
        (
            "[viewer]\nsdk = \"sdk.js\"",
            "expected an address that starts with http:// or https://, or a path of the app",
        ),
        (
            "[documents.\"a b\"]\nsource = \"GET /{id}\"",
            "`a b` is not a name for a kind of document",
        ),
        ("documents = 1", "`documents` must be a table, not an integer"),
        ("upload = 1", "unknown key `upload`"),
    ] {
        let titles = titles(text);
        assert!(titles.contains(&format!("error: {title}")), "{text}: {titles:?}");
    }
    let text = "app = { url = \"http://127.0.0.1:8080\", origins = [\"x\", \"http://a/b\"], paths = { case = \"no\" } }";
    let error = parse(text).unwrap_err().to_string();
    for part in [
        "Transom's own address",
        "`http://a/b` is not an origin",
        "`no` is not a value of `case`",
        "`[dws]` is missing",
    ] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn identities() {
    let hs = "algorithms = [\"HS256\"]\n";
    let key = "key = { secret = { env = \"SECRET\" } }\n";
    let pem = "-----BEGIN PUBLIC KEY-----\\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\\n-----END PUBLIC KEY-----\\n";
    for (text, title) in [
        (format!("{key}{hs}toknes = []"), "error: unknown key `toknes`"),
        (format!("{key}algorithms = [\"HS257\"]"), "error: `HS257` is not a value of `algorithms`"),
        (format!("{key}algorithms = []"), "error: no algorithm, so no token could be valid"),
        (
            format!("{key}algorithms = \"none\""),
            "error: `none` is not an algorithm that proves anything",
        ),
        (format!("{key}algorithms = \"ES512\""), "error: ES512 needs a public key, not a secret"),
        (format!("{key}algorithms = [\"RS256\"]"), "error: RS256 needs a public key, not a secret"),
        (
            format!("{key}algorithms = [\"RS256\", \"HS256\"]"),
            "error: HS and other algorithms in one identity",
        ),
        (
            format!("{hs}key = {{ jwks = \"https://a/jwks\" }}"),
            "error: HS256 needs a secret, not a public key",
        ),
        (
            format!("{hs}key = {{ public_key = \"{pem}\" }}"),
            "error: HS256 needs a secret, not a public key",
        ),
        (
            format!("algorithms = \"RS256\"\nkey = {{ public_key = \"{pem}\" }}"),
            "error: identity `a`: an Ed25519 key does not verify RS256",
        ),
        (
            "algorithms = \"RS256\"\nkey = { public_key = \"-----BEGIN PRIVATE KEY-----\" }"
                .to_owned(),
            "error: this is a private key, which only the issuer should have",
        ),
        (
            "algorithms = \"RS256\"\nkey = { jwks = \"jwks.json\" }".to_owned(),
            "error: expected an address that starts with http:// or https://",
        ),
        (
            format!("{hs}key = {{ secret = {{ env = \"SECRET\" }}, encoding = \"hexx\" }}"),
            "error: `hexx` is not a value of `encoding`",
        ),
        (
            format!("{hs}key = {{ secret = {{ env = \"KEY\" }} }}"),
            "error: this secret has 12 bytes, fewer than its hash",
        ),
        (
            "algorithms = \"ES256\"\nkey = { discovery = false }".to_owned(),
            "error: `discovery` is there or not",
        ),
        (
            "algorithms = \"ES256\"\nkey = { discovery = true }".to_owned(),
            "error: identity `a`: the issuer can't be read: relative URL without a base",
        ),
        (
            "algorithms = \"ES256\"\nkey = { jwk = '{\"kty\":\"EC\"}' }".to_owned(),
            "error: identity `a`: the JWK set has no usable key for the configured algorithms: \
             its kind is not supported (oct, RSA, P-256, P-384, P-521, Ed25519)",
        ),
        (
            format!("{hs}{key}max_life = \"1 day\""),
            "error: `1 day` is not a duration such as \"30s\": \
             expected `ms`, `s`, `m`, `h` or `d` as its unit",
        ),
        (
            format!("{hs}key = {{ secret = {{ env = \"SECRET\" }}, jwks = \"https://a\" }}"),
            "error: `key` says two things at once",
        ),
        (
            format!("{hs}{key}tokens = [{{ cookie = \"a b\" }}]"),
            "error: `a b` is not a name: letters, digits and `-_.` only",
        ),
        (
            format!("{hs}{key}tokens = [{{ cokie = \"a\" }}]"),
            "error: a place of a token does not say what it is",
        ),
        (format!("{hs}{key}user = \"\""), "error: the name of a claim is missing"),
        (
            format!("{hs}{key}tokens = []"),
            "error: no place to look for a token, so none is ever found",
        ),
        (format!("{hs}{key}tokens = [{{ query = \"\" }}]"), "error: `query` is empty"),
        (
            format!(
                "{hs}{key}[[identity]]\nname = \"a\"\nissuer = \"i\"\naudience = \"a\"\n{hs}{key}"
            ),
            "error: two identities with one name",
        ),
    ] {
        assert_eq!(identity(&text), [title], "{text}");
    }
    let ed = format!("algorithms = \"EdDSA\"\nkey = {{ public_key = \"{pem}\" }}");
    assert_eq!(identity(&ed), [""; 0]);
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let jwk = format!("algorithms = \"EdDSA\"\nkey = {{ jwk = '{jwk}' }}");
    assert_eq!(identity(&format!("{jwk}\ntyp = \"at+jwt\"\nmax_life = \"24h\"")), [""; 0]);
    let weak = format!("{hs}allow_weak_keys = true\nkey = {{ secret = {{ env = \"KEY\" }} }}");
    assert_eq!(
        identity(&weak),
        [
            "warning: keys that are too weak are taken",
            "warning: this secret has 12 bytes, fewer than its hash",
        ]
    );
    let discovery = "documents = {}\n[[identity]]\nname = \"a\"\naudience = \"a\"\n\
                     algorithms = \"ES256\"\nkey = { discovery = true }\n";
    let without = titles(discovery);
    assert!(
        without.contains(&"error: `discovery` starts at the `issuer`".to_owned()),
        "{without:?}"
    );
    let with = good(&format!("{discovery}issuer = \"https://id.example\""));
    assert!(matches!(with.identities[0].key, KeySource::Discovery));
    for (written, title) in [
        ("issuer = \"\"\naudience = \"a\"", "error: `issuer` is empty"),
        ("issuer = \"i\"\naudience = []", "error: tokens for anybody would count"),
        ("issuer = \"i\"\naudience = [\"\"]", "error: `audience` is empty"),
    ] {
        let titles = titles(&format!(
            "documents.f.source = \"GET /f/{{id}}\"\n[[identity]]\nname = \"a\"\n{hs}{key}{written}"
        ));
        assert_eq!(titles, [title], "{written}");
    }
    let unchecked = titles(&format!(
        "documents.f.source = \"GET /f/{{id}}\"\n[[identity]]\nname = \"a\"\n{hs}{key}"
    ));
    assert_eq!(
        unchecked,
        ["warning: `issuer` is not checked", "warning: `audience` is not checked"]
    );
}

#[test]
fn documents() {
    let rule = |action: &str, route: &str, more: &str| {
        kind(&format!("[[documents.f.{action}]]\nroute = \"{route}\"\n{more}"))
    };
    let upload = |more: &str| rule("upload", "POST /f/{id}", more);
    for (titles, title) in [
        (rule("upload", "POST /f", ""), "nothing says where the document's id is"),
        (rule("upload", "GET /f/{id}", ""), "GET requests carry no file"),
        (
            rule("upload", "/f/{id}", ""),
            "a route is a method, one space and a path: `GET /files/{id}`",
        ),
        (rule("upload", "POST /.transom/x/{id}", ""), "`/.transom` is Transom's own address"),
        (
            rule("upload", "POST /f/x{id}", ""),
            "`x{id}`: a capture fills its whole segment, as in `/{id}/`",
        ),
        (
            kind("[[documents.f.upload]]\nid = { json = \"$\" }"),
            "`route` is missing from `[[documents.f.upload]]`",
        ),
        (upload("id = []"), "an empty list of locators finds nothing"),
        (upload("id = { json = \"data\" }"), "`data` is not a JSONPath (RFC 9535)"),
        (
            upload("id = { header = \"location\", pattern = \"/f/{name}\" }"),
            "`/f/{name}` has no `{id}`, so nothing would be found",
        ),
        (upload("id = { text = \"x\" }"), "`x` needs exactly one `{id}`"),
        (upload("id = { jsn = \"$\" }"), "a locator does not say what it is"),
        (upload("file = { body = false }"), "`body` is the file or not"),
        (upload("file = { json = \"c\" }"), "a JSON pointer starts with `/`: write `/c`"),
        (upload("mode = \"tea\""), "`tea` is not a value of `mode`"),
        (
            upload("max_size = \"1 mib\""),
            "`1 mib` is not a size such as \"100 MiB\": did you mean `MiB`? as its unit",
        ),
        (upload("max_size = \"0\""), "nothing would be captured"),
        (upload("types = []"), "nothing would be captured"),
        (upload("accepted = \"request.path == ''\""), "`accepted` is not a condition"),
    ] {
        assert!(titles.contains(&format!("error: {title}")), "{title}: {titles:?}");
    }
    assert_eq!(
        upload("types = [\"application/pdg\"]"),
        ["warning: `application/pdg` is not recognised by content"]
    );
    assert_eq!(rule("delete", "GET /d/{id}", "").len(), 1);
    for (text, title) in [
        ("documents.f.source = \"GET /f/{name}\"", "error: nothing fills `{name}`"),
        ("documents.f.source = \"GET /f\"", "error: this request is the same for every document"),
        ("documents.f.source = \"POST /f/{id}\"", "error: POST does not fetch a document"),
        (
            "documents.f.probe = { route = \"GET /f/{id}\", headers = { cookie = \"a\" } }",
            "error: `cookie` is not for the configuration",
        ),
        ("documents.f.probe = []", "error: no request that could ask the app"),
        (
            "[documents.\"..\"]\nsource = \"GET /{id}\"",
            "error: `..` is not a name for a kind of document",
        ),
        ("[documents.f.view]\nroute = \"GET /{id}\"", "error: `view` must be a list, not a table"),
        (
            "documents.f.probe = \"DELETE /f/{id}\"",
            "error: DELETE would change what is only to be looked at; use GET",
        ),
    ] {
        assert!(titles(text).contains(&title.to_owned()), "{text}: {:?}", titles(text));
    }
}

#[test]
fn views() {
    let view = |more: &str| {
        kind(&format!(
            "[[documents.f.view]]\nroute = \"GET /v/{{id}}\"\nsession = {{ page = true }}\n{more}"
        ))
    };
    let session = |session: &str| {
        kind(&format!("[[documents.f.view]]\nroute = \"POST /v/{{id}}\"\nsession = {session}\n"))
    };
    for (titles, title) in [
        (
            kind("[[documents.f.view]]\nroute = \"GET /v/{id}\""),
            "`session` is missing from `[[documents.f.view]]`",
        ),
        (session("{ page = true }"), "a page is the answer to a browser's navigation"),
        (session("{ json = \"data\" }"), "a JSON pointer starts with `/`: write `/data`"),
        (session("{ cookie = \"a;b\" }"), "`a;b` is not a name: letters, digits and `-_.` only"),
        (
            session("{ request_header = \"Cookie\" }"),
            "`Cookie` has a meaning of its own; take a name such as `X-Viewer-Session`",
        ),
        (session("{ response_header = \"x y\" }"), "`x y` is not a header name"),
        (view("authorize = []"), "nobody is asked, so anybody would get a session"),
        (
            view("authorize = [\"ap\"]\npermissions = \"read\""),
            "`ap` is not a value of `authorize`",
        ),
        (view("authorize = [\"token\"]"), "there is no `[[identity]]` that could verify a token"),
        (view("authorize = [\"app\", \"probe\"]"), "the app is asked in one way"),
        (view("identity = \"b\""), "there is no identity `b`"),
        (view("identity = []"), "no identity counts, so nobody could view"),
        (session("[]"), "a session that reaches nobody"),
        (view("allow = \"claim.x\""), "`allow` is not a condition"),
        (view("permissions = [\"raed\"]"), "`raed` is not a value of `permissions`"),
        (view("permissions = []"), "a session without any permission"),
        (view("grant = [{ when = \"true\" }]"), "`permissions` is missing from `grant`"),
        (view("ttl = \"0s\""), "a session that ends at once is of no use"),
    ] {
        assert_eq!(titles, [format!("error: {title}")]);
    }
    let unread = "warning: nobody may read, so there is nothing to view";
    assert_eq!(view("permissions = [\"write\"]"), [unread]);
    let read = "grant = [{ when = \"has(claims.r)\", permissions = [\"read\"] }]";
    assert_eq!(view(&format!("permissions = [\"write\"]\n{read}")), [""; 0]);
    let late = |id: &str| view(&format!("id = {id}"));
    for id in [
        "{ json = \"$.id\" }",
        "{ text = \"{id}\" }",
        "{ body_json = \"$.id\" }",
        "[{ path = \"id\" }, { json = \"$.id\" }]",
    ] {
        let told = "error: the id of a view has to be known before the app answers";
        assert!(late(id).contains(&told.to_owned()), "{id}: {:?}", late(id));
    }
    for view in [
        "route = \"GET /v?doc={id}\"\nsession = { page = true }",
        "route = \"GET /v\"\nid = { query = \"doc\" }\nsession = { page = true }",
        "route = \"GET /v/{id}\"\nid = { request_header = \"x-doc\" }\nsession = { page = true }",
    ] {
        let view = format!("[[documents.f.view]]\n{view}\n");
        let told = "error: the id is not in the path alone, so the app's own reply proves nothing";
        assert!(titles(&view).contains(&told.to_owned()), "{view}: {:?}", titles(&view));
        let asked = format!("[documents.f]\nprobe = \"GET /f/{{id}}\"\n{view}");
        assert!(titles(&asked).is_empty(), "{asked}: {:?}", titles(&asked));
    }
    let early = "[[documents.f.view]]\nroute = \"GET /v\"\nid = { query = \"id\" }\nsession = { request_header = \"X-S\" }\n";
    assert_eq!(
        titles(early),
        [
            "warning: nothing says how to ask the app about documents of `f`",
            "error: this view needs the app's word before the app answers",
        ]
    );
    let own_token = "[[identity]]\nname = \"a\"\nissuer = \"i\"\naudience = \"a\"\nalgorithms = \"HS256\"\nkey = { secret = { env = \"SECRET\" } }\ntokens = [{ cookie = \"t\" }]\n";
    let view = "[[documents.f.view]]\nroute = \"GET /v/{id}\"\nsession = { cookie = \"t\" }\n";
    assert_eq!(
        titles(&format!("{own_token}{view}")),
        ["error: `t` is where the app's own token is"]
    );
}
