//! `/livez`, `/readyz`, `/healthz`, and the server's life between start and end.

use fer_serve::server::Control;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::{
    Server,
    model::{self, Late},
    pictures,
};

#[tokio::test]
async fn a_server_is_alive_before_it_is_ready() {
    let (late, server) = Late::start(&[]).await;
    assert_eq!(server.get("/livez").await.ok(), json!({"status": "live"}));
    for path in ["/readyz", "/healthz", "/model"] {
        let answer = server.get(path).await;
        answer.problem(503, "not_ready");
        assert_eq!(answer.header("retry-after"), "1");
    }
    assert_eq!(server.get("/metrics").await.status, 200);
    let _folder = late.arrive();
    server.until("/readyz", |a| a.status == 200).await;
    for path in ["/readyz", "/healthz"] {
        assert_eq!(server.get(path).await.ok(), json!({"status": "ready"}));
    }
    assert_eq!(server.get("/model").await.ok()["name"], "tiny");
}

#[tokio::test]
async fn a_draining_server_is_alive_not_ready_and_still_answers() {
    let model = model::tiny();
    let server = Server::start(model.path(), &["--drain-delay", "1h"]).await;
    server.control(Control::Stop).await;
    let answer = server.until("/readyz", |a| a.status != StatusCode::OK).await;
    answer.problem(503, "draining");
    server.get("/healthz").await.problem(503, "draining");
    assert_eq!(server.get("/livez").await.status, 200);
    let answer = server.predict("image/png", pictures::face_png(0.0)).await;
    answer.ok();
    assert_eq!(answer.header("connection"), "close");
    // The second wish skips the delay.
    server.control(Control::Stop).await;
    assert_eq!(server.ended().await, Ok(()));
}

#[tokio::test]
async fn what_is_in_flight_at_the_end_is_finished() {
    let model = model::tiny();
    let server = Server::start(model.path(), &["--drain-delay", "0s", "--drain-timeout", "1h"]).await;
    let png = pictures::face_png(0.0);
    let mut begun = server.predict_begun(png.len()).await;
    server.control(Control::Stop).await;
    // The listener is closed before anything is waited for.
    while tokio::net::TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    begun.send(&png).await;
    let answer = begun.answer(&Method::POST, "/predict").await;
    answer.ok();
    assert_eq!(answer.header("connection"), "close");
    assert!(begun.closed().await);
    assert_eq!(server.ended().await, Ok(()));
}

#[tokio::test]
async fn what_never_ends_is_given_up_at_the_drain_timeout() {
    let model = model::tiny();
    let server = Server::start(model.path(), &["--drain-delay", "0s", "--drain-timeout", "10ms"]).await;
    let _begun = server.predict_begun(100).await;
    server.control(Control::Stop).await;
    assert_eq!(server.ended().await, Ok(()));
}

#[tokio::test]
async fn a_server_can_be_stopped_before_its_model_is_there() {
    let (_late, server) = Late::start(&["--drain-delay", "1h"]).await;
    assert_eq!(server.get("/livez").await.status, 200);
    server.control(Control::Stop).await;
    assert_eq!(server.ended().await, Ok(()));
}
