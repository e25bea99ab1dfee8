use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_TYPE, RANGE, SET_COOKIE,
};
use http::request::Parts;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::files::{File, Files};
use super::login::Logins;
use super::pages;
use super::reply::{Refused, Reply, bytes, empty, json_reply, page, see_other, set};

pub(super) struct App {
    pub(super) files: Files,
    logins: Logins,
}

impl App {
    pub(super) fn new(secret: &str) -> Self {
        Self { files: Files::default(), logins: Logins::new(secret) }
    }

    pub(super) async fn answer(&self, request: Request<Incoming>) -> Reply {
        let (head, body) = request.into_parts();
        let api = head.uri.path().starts_with("/api/") || wants_json(&head.headers);
        self.route(&head, Limited::new(body, MAX_BODY)).await.unwrap_or_else(|no| no.reply(api))
    }

    async fn route(&self, head: &Parts, body: Limited<Incoming>) -> Result<Reply, Refused> {
        let method = if head.method == Method::HEAD { &Method::GET } else { &head.method };
        let path: Vec<&str> = head.uri.path().split('/').skip(1).collect();
        match (method.as_str(), path.as_slice()) {
            ("GET", ["login"]) => return Ok(page(StatusCode::OK, &pages::login())),
            ("POST", ["login"]) => return self.log_in(head, body).await,
            _ => {}
        }
        let user = self.logins.user(&head.headers).ok_or(Refused::LoggedOut)?;
        match (method.as_str(), path.as_slice()) {
            ("GET", [""]) => Ok(page(StatusCode::OK, &pages::list(&user, &self.files.list(&user)))),
            ("POST", ["upload"]) => {
                let file = self.upload(&user, head, body).await?;
                Ok(see_other(&format!("/files/{}", file.id)))
            }
            ("GET", ["files", id]) => {
                Ok(page(StatusCode::OK, &pages::file(&self.files.of(&user, id)?)))
            }
            ("GET", ["files", id, "content"]) => {
                Ok(content(&self.files.of(&user, id)?, &head.headers))
            }
            ("POST", ["files", id, "delete"]) => {
                self.files.remove(&user, id)?;
                Ok(see_other("/"))
            }
            ("POST", ["api", "files"]) => {
                let file = self.upload(&user, head, body).await?;
                Ok(json_reply(StatusCode::CREATED, &described(&file)))
            }
            ("GET", ["api", "files", id]) => {
                Ok(json_reply(StatusCode::OK, &described(&self.files.of(&user, id)?)))
            }
            ("PUT", ["api", "files", id, "content"]) => {
                let file = self.files.replace(&user, id, collect(body).await?)?;
                Ok(json_reply(StatusCode::OK, &described(&file)))
            }
            ("DELETE", ["api", "files", id]) => {
                self.files.remove(&user, id)?;
                Ok(empty(StatusCode::NO_CONTENT))
            }
            _ => Err(Refused::Missing),
        }
    }

    async fn log_in(&self, head: &Parts, body: Limited<Incoming>) -> Result<Reply, Refused> {
        let form = collect(body).await?;
        let field = |name: &str| {
            let mut fields = form_urlencoded::parse(&form);
            fields.find_map(|(key, value)| (key == name).then_some(value)).unwrap_or_default()
        };
        let token = self.logins.log_in(&field("username"), &field("password"));
        let token = token.ok_or(Refused::WrongPassword)?;
        if wants_json(&head.headers) {
            return Ok(json_reply(StatusCode::OK, &json!({ "access_token": token })));
        }
        let mut reply = see_other("/");
        set(&mut reply, SET_COOKIE, &Logins::set_cookie(&token));
        Ok(reply)
    }

    /// Takes the first part called `file`.
    async fn upload(
        &self,
        user: &str,
        head: &Parts,
        body: Limited<Incoming>,
    ) -> Result<File, Refused> {
        let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let boundary = multer::parse_boundary(content_type.unwrap_or_default());
        let boundary = boundary.map_err(|_| Refused::Malformed)?;
        let mut form = multer::Multipart::new(body.into_data_stream(), boundary);
        while let Some(part) = form.next_field().await.map_err(refused)? {
            if part.name() != Some("file") {
                continue;
            }
            let name = part.file_name().unwrap_or_default().to_owned();
            let declared = part.content_type().map(ToString::to_string);
            let content = part.bytes().await.map_err(refused)?;
            let declared = declared.as_deref().unwrap_or("application/octet-stream");
            let file = self.files.add(user, &name, declared, content)?;
            // The client may still be sending the end of the form.
            while form.next_field().await.map_err(refused)?.is_some() {}
            return Ok(file);
        }
        Err(Refused::Malformed)
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").finish_non_exhaustive()
    }
}

fn described(file: &File) -> Value {
    json!({ "data": { "id": file.id, "name": file.name, "owner": file.owner } })
}

/// The bytes, or the one range asked for.
fn content(file: &File, headers: &HeaderMap) -> Reply {
    let total = file.bytes.len();
    let range = headers
        .get(RANGE)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| range(text, total));
    let mut reply = match range {
        Some((first, last)) if first <= last => {
            let mut reply = bytes(
                StatusCode::PARTIAL_CONTENT,
                &file.content_type,
                file.bytes.slice(first..=last),
            );
            set(&mut reply, CONTENT_RANGE, &format!("bytes {first}-{last}/{total}"));
            reply
        }
        Some(_) => {
            let mut reply = empty(StatusCode::RANGE_NOT_SATISFIABLE);
            set(&mut reply, CONTENT_RANGE, &format!("bytes */{total}"));
            return reply;
        }
        None => bytes(StatusCode::OK, &file.content_type, file.bytes.clone()),
    };
    let name = utf8_percent_encode(&file.name, NON_ALPHANUMERIC);
    set(&mut reply, CONTENT_DISPOSITION, &format!("attachment; filename*=UTF-8''{name}"));
    set(&mut reply, ACCEPT_RANGES, "bytes");
    reply
}

/// First and last byte of a single range (RFC 9110, section 14.1.2); first beyond last when it can't be satisfied,
/// `None` when it is none that this app knows.
fn range(text: &str, total: usize) -> Option<(usize, usize)> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let end = total.saturating_sub(1);
    let (first, last) = match (first, last) {
        ("", suffix) => {
            let suffix: usize = suffix.parse().ok()?;
            (total - suffix.min(total), end)
        }
        (first, "") => (first.parse().ok()?, end),
        (first, last) => {
            let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
            if last < first {
                return None;
            }
            (first, last.min(end))
        }
    };
    if first < total { Some((first, last)) } else { Some((1, 0)) }
}

fn wants_json(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).is_some_and(|accept| accept == "application/json")
}

async fn collect(body: Limited<Incoming>) -> Result<Bytes, Refused> {
    body.collect().await.map(http_body_util::Collected::to_bytes).map_err(|_| Refused::TooLarge)
}

#[allow(clippy::needless_pass_by_value)] // shape of `map_err`
fn refused(error: multer::Error) -> Refused {
    match error {
        multer::Error::StreamReadFailed(_) => Refused::TooLarge,
        _ => Refused::Malformed,
    }
}

const MAX_BODY: usize = 100 << 20;
