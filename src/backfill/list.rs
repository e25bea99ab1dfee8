//! From one page of the app's list to the next. Pure.

use serde_json::Value;
use url::Url;

use super::ask::{Id, ListPage, PageAt};
use crate::config::ListRequest;
use crate::locate::texts;

/// Where the list begins.
pub(super) fn first(list: &ListRequest) -> Option<PageAt> {
    place(list, "1", 1)
}

/// What this page says. `is_own` tells the app's own origins.
///
/// # Errors
/// A sentence for the operator.
pub(super) fn follow(
    list: &ListRequest,
    at: &PageAt,
    json: &Value,
    is_own: &dyn Fn(&Url) -> bool,
) -> Result<ListPage, String> {
    let ids = texts(&list.ids, json);
    if ids.is_empty() && !list.ids.query(json).is_empty() {
        return Err(format!(
            "what `ids` selects in GET {} are not all texts or numbers",
            at.target
        ));
    }
    let next = match &list.next {
        None if ids.is_empty() || list.request.names().is_empty() => None,
        None => next_number(list, at),
        Some(next) => match next.query(json).first() {
            None | Some(Value::Null | Value::Bool(false)) => None,
            Some(Value::String(text)) if text.is_empty() => None,
            Some(Value::Bool(true)) => Some(
                next_number(list, at)
                    .ok_or("`next` is true, and the route of `list` has no `{page}`")?,
            ),
            Some(Value::Number(number)) => Some(filled(list, at, &number.to_string())?),
            Some(Value::String(text)) => Some(linked(list, at, text, is_own)?),
            Some(Value::Array(_) | Value::Object(_)) => {
                return Err(format!("what `next` selects in GET {} is no address", at.target));
            }
        },
    };
    if next.as_ref().is_some_and(|next| next.target == at.target) {
        return Err(format!("GET {} names itself as the next page", at.target));
    }
    Ok(ListPage { ids: ids.into_iter().map(|id| Id { id, host: None }).collect(), next })
}

fn place(list: &ListRequest, page: &str, number: u64) -> Option<PageAt> {
    let target = list.request.target(page)?.to_string();
    Some(PageAt { target, number })
}

fn next_number(list: &ListRequest, at: &PageAt) -> Option<PageAt> {
    let number = at.number.saturating_add(1);
    place(list, &number.to_string(), number).filter(|_| !list.request.names().is_empty())
}

/// What `next` says is what belongs at `{page}`.
fn filled(list: &ListRequest, at: &PageAt, page: &str) -> Result<PageAt, String> {
    if list.request.names().is_empty() {
        return Err(format!("`next` is {page:?}, and the route of `list` has no `{{page}}`"));
    }
    let number = page.parse().unwrap_or(at.number.saturating_add(1));
    place(list, page, number)
        .ok_or_else(|| format!("`next` is {page:?}, which no address can hold"))
}

/// An address, absolute or not, or what belongs at `{page}`.
fn linked(
    list: &ListRequest,
    at: &PageAt,
    text: &str,
    is_own: &dyn Fn(&Url) -> bool,
) -> Result<PageAt, String> {
    let is_absolute = text.starts_with("http://") || text.starts_with("https://");
    if !is_absolute && !text.starts_with(['/', '?']) {
        return filled(list, at, text);
    }
    let here = Url::parse("http://app.invalid").and_then(|base| base.join(&at.target));
    let url = here.and_then(|here| here.join(text));
    let url = url.map_err(|_| format!("`next` is {text:?}, which is no address"))?;
    // The operator's credentials are for the app alone.
    if is_absolute && !is_own(&url) || !is_absolute && url.host_str() != Some("app.invalid") {
        return Err(format!(
            "`next` leads to {}, which is not the app",
            url.host_str().unwrap_or("?")
        ));
    }
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let target = format!("{}{query}", url.path());
    Ok(PageAt { target, number: at.number.saturating_add(1) })
}

/// Bytes of one page.
pub(super) const MAX_PAGE: usize = 16 << 20;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;
    use serde_json_path::JsonPath;

    use super::*;
    use crate::route::Outgoing;

    fn list(route: &str, next: Option<&str>) -> ListRequest {
        ListRequest {
            request: Outgoing::parse(route).unwrap(),
            ids: JsonPath::parse("$.data[*].id").unwrap(),
            next: next.map(|next| JsonPath::parse(next).unwrap()),
        }
    }

    fn next(list: &ListRequest, at: &str, json: &Value) -> Result<Option<String>, String> {
        let at = PageAt { target: at.to_owned(), number: 3 };
        let own = |url: &Url| url.host_str() == Some("own.example");
        follow(list, &at, json, &own).map(|page| page.next.map(|next| next.target))
    }

    #[test]
    fn pages_are_counted_until_one_has_no_ids() {
        let counted = list("GET /api/files?page={page}&size=10", None);
        assert_eq!(first(&counted).unwrap().target, "/api/files?page=1&size=10");
        let full = json!({ "data": [{ "id": 7 }, { "id": "a/b" }] });
        let at = PageAt { target: "/api/files?page=3".to_owned(), number: 3 };
        let page = follow(&counted, &at, &full, &|_| false).unwrap();
        let ids: Vec<_> = page.ids.iter().map(|id| id.id.as_str()).collect();
        assert_eq!(ids, ["7", "a/b"]);
        assert_eq!(page.next.unwrap().target, "/api/files?page=4&size=10");
        assert_eq!(next(&counted, "/x", &json!({ "data": [] })), Ok(None));
        assert_eq!(next(&list("GET /api/files", None), "/api/files", &full), Ok(None));
    }

    #[test]
    fn a_page_may_tell_of_the_next_in_many_ways() {
        let told = list("GET /api/files?page={page}", Some("$.next"));
        for (says, expected) in [
            (json!(null), None),
            (json!(false), None),
            (json!(""), None),
            (json!(true), Some("/api/files?page=4")),
            (json!(9), Some("/api/files?page=9")),
            (json!("to ken="), Some("/api/files?page=to%20ken%3D")),
            (json!("?page=5&x=1"), Some("/api/files?page=5&x=1")),
            (json!("/other?p=5"), Some("/other?p=5")),
            (json!("http://own.example/files?p=2"), Some("/files?p=2")),
        ] {
            let page = next(&told, "/api/files?page=3", &json!({ "next": says }));
            assert_eq!(page, Ok(expected.map(str::to_owned)), "{says}");
        }
        assert_eq!(next(&told, "/api/files?page=3", &json!({})), Ok(None));
    }

    #[test]
    fn nothing_is_asked_of_another_host_and_no_page_twice_in_a_row() {
        let told = list("GET /api/files?page={page}", Some("$.next"));
        for says in
            ["http://evil.example/", "https://own.example@evil.example/", "//evil.example/x"]
        {
            let page = next(&told, "/api/files?page=3", &json!({ "next": says }));
            assert!(page.unwrap_err().contains("not the app"), "{says}");
        }
        let itself = next(&told, "/api/files?page=3", &json!({ "next": "?page=3" }));
        assert!(itself.unwrap_err().contains("itself"));
        let odd = next(&told, "/x", &json!({ "data": [{ "id": {} }] }));
        assert!(odd.unwrap_err().contains("not all texts"));
        let unfillable = list("GET /api/files", Some("$.next"));
        assert!(next(&unfillable, "/x", &json!({ "next": 2 })).unwrap_err().contains("{page}"));
    }
}
