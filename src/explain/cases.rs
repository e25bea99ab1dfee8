//! The configuration's own tests, put to the engine.

use http::Request;

use super::run::{Case, Document, Explainer};
use crate::auth::{Refusal, as_if_signed};
use crate::config::{Config, Expectation, TestCaller, TestCase, TestDocument};
use crate::engine::StartError;
use crate::reason::Reason;
use crate::store::{Provenance, Uploader};
use crate::trail::Explanation;

/// What came of a configuration's own tests; see [`Config::run_tests`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct TestOutcome {
    /// How many tests had every expectation met.
    pub passed: usize,
    /// Of each expectation that was not met, the words of `transom check`: where it is, and what came instead.
    pub failures: Vec<String>,
}

impl Config {
    /// Asks the engine whether requests fare as the `[[test]]`s of this configuration expect, as `transom check` does:
    /// for a test of the service that mounts the layer. Needs no app, no store and no network, but a tokio runtime.
    ///
    /// # Errors
    /// No engine can be had: there is no directory for temporary files, or a key can't be used.
    pub async fn run_tests(self) -> Result<TestOutcome, StartError> {
        run_tests(self).await.map_err(StartError)
    }
}

async fn run_tests(config: Config) -> Result<TestOutcome, String> {
    let explainer = Explainer::start(config, None, false).await?;
    let engine = explainer.engine();
    let config = &engine.config;
    let mut outcome = TestOutcome::default();
    for test in &config.tests {
        let explanation = explainer.explain(case_of(config, test)).await;
        let unmet = test.expect.iter().filter(|expected| !holds(&expected.what, &explanation));
        let before = outcome.failures.len();
        outcome.failures.extend(unmet.map(|expected| {
            let came = came(&expected.what, &explanation);
            config.failed_test(&test.name, expected, &came)
        }));
        outcome.passed += usize::from(outcome.failures.len() == before);
    }
    Ok(outcome)
}

/// The request that a test is about, and what it assumes.
pub(crate) fn case_of(config: &Config, test: &TestCase) -> Case {
    let mut request = Request::new(());
    *request.method_mut() = test.method.clone();
    *request.uri_mut() = test.target.clone();
    *request.headers_mut() = test.headers.clone();
    let (caller, identity) = match &test.caller {
        TestCaller::Refused(reason) => (Err(refusal(*reason)), config.identities.first()),
        TestCaller::Claims { identity, claims } => match config.identities.get(*identity) {
            Some(identity) => (as_if_signed(identity, claims), Some(identity)),
            None => (Err(Refusal::missing()), None),
        },
    };
    let document = match test.document {
        TestDocument::Ready => Document::ready(),
        TestDocument::Pending => Document::pending(),
        TestDocument::Refused => Document::refused(),
        TestDocument::Unknown => Document::unknown(),
    };
    let uploader = test
        .uploader
        .as_ref()
        .zip(identity)
        .map(|(user, identity)| Uploader { identity: identity.name.clone(), user: user.clone() });
    let attributes = test.attributes.clone();
    let document = document.uploaded_by(Provenance { uploader, route: None, attributes });
    Case { request, caller: Some(caller), app: test.app, document }
}

fn refusal(reason: Reason) -> Refusal {
    match reason {
        Reason::TokenMissing => Refusal::missing(),
        reason => Refusal { reason, detail: "as the test says".to_owned() },
    }
}

fn holds(expected: &Expectation, explanation: &Explanation) -> bool {
    match expected {
        Expectation::Lane(lane) => explanation.lane == *lane,
        Expectation::Session(given) => explanation.has_session() == *given,
        Expectation::Reason(reason) => explanation.decision == Some(*reason),
        Expectation::Permissions(names) => {
            let came = &explanation.permissions;
            names.iter().all(|name| came.iter().any(|came| came == name))
                && came.iter().all(|came| names.iter().any(|name| came == name))
        }
    }
}

