//! Values that are kept outside of the configuration file.

use std::fs;
use std::path::PathBuf;

use secrecy::SecretString;

use super::changes::{NOT_COMPARED, hash};
use super::problem::Problem;
use super::tree::Value;

/// A secret: `{ env = "NAME" }`, `{ file = "path" }`, or (with a warning) the text itself.
pub(super) fn secret(value: &Value<'_>) -> Option<SecretString> {
    if !value.is_table() {
        value.reader.problems.hide(value.span.clone());
    }
    if value.as_text().is_some() {
        let problem = Problem::warning(value.span.clone(), "a secret in the configuration itself");
        let label = "anybody who may read this file has it";
        value.report(problem.label(label).help("use { env = \"NAME\" } or { file = \"path\" }"));
    }
    let text = outside(value);
    if let Some(file) = file(value) {
        value.reader.files.borrow_mut().insert(file, hash(&text));
    }
    let text = text?;
    if text.is_empty() {
        return value.error("this secret is empty", "");
    }
    Some(text.into())
}

/// The file of `{ file = "path" }`, if that is what is written.
pub(super) fn file(value: &Value<'_>) -> Option<PathBuf> {
    let table = value.is_table().then(|| value.table(""))??;
    let name = table.get("file")?;
    Some(value.reader.directory.join(name.as_text()?))
}

/// A text from the environment, a file (its last newline dropped), or the configuration itself.
pub(super) fn outside(value: &Value<'_>) -> Option<String> {
    if let Some(text) = value.as_text() {
        return Some(text.to_owned());
    }
    let table = value.table(format!("`{}`", value.key))?;
    let source = table.one_of(&["env", "file"]);
    table.finish();
    let source = source?;
    let name = source.text()?;
    if source.key == "env" {
        let value = (value.reader.env)(name);
        let help = format!("export {name}=… before you start");
        return value.or_else(|| {
            source.error(format!("the environment variable `{name}` is not set"), help)
        });
    }
    let path = value.reader.directory.join(name);
    value.reader.files.borrow_mut().insert(path.clone(), NOT_COMPARED);
    match fs::read_to_string(&path) {
        Ok(text) => {
            let text = text.strip_suffix('\n').unwrap_or(&text);
            Some(text.strip_suffix('\r').unwrap_or(text).to_owned())
        }
        Err(error) => source.error(format!("can't read {}: {error}", path.display()), ""),
    }
}
