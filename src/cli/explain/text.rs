//! An explanation for people.

use std::fmt::Write as _;

use super::Answer;
use crate::reason::Reason;
use crate::trail::{Explanation, Finding};

pub(super) fn text(answer: &Answer) -> String {
    let Answer { explanation, app, remark } = answer;
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(text, "{}", explanation.request);
    let width = explanation.steps.iter().map(|step| step.check.len()).max().unwrap_or(0);
    for step in &explanation.steps {
        let mark = match step.finding {
            Finding::Yes => "yes",
            Finding::No => "no ",
            Finding::Told => "-  ",
        };
        let _ = writeln!(text, "  {mark}  {:<width$}  {}", step.check, step.detail);
    }
    let assumed = app.map(|app| format!(", if the app answers {}", app.as_u16()));
    let assumed = assumed.unwrap_or_default();
    let _ = writeln!(text, "lane {}: {}", explanation.lane, outcome(explanation, &assumed));
    if let Some(why) = explanation.decision.and_then(Reason::explanation) {
        let _ = writeln!(text, "why: {why}");
    }
    if let Some(remark) = remark {
        let _ = writeln!(text, "note: {remark}");
    }
    text
}

fn outcome(explanation: &Explanation, assumed: &str) -> String {
    let permissions = explanation.permissions.join(", ");
    match (&*explanation.lane, explanation.decision) {
        ("pass", None) => "the request passes through to the app untouched".to_owned(),
        ("pass", Some(reason)) => format!("no session, and the request passes through: {reason}"),
        ("refused", Some(reason)) => format!("the request does not reach the app: {reason}"),
        ("capture", None) => {
            "the body is looked through for documents, and the app's answer for their ids"
                .to_owned()
        }
        ("capture", Some(reason)) => reason.to_string(),
        (_, Some(reason)) if explanation.has_session() => {
            format!("{reason} with {permissions}{assumed}")
        }
        (_, Some(reason)) => format!("no session: {reason}{assumed}"),
        (_, None) => "no session is due in this kind of reply".to_owned(),
    }
}
