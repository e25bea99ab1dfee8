//! Rules that get in each other's way.

use std::sync::Arc;

use super::problem::{Problem, Problems};
use super::rules::Placed;
use super::{Action, AppConfig, Kind};
use crate::route::{Fold, Overlap, Relation};
use crate::rules::{RouteTable, Rule};

/// The table of all rules; reports those of which one hides the other.
pub(super) fn table(
    rules: Vec<Placed>,
    kinds: &[Arc<Kind>],
    app: &AppConfig,
    problems: &Problems,
) -> RouteTable {
    let fold = Fold {
        case: app.fold_case,
        trailing_slash: app.fold_trailing_slash,
        encoded_slash: app.encoded_slash,
    };
    let (rules, places): (Vec<_>, Vec<_>) =
        rules.into_iter().map(|placed| (placed.rule, (placed.span))).unzip();
    let origins = origins(app);
    let mut rules = rules;
    for rule in &mut rules {
        rule.action.ids_mut().for_each(|locator| locator.for_app(fold, &origins));
    }
    let described: Vec<_> = rules.iter().map(Described::of).collect();
    let (mut table, overlaps) = RouteTable::build(rules, fold);
    for (index, kind) in kinds.iter().enumerate() {
        match &kind.source {
            Some(source) => {
                kind.probe.iter().chain([source]).for_each(|asked| table.add_address(index, asked));
            }
            None => table.trust_views(index),
        }
    }
    for Overlap { first, second, relation, example } in overlaps {
        let (one, other) = (&described[first], &described[second]);
        if one.told_apart_from(other) {
            continue;
        }
        let example = format!("{} {example}", one.method);
        let (span, before) = (places[second].clone(), places[first].clone());
        let problem = match relation {
            Relation::Same => {
                let message =
                    format!("`{}` and `{}` match the same requests", other.name, one.name);
                Problem::error(span, message)
                    .label("this one is never used")
                    .help(format!("both match `{example}`; tell them apart by `when` or `file`"))
            }
            Relation::Crossing => {
                let message =
                    format!("`{}` and `{}` match some requests alike", other.name, one.name);
                Problem::warning(span, message)
                    .label("this one is not used for those")
                    .help(format!("both match `{example}`; the more specific from the left wins"))
            }
        };
        problems.push(problem.other(before, "this one is"));
    }
    table
}

/// Where addresses in the app's replies lead to the app itself.
fn origins(app: &AppConfig) -> Arc<[String]> {
    app.origins.iter().cloned().chain(app.url.as_ref().map(ToString::to_string)).collect()
}

/// What tells two rules of one route apart.
struct Described {
    name: String,
    method: String,
    when: Option<String>,
    file: Option<String>,
    hosts: Arc<[String]>,
}

impl Described {
    fn of(rule: &Rule) -> Self {
        let file = match &rule.action {
            Action::Upload(upload) => Some(format!("{:?}", upload.file)),
            _ => None,
        };
        Self {
            name: rule.name.clone(),
            method: rule.method.to_string(),
            when: rule.when.as_ref().map(|when| when.source().to_owned()),
            file,
            hosts: rule.hosts.clone(),
        }
    }

    fn told_apart_from(&self, other: &Self) -> bool {
        let files = self.file.is_some() && other.file.is_some() && self.file != other.file;
        self.when != other.when || files || self.hosts != other.hosts
    }
}
