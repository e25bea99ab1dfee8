//! Which parts of a form are the files that a rule asks for, to every reader of forms.

use super::Parts;
use super::multipart::{IsFile, PartHead};
use crate::reason::Reason;

/// The parts that are asked for, and which of them came by.
pub(super) struct Selection {
    parts: Parts,
    /// Names that are asked for, by whether a file or something else came under them.
    came: Vec<(String, bool)>,
}

/// What is done with a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Field,
    /// A field as long as it is empty; else some readers have it for a file that is asked for.
    EmptyField,
    File,
    Skipped,
}

impl Selection {
    pub(super) fn new(parts: Parts) -> Self {
        Self { parts, came: Vec::new() }
    }

    /// `file_unclear`: it may be one of the files, or there may be none under its name.
    pub(super) fn part(&mut self, head: &PartHead) -> Result<Meaning, Reason> {
        let asked_for = self.asked_for(head).map(str::to_owned);
        if asked_for.is_none() {
            let is_field = matches!(head.is_file, IsFile::No | IsFile::IfFilled);
            return match is_field && !head.names.is_empty() {
                true if head.is_coded => Err(Reason::FileUnclear),
                true => Ok(Meaning::Field),
                false => Ok(Meaning::Skipped),
            };
        }
        let meaning = match head.is_file {
            IsFile::Unclear => return Err(Reason::FileUnclear),
            IsFile::No | IsFile::IfFilled if head.is_coded => return Err(Reason::FileUnclear),
            IsFile::Yes if !self.is_exact(head) => return Err(Reason::FileUnclear),
            IsFile::Yes => Meaning::File,
            IsFile::IfFilled => Meaning::EmptyField,
            IsFile::No if head.names.is_empty() => Meaning::Skipped,
            IsFile::No => Meaning::Field,
        };
        self.came_by(asked_for, meaning)?;
        Ok(meaning)
    }

    /// The name of a rule that some reader may find in this part; `""` where any part will do.
    fn asked_for(&self, head: &PartHead) -> Option<&str> {
        let Parts::Named(asked_for) = &self.parts else { return Some("") };
        let is_meant = |asked_for: &&String| head.names.iter().any(|name| is_same(name, asked_for));
        asked_for.iter().find(is_meant).map(String::as_str)
    }

    fn is_exact(&self, head: &PartHead) -> bool {
        match (&self.parts, head.names.as_slice()) {
            (Parts::AnyFile, [_]) => true,
            (Parts::Named(asked_for), [name]) => asked_for.contains(name),
            _ => false,
        }
    }

    /// Where a file and something else have one name, readers differ on which of them counts. A
    /// list (`files[]`) has room for both.
    fn came_by(&mut self, asked_for: Option<String>, meaning: Meaning) -> Result<(), Reason> {
        let Some(name) = asked_for.filter(|name| !name.is_empty() && !name.ends_with(']')) else {
            return Ok(());
        };
        let is_file = meaning == Meaning::File;
        if self.came.contains(&(name.clone(), !is_file)) {
            return Err(Reason::FileUnclear);
        }
        if !self.came.contains(&(name.clone(), is_file)) {
            self.came.push((name, is_file));
        }
        Ok(())
    }
}

/// Whether some reader takes `name` for `asked_for`. PHP cuts blanks at the beginning, makes `_` of
/// blanks, dots and a bracket that is not closed, and reads `a[]` and `a[0]` as values of `a`;
/// ASP.NET compares without case.
fn is_same(name: &str, asked_for: &str) -> bool {
    let (base, keys) = folded(name);
    let (wanted, wanted_keys) = folded(asked_for);
    let whole = plain(name);
    (base == wanted && (keys == wanted_keys || keys.is_empty() || wanted_keys.is_empty()))
        || whole == wanted && wanted_keys.is_empty()
}

/// The name without its keys, and the keys without numbers, which only count.
fn folded(name: &str) -> (String, Vec<String>) {
    let name = name.trim();
    let mut parts = name.split('[');
    // PHP takes a bracket at the beginning for a part of the name.
    let base = parts.next().unwrap_or_default();
    let keys = parts
        .map(|key| key.trim_end_matches(']').trim().to_lowercase())
        .filter(|key| !key.bytes().all(|byte| byte.is_ascii_digit()));
    (plain(base), keys.collect())
}

fn plain(name: &str) -> String {
    name.trim().to_lowercase().replace(['.', ' ', '['], "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_some_reader_folds_into_one() {
        for (name, asked_for, same) in [
            ("file", "file", true),
            ("FILE", "file", true),
            (" file", "file", true),
            ("file[]", "file", true),
            ("file", "file[]", true),
            ("file[0]", "file[]", true),
            ("my.file", "my_file", true),
            ("my file", "my_file", true),
            ("my[file", "my_file", true),
            ("doc[file]", "doc[file]", true),
            ("doc[FILE][]", "doc[file]", true),
            ("doc[cover]", "doc[file]", false),
            ("file2", "file", false),
            ("files", "file", false),
            ("", "file", false),
        ] {
            assert_eq!(is_same(name, asked_for), same, "{name} {asked_for}");
        }
    }
}
