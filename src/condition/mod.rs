//! Conditions of the configuration, in CEL.

mod members;
#[cfg(test)]
mod tests;
mod unclear;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use cel::{Context, Env, Program};
use serde_json::Value;

use crate::nearest::nearest;

/// A compiled condition. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Condition {
    inner: Arc<Inner>,
}

struct Inner {
    source: String,
    program: Program,
    variables: Vec<String>,
    members: Vec<Vec<String>>,
    size: Size,
}

/// What an evaluation may cost, but for the variables' own size.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    nodes: u64,
    /// Elements of the lists and objects that are written out.
    elements: u64,
    /// Times that a variable is named.
    mentions: u64,
    /// How deep macros over lists are nested.
    loops: u32,
}

#[derive(Debug)]
pub(crate) struct ConditionError {
    pub(crate) message: String,
    /// Line and column within the source, from 1; the column counts characters.
    pub(crate) position: Option<(usize, usize)>,
}

impl Condition {
    /// Compiles `source`; only `variables` may be referenced.
    /// The error carries line and column within `source` (1-based) where they are known.
    pub(crate) fn compile(source: &str, variables: &[&str]) -> Result<Self, ConditionError> {
        if source.len() > MAX_SOURCE {
            return Err(refuse(format!("a condition has at most {MAX_SOURCE} bytes")));
        }
        if brackets(source) > MAX_BRACKETS {
            return Err(refuse(format!("a condition has at most {MAX_BRACKETS} nested brackets")));
        }
        // The parser takes more than 100 KiB of stack for each bracket.
        let thread = std::thread::Builder::new().stack_size(COMPILER_STACK);
        std::thread::scope(|scope| {
            let compiler = thread.spawn_scoped(scope, || Self::parse(source, variables));
            let compiler =
                compiler.map_err(|error| refuse(format!("no thread to compile in: {error}")))?;
            compiler.join().unwrap_or_else(|_| Err(refuse("not a CEL expression".to_owned())))
        })
    }

    fn parse(source: &str, variables: &[&str]) -> Result<Self, ConditionError> {
        let program = ENV.compile(source).map_err(|errors| syntax_error(&errors))?;
        let mut references = References::default();
        references.visit(program.expression());
        if references.deepest > MAX_DEPTH {
            return Err(refuse(format!(
                "this condition nests {} operations, and at most {MAX_DEPTH} are allowed; \
                 `in […]` often says the same",
                references.deepest
            )));
        }
        for (name, id) in &references.variables {
            if !variables.contains(&name.as_str()) {
                let allowed = variables.join("`, `");
                let message = format!("unknown variable `{name}`; here there are `{allowed}`");
                return Err(ConditionError { message, position: place(source, &program, *id) });
            }
        }
        if let Some((name, id)) = references.unknown_functions.first() {
            let message = match nearest(name, FUNCTIONS.iter().copied()) {
                Some(near) => format!("unknown function `{name}`; did you mean `{near}`?"),
                None => format!("unknown function `{name}`"),
            };
            return Err(ConditionError { message, position: place(source, &program, *id) });
        }
        let References { size, variables, .. } = references;
        let variables: Vec<_> = variables.into_iter().map(|(name, _)| name).collect();
        let mut members = members::of(program.expression());
        members.retain(|path| path.first().is_some_and(|name| variables.contains(name)));
        let source = source.to_owned();
        Ok(Self { inner: Arc::new(Inner { source, program, variables, members, size }) })
    }

    /// Whether the condition looks at this variable, so that the caller need not build it otherwise.
    pub(crate) fn uses(&self, variable: &str) -> bool {
        self.inner.variables.iter().any(|name| name == variable)
    }

    /// What it looks at, each as a path from a variable: `["claims", "role"]` for `claims.role`.
    pub(crate) fn members(&self) -> &[Vec<String>] {
        &self.inner.members
    }

