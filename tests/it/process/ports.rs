//! The second port, and what the log says of secrets.

use std::{fs::Permissions, net::SocketAddr, os::unix::fs::PermissionsExt};

use reqwest::{Client, Method, RequestBuilder, Url};
use serde_json::{Value, json};

use super::Process;
use crate::support::{Answer, model, pictures};

async fn send(request: RequestBuilder) -> Answer {
    let (client, request) = request.build_split();
    let request = request.unwrap();
    let (method, path) = (request.method().clone(), request.url().path().to_owned());
    let response = client.execute(request).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let body = response.bytes().await.unwrap().to_vec();
    // What has left the main port is no path there any more.
    if status == 404 {
        return Answer {
            status,
            headers,
            body,
        };
    }
    Answer::checked(&method, &path, status, headers, body)
}

fn request(address: SocketAddr, method: Method, path: &str) -> RequestBuilder {
    let client = Client::builder().no_proxy().build().unwrap();
    client.request(method, Url::parse(&format!("http://{address}{path}")).unwrap())
}

async fn get(address: SocketAddr, path: &str) -> Answer {
    send(request(address, Method::GET, path)).await
}

/// Starts a process with a second port; its address.
async fn start(model: &std::path::Path, more: &[&str]) -> (Process, SocketAddr) {
    let flags = [&["--admin-listen", "127.0.0.1:0", "--drain-delay", "1h"], more].concat();
    let process = Process::start(model, &flags).await;
    let admin = process.seen("listening for metrics and administration");
    let admin = admin["address"].as_str().unwrap().parse().unwrap();
    (process, admin)
}

#[tokio::test]
async fn a_second_port_takes_metrics_and_administration_from_the_first() {
    let folder = model::tiny();
    let (mut process, admin) = start(folder.path(), &[]).await;
    let main = process.address;
    for (path, on_main, on_admin) in [
        ("/livez", 200, 200),
        ("/readyz", 200, 200),
        ("/healthz", 200, 200),
        ("/model", 200, 404),
        ("/", 200, 404),
        ("/metrics", 404, 200),
        ("/admin/reload", 404, 405),
    ] {
        assert_eq!(get(main, path).await.status, on_main, "{path}");
        assert_eq!(get(admin, path).await.status, on_admin, "{path}");
    }
    let predict = request(main, Method::POST, "/predict").body(pictures::face_png(0.0));
    send(predict).await.ok();
    let text = get(admin, "/metrics").await;
    let counted = "fer_http_requests_total{method=\"POST\",route=\"/predict\",status=\"200\"} 1\n";
    assert!(text.text().contains(counted), "{}", text.text());

    model::write_manifest(folder.path(), |m| m["version"] = json!("8"));
    let reload = || request(admin, Method::POST, "/admin/reload");
    assert_eq!(send(reload()).await.ok()["model"]["version"], "8");
    std::fs::write(folder.path().join("model.json"), "{}").unwrap();
    send(reload()).await.problem(422, "reload_refused");
    assert_eq!(get(main, "/model").await.ok()["version"], "8");

    // It answers to the end of a drain.
    process.signal("TERM");
    process.logged("draining; a second signal skips the delay").await;
    get(admin, "/readyz").await.problem(503, "draining");
    assert_eq!(get(admin, "/metrics").await.status, 200);
    process.signal("TERM");
    assert_eq!(process.exit_code().await, Some(0));
}

#[tokio::test]
async fn keys_are_wanted_on_the_second_port_too_and_the_log_has_none() {
    let folder = model::tiny();
    let keys = folder.path().join("keys");
    let key = "a-secret-key-0123456789";
    std::fs::write(&keys, key).unwrap();
    let (mut process, admin) = start(
        folder.path(),
        &["--api-keys", keys.to_str().unwrap(), "--log", "debug"],
    )
    .await;
    send(request(admin, Method::POST, "/admin/reload"))
        .await
        .problem(401, "unauthorized");
    send(request(admin, Method::POST, "/admin/reload").bearer_auth(key))
        .await
        .ok();
    send(request(process.address, Method::GET, "/model").bearer_auth("a-wrong-secret"))
        .await
        .problem(401, "unauthorized");
    assert_eq!(get(admin, "/metrics").await.status, 200);
    let configuration: Value = process.seen("configuration");
    assert_eq!(configuration["api_keys"], "given");
    process.signal("TERM");
    process.signal("INT");
    process.logged("ended").await;
    assert!(
        process.lines.iter().all(|line| !line.contains("secret")),
        "{:#?}",
        process.lines
    );
}

#[tokio::test]
async fn keys_that_every_user_can_write_are_warned_of_at_the_start_and_at_a_reload() {
    const WARNING: &str =
        "every user of this machine can write the file of API keys; take that right away (chmod o-w)";
    let folder = model::tiny();
    let keys = folder.path().join("keys");
    std::fs::write(&keys, "a-secret-key-0123456789").unwrap();
    std::fs::set_permissions(&keys, Permissions::from_mode(0o666)).unwrap();
    let flags = ["--api-keys", keys.to_str().unwrap()];
    let mut process = Process::start(folder.path(), &flags).await;
    let warning = process.seen(WARNING);
    assert_eq!(warning["level"], "WARN");
    assert_eq!(warning["file"], keys.to_str().unwrap());
    process.signal("HUP");
    process.logged(WARNING).await;
    process.logged("model loaded and warmed up").await;

    std::fs::set_permissions(&keys, Permissions::from_mode(0o664)).unwrap();
    process.signal("HUP");
    process.logged("API keys read again").await;
    process.signal("TERM");
    process.signal("TERM");
    process.logged("ended").await;
    let warnings = process.lines.iter().filter(|line| line.contains(WARNING));
    assert_eq!(warnings.count(), 2);
}
