//! `POST /admin/reload`: who may, and what it answers.

use reqwest::Method;
use serde_json::json;

use super::{KEY, Keys, OTHER, keyed, predict, reload};
use crate::support::{
    Server,
    model::{self, Late},
};

#[tokio::test]
async fn without_keys_or_a_second_port_nobody_may_reload() {
    let folder = model::tiny();
    let server = Server::start(folder.path(), &[]).await;
    let answer = server.send(server.request(Method::POST, "/admin/reload")).await;
    let body = answer.problem(403, "admin_closed");
    let detail = body["detail"].as_str().unwrap();
    assert!(
        detail.contains("--admin-listen") && detail.contains("--api-keys"),
        "{detail}"
    );
}

#[tokio::test]
async fn a_reload_answers_with_the_new_model_or_with_what_is_wrong() {
    let keys = Keys::new(KEY);
    let (folder, server) = keyed(&keys, &[]).await;
    let before = predict(&server, KEY).await.ok();
    model::write_manifest(folder.path(), |m| m["version"] = json!("8"));
    let answer = reload(&server, KEY).await;
    assert_eq!(
        answer.ok(),
        json!({"model": {"name": "tiny", "version": "8"}, "engine": "torchscript", "precision": "f32", "device": "cpu"})
    );
    let after = predict(&server, KEY).await.ok();
    assert_eq!(after["model"]["version"], "8");
    assert_eq!(after["probabilities"], before["probabilities"]);

    let weights = folder.path().join("model.pt");
    let whole = std::fs::read(&weights).unwrap();
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let five = model::folder(|x| x.flatten(1, -1).narrow(1, 0, 5));
    let five = std::fs::read(five.path().join("model.pt")).unwrap();
    let text = b"weights".to_vec();
    // What is done to the folder, and words of the refusal. The manifest is written for the file where it is the
    // file's content that is wrong.
    type Spoil<'a> = Box<dyn Fn() + 'a>;
    let path = folder.path();
    let spoils: Vec<(Spoil<'_>, &[&str])> = vec![
        (
            Box::new(|| std::fs::write(&weights, &flipped).unwrap()),
            &["model.pt", "SHA-256"],
        ),
        (
            Box::new(|| std::fs::write(&weights, &whole[..100]).unwrap()),
            &["model.pt", "100 bytes"],
        ),
        (
            Box::new(|| std::fs::remove_file(&weights).unwrap()),
            &["model.pt", "no such file"],
        ),
        (
            Box::new(|| {
                std::fs::write(&weights, &five).unwrap();
                model::write_manifest(path, |_| {});
            }),
            &["[2, 5]", "[2, 7]"],
        ),
        (
            Box::new(|| {
                std::fs::write(&weights, &text).unwrap();
                model::write_manifest(path, |_| {});
            }),
            &["cannot be run", "log"],
        ),
        (
            Box::new(|| model::write_manifest(path, |m| m["labels"][0] = json!("happy"))),
            &["model.json", "labels", "angry"],
        ),
        (
            Box::new(|| model::write_manifest(path, |m| m["input"]["width"] = json!(64))),
            &["model.json", "64×48×1"],
        ),
        (
            Box::new(|| std::fs::remove_file(path.join("model.json")).unwrap()),
            &["model.json", "no such file"],
        ),
    ];
    let count = spoils.len();
    for (spoil, words) in spoils {
        spoil();
        let body = reload(&server, KEY).await.problem(422, "reload_refused");
        let detail = body["detail"].as_str().unwrap();
        for word in words.iter().chain(&["the old one goes on"]) {
            assert!(detail.contains(word), "{word} is not in {detail}");
        }
        assert!(!detail.contains(path.to_str().unwrap()), "{detail}");
        assert_eq!(predict(&server, KEY).await.ok(), after);
        std::fs::write(&weights, &whole).unwrap();
        model::write_manifest(path, |m| m["version"] = json!("8"));
    }
    assert_eq!(server.get("/readyz").await.status, 200);
    let failures = server
        .metric(r#"fer_model_reloads_total{result="failure"}"#)
        .await;
    #[allow(clippy::cast_precision_loss)]
    let count = count as f64;
    assert!((failures - count).abs() < f64::EPSILON, "{failures}");
    reload(&server, KEY).await.ok();
}

#[tokio::test]
async fn a_fifo_in_the_place_of_a_file_holds_up_neither_reloads_nor_keys() {
    let keys = Keys::new(KEY);
    let (folder, server) = keyed(&keys, &[]).await;
    let refusal = async |key: &str| {
        let body = reload(&server, key).await.problem(422, "reload_refused");
        body["detail"].as_str().unwrap().to_owned()
    };
    for (n, name) in ["model.pt", "model.json"].into_iter().enumerate() {
        let (file, kept) = (folder.path().join(name), folder.path().join("kept"));
        let (before, after) = if n == 0 { (KEY, OTHER) } else { (OTHER, KEY) };
        std::fs::rename(&file, &kept).unwrap();
        model::replace_by_fifo(&file);
        keys.write(after);
        let detail = refusal(before).await;
        let words = format!("{name}: is not a regular file");
        assert!(detail.contains(&words), "{detail}");
        predict(&server, before).await.problem(401, "unauthorized");
        predict(&server, after).await.ok();
        std::fs::rename(&kept, &file).unwrap();
        reload(&server, after).await.ok();
    }
    model::replace_by_fifo(&keys.path());
    let detail = refusal(KEY).await;
    assert!(
        detail.contains("API keys") && detail.contains("the file is not a regular file"),
        "{detail}"
    );
    predict(&server, KEY).await.ok();
}

#[tokio::test]
async fn reloads_asked_for_at_once_are_all_answered() {
    let keys = Keys::new(KEY);
    let (_folder, server) = keyed(&keys, &[]).await;
    let answers = futures_join((0..5).map(|_| reload(&server, KEY))).await;
    for answer in answers {
        assert_eq!(answer.ok()["model"]["version"], "7");
    }
    let loads = server
        .metric(r#"fer_model_reloads_total{result="success"}"#)
        .await;
    assert!((1.0..=5.0).contains(&loads), "{loads}");
}

/// All at once on this task; the outputs in their order.
async fn futures_join<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut pinned: Vec<_> = futures.map(|f| (Box::pin(f), None)).collect();
    std::future::poll_fn(move |cx| {
        for (future, output) in &mut pinned {
            if output.is_none()
                && let std::task::Poll::Ready(done) = future.as_mut().poll(cx)
            {
                *output = Some(done);
            }
        }
        if pinned.iter().all(|(_, output)| output.is_some()) {
            return std::task::Poll::Ready(
                pinned
                    .iter_mut()
                    .filter_map(|(_, output)| output.take())
                    .collect(),
            );
        }
        std::task::Poll::Pending
    })
    .await
}

#[tokio::test]
async fn there_is_nothing_to_reload_before_the_first_model() {
    let keys = Keys::new(KEY);
    let path = keys.path();
    let (_late, server) = Late::start(&["--api-keys", path.to_str().unwrap()]).await;
    reload(&server, KEY).await.problem(503, "not_ready");
}
