//! The files that we ship are read here, so that they can't rot.

use std::path::{Path, PathBuf};

use crate::support::process;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

async fn check(path: &Path) -> (Option<i32>, String) {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_transom"))
        .args(["check", "--config", &path.display().to_string()])
        .env("NUTRIENT_DWS_VIEWER_API_KEY", "a key")
        .env("APP_JWT_SECRET", "a secret of thirty-two bytes or so")
        .output()
        .await
        .unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test]
async fn the_top_level_configuration_is_right() {
    let (status, told) = check(&root().join("config.toml")).await;
    assert_eq!(status, Some(0), "{told}");
}

#[tokio::test]
async fn the_readmes_configuration_works() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let blocks = readme.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let blocks: Vec<&str> = blocks.filter(|block| block.contains("[app]")).collect();
    assert!(!blocks.is_empty());
    for (number, block) in blocks.iter().enumerate() {
        let path: PathBuf = dir.path().join(format!("readme-{number}.toml"));
        std::fs::write(&path, block).unwrap();
        let (status, told) = check(&path).await;
        assert_eq!(status, Some(0), "{told}");
    }
}

#[tokio::test]
async fn every_command_of_the_readme_exists() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    for command in [
        "run",
        "check",
        "explain",
        "guide",
        "demo",
        "sandbox",
        "mappings",
        "outbox",
        "reference",
        "schema",
    ] {
        assert!(readme.contains(command), "{command} is not in the README");
        let output = process::run(&[command, "--help"]).await;
        assert!(output.status.success(), "{command}");
    }
}

#[tokio::test]
async fn the_reference_and_the_schema_are_printed() {
    for (arguments, told) in [
        (&["reference"][..], "[server.limits]"),
        (&["reference", "max_size"][..], "\"100 MiB\""),
        (&["reference", "--format", "man"][..], ".TH TRANSOM.TOML 5"),
        (&["reference", "--format", "markdown"][..], "## `[server.limits]`"),
        (&["schema"][..], "https://json-schema.org/draft/2020-12/schema"),
    ] {
        let output = process::run(arguments).await;
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains(told), "{arguments:?}: {text}");
    }
    let output = process::run(&["reference", "max_szie"]).await;
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("did you mean `max_size`?"));
}
