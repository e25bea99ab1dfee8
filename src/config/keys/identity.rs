//! `[[identity]]`

use super::super::identity::{LEEWAY, USER};
use super::super::units::written_time;
use super::locators::{OUTSIDE, SECRET};
use super::syntax::{CLAIM, CLAIM_NAME, DURATION, HEADER, TEXT, TOKEN, WEB};
use super::{Accepts, Choice, Section, choice, setting};

pub(super) static IDENTITY: Section = Section {
    title: "[[identity]]",
    about: "One issuer of the app's own JWTs. The same user claim in two identities is two people. Where several find a \
            token in a request, the one whose `issuer` it names is asked first, then the others in their order.",
    settings: &[
        setting("name", Accepts::Text(&TEXT), "How the log, policies and views call it.")
            .required()
            .example("\"app\""),
        setting(
            "tokens",
            Accepts::OneOrMore(&Accepts::Table(&TOKEN_PLACE)),
            "Where to look for a token. Two different ones in one request are an error. A place may hold `Bearer eyJ…`, \
             also percent-encoded: the scheme is dropped.",
        )
        .default(|| "[{ bearer = true }]".to_owned())
        .example("[{ cookie = \"access_token\" }, { bearer = true }]"),
        setting(
            "algorithms",
            Accepts::OneOrMore(&Accepts::Choice(ALGORITHMS)),
            "How tokens are signed; what a token says never widens it. HS is for a shared `secret`, the others are for \
             public keys.",
        )
        .required()
        .example("[\"HS256\"]"),
        setting("key", Accepts::Table(&KEY), "What signatures are verified with. Files are read again when they change.")
            .required()
            .example("{ secret = { env = \"APP_JWT_SECRET\" } }"),
        setting(
            "allow_weak_keys",
            Accepts::Bool,
            "Accepts RSA keys under 2048 bits, secrets shorter than their hash, and keys meant for something else.",
        )
        .default(|| "false".to_owned())
        .example("true"),
        setting("issuer", Accepts::Text(&TEXT), "What the token's `iss` must be.")
            .unwritten("not checked, with a warning")
            .example("\"my-app\""),
        setting("audience", Accepts::OneOrMore(&Accepts::Text(&TEXT)), "What the token's `aud` must be, or one of them.")
            .unwritten("not checked, with a warning")
            .example("[\"my-app\"]"),
        setting(
            "require",
            Accepts::Named(&CLAIM_NAME, &Accepts::Json),
            "Claims that must be there with this value: a refresh token is not an access token.",
        )
        .unwritten("nothing more")
        .example("{ type = \"access\" }"),
        setting("leeway", Accepts::Text(&DURATION), "How far clocks may differ, for `exp`, `nbf` and `iat`.")
            .default(|| written_time(LEEWAY))
            .example("\"10s\""),
        setting("user", Accepts::Text(&CLAIM), "The claim that names the user; a JSON pointer when it begins with `/`.")
            .default(|| format!("\"{USER}\""))
            .example("\"/org/user\""),
        setting("typ", Accepts::Text(&TEXT), "What the `typ` of the token's header must be.")
            .unwritten("any")
            .example("\"at+jwt\""),
        setting("max_life", Accepts::Text(&DURATION), "The longest time between the token's `iat` and `exp`.")
            .unwritten("any")
            .example("\"24h\""),
    ],
};

static TOKEN_PLACE: Section = Section {
    title: "a place of a token",
    about: "In `tokens` of an identity.",
    settings: &[
        setting("bearer", Accepts::True, "`Authorization: Bearer …`").tag().example("true"),
        setting("scheme", Accepts::Text(&TOKEN), "Authorization with this scheme.")
            .tag()
            .example("\"JWT\""),
        setting("cookie", Accepts::Text(&TOKEN), "The cookie of this name.")
            .tag()
            .example("\"access_token\""),
        setting("header", Accepts::Text(&HEADER), "This header of the request.")
            .tag()
            .example("\"X-Access-Token\""),
        setting("query", Accepts::Text(&TEXT), "This query parameter.").tag().example("\"token\""),
    ],
};

static KEY: Section = Section {
    title: "[identity.key]",
    about: "Where the keys are.",
    settings: &[
        setting("secret", SECRET, "A secret that the issuer shares (HS).").tag().example("{ env = \"APP_JWT_SECRET\" }"),
        setting("encoding", Accepts::Choice(ENCODINGS), "How the secret is written.")
            .beside(&["secret"])
            .default(|| "\"utf8\"".to_owned())
            .example("\"hex\""),
        setting(
            "jwks",
            Accepts::Either(&[Accepts::Text(&WEB), OUTSIDE]),
            "A set of keys (RFC 7517): its address, or { file = … } or { env = … } with the set itself. Fetched keys are \
             renewed at half of their max-age, and serve for 24 h while the key server is away.",
        )
        .tag()
        .example("\"https://id.example/jwks.json\""),
        setting("jwk", Accepts::Either(&[Accepts::Text(&TEXT), OUTSIDE]), "One key (RFC 7517).")
            .tag()
            .example("{ file = \"jwk.json\" }"),
        setting("public_key", Accepts::Either(&[Accepts::Text(&TEXT), OUTSIDE]), "One public key in PEM.")
            .tag()
            .example("{ file = \"public.pem\" }"),
        setting(
            "discovery",
            Accepts::True,
            "Where the metadata of the issuer say (OpenID Connect Discovery 1.0); `issuer` is its address.",
        )
        .tag()
        .example("true"),
    ],
};

const ENCODINGS: &[Choice] =
    &[choice("utf8", "as it is"), choice("hex", ""), choice("base64", "either alphabet")];

const ALGORITHMS: &[Choice] = &[
    choice("HS256", ""),
    choice("HS384", ""),
    choice("HS512", ""),
    choice("RS256", ""),
    choice("RS384", ""),
    choice("RS512", ""),
    choice("PS256", ""),
    choice("PS384", ""),
    choice("PS512", ""),
    choice("ES256", ""),
    choice("ES384", ""),
    choice("ES512", ""),
    choice("EdDSA", ""),
];
