#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn holds(source: &str, name: &str, value: &Value) -> bool {
    Condition::compile(source, &[name]).unwrap().holds(&[(name, value)])
}

#[test]
fn json_compares_as_operators_expect() {
    let claims = json!({
        "level": 4, "big": u64::MAX, "half": 0.5, "neg": -1, "three": 3.0,
        "role": "editor", "ok": true, "none": null, "groups": ["a", "b"], "org": {"id": 7},
    });
    for source in [
        "claims.level > 3",
        "claims.level == 4 && claims.level != 5",
        "claims.level >= 4.0",
        "claims.big > 10",
        "claims.half < 1",
        "claims.neg < 0",
        "claims.three == 3",
        "claims.level in [1, 4]",
        "claims.role == 'editor'",
        "claims.role in ['editor', 'owner']",
        "claims.ok",
        "claims.ok == true",
        "claims.none == null",
        "'a' in claims.groups",
        "claims.groups.exists(g, g == 'b')",
        "claims.org.id == 7",
        "has(claims.org) && !has(claims.missing)",
        "claims.role.startsWith('ed')",
        "claims.role.contains('dit') && claims.role.endsWith('r')",
        "size(claims.groups) == 2 && int('4') == claims.level",
        "claims.groups.filter(g, g != 'a').map(g, g + '!') == ['b!']",
        "claims.level > 0 ? claims.ok : false",
        "timestamp('2020-01-01T00:00:00Z') < timestamp('2021-01-01T00:00:00Z')",
        "claims.role.matches('^e.*r$')",
        "type(claims.level) == int",
    ] {
        assert!(holds(source, "claims", &claims), "{source}");
    }
}

#[test]
fn what_can_not_be_evaluated_is_false() {
    let claims = json!({"level": "4", "ok": "true"});
    for source in [
        "claims.missing == 1",
        "claims.missing.deeper == 1",
        "claims.level > 3",
        "claims.ok",
        "claims",
        "1 / 0 == claims.level",
    ] {
        assert!(!holds(source, "claims", &claims), "{source}");
    }
    assert!(!Condition::compile("claims.ok", &["claims"]).unwrap().holds(&[]));
}

#[test]
fn replies_and_forms() {
    assert!(holds("reply.status in [200, 201]", "reply", &json!({"status": 201})));
    assert!(!holds("reply.status in [200, 201]", "reply", &json!({"status": 302})));
    assert!(holds("form.action == 'upload'", "form", &json!({"action": "upload"})));
    assert!(!holds("form.action == 'upload'", "form", &json!({})));
}

#[test]
fn only_known_variables() {
    let error = Condition::compile("1 == 1 && claim.x", &["claims", "request"]).unwrap_err();
    assert_eq!(error.message, "unknown variable `claim`; here there are `claims`, `request`");
    assert_eq!(error.position, Some((1, 11)));
    let condition = Condition::compile("claims.a.all(x, x == claims.b)", &["claims", "request"]);
    let condition = condition.unwrap();
    assert!(condition.uses("claims") && !condition.uses("request"));
    let error = Condition::compile("claims.a.startWith('x')", &["claims"]).unwrap_err();
    assert_eq!(error.message, "unknown function `startWith`; did you mean `startsWith`?");
    assert!(Condition::compile("[1].exists(x, x == 1) && x", &["claims"]).is_err());
}

#[test]
fn syntax_errors_have_a_position() {
    let error = Condition::compile("claims.level >", &["claims"]).unwrap_err();
    assert_eq!(error.position, Some((1, 15)), "{}", error.message);
}

#[test]
fn huge_expressions_end() {
    let huge = [
        "(".repeat(4000),
        "[".repeat(31) + &"]".repeat(31),
        "!".repeat(4000),
        "-".repeat(32) + "1",
        "1+".repeat(2000) + "1",
        "a".to_owned() + &".a".repeat(2000),
        "a".to_owned() + &"[0]".repeat(1300),
        "true ? ".repeat(500),
        "true?1:".repeat(500) + "1",
        "[1].all(x,".repeat(30) + "true" + &")".repeat(30),
        "!(".repeat(32) + "a" + &")".repeat(32),
        "{1:".repeat(32) + "a" + &"}".repeat(32),
        "a||".repeat(1000) + "a",
        "{".repeat(30),
        "\"".repeat(4001),
        "x".repeat(5000),
    ];
    for source in huge {
        if let Ok(condition) = Condition::compile(&source, &["a"]) {
            condition.holds(&[("a", &json!({"a": 1}))]);
        }
    }
}

#[test]
fn one_evaluation_costs_no_more_than_so_much() {
    let many = json!({ "g": (0..4000).collect::<Vec<_>>(), "one": [1] });
    assert!(holds("claims.g.exists(x, x == 3999)", "claims", &many));
    let nested = "claims.g.all(x, claims.g.all(y, claims.g.all(z, x + y + z >= 0)))";
    let started = std::time::Instant::now();
    assert!(!holds(nested, "claims", &many));
    assert!(started.elapsed() < std::time::Duration::from_secs(5));
    assert!(holds(nested, "claims", &json!({ "g": [1, 2, 3] })));
    // A list that is given to the inner macro by the outer one counts as well.
    let passed_on = "claims.l.all(x, x.all(y, x.all(z, y + z >= 0)))";
    let lists = json!({ "l": [(0..2000).collect::<Vec<_>>()] });
    assert!(!holds(passed_on, "claims", &lists));
}

#[test]
fn values_of_expressions() {
    let value = |source: &str| {
        let source = Condition::compile(source, &["claims"]).unwrap();
        source.evaluate(&[("claims", &json!({ "tenant": "acme", "n": 7, "l": [1] }))])
    };
    assert_eq!(value("claims.tenant + '-' + string(claims.n)"), Some(json!("acme-7")));
    assert_eq!(value("claims.l"), Some(json!([1])));
    assert_eq!(value("claims.missing"), None);
}

#[test]
fn long_conditions_of_real_life_are_taken() {
    let roles = "claims.role == 'a' || ".repeat(100) + "claims.role == 'editor'";
    assert!(holds(&roles, "claims", &json!({"role": "editor"})));
    let nested = "((((((((claims.a.b.c.d.e.f + 1) * 2) - 3) * 4) + 5) * 6) == 0))";
    assert!(!holds(nested, "claims", &json!({})));
}

proptest! {
    #[test]
    fn no_text_panics(source in "(claims|\\.|\\(|\\)|'|\\[|\\]|\\{|\\}|==|&&|\\?|:|!|\\PC| |1|\"|\\\\){0,40}") {
        if let Ok(condition) = Condition::compile(&source, &["claims"]) {
            condition.holds(&[("claims", &json!({}))]);
        }
    }
}