    /// Whether the condition may look at this member of this variable: one that looks at the variable as a whole, or at
    /// a member that is known only when it is evaluated, may.
    pub(crate) fn uses_member(&self, variable: &str, member: &str) -> bool {
        self.members().iter().any(|path| match &path[..] {
            [name] => name == variable,
            [name, of, ..] => name == variable && of == member,
            [] => false,
        })
    }

    /// Whether it holds. One that can't be evaluated, or is not a bool, does not.
    pub(crate) fn holds(&self, variables: &[(&str, &Value)]) -> bool {
        self.evaluate(variables) == Some(Value::Bool(true))
    }

    /// Its value, for expressions that are no condition. `None` if it can't be evaluated, looks at a part of the
    /// request that can be read in two ways, or would take more steps than a request may cost.
    pub(crate) fn evaluate(&self, variables: &[(&str, &Value)]) -> Option<Value> {
        let used = || variables.iter().filter(|(name, _)| self.uses(name));
        if self.cost(used().map(|(_, value)| longest(value)).max().unwrap_or(0)) > MAX_COST {
            return None;
        }
        if unclear::looks_at(self.members(), variables) {
            return None;
        }
        let mut context = Context::with_env(Arc::clone(&ENV));
        for (name, value) in used() {
            context.add_variable_from_value(*name, convert(value));
        }
        self.inner.program.execute(&context).ok()?.json().ok()
    }

    /// An upper bound of the steps, when no list within a variable is longer than `longest`: by joining them,
    /// a list comes to no more than every variable and every element that is written, together.
    fn cost(&self, longest: u64) -> u64 {
        let Size { nodes, elements, mentions, loops } = self.inner.size;
        let rounds = longest.saturating_mul(mentions).saturating_add(elements);
        nodes.saturating_mul(rounds.saturating_pow(loops))
    }

    /// As it was written.
    pub(crate) fn source(&self) -> &str {
        &self.inner.source
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Condition({:?})", self.inner.source)
    }
}

/// The free variables of an expression (names that a macro binds are none), and its depth.
#[derive(Default)]
struct References {
    variables: Vec<(String, u64)>,
    bound: Vec<String>,
    depth: usize,
    deepest: usize,
    unknown_functions: Vec<(String, u64)>,
    size: Size,
    loops: u32,
}

impl References {
    fn visit(&mut self, node: &IdedExpr) {
        self.depth += 1;
        self.size.nodes += 1;
        self.deepest = self.deepest.max(self.depth);
        self.visit_parts(node);
        self.depth -= 1;
    }

    fn visit_parts(&mut self, node: &IdedExpr) {
        match &node.expr {
            Expr::Unspecified | Expr::Literal(_) => {}
            Expr::Ident(name) => self.variable(name, node.id),
            Expr::Select(select) => self.visit(&select.operand),
            Expr::Call(call) => {
                let operator = call.func_name.contains(['_', '@']);
                if !operator && !FUNCTIONS.contains(&call.func_name.as_str()) {
                    self.unknown_functions.push((call.func_name.clone(), node.id));
                }
                call.target.iter().for_each(|target| self.visit(target));
                call.args.iter().for_each(|argument| self.visit(argument));
            }
            Expr::List(list) => {
                self.size.elements += list.elements.len() as u64;
                list.elements.iter().for_each(|element| self.visit(element));
            }
            Expr::Map(map) => {
                self.size.elements += map.entries.len() as u64;
                map.entries.iter().for_each(|entry| self.entry(&entry.expr));
            }
            Expr::Struct(object) => object.entries.iter().for_each(|entry| self.entry(&entry.expr)),
            Expr::Comprehension(macro_) => {
                self.visit(&macro_.iter_range);
                self.visit(&macro_.accu_init);
                self.loops += 1;
                self.size.loops = self.size.loops.max(self.loops);
                let outside = self.bound.len();
                self.bound.push(macro_.iter_var.clone());
                self.bound.extend(macro_.iter_var2.clone());
                self.bound.push(macro_.accu_var.clone());
                self.visit(&macro_.loop_cond);
                self.visit(&macro_.loop_step);
                self.visit(&macro_.result);
                self.bound.truncate(outside);
                self.loops -= 1;
            }
        }
    }

