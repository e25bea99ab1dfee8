//! Shows problems the way rustc does.

use std::fmt;
use std::path::{Path, PathBuf};

use super::changes::Written;
use super::problem::{Problem, Severity, Span};

/// Why a configuration can't be used: every problem, each with its place and its remedy.
#[derive(Debug)]
pub struct ConfigError {
    rendered: Vec<String>,
    /// The first problem in one line, and how many others there are.
    summary: String,
    files: Vec<PathBuf>,
}

/// Something in a usable configuration that deserves a second look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigWarning(String);

impl ConfigError {
    pub(super) fn new(problems: &[Problem], text: &str, path: &Path) -> Self {
        let file = Source { text, path };
        let rendered = problems.iter().map(|problem| file.render(problem)).collect();
        let mut errors = problems.iter().filter(|problem| problem.severity != Severity::Warning);
        let mut summary = errors.next().map(|first| file.line(first)).unwrap_or_default();
        match errors.count() {
            0 => {}
            others => summary.push_str(&format!(" (and {others} more)")),
        }
        Self { rendered, summary, files: Vec::new() }
    }

    /// The same, knowing which files the configuration names.
    pub(super) fn naming(self, written: &Written) -> Self {
        Self { files: written.files().map(Path::to_owned).collect(), ..self }
    }

    /// The first problem in one line, with its place, and how many others there are.
    #[must_use]
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// Files whose change may mend it, besides the configuration itself: those that it names.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        let message = format!("can't read the configuration: {error}");
        let help = "`--config PATH` names another file";
        let problem = Problem::new(Severity::Error, None, message).help(help);
        Self::new(&[problem], "", path)
    }
}

impl ConfigWarning {
    pub(super) fn new(problem: &Problem, text: &str, path: &Path) -> Self {
        Self(Source { text, path }.render(problem))
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rendered.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

struct Source<'a> {
    text: &'a str,
    path: &'a Path,
}

impl Source<'_> {
    /// Several lines, the last one ended.
    fn render(&self, problem: &Problem) -> String {
        let title = match problem.severity {
            Severity::Error => "error",
            Severity::NotYet => "not available yet",
            Severity::Warning => "warning",
        };
        let mut lines = vec![format!("{title}: {}", problem.message)];
        let places: Vec<_> =
            problem.span.iter().map(|span| (span, problem.label.as_str())).collect();
        let others = problem.other.iter().map(|(span, label)| (span, label.as_str()));
        let places: Vec<_> = places.into_iter().chain(others).collect();
        let number = |span: &Span| self.place(span).line.to_string().len();
        let gutter = places.iter().map(|(span, _)| number(span)).max().unwrap_or(1);
        if places.is_empty() {
            lines.push(format!("{:gutter$} --> {}", "", self.path.display()));
        }
        for (at, (span, label)) in places.into_iter().enumerate() {
            let arrow = if at == 0 { "-->" } else { ":::" };
            lines.extend(self.excerpt(span, label, gutter, arrow));
        }
        if let Some(help) = &problem.help {
            lines.push(format!("{:gutter$}  = help: {help}", ""));
        }
        lines.join("\n") + "\n"
    }

    fn line(&self, problem: &Problem) -> String {
        let path = self.path.display();
        match problem.span.as_ref().map(|span| self.place(span)) {
            Some(Place { line, column, .. }) => {
                format!("{path}:{line}:{column}: {}", problem.message)
            }
            None => format!("{path}: {}", problem.message),
        }
    }

    fn excerpt(&self, span: &Span, label: &str, gutter: usize, arrow: &str) -> [String; 4] {
        let place = self.place(span);
        let (line, column) = (place.line, place.column);
        let label = if label.is_empty() { String::new() } else { format!(" {label}") };
        [
            format!("{:gutter$} {arrow} {}:{line}:{column}", "", self.path.display()),
            format!("{:gutter$}  |", ""),
            format!(" {line:>gutter$} | {}", place.text.replace('\t', " ")).trim_end().to_owned(),
            format!(
                "{:gutter$}  | {:skip$}{}{label}",
                "",
                "",
                "^".repeat(place.width),
                skip = column - 1
            ),
        ]
    }

    fn place(&self, span: &Span) -> Place<'_> {
        let start = floor(self.text, span.start);
        let before = &self.text[..start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let text = self.text[line_start..].lines().next().unwrap_or_default();
        let end = floor(self.text, span.end).clamp(start, (line_start + text.len()).max(start));
        Place {
            line: before.matches('\n').count() + 1,
            column: self.text[line_start..start].chars().count() + 1,
            width: self.text[start..end].chars().count().max(1),
            text,
        }
    }
}

/// Line and column from 1, both in characters.
struct Place<'t> {
    line: usize,
    column: usize,
    width: usize,
    text: &'t str,
}

/// The nearest place at or before `at` where a character starts.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a = 1\n\tüb = \"x\"\n";

    #[test]
    fn a_place_with_its_remedy() {
        let problem = Problem::error(7..10, "unknown key `üb`")
            .label("did you mean `ab`?")
            .other(0..1, "like this one")
            .help("look it up");
        assert_eq!(
            ConfigError::new(&[problem], TEXT, Path::new("c.toml")).to_string(),
            "\
error: unknown key `üb`
  --> c.toml:2:2
   |
 2 |  üb = \"x\"
   |  ^^ did you mean `ab`?
  ::: c.toml:1:1
   |
 1 | a = 1
   | ^ like this one
   = help: look it up
"
        );
    }

    #[test]
    fn no_span_is_out_of_bounds() {
        for (start, end) in [(0, 999), (8, 9), (8, 8), (999, 1000), (18, 18), (9, 3)] {
            let problem = Problem::warning(Span { start, end }, "w");
            ConfigWarning::new(&problem, TEXT, Path::new("c.toml"));
            ConfigWarning::new(&problem, "", Path::new("c.toml"));
        }
    }
}
