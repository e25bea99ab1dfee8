//! Which members of its variables a condition looks at.

use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue};

/// In the order of the text, each once. A path ends where it is known no further: `claims.groups[i]` is
/// `["claims", "groups"]`.
pub(super) fn of(expression: &IdedExpr) -> Vec<Vec<String>> {
    let mut members = Members::default();
    members.visit(&expression.expr);
    members.found
}

#[derive(Default)]
struct Members {
    found: Vec<Vec<String>>,
    bound: Vec<String>,
}

impl Members {
    fn visit(&mut self, expression: &Expr) {
        if let Some(path) = path(expression) {
            let own = path.first().is_none_or(|name| name.starts_with('@'));
            if !own && !path.first().is_some_and(|name| self.bound.contains(name)) {
                self.add(path);
            }
            return;
        }
        match expression {
            Expr::Unspecified | Expr::Literal(_) | Expr::Ident(_) => {}
            Expr::Select(select) => self.visit(&select.operand.expr),
            Expr::Call(call) => {
                let parts = call.target.iter().map(|target| &target.expr);
                parts.chain(call.args.iter().map(|a| &a.expr)).for_each(|part| self.visit(part));
            }
            Expr::List(list) => list.elements.iter().for_each(|item| self.visit(&item.expr)),
            Expr::Map(map) => map.entries.iter().for_each(|entry| self.entry(&entry.expr)),
            Expr::Struct(object) => object.entries.iter().for_each(|entry| self.entry(&entry.expr)),
            Expr::Comprehension(macro_) => {
                self.visit(&macro_.iter_range.expr);
                self.visit(&macro_.accu_init.expr);
                let outside = self.bound.len();
                self.bound.push(macro_.iter_var.clone());
                self.bound.extend(macro_.iter_var2.clone());
                for part in [&macro_.loop_cond, &macro_.loop_step, &macro_.result] {
                    self.visit(&part.expr);
                }
                self.bound.truncate(outside);
            }
        }
    }

    fn entry(&mut self, entry: &EntryExpr) {
        match entry {
            EntryExpr::StructField(field) => self.visit(&field.value.expr),
            EntryExpr::MapEntry(entry) => {
                self.visit(&entry.key.expr);
                self.visit(&entry.value.expr);
            }
        }
    }

    fn add(&mut self, path: Vec<String>) {
        if !self.found.contains(&path) {
            self.found.push(path);
        }
    }
}

/// `a.b`, `a["b"]` and mixtures of them.
fn path(expression: &Expr) -> Option<Vec<String>> {
    match expression {
        Expr::Ident(name) => Some(vec![name.clone()]),
        Expr::Select(select) => {
            let mut path = path(&select.operand.expr)?;
            path.push(select.field.clone());
            Some(path)
        }
        Expr::Call(call) if call.func_name == INDEX => {
            let [from, Expr::Literal(LiteralValue::String(name))] =
                [&call.args.first()?.expr, &call.args.get(1)?.expr]
            else {
                return None;
            };
            let mut path = path(from)?;
            path.push(name.inner().to_owned());
            Some(path)
        }
        _ => None,
    }
}

/// How CEL calls `a[b]`.
const INDEX: &str = "_[_]";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::condition::Condition;

    #[test]
    fn members_are_found_wherever_they_are() {
        for (source, members) in [
            ("claims.role != 'guest'", "claims.role"),
            ("claims['role'] == document.attributes.role", "claims.role document.attributes.role"),
            ("has(claims.org.id) && claims.role in ['a']", "claims.org.id claims.role"),
            ("claims.groups.exists(g, g == claims.group)", "claims.groups claims.group"),
            ("claims.groups[0].startsWith(document.id)", "claims.groups document.id"),
            ("size(claims) > 1 || {'a': request.path} == claims.a", "claims request.path claims.a"),
            ("true", ""),
            ("type(claims.level) == int", "claims.level"),
        ] {
            let condition = Condition::compile(source, &["claims", "document", "request"]).unwrap();
            let found: Vec<_> = condition.members().iter().map(|path| path.join(".")).collect();
            assert_eq!(found.join(" "), members, "{source}");
        }
    }

    #[test]
    fn whether_a_member_may_be_looked_at() {
        let looks = |source| {
            let condition = Condition::compile(source, &["reply", "form"]).unwrap();
            condition.uses_member("reply", "json")
        };
        for source in [
            "reply.json.ok",
            "reply['json'].ok == true",
            "reply.status == 201 || reply.json.id > 0",
            "has(reply.json.id)",
            "reply.json.items.all(i, i.ok)",
            "reply[form.member] == 1",
            "reply['js' + 'on'] == 1",
            "[reply].exists(r, r.json.ok)",
            "size(reply) > 1",
            "reply == form",
            "type(reply.json) == map",
            "reply.status == 200 ? true : reply.json.ok",
        ] {
            assert!(looks(source), "{source}");
        }
        for source in [
            "reply.status == 201",
            "reply.status in [200, 201] && reply.headers['x-json'] == 'json'",
            "reply.headers.json == 'x'",
            "form.json == 'x'",
            "[form].exists(reply, reply.json.ok)",
            "true",
        ] {
            assert!(!looks(source), "{source}");
        }
    }
}
