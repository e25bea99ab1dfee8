//! A part of the reference, by the names that operators give it.

use super::{Chapter, Reference, plain};
use crate::nearest::nearest;

impl Reference {
    /// The part that is asked for: a section (`server.limits`) with those within, a key, or a chapter of the grammar.
    ///
    /// # Errors
    /// The sentence for an operator who asked for what there is not.
    pub(crate) fn part(name: &str) -> Result<Self, String> {
        let asked = plain(name);
        let (whole, mut rest): (Vec<_>, Vec<_>) =
            Self::whole().chapters.into_iter().partition(|chapter| chapter.is_called(&asked));
        if !whole.is_empty() {
            return Ok(Self { chapters: whole });
        }
        let mut names: Vec<String> = Vec::new();
        for chapter in &mut rest {
            let title = plain(&chapter.title);
            names.push(title.clone());
            names.extend(chapter.entries.iter().map(|entry| entry.term.clone()));
            let is_asked = |term: &str| {
                term == asked || asked.strip_prefix(&title) == Some(&format!(".{term}"))
            };
            chapter.entries.retain(|entry| is_asked(&entry.term));
        }
        rest.retain(|chapter| !chapter.entries.is_empty());
        if rest.is_empty() {
            let near = match nearest(&asked, names.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "`transom reference` alone shows all".to_owned(),
            };
            return Err(format!("there is no section or key `{name}`: {near}"));
        }
        Ok(Self { chapters: rest })
    }
}

impl Chapter {
    /// Whether it is meant by this name, or within what is: `limits`, `server` and `server.limits` all are names of
    /// `[server.limits]`.
    fn is_called(&self, name: &str) -> bool {
        let title = plain(&self.title);
        let within =
            title.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        let plural = title.strip_prefix("a ").is_some_and(|one| {
            name.strip_prefix(one).is_some_and(|rest| rest.is_empty() || rest == "s")
        });
        within || plural || title.strip_suffix(name).is_some_and(|before| before.ends_with('.'))
    }
}
