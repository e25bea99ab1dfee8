//! `[documents.<kind>]` and its rules.

use serde::Serialize;
use serde_json::json;

use super::settings::Settings;

/// A kind of the app's documents and its rules: `[documents.<kind>]`.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Documents {
    pub(super) settings: Settings,
}

/// Requests that bring a document: a rule of `upload` or `replace`.
#[derive(Clone, Debug)]
#[must_use]
pub struct UploadRoute {
    settings: Settings,
}

/// Requests that delete a document: a rule of `delete`.
#[derive(Clone, Debug)]
#[must_use]
pub struct DeleteRoute {
    settings: Settings,
}

/// Requests that get a session: a rule of `view`.
#[derive(Clone, Debug)]
#[must_use]
pub struct ViewRoute {
    settings: Settings,
}

impl Documents {
    /// Without any rule.
    pub fn new() -> Self {
        Self::default()
    }

    /// A request that the app answers with 2xx for those who may see the document: `GET /files/{id}/allowed`.
    pub fn probe(self, request: &str) -> Self {
        self.set("probe", request)
    }

    /// The request that the app answers with the document's bytes: `GET /files/{id}/content`.
    pub fn source(self, request: &str) -> Self {
        self.set("source", request)
    }

    /// One more rule of `upload`.
    pub fn upload(mut self, rule: UploadRoute) -> Self {
        self.settings.push_table("upload", rule.settings);
        self
    }

    /// One more rule of `replace`: new bytes for documents that are known.
    pub fn replace(mut self, rule: UploadRoute) -> Self {
        self.settings.push_table("replace", rule.settings);
        self
    }

    /// One more rule of `delete`.
    pub fn delete(mut self, rule: DeleteRoute) -> Self {
        self.settings.push_table("delete", rule.settings);
        self
    }

    /// One more rule of `view`.
    pub fn view(mut self, rule: ViewRoute) -> Self {
        self.settings.push_table("view", rule.settings);
        self
    }

    /// Any key of `[documents.<kind>]`, as in `set("per_host", true)`.
    pub fn set(mut self, key: &str, value: impl Serialize) -> Self {
        self.settings.set(key, value);
        self
    }
}

impl UploadRoute {
    /// `route` is a method and a path: `POST /files`.
    pub fn new(route: &str) -> Self {
        Self { settings: at(route) }
    }

    /// The file is the part of this name of a multipart form.
    pub fn file_in_part(self, name: &str) -> Self {
        self.set("file.part", name)
    }

    /// The body is the file.
    pub fn file_is_body(self) -> Self {
        self.set("file.body", true)
    }

    /// The id is in the JSON of the app's reply, at this JSONPath (RFC 9535): `$.data.id`. Of several places the first
    /// that has one counts; without any, the capture `{id}` of the route is the id.
    pub fn id_in_json(mut self, path: &str) -> Self {
        self.settings.push("id", json!({ "json": path }));
        self
    }

    /// The id is in this header of the app's reply, where `pattern` says: `/files/{id}`.
    pub fn id_in_header(mut self, name: &str, pattern: &str) -> Self {
        self.settings.push("id", json!({ "header": name, "pattern": pattern }));
        self
    }

    /// Any key of the rule, as in `set("max_size", "20 MiB")`.
    pub fn set(mut self, key: &str, value: impl Serialize) -> Self {
        self.settings.set(key, value);
        self
    }
}

impl DeleteRoute {
    /// `route` is a method and a path: `DELETE /files/{id}`.
    pub fn new(route: &str) -> Self {
        Self { settings: at(route) }
    }

    /// Any key of the rule, as in `set("prefix", true)`.
    pub fn set(mut self, key: &str, value: impl Serialize) -> Self {
        self.settings.set(key, value);
        self
    }
}

impl ViewRoute {
    /// `route` is a method and a path: `GET /files/{id}`.
    pub fn new(route: &str) -> Self {
        Self { settings: at(route) }
    }

    /// The app's handler finds the session in this request header, and as
    /// `Extension<`[`ViewerSession`](crate::ViewerSession)`>`.
    pub fn session_in_request_header(self, name: &str) -> Self {
        self.session("request_header", name)
    }

    /// The reply has the session in this header.
    pub fn session_in_response_header(self, name: &str) -> Self {
        self.session("response_header", name)
    }

    /// The reply sets the session as this cookie.
    pub fn session_in_cookie(self, name: &str) -> Self {
        self.session("cookie", name)
    }

    /// The JSON of the reply has the session as this member: a JSON pointer (RFC 6901).
    pub fn session_in_json(self, pointer: &str) -> Self {
        self.session("json", pointer)
    }

    /// A browser that goes to the address gets a viewer page.
    pub fn viewer_page(self) -> Self {
        self.session("page", true)
    }

    /// What the session lets its user do: `["read", "download"]`.
    pub fn permissions<'p>(self, permissions: impl IntoIterator<Item = &'p str>) -> Self {
        self.set("permissions", permissions.into_iter().collect::<Vec<_>>())
    }

    /// A condition (CEL) over `claims`, `document` and `request`: who gets a session.
    pub fn allow(self, condition: &str) -> Self {
        self.set("allow", condition)
    }

    /// Any key of the rule, as in `set("ttl", "5m")`.
    pub fn set(mut self, key: &str, value: impl Serialize) -> Self {
        self.settings.set(key, value);
        self
    }

    fn session(mut self, way: &str, value: impl Serialize) -> Self {
        self.settings.push("session", json!({ way: value }));
        self
    }
}

fn at(route: &str) -> Settings {
    let mut settings = Settings::default();
    settings.set("route", route);
    settings
}