    fn entry(&mut self, entry: &EntryExpr) {
        match entry {
            EntryExpr::StructField(field) => self.visit(&field.value),
            EntryExpr::MapEntry(entry) => {
                self.visit(&entry.key);
                self.visit(&entry.value);
            }
        }
    }

    fn variable(&mut self, name: &str, id: u64) {
        self.size.mentions += u64::from(!name.starts_with('@'));
        let bound = self.bound.iter().any(|other| other == name) || name.starts_with('@');
        if !bound && !TYPES.contains(&name) {
            self.variables.push((name.to_owned(), id));
        }
    }
}

/// The length of the longest list or object within.
fn longest(value: &Value) -> u64 {
    let (length, within) = match value {
        Value::Array(items) => (items.len(), items.iter().map(longest).max()),
        Value::Object(object) => (object.len(), object.values().map(longest).max()),
        _ => (0, None),
    };
    within.unwrap_or(0).max(length as u64)
}

/// JSON as CEL sees it: whole numbers are `int` as CEL's own literals are, so that both compare.
fn convert(value: &Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(bool) => cel::Value::Bool(*bool),
        Value::String(text) => cel::Value::String(Arc::new(text.clone())),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => cel::Value::Int(int),
            (None, Some(uint)) => cel::Value::UInt(uint),
            (None, None) => number.as_f64().map_or(cel::Value::Null, cel::Value::Float),
        },
        Value::Array(items) => cel::Value::List(Arc::new(items.iter().map(convert).collect())),
        Value::Object(object) => {
            let entries = object.iter().map(|(key, value)| (key.clone(), convert(value)));
            cel::Value::Map(entries.collect::<HashMap<_, _>>().into())
        }
    }
}

fn syntax_error(errors: &cel::ParseErrors) -> ConditionError {
    let Some(first) = errors.errors.first() else {
        return ConditionError { message: "not a CEL expression".to_owned(), position: None };
    };
    let message = first.msg.strip_prefix("Syntax error: ").unwrap_or(&first.msg);
    // What the parser would have liked instead is a list of a dozen tokens.
    let message = message.split(" expecting ").next().unwrap_or(message);
    let ends = message.contains("<EOF>");
    let message = if ends { "the condition ends too early" } else { message };
    ConditionError { message: message.to_owned(), position: position(first.pos) }
}

/// Where a node starts; CEL counts characters from 0.
fn place(source: &str, program: &Program, id: u64) -> Option<(usize, usize)> {
    let (start, _) = program.source_info().offset_for(id)?;
    let before: String = source.chars().take(start as usize).collect();
    let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count());
    Some((before.matches('\n').count() + 1, column + 1))
}

fn position((line, column): (isize, isize)) -> Option<(usize, usize)> {
    let (line, column) = (usize::try_from(line).ok()?, usize::try_from(column).ok()?);
    (line > 0 && column > 0).then_some((line, column))
}

fn brackets(source: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for c in source.chars() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

fn refuse(message: String) -> ConditionError {
    ConditionError { message, position: None }
}

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

const MAX_SOURCE: usize = 4096;
const MAX_BRACKETS: usize = 32;
const COMPILER_STACK: usize = 64 << 20;

/// Steps; about a tenth of a second at most.
const MAX_COST: u64 = 1_000_000;
/// Evaluation recurses on the stack of whoever asks.
const MAX_DEPTH: usize = 24;

/// Names of CEL's own types (`type(claims.level) == int`).
const TYPES: &[&str] =
    &["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];

/// The functions of the standard library that JSON values have a use for.
const FUNCTIONS: &[&str] = &[
    "bool",
    "bytes",
    "contains",
    "double",
    "duration",
    "dyn",
    "endsWith",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
    "int",
    "matches",
    "size",
    "startsWith",
    "string",
    "timestamp",
    "type",
    "uint",
];
