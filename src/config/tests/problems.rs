use super::*;

#[track_caller]
fn shows(text: &str, expected: &str) {
    let shown = match parse(text) {
        Ok(config) => {
            config.warnings().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        }
        Err(error) => error.to_string(),
    };
    assert_eq!(shown, expected.trim_start(), "\n{shown}");
}

#[test]
fn all_at_once_each_with_its_place_and_remedy() {
    shows(
        r#"[server]
lisen = "127.0.0.1:80"
workers = "two"
trusted_proxies = ["10.0.0.1"]
[app]
[dws]
api_key = { env = "NOPE" }
[documents.files]
sauce = "GET /f/{id}"
"#,
        r#"
error: unknown key `lisen`
  --> config.toml:2:1
   |
 2 | lisen = "127.0.0.1:80"
   | ^^^^^ did you mean `listen`?

error: `workers` must be a whole number, not a string
  --> config.toml:3:11
   |
 3 | workers = "two"
   |           ^^^^^ expected a whole number

error: `10.0.0.1` is not a network (CIDR) such as "10.0.0.1/32"
  --> config.toml:4:20
   |
 4 | trusted_proxies = ["10.0.0.1"]
   |                    ^^^^^^^^^^

error: `url` is missing from `[app]`
  --> config.toml:5:1
   |
 5 | [app]
   | ^^^^^ add `url = "http://127.0.0.1:3000"`

error: the environment variable `NOPE` is not set
  --> config.toml:7:19
   |
 7 | api_key = { env = "NOPE" }
   |                   ^^^^^^ export NOPE=… before you start

warning: nothing says how to ask the app about documents of `files`
  --> config.toml:8:1
   |
 8 | [documents.files]
   | ^^^^^^^^^^^^^^^^^ so `/.transom/session/files/…` is never allowed
   = help: add `source = "GET /…/{id}"` or `probe` to [documents.files]

error: unknown key `sauce`
  --> config.toml:9:1
   |
 9 | sauce = "GET /f/{id}"
   | ^^^^^ did you mean `source`?
"#,
    );
}

#[test]
fn routes_in_each_others_way_are_both_shown() {
    shows(
        r#"app = { url = "http://a" }
dws = { api_key = { env = "KEY" } }
[documents.f]
source = "GET /f/{id}"
[[documents.f.delete]]
route = "DELETE /f/{id}"
[[documents.f.delete]]
route = "DELETE /f/{name}"
id = { path = "nam" }
[[documents.f.delete]]
route = "DELETE /{id:digits}/x"
"#,
        r#"
error: `documents.f.delete[1]` and `documents.f.delete[0]` match the same requests
  --> config.toml:8:9
   |
 8 | route = "DELETE /f/{name}"
   |         ^^^^^^^^^^^^^^^^^^ this one is never used
  ::: config.toml:6:9
   |
 6 | route = "DELETE /f/{id}"
   |         ^^^^^^^^^^^^^^^^ this one is
   = help: both match `DELETE /f/a`; tell them apart by `when` or `file`

error: the route has no capture `nam`
  --> config.toml:9:15
   |
 9 | id = { path = "nam" }
   |               ^^^^^ did you mean `name`? (it captures `name`)
"#,
    );
}

#[test]
fn conditions_and_paths_are_pointed_into() {
    shows(
        r#"app = { url = "http://a" }
dws = { api_key = { env = "KEY" } }
[documents.f]
source = "GET /f/{id}"
[[documents.f.upload]]
route = "POST /f"
when = "form.a == 'ü' && reply.status == 200"
accepted = '''
  reply.status ==
'''
id = { json = "$.data[" }
file = { part = "f" }
"#,
        r#"
error: `when` is not a condition
  --> config.toml:7:27
   |
 7 | when = "form.a == 'ü' && reply.status == 200"
   |                           ^ unknown variable `reply`; here there are `request`, `form`

error: `accepted` is not a condition
  --> config.toml:9:18
   |
 9 |   reply.status ==
   |                  ^ the condition ends too early

error: `$.data[` is not a JSONPath (RFC 9535)
   --> config.toml:11:22
    |
 11 | id = { json = "$.data[" }
    |                      ^ not understood from here on
    = help: a member is `$.data.id`, all items are `$.files[*].id`
"#,
    );
}

#[test]
fn a_rule_that_takes_any_part_is_told_to_name_it() {
    shows(
        r#"app = { url = "http://a" }
dws = { api_key = { env = "KEY" } }
[documents.f]
source = "GET /f/{id}"
[[documents.f.upload]]
route = "POST /f/{id}"
[[documents.f.replace]]
route = "PUT /f/{id}"
file = { body = true }
"#,
        r#"
warning: any part of a form with a file name is taken
  --> config.toml:5:1
   |
 5 | [[documents.f.upload]]
   | ^^^^^^^^^^^^^^^^^^^^^^ a form where it is not plain to every reader which parts those are is left alone
   = help: name the part: file = { part = "file" }; or, if the body itself is the file, file = { body = true }
"#,
    );
}

#[test]
fn secrets_are_never_shown() {
    shows(
        r#"app = { url = "http://a", api_key = "hidden1" }
[dws]
api_key = "hidden2"
[[identity]]
name = "a"
algorithms = ["HS256"]
key = { secert = "hidden3", encoding = "utf8" }
issuer = "i"
audience = "a"
[documents]
"#,
        r#"
warning: no kind of document: every request passes through untouched
  --> config.toml
   = help: add a table `[documents.files]`

error: unknown key `api_key`
  --> config.toml:1:27
   |
 1 | app = { url = "http://a", api_key = ********* }
   |                           ^^^^^^^ expected `url`, `http2`, `rewrite_host`, `via`, `tls`, `origins`, `rewrite_origin`, `remember_decisions`, `limits` or `paths`

warning: a secret in the configuration itself
  --> config.toml:3:11
   |
 3 | api_key = *********
   |           ^^^^^^^^^ anybody who may read this file has it
   = help: use { env = "NAME" } or { file = "path" }

error: `key` does not say what it is
  --> config.toml:7:7
   |
 7 | key = { secert = *********, encoding = "utf8" }
   |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ did you mean `secret`?
"#,
    );
    shows(
        "[dws]\napi_key = \"hidden\n[app\n",
        r#"
error: not TOML: invalid basic string, expected `"`
  --> config.toml:2:18
   |
 2 | api_key = *******
   |                  ^

error: not TOML: unclosed table, expected `]`
  --> config.toml:3:5
   |
 3 | [app
   |     ^
"#,
    );
}

#[test]
fn what_waits_for_a_later_version_is_said() {
    shows(
        r#"app = { url = "http://a" }
dws = { api_key = { env = "KEY" } }
[documents.f]
source = "GET /f/{id}"
[[documents.f.upload]]
route = "POST /f/{id}"
mode = "divert"
file = { part = "f" }
"#,
        r#"
not available yet: keeping the bytes from the app (`mode = "divert"`)
  --> config.toml:7:1
   |
 7 | mode = "divert"
   | ^^^^ understood, and without effect in this version: remove it for now
"#,
    );
}
