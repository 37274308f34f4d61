//! Every answer against `openapi.yaml`, and `openapi.yaml` against the server.

mod tests;

use std::{collections::BTreeSet, sync::LazyLock};

use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::support::Answer;

/// `openapi.yaml` as it lies in the repository.
pub(crate) const TEXT: &str = include_str!("../../../openapi.yaml");

/// Headers that HTTP itself brings along and that no API description lists.
const ORDINARY: [&str; 7] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "transfer-encoding",
    "vary",
];

/// The description, parsed.
pub(crate) fn spec() -> &'static Value {
    static SPEC: LazyLock<Value> = LazyLock::new(|| serde_yaml_ng::from_str(TEXT).unwrap());
    &SPEC
}

/// Follows `$ref`, if that is what stands there.
fn resolve(value: &'static Value) -> &'static Value {
    match value.get("$ref").and_then(Value::as_str) {
        Some(pointer) => {
            let found = spec().pointer(pointer.trim_start_matches('#'));
            resolve(found.unwrap_or_else(|| panic!("{pointer} leads nowhere")))
        }
        None => value,
    }
}

fn object(value: &'static Value) -> &'static Map<String, Value> {
    static NONE: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
    value.as_object().unwrap_or(&NONE)
}

/// Each operation: path, method in lower case, what the description says of it.
fn operations() -> impl Iterator<Item = (&'static str, &'static str, &'static Value)> {
    object(&spec()["paths"]).iter().flat_map(|(path, item)| {
        object(item)
            .iter()
            .map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

/// Whether a path is one of a template with `{…}` in it.
fn fits(template: &str, path: &str) -> bool {
    let (t, p) = (template.split('/'), path.split('/'));
    t.clone().count() == p.clone().count()
        && t.zip(p)
            .all(|(t, p)| t == p || (t.starts_with('{') && !p.is_empty()))
}

/// What is documented for an answer with that status to that request; `None` if nothing is.
fn documented(method: &Method, path: &str, status: u16) -> Option<&'static Value> {
    let general = &spec()["x-other-requests"];
    let template = object(&spec()["paths"]).iter().find(|(t, _)| fits(t, path));
    let Some((_, item)) = template else {
        return (status == 404).then(|| resolve(&general["unknown-path"]));
    };
    let method = if *method == Method::HEAD {
        "get".to_owned()
    } else {
        method.as_str().to_lowercase()
    };
    match item.get(&method) {
        Some(operation) => operation["responses"].get(status.to_string()).map(resolve),
        None if method == "options" && status == 204 => Some(resolve(&general["options"])),
        None => (status == 405).then(|| resolve(&general["other-method"])),
    }
}

/// What is wrong with a value under a schema of the description; `None` if nothing is.
fn violation(schema: &Value, value: &Value) -> Option<String> {
    let whole = json!({"allOf": [schema], "components": spec()["components"]});
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(&whole)
        .unwrap();
    let errors: Vec<_> = validator
        .iter_errors(value)
        .map(|e| format!("{}: {e}", e.instance_path()))
        .collect();
    (!errors.is_empty()).then(|| errors.join("\n"))
}

/// Fails if the answer is not one that the description promises for the request.
#[track_caller]
pub(crate) fn check(method: &Method, path: &str, answer: &Answer) {
    let status = answer.status.as_u16();
    let about = format!(
        "{method} {path} → {status} {:?}",
        String::from_utf8_lossy(&answer.body)
    );
    let response = documented(method, path, status).unwrap_or_else(|| panic!("not documented: {about}"));
    check_headers(response, answer, &about);
    let length = answer
        .headers
        .get("content-length")
        .map(|v| v.to_str().unwrap().parse::<usize>().unwrap());
    if *method == Method::HEAD {
        assert!(answer.body.is_empty(), "a body for HEAD: {about}");
    } else if let Some(length) = length {
        assert_eq!(length, answer.body.len(), "{about}");
    }
    let content = object(&response["content"]);
    if content.is_empty() {
        assert!(answer.body.is_empty(), "no body is documented: {about}");
        return;
    }
    let media = answer.header("content-type");
    let essence = media.split(';').next().unwrap_or_default().trim();
    let described = content
        .iter()
        .find(|(name, _)| name.split(';').next() == Some(essence))
        .unwrap_or_else(|| panic!("{media} is not documented: {about}"))
        .1;
    if *method == Method::HEAD {
        return;
    }
    let body = match essence.rsplit(['/', '+']).next() {
        Some("json") => answer.json(),
        Some("yaml") => serde_yaml_ng::from_str(answer.text()).unwrap(),
        Some("jpeg") => json!(String::from_utf8_lossy(&answer.body)),
        _ => json!(answer.text()),
    };
    if let Some(errors) = violation(&described["schema"], &body) {
        panic!("{about}\n{errors}");
    }
    if essence == "application/problem+json" {
        assert_eq!(body["status"], status, "{about}");
        assert_eq!(body["request_id"], answer.header("x-request-id"), "{about}");
        assert_nothing_internal(&body);
    }
}

#[track_caller]
fn check_headers(response: &'static Value, answer: &Answer, about: &str) {
    let described = object(&response["headers"]);
    for (name, header) in described {
        let header = resolve(header);
        let Some(value) = answer.headers.get(name) else {
            assert!(header["required"] != true, "no {name} header: {about}");
            continue;
        };
        let text = value.to_str().unwrap();
        let typed = match resolve(&header["schema"])["type"].as_str() {
            Some("integer") => text.parse::<i64>().map_or_else(|_| json!(text), |n| json!(n)),
            _ => json!(text),
        };
        if let Some(errors) = violation(&header["schema"], &typed) {
            panic!("header {name}: {text:?}: {errors}: {about}");
        }
    }
    for name in answer.headers.keys() {
        let known = described.keys().any(|d| d.eq_ignore_ascii_case(name.as_str()));
        // CORS is between browsers and the server, and only where the operator wants it.
        let cors = name.as_str().starts_with("access-control-");
        assert!(
            known || cors || ORDINARY.contains(&name.as_str()),
            "header {name} is not documented: {about}"
        );
    }
}

/// Fails if what a problem says to people tells of the server's inside.
#[track_caller]
pub(crate) fn assert_nothing_internal(problem: &Value) {
    let text = format!("{} {}", problem["title"], problem["detail"]);
    for word in [
        "panic", "libtorch", "torch", "tch", "tokio", "hyper", "axum", "serde", "multer", "zune", "unwrap",
        ".rs", "src/", "/tmp", "/home", "/root", "c10", "Error {", "Err(",
    ] {
        assert!(!text.contains(word), "{word:?} in {text}");
    }
}

/// The values of `code` that a documented answer may have.
fn codes_of(response: &'static Value) -> Vec<&'static str> {
    let schema = resolve(&response["content"]["application/problem+json"]["schema"]);
    let narrowed = schema["allOf"].as_array().into_iter().flatten();
    narrowed
        .filter_map(|s| s["properties"]["code"]["enum"].as_array())
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// Every documented error of an operation as status and code.
pub(crate) fn documented_errors(path: &str, method: &str) -> BTreeSet<(u16, String)> {
    let responses = object(&spec()["paths"][path][method]["responses"]);
    responses
        .iter()
        .flat_map(|(status, response)| {
            let status = status.parse().unwrap();
            codes_of(resolve(response))
                .into_iter()
                .map(move |code| (status, code.to_owned()))
        })
        .collect()
}
