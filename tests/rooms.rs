//! The rooms of the house depend downwards only: reads the imports of `src/` and holds them to one list.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// From the bottom to the top. A room is a module of the crate's root, or one of the folders of `http`. It may import
/// the rooms before it, and itself.
const ROOMS: &[&str] = &[
    "http",
    "http::guard",
    "http::upstream",
    "http::downstream",
    "stamp",
    "random",
    "private",
    "cookies",
    "document",
    "weight",
    "nearest",
    "session_token",
    "cache",
    "reason",
    "coding",
    "reading",
    "telemetry",
    "events",
    "viewer",
    "problem",
    "store",
    "inject",
    "condition",
    "route",
    "trail",
    "auth",
    "locate",
    "spool",
    "extract",
    "rules",
    "config",
    "audit",
    "body",
    "backend",
    "session",
    "source",
    "outbox",
    "health",
    "in_flight",
    "mount",
    "engine",
    "dependencies",
    "lane",
    "service",
    "layer",
    "explain",
    "reload",
    "backfill",
    "admin",
    "proxy",
    "demo",
    "sandbox",
    "testing",
    "cli",
];

#[test]
fn no_room_imports_one_above_it() {
    let imports = Source::read(Path::new("src")).imports();
    let place = |room: &str| ROOMS.iter().position(|known| *known == room);
    let mut wrong = Vec::new();
    for ((from, to), files) in &imports {
        let (Some(here), Some(there)) = (place(from), place(to)) else {
            wrong.push(format!("{from} -> {to}: not in ROOMS ({})", files.join(", ")));
            continue;
        };
        if there >= here {
            wrong.push(format!("{from} -> {to} runs upwards ({})", files.join(", ")));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn imports_are_found_in_every_form() {
    let paths = |text: &str| {
        let found = paths(text, &["lane".to_owned(), "view".to_owned()]);
        found.into_iter().map(|path| path.join("::")).collect::<Vec<_>>()
    };
    assert_eq!(paths("use crate::config::Config;"), ["config::Config"]);
    assert_eq!(
        paths("use crate::http::{guard::Refusal, headers};"),
        ["http::guard", "http::headers"]
    );
    assert_eq!(
        paths("use crate::{Transom, engine::{Engine, Parts}};"),
        ["Transom", "engine::Engine"]
    );
    assert_eq!(paths("fn f() -> crate::reason::Reason"), ["reason::Reason"]);
    assert_eq!(paths("use super::super::engine::Engine;"), ["engine::Engine"]);
    assert_eq!(paths("use super::Inner;"), ["lane::Inner"]);
    let text =
        "use crate::a::B;\n// crate::c::D\n#[cfg(test)]\nmod tests {\n    use crate::e::F;\n}\n";
    assert_eq!(paths(&shipped(text)), ["a::B"]);
}

/// The files of `src/` that are shipped.
struct Source {
    /// By module path.
    files: BTreeMap<Vec<String>, (PathBuf, String)>,
    /// What the root gives out again, and whose it is.
    exported: BTreeMap<String, String>,
}

type Imports = BTreeMap<(String, String), Vec<String>>;

impl Source {
    fn read(root: &Path) -> Self {
        let mut files = BTreeMap::new();
        read_folder(root, &[], &mut files);
        let tests: Vec<_> =
            files.iter().flat_map(|(module, (_, text))| test_modules(module, text)).collect();
        files.retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
        let (_, root) = files.remove(&Vec::<String>::new()).unwrap();
        files.remove(&vec!["main".to_owned()]);
        let exported =
            root.lines().filter_map(|line| line.strip_prefix("pub use ")).flat_map(|line| {
                let (room, names) = line.trim_end_matches(';').split_once("::").unwrap();
                let names = names.trim_matches(['{', '}']).split(", ");
                names.map(|name| (name.to_owned(), room.to_owned())).collect::<Vec<_>>()
            });
        Self { exported: exported.collect(), files }
    }

    fn imports(&self) -> Imports {
        let mut imports = Imports::new();
        for (module, (file, text)) in &self.files {
            let from = self.room(module);
            for path in paths(&shipped(text), module) {
                let to = self.room(&path);
                if from != to {
                    let files = imports.entry((from.clone(), to)).or_default();
                    files.push(file.display().to_string());
                    files.dedup();
                }
            }
        }
        imports
    }

    fn room(&self, path: &[String]) -> String {
        let Some(first) = path.first() else { return "the root".to_owned() };
        let first = self.exported.get(first).unwrap_or(first);
        let within = path.get(1).map(|second| format!("{first}::{second}"));
        within.filter(|room| ROOMS.contains(&room.as_str())).unwrap_or_else(|| first.clone())
    }
}

fn read_folder(
    folder: &Path,
    module: &[String],
    files: &mut BTreeMap<Vec<String>, (PathBuf, String)>,
) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let within = |name: String| [module, &[name]].concat();
        if path.is_dir() {
            read_folder(&path, &within(name), files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let is_folder = matches!(name.as_str(), "mod" | "lib");
            let module = if is_folder { module.to_vec() } else { within(name) };
            let text = fs::read_to_string(&path).unwrap();
            files.insert(module, (path, text));
        }
    }
}

/// The files that are compiled for tests only, as their parent declares them.
fn test_modules(parent: &[String], text: &str) -> Vec<Vec<String>> {
    let (mut for_tests, mut found) = (false, Vec::new());
    for line in text.lines() {
        if line.starts_with("#[") {
            for_tests |= line.starts_with("#[cfg(test)]") || line.starts_with("#[cfg(all(test");
            continue;
        }
        if let Some((_, name)) =
            line.split_once("mod ").filter(|_| for_tests && line.ends_with(';'))
        {
            found.push([parent, &[name.trim_end_matches(';').to_owned()]].concat());
        }
        for_tests = false;
    }
    found
}

/// Without comments and modules of tests. Both begin their lines; rustfmt sees to that.
fn shipped(text: &str) -> String {
    let (mut kept, mut for_tests, mut skipping) = (String::new(), false, false);
    for line in text.lines() {
        if skipping {
            skipping = line != "}";
            continue;
        }
        if line.starts_with("#[") {
            for_tests |= line.starts_with("#[cfg(test)]") || line.starts_with("#[cfg(all(test");
        } else {
            skipping = for_tests && line.contains("mod ") && line.ends_with('{');
            for_tests = false;
        }
        if !skipping && !line.trim_start().starts_with("//") {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// The beginnings of all paths from the root, of two names at most.
fn paths(text: &str, module: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (prefix, root) in [("crate::", 0), ("super::", module.len().saturating_sub(1))] {
        for (place, _) in text.match_indices(prefix) {
            let before = text[..place].chars().next_back();
            // A path's middle: `super::super::` is read from its beginning.
            if before
                .is_some_and(|before| before == ':' || before == '_' || before.is_alphanumeric())
            {
                continue;
            }
            let (mut rest, mut root) = (&text[place + prefix.len()..], root);
            while let Some(higher) = rest.strip_prefix("super::") {
                (rest, root) = (higher, root.saturating_sub(1));
            }
            for path in beginnings(rest) {
                let path = module[..root].iter().cloned().chain(path);
                found.push(path.take(2).collect());
            }
        }
    }
    found
}

/// Of what a `use` names, or a path: `a::b::c` begins with `a::b`, as `{a::{b, c}, d}` does with `a::b`, `d`.
fn beginnings(text: &str) -> Vec<Vec<String>> {
    if let Some(group) = text.strip_prefix('{') {
        let (mut depth, mut items) = (0, vec![String::new()]);
        for letter in group.chars() {
            match letter {
                '}' if depth == 0 => break,
                ',' if depth == 0 => items.push(String::new()),
                _ => items.last_mut().unwrap().push(letter),
            }
            depth += i32::from(letter == '{') - i32::from(letter == '}');
        }
        let items = items.iter().map(|item| item.trim()).filter(|item| !item.is_empty());
        return items.flat_map(|item| beginnings(item).into_iter().take(1)).collect();
    }
    let end = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
    let (name, rest) = text.split_at(end.unwrap_or(text.len()));
    if name.is_empty() {
        return Vec::new();
    }
    match rest.strip_prefix("::").map(beginnings).filter(|names| !names.is_empty()) {
        Some(names) => {
            names.into_iter().map(|rest| [vec![name.to_owned()], rest].concat()).collect()
        }
        None => vec![vec![name.to_owned()]],
    }
}
