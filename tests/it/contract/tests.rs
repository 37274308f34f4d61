//! `openapi.yaml` against the server, and the check itself.

use std::collections::BTreeSet;

use fer_serve::config::{Command, Config};
use reqwest::Method;
use serde_json::{Value, json};

use super::{TEXT, check, codes_of, object, operations, resolve, spec, violation};
use crate::support::{Answer, Server, model};

#[tokio::test]
async fn every_operation_is_served_and_every_route_is_described() {
    let routed: BTreeSet<_> = fer_serve::routes()
        .iter()
        .map(|route| {
            let statuses: BTreeSet<_> = route.statuses.iter().map(u16::to_string).collect();
            (
                route.path,
                route.method.as_str().to_lowercase(),
                statuses,
                route.guarded,
            )
        })
        .collect();
    let described: BTreeSet<_> = operations()
        .map(|(path, method, operation)| {
            let statuses = object(&operation["responses"]).keys().cloned().collect();
            let open = operation["security"].as_array().is_some_and(Vec::is_empty);
            (path, method.to_owned(), statuses, !open)
        })
        .collect();
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
    for (path, ..) in described {
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
    assert_eq!(server.get("/openapi.json").await.ok(), *spec());
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
    assert!(
        sent >= 2,
        "an example of `image` and one of `images` are required"
    );
}

#[test]
fn the_limits_it_names_are_the_defaults() {
    let Ok(Command::Run(config)) = Config::parse_from(["fer-serve"]) else {
        panic!("no defaults")
    };
    let limits = fer_image::Limits::default();
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

#[test]
fn the_check_refuses_what_is_not_described() {
    let scores = json!({
        "emotion": "sad", "confidence": 0.4,
        "probabilities": {
            "angry": 0.1, "disgust": 0.1, "fear": 0.1, "happy": 0.1, "sad": 0.4, "surprise": 0.1, "neutral": 0.1,
        },
        "model": {"name": "a", "version": "b"},
    });
    let answer = |change: fn(&mut Value), without: &str, with: &'static str| {
        let mut body = scores.clone();
        change(&mut body);
        let mut headers = reqwest::header::HeaderMap::new();
        for (name, value) in [
            ("content-type", "application/json"),
            ("x-request-id", "1"),
            ("server-timing", "decode;dur=1.0, queue;dur=0.001, infer;dur=2"),
            (with, "1"),
        ] {
            if name != without {
                headers.insert(name, value.parse().unwrap());
            }
        }
        Answer {
            status: reqwest::StatusCode::OK,
            headers,
            body: body.to_string().into_bytes(),
        }
    };
    let refused = |path: &'static str, answer: Answer| {
        std::panic::catch_unwind(|| check(&Method::POST, path, &answer)).is_err()
    };
    assert!(!refused("/predict", answer(|_| {}, "", "date")));
    assert!(refused("/livez", answer(|_| {}, "", "date")), "another method");
    assert!(refused("/elsewhere", answer(|_| {}, "", "date")), "another path");
    assert!(
        refused("/predict", answer(|_| {}, "x-request-id", "date")),
        "no id"
    );
    assert!(
        refused("/predict", answer(|_| {}, "content-type", "date")),
        "no type"
    );
    assert!(
        refused("/predict", answer(|_| {}, "", "server-timing")),
        "a header of another form"
    );
    assert!(
        refused("/predict", answer(|_| {}, "", "x-inside")),
        "an unknown header"
    );
    let changes: [fn(&mut Value); 5] = [
        |b| b["x"] = json!(1),
        |b| b["confidence"] = json!(1.5),
        |b| b["emotion"] = json!("bored"),
        |b| b["probabilities"]["bored"] = json!(0.0),
        |b| b["model"] = json!(null),
    ];
    for (i, change) in changes.into_iter().enumerate() {
        assert!(refused("/predict", answer(change, "", "date")), "change {i}");
    }
}
