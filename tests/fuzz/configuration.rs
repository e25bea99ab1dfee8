//! Configurations as people write them.

use std::path::Path;

use super::Config;
use crate::fuzz::feed;

#[test]
fn a_configuration_is_read_or_each_problem_has_its_place() {
    let rules = "[app]\nurl = \"http://127.0.0.1:3000\"\n[dws]\napi_key = { env = \"KEY\" }\n[[identity]]\nname = \"app\"\nalgorithms = [\"HS256\"]\nkey = { secret = { env = \"SECRET\" } }\ntokens = [{ bearer = true }, { cookie = \"t\" }]\n[documents.files]\nprobe = \"GET /api/files/{id:digits}\"\nsource = \"GET /files/{id}/content\"\nupload = [{ route = \"POST /api/files\", file = { part = \"file\" }, id = { json = \"$.data.id\" }, when = \"form.a == 'b'\" }]\nview = [{ route = \"GET /files/{id}/content\", session = { page = true }, allow = \"has(claims.role)\", ttl = \"15m\" }]\n";
    feed(&[rules.as_bytes(), include_bytes!("../../config.toml")], |bytes, _| {
        let text = std::str::from_utf8(bytes).ok()?;
        match parse(text) {
            Ok(config) => {
                let again = parse(&format!("# a comment\n{text}\n# another")).unwrap();
                assert_eq!(again.warnings().len(), config.warnings().len());
                Some((true, config.warnings().len()))
            }
            Err(error) => {
                let told = error.to_string();
                assert!(told.contains("transom.toml") && !error.summary().is_empty(), "{told}");
                Some((false, told.lines().filter(|line| line.starts_with("error")).count()))
            }
        }
    });
}

fn parse(text: &str) -> Result<Config, super::ConfigError> {
    let env = |name: &str| ["KEY", "SECRET"].contains(&name).then(|| "x".repeat(40));
    Config::parse_with(text, Path::new("transom.toml"), &env)
}
