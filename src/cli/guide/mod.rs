//! `transom guide`: what README has no room for.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;
use clap::builder::PossibleValuesParser;

/// Which page to print
#[derive(Debug, Args)]
pub(crate) struct GuideArgs {
    /// Without one, all of them are listed
    #[arg(value_parser = PossibleValuesParser::new(PAGES.map(|(name, _)| name)))]
    page: Option<String>,
}

impl GuideArgs {
    pub(crate) fn run(self) -> ExitCode {
        let page = PAGES.iter().find(|(name, _)| self.page.as_deref() == Some(*name));
        let text = page.map_or_else(list, |(_, text)| (*text).to_owned());
        match std::io::stdout().write_all(text.as_bytes()) {
            // A reader that has seen enough, such as `head`, is no failure.
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                eprintln!("transom: can't print: {error}");
                ExitCode::FAILURE
            }
            _ => ExitCode::SUCCESS,
        }
    }
}

fn list() -> String {
    let line = |(name, text): &(&str, &str)| {
        let title = text.lines().next().unwrap_or_default().trim_start_matches("# ");
        format!("transom guide {name:12} {title}\n")
    };
    PAGES.iter().map(line).collect()
}

const PAGES: [(&str, &str); 9] = [
    ("sessions", include_str!("sessions.md")),
    ("documents", include_str!("documents.md")),
    ("requests", include_str!("requests.md")),
    ("identities", include_str!("identities.md")),
    ("policies", include_str!("policies.md")),
    ("explain", include_str!("explain.md")),
    ("mounting", include_str!("mounting.md")),
    ("operating", include_str!("operating.md")),
    ("logs", include_str!("logs.md")),
];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn readme_names_every_page_and_every_page_has_a_title() {
        let readme = include_str!("../../../README.md");
        assert!(readme.lines().count() <= 200, "README serves the first hour");
        for (name, text) in PAGES {
            assert!(text.starts_with("# "), "{name}");
            assert!(readme.contains(&format!("| [`{name}`](src/cli/guide/{name}.md) |")), "{name}");
        }
        assert_eq!(list().lines().count(), PAGES.len());
    }
}
