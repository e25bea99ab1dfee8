use super::*;

fn part(name: &str) -> String {
    Reference::part(name)
        .map_or_else(|error| error, |part| part.written(ReferenceFormat::Text, false))
}

#[test]
fn a_key_is_told_with_type_default_meaning_and_example() {
    assert_eq!(
        part("server.drain"),
        "\
[server]
  Where the proxy listens, and for whom. A service that mounts the layer needs
  none of it but `prefix`.

  drain
      How long requests in flight may take after SIGTERM.
      type      duration
      default   \"20s\"
      example   drain = \"30s\"
      since     0.1

"
    );
}

#[test]
fn parts_are_asked_for_by_section_key_or_chapter() {
    let limits = part("[server.limits]");
    assert!(limits.contains("header_time") && !limits.contains("[server]"), "{limits}");
    let server = part("server");
    assert!(server.contains("[server.limits]") && !server.contains("[app]"), "{server}");
    assert!(part("max_size").contains("\"100 MiB\""));
    assert!(part("routes").contains("{name:digits}"));
    assert!(part("locators").contains("body_json"));
    let limits = part("limits");
    assert!(limits.contains("[server.limits]") && limits.contains("[app.limits]"), "{limits}");
    assert!(part("documents.view.session").contains("request_header"));
    assert_eq!(part("drian"), "there is no section or key `drian`: did you mean `drain`?");
}

#[test]
fn no_line_is_longer_than_a_terminal_unless_a_word_is() {
    let text = Config::reference(ReferenceFormat::Text);
    for line in text.lines().filter(|line| line.chars().count() > 80) {
        assert!(line.split_whitespace().any(|word| word.len() > 60), "{line}");
    }
    assert!(!text.contains('\x1b'));
    assert!(
        Reference::whole().written(ReferenceFormat::Text, true).contains("\x1b[1m[server]\x1b[0m")
    );
}

#[test]
fn tables_of_markdown_have_the_cells_of_their_head() {
    let text = Config::reference(ReferenceFormat::Markdown);
    let mut cells = 0;
    for line in text.lines() {
        let of_line = line.replace(r"\|", "").matches('|').count();
        match line.starts_with('|') {
            true if cells == 0 => cells = of_line,
            true => assert_eq!(of_line, cells, "{line}"),
            false => cells = 0,
        }
    }
}

#[test]
fn no_text_of_the_manual_page_is_taken_for_a_macro() {
    for line in
        Config::reference(ReferenceFormat::Man).lines().filter(|line| line.starts_with(['.', '\'']))
    {
        let name = line.split(' ').next();
        assert!(matches!(name, Some(".TH" | ".SH" | ".TP" | ".B" | ".I" | ".br")), "{line}");
    }
}

/// What the findings of the first trial missed in writing.
#[test]
fn what_works_is_written_down() {
    let text = Config::reference(ReferenceFormat::Text);
    let text: Vec<_> = text.split_whitespace().collect();
    let text = text.join(" ");
    for words in [
        "?id={id}",
        "{name:digits}",
        "{name:uuid}",
        "/wp-admin/.transom",
        "'content-range' in request.headers",
        "Relative ones begin at the directory of the configuration file",
        "grant = [{ when = \"claims.role == 'editor'\", permissions = [\"write\", \"download\"] }]",
    ] {
        assert!(text.contains(words), "{words}");
    }
}
