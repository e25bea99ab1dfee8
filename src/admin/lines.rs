//! Replies of one JSON value a line, read from the store page by page as the client takes them.

use std::pin::pin;

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde::Serialize;

use super::AdminBody;
use super::operator::Answer;
use crate::store::StoreError;

/// Lines of whole pages.
pub(super) type Page = Result<String, StoreError>;

/// 503 where not even the first page can be read. A later failure is the last line, `{"error":"…"}`.
pub(super) async fn answer(pages: impl Stream<Item = Page> + Send + 'static) -> Answer {
    let mut pages = Box::pin(pages.peekable());
    if let Some(Err(error)) = pin!(pages.as_mut().peek()).await {
        return Err((StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")));
    }
    let ended = |failed: &mut bool, page: Page| {
        let page = (!*failed).then(|| {
            *failed = page.is_err();
            let error =
                |error: StoreError| line(&serde_json::json!({ "error": error.to_string() }));
            Ok(Frame::data(Bytes::from(page.unwrap_or_else(error))))
        });
        std::future::ready(page)
    };
    let body = StreamBody::new(pages.scan(false, ended));
    let mut reply = Response::new(AdminBody(body.boxed_unsync()));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(reply)
}

/// Pages until `read` has none after the last. It is given where the page before ended, and answers with lines and
/// their end.
pub(super) fn pages<C: Send + 'static, F>(
    read: impl Fn(Option<C>) -> F + Send + 'static,
) -> impl Stream<Item = Page> + Send + 'static
where
    F: Future<Output = Result<Option<(String, C)>, StoreError>> + Send,
{
    stream::unfold((read, Some(None)), async |(read, after)| {
        let (page, after) = match read(after?).await {
            Ok(Some((page, end))) => (Ok(page), Some(Some(end))),
            Ok(None) => return None,
            Err(error) => (Err(error), None),
        };
        Some((page, (read, after)))
    })
}

/// One value, and the end of its line.
pub(super) fn line(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value);
    // The values of this crate have no keys but text.
    text.map(|text| text + "\n").unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    async fn text(pages: Vec<Page>) -> Result<String, StatusCode> {
        let reply = answer(stream::iter(pages)).await.map_err(|(status, _)| status)?;
        let body = reply.into_body().collect().await.unwrap().to_bytes();
        Ok(String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_failure_is_told_as_status_or_as_the_last_line() {
        let failure = || Err(StoreError::Timeout);
        let told = text(vec![failure()]).await;
        assert_eq!(told, Err(StatusCode::SERVICE_UNAVAILABLE));
        let told = text(vec![Ok("1\n".to_owned()), failure(), Ok("2\n".to_owned())]).await;
        assert_eq!(told.unwrap(), "1\n{\"error\":\"the store did not answer in time\"}\n");
        assert_eq!(text(Vec::new()).await.unwrap(), "");
    }

    #[tokio::test]
    async fn pages_follow_each_other_to_the_last() {
        let read = |after: Option<u32>| {
            let next = after.map_or(1, |after| after + 1);
            std::future::ready(Ok((next < 4).then(|| (format!("{next}\n"), next))))
        };
        let all: Vec<_> = pages(read).map(Result::unwrap).collect().await;
        assert_eq!(all.concat(), "1\n2\n3\n");
    }
}
