use super::*;

#[test]
fn codes_are_distinct_and_read_back() {
    for reason in Reason::ALL {
        assert_eq!(Reason::from_code(reason.code()), Some(*reason));
    }
}

#[test]
fn only_failures_have_a_side_a_status_and_another_try() {
    for reason in Reason::ALL {
        let failed = reason.class() == Class::Failure;
        assert_eq!(failed, reason.side().is_some(), "{reason}");
        assert!(failed || (reason.status().is_none() && !reason.is_transient()), "{reason}");
    }
}

#[test]
fn the_readme_lists_each_code_that_is_a_reply() {
    let readme = include_str!("../../README.md").replace("\r\n", "\n");
    let expected = table();
    assert!(readme.contains(&expected), "README's table of codes should be:\n\n{expected}");
}

fn table() -> String {
    let rows = Reason::ALL.iter().filter_map(|reason| {
        let status = reason.status()?.as_u16();
        let side = reason.side().map_or("", Side::name);
        let again = if reason.is_transient() { "yes" } else { "" };
        let meaning = reason.description().trim_end_matches('.');
        Some(format!("| `{reason}` | {status} | {side} | {again} | {meaning} |\n"))
    });
    let head = "| code | status | whose | try again | meaning |\n|---|---|---|---|---|\n";
    head.to_owned() + &rows.collect::<String>()
}