/// What stands where the expectation is not met.
fn came(expected: &Expectation, explanation: &Explanation) -> String {
    let decision = explanation.decision.map_or("no decision", Reason::code);
    let permissions = explanation.permissions.join(", ");
    match expected {
        Expectation::Lane(_) => format!("lane {}", explanation.lane),
        Expectation::Permissions(_) if explanation.has_session() => permissions,
        _ if explanation.has_session() => format!("{decision} with {permissions}"),
        _ => format!("{decision}, in lane {}", explanation.lane),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::*;

    const CONFIG: &str = r#"
        app = { url = "http://127.0.0.1:3000" }
        dws = { api_key = { env = "K" } }
        [[identity]]
        name = "app"
        algorithms = ["RS256"]
        key = { discovery = true }
        issuer = "http://127.0.0.1:1"
        audience = "a"
        require = { type = "access" }
        [documents.files]
        source = "GET /files/{id}"
        [[documents.files.upload]]
        route = "POST /files"
        id = { json = "$.id" }
        [[documents.files.view]]
        route = "GET /files/{id}"
        session = { page = true }
        allow = "document.attributes.tenant == claims.tenant || document.uploader == claims.sub"
        grant = [{ when = "claims.role == 'editor'", permissions = "write" }]
    "#;

    async fn run(tests: &str) -> TestOutcome {
        let env = |_: &str| Some("key".to_owned());
        let text = format!("{CONFIG}\n{tests}");
        let config = Config::parse_with(&text, Path::new("c.toml"), &env);
        run_tests(config.unwrap_or_else(|error| panic!("{error}"))).await.unwrap()
    }

    fn test(number: usize, rest: &str, expect: &str) -> String {
        let page = "headers = { accept = \"text/html\", sec-fetch-mode = \"navigate\", sec-fetch-dest = \"document\" }";
        format!("[[test]]\nname = \"{number}\"\n{rest}\n{page}\nexpect = {{ {expect} }}\n")
    }

    #[tokio::test]
    async fn what_is_expected_is_what_the_lanes_decide() {
        let view = "request = \"GET /files/7\"\nattributes = { tenant = \"t\" }";
        let of = |claims: &str| format!("{view}\nclaims = {{ sub = \"ann\", {claims} }}");
        let member = of("tenant = \"t\"");
        let cases = [
            (member.clone(), "decision = \"session\", permissions = [\"read\"]"),
            (of("tenant = \"u\""), "decision = \"none\", reason = \"denied_by_policy\""),
            (format!("{}\nuploader = \"ann\"", of("tenant = \"u\"")), "decision = \"session\""),
            (of("tenant = \"t\", role = \"editor\""), "permissions = [\"write\", \"read\"]"),
            (of("tenant = \"t\", type = \"refresh\""), "reason = \"token_invalid\""),
            (of("tenant = \"t\", exp = 1"), "reason = \"token_expired\""),
            (of("tenant = \"t\", iss = \"other\""), "reason = \"token_invalid\""),
            (view.to_owned(), "reason = \"token_missing\""),
            (format!("{view}\ntoken = \"expired\""), "reason = \"token_expired\""),
            (format!("{view}\ntoken = \"keys_unavailable\""), "reason = \"keys_unavailable\""),
            (format!("{member}\napp = 403"), "reason = \"denied_by_app\""),
            (format!("{member}\napp = 500"), "reason = \"app_unavailable\""),
            (format!("{member}\ndocument = \"pending\""), "reason = \"document_pending\""),
            (format!("{member}\ndocument = \"refused\""), "reason = \"document_unknown\""),
            (format!("{member}\ndocument = \"unknown\""), "reason = \"document_unknown\""),
            ("request = \"POST /files\"".to_owned(), "lane = \"capture\", decision = \"none\""),
            ("request = \"GET /\"".to_owned(), "lane = \"pass\", decision = \"none\""),
            ("request = \"GET /FILES/7\"".to_owned(), "lane = \"pass\", reason = \"path_unclear\""),
            ("request = \"GET /.transom/x\"".to_owned(), "lane = \"own\", reason = \"not_found\""),
        ];
        let tests: Vec<_> =
            cases.iter().enumerate().map(|(at, (rest, expect))| test(at, rest, expect)).collect();
        let outcome = run(&tests.concat()).await;
        assert_eq!(outcome.failures, Vec::<String>::new());
        assert_eq!(outcome.passed, cases.len());
    }

    #[tokio::test]
    async fn a_failure_is_shown_at_what_was_expected() {
        let rest = "request = \"GET /files/7\"";
        let outcome = run(&test(1, rest, "lane = \"pass\", reason = \"token_missing\"")).await;
        assert_eq!(outcome.passed, 0);
        let [failure] = &outcome.failures[..] else { panic!("{:?}", outcome.failures) };
        assert!(failure.starts_with("error: the test \"1\" fails\n"), "{failure}");
        assert!(failure.contains("^^^^^^ came instead: lane view"), "{failure}");
        assert!(failure.contains("transom explain --config c.toml --test \"1\""), "{failure}");
    }
}
