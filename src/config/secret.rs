//! Values that are kept outside of the configuration file.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};

use super::changes::{NOT_COMPARED, hash};
use super::problem::Problem;
use super::tree::{Deployment, Value};

/// A secret: `{ env = "NAME" }`, `{ file = "path" }`, or (with a warning) the text itself.
pub(super) fn secret(value: &Value<'_>) -> Option<SecretString> {
    if !value.is_table() {
        value.reader.problems.hide(value.span.clone());
    }
    if value.as_text().is_some() && value.reader.deployment != Deployment::LayerInCode {
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

/// A secret that is sent as credentials (RFC 6750, 2.1): what no header can carry is an error here, and
/// not first at the start.
pub(super) fn api_key(value: &Value<'_>) -> Option<SecretString> {
    let key = secret(value)?;
    let key = key.expose_secret().trim();
    if key.is_empty() {
        return value.error("this secret is empty", "");
    }
    let fits = |char: char| char.is_ascii_graphic() || char == ' ';
    if let Some(at) = key.chars().position(|char| !fits(char)) {
        let message = format!("character {} of this key can stand in no header", at + 1);
        let problem = Problem::error(value.span.clone(), message);
        let label = "expected letters, digits and signs of ASCII, without line breaks";
        value.report(problem.label(label).help("copy the key alone, without `Bearer` before it"));
        return None;
    }
    Some(key.to_owned().into())
}

/// The file of `{ file = "path" }`, if that is what is written.
pub(super) fn file(value: &Value<'_>) -> Option<PathBuf> {
    let table = value.is_table().then(|| value.table(""))??;
    let name = table.get("file")?;
    Some(value.reader.directory.join(name.as_text()?))
}

/// A text from the environment, a file, or the configuration itself. Of a file's text, what editors
/// and shells put around it is dropped: a byte order mark, blanks and line breaks.
pub(super) fn outside(value: &Value<'_>) -> Option<String> {
    if let Some(text) = value.as_text() {
        return Some(text.to_owned());
    }
    let table = value.table(format!("`{}`", value.key))?;
    let source = table.one_of();
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
        Ok(text) => Some(text.strip_prefix('\u{feff}').unwrap_or(&text).trim().to_owned()),
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            let message = format!("{} is not text in UTF-8", path.display());
            source.error(message, "save it as UTF-8; a key of bytes goes in as hex or base64")
        }
        Err(error) => source.error(format!("can't read {}: {error}", path.display()), ""),
    }
}
