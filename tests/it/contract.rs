//! Every answer against `openapi.yaml`, and `openapi.yaml` against the server.

use std::{collections::BTreeSet, sync::LazyLock};

use fer_serve::config::{Command, Config};
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::support::{Answer, Server, model};

/// `openapi.yaml` as it lies in the repository.
pub(crate) const TEXT: &str = include_str!("../../openapi.yaml");

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

/// What is documented for an answer with that status to that request; `None` if nothing is.
fn documented(method: &Method, path: &str, status: u16) -> Option<&'static Value> {
    let general = &spec()["x-other-requests"];
    let Some(item) = spec()["paths"].get(path) else {
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
    let body = if essence.ends_with("json") {
        answer.json()
    } else {
        json!(answer.text())
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
        assert!(
            known || ORDINARY.contains(&name.as_str()),
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

#[tokio::test]
async fn every_operation_is_served_and_every_route_is_described() {
    // The router cannot be asked for its routes; its source can.
    let source = include_str!("../../src/http/mod.rs");
    let routed: BTreeSet<_> = source
        .split(".route(\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    let described: BTreeSet<_> = operations().map(|(path, ..)| path).collect();
    assert_eq!(routed, described);

    let model = model::tiny();
    let server = Server::start(model.path(), &[]).await;
    for (path, item) in object(&spec()["paths"]) {
        let mut wanted: BTreeSet<_> = object(item).keys().map(|m| m.to_uppercase()).collect();
        if wanted.contains("GET") {
            wanted.insert("HEAD".to_owned());
        }
        // `Allow` says which methods the router has for the path: those described, no more and no fewer.
        for (method, status) in [(Method::OPTIONS, 204), (Method::DELETE, 405)] {
            let answer = server.send(server.request(method, path)).await;
            assert_eq!(answer.status, status, "{path}");
            let allowed = answer
                .header("allow")
                .split(',')
                .map(|m| m.trim().to_owned())
                .collect();
            assert_eq!(wanted, allowed, "{path}");
        }
    }
    // The labels of the metrics name the same routes.
    let metrics = server.get("/metrics").await;
    for path in described {
        assert!(metrics.text().contains(&format!("route=\"{path}\"")), "{path}");
    }
}

#[tokio::test]
async fn the_server_hands_out_the_description_itself() {
    let model = model::tiny();
    let server = Server::start(model.path(), &[]).await;
    let answer = server.get("/openapi.yaml").await;
    assert_eq!(answer.text(), TEXT);
    assert_eq!(answer.header("content-type"), "application/yaml");
    assert_eq!(spec()["info"]["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn every_object_says_what_else_it_may_hold() {
    fn walk(at: &str, value: &Value) {
        if let Some(map) = value.as_object() {
            if map.get("type") == Some(&json!("object")) && map.contains_key("properties") {
                let closed = map.contains_key("additionalProperties");
                assert!(closed, "{at} has no additionalProperties");
            }
            for (key, inner) in map.iter().filter(|(key, _)| *key != "examples") {
                walk(&format!("{at}/{key}"), inner);
            }
        }
        for (i, inner) in value.as_array().into_iter().flatten().enumerate() {
            walk(&format!("{at}/{i}"), inner);
        }
    }
    walk("", spec());
}

/// Every example under `content` with what it is an example of.
fn examples(content: &'static Value) -> Vec<(&'static str, &'static str, &'static Value, &'static Value)> {
    let mut found = Vec::new();
    for (media, described) in object(content) {
        for (name, example) in object(&described["examples"]) {
            found.push((
                media.as_str(),
                name.as_str(),
                &resolve(example)["value"],
                &described["schema"],
            ));
        }
    }
    found
}

#[test]
fn every_answer_has_a_valid_example() {
    let general = object(&spec()["x-other-requests"])
        .iter()
        .map(|(name, response)| (name.as_str(), response));
    let responses = operations()
        .flat_map(|(_, _, operation)| object(&operation["responses"]))
        .map(|(status, response)| (status.as_str(), response))
        .chain(general);
    for (status, response) in responses {
        let content = &resolve(response)["content"];
        let found = examples(content);
        assert!(
            content.is_null() || !found.is_empty(),
            "{status} {response} has no example"
        );
        let mut codes = BTreeSet::new();
        for (media, name, value, schema) in found {
            if let Some(errors) = violation(schema, value) {
                panic!("{status} {media} {name}: {errors}");
            }
            codes.extend(value["code"].as_str());
        }
        if content.get("application/problem+json").is_some() {
            let documented: BTreeSet<_> = codes_of(resolve(response)).into_iter().collect();
            assert_eq!(documented, codes, "{status}: each code wants an example");
        }
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

#[tokio::test]
async fn the_examples_of_requests_work() {
    let model = model::tiny();
    let server = Server::start(model.path(), &[]).await;
    let mut sent = 0;
    for (media, name, value, schema) in
        examples(&spec()["paths"]["/predict"]["post"]["requestBody"]["content"])
    {
        assert!(
            violation(schema, value).is_none(),
            "{name}: {:?}",
            violation(schema, value)
        );
        assert_eq!(media, "application/json");
        server.predict_json(value).await.ok();
        sent += 1;
    }
    assert!(sent >= 2, "an example of `image` and one of `images` are wanted");
}

#[test]
fn the_limits_it_names_are_the_defaults() {
    let Ok(Command::Run(config)) = Config::parse_from(["fer-serve"]) else {
        panic!("no defaults")
    };
    let limits = fer_serve::image::Limits::default();
    assert_eq!(limits.max_pixels, config.max_pixels);
    for (figure, text) in [
        (config.max_body >> 20, "At most 20 MiB and 64 pictures"),
        (config.max_images.get() as u64, "20 MiB and 64 pictures"),
        (config.max_pixels, "at most 50,000,000 pixels"),
        (config.body_timeout.as_secs(), "did not arrive in time (30 s)"),
        (config.request_timeout.as_secs(), "was not there in time (10 s)"),
    ] {
        assert!(TEXT.contains(text), "{text}");
        assert!(
            text.replace(',', "").contains(&figure.to_string()),
            "{figure}: {text}"
        );
    }
}
