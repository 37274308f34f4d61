use std::{pin::Pin, task::Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::sync::mpsc;

use super::*;
use crate::http::body::testing::fed;

#[tokio::test]
async fn the_longest_idle_is_evicted_and_never_one_with_a_request() {
    let limit = ConnectionLimit::new(3);
    let (first, second, third) = (limit.admit().await, limit.admit().await, limit.admit().await);
    let busy = first.request();
    // Its request has ended: it is idle for less time than the third.
    drop(second.request());
    let admitted = tokio::spawn({
        let limit = Arc::clone(&limit);
        async move { limit.admit().await }
    });
    third.evicted().await;
    assert!(!first.evicted.is_cancelled() && !second.evicted.is_cancelled());
    drop(third);
    let fourth = admitted.await.unwrap();
    assert_eq!(limit.idle.lock().len(), 2, "the second and the fourth");

    assert!(limit.evict_idlest() && second.evicted.is_cancelled());
    assert!(limit.evict_idlest() && fourth.evicted.is_cancelled());
    assert!(!limit.evict_idlest(), "the first has a request in flight");
    drop(busy);
    assert!(limit.evict_idlest());
    first.evicted().await;
    drop((first, second, fourth));
    assert_eq!(limit.permits.available_permits(), 3);
}

#[tokio::test]
async fn a_closed_connection_is_not_evicted() {
    let limit = ConnectionLimit::new(2);
    let (idle, busy) = (limit.admit().await, limit.admit().await);
    let request = busy.request();
    drop((idle, busy));
    assert!(!limit.evict_idlest() && limit.permits.available_permits() == 1);
    // An HTTP/2 request may end after its connection.
    drop(request);
    assert!(!limit.evict_idlest() && limit.permits.available_permits() == 2);
}

#[tokio::test(start_paused = true)]
async fn an_evicted_connection_answers_first() {
    let limit = ConnectionLimit::new(1);
    let connection = limit.admit().await;
    assert!(limit.evict_idlest());
    let late = connection.request();
    let evicted = tokio::time::timeout(Duration::from_secs(5), connection.evicted());
    assert!(evicted.await.is_err(), "its request is still in flight");
    drop(late);
    connection.evicted().await;
}

/// Whether no more of the body has arrived.
async fn is_awaited(body: &mut Body) -> bool {
    std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut *body).poll_frame(cx).is_pending())).await
}

/// A request that waits for its body, and the channel through which its client sends it.
async fn upload(connection: &Arc<Connection>) -> (RequestGuard, Body, mpsc::UnboundedSender<Bytes>) {
    let (sender, body) = fed();
    let request = connection.request();
    let mut body = request.tap(body);
    assert!(is_awaited(&mut body).await);
    (request, body, sender)
}

#[tokio::test(start_paused = true)]
async fn a_paused_upload_is_evicted_after_the_idle_and_the_longest_first() {
    let limit = ConnectionLimit::new(4);
    let (first, second) = (limit.admit().await, limit.admit().await);
    let (_first, mut body, client) = upload(&first).await;
    let (_second, _body, _client) = upload(&second).await;
    tokio::time::sleep(BODY_GRACE / 2).await;
    let (idle, fresh) = (limit.admit().await, limit.admit().await);
    client.send(Bytes::from("x")).unwrap();
    body.frame().await.unwrap().unwrap();
    assert_eq!(limit.idle.lock().len(), 3, "an upload that continues is not idle");
    assert!(is_awaited(&mut body).await);

    assert!(limit.evict_idlest() && idle.evicted.is_cancelled());
    assert!(!first.evicted.is_cancelled() && !second.evicted.is_cancelled());
    // An upload that stopped long ago is evicted before a connection that is idle since a moment ago.
    tokio::time::sleep(BODY_GRACE * 3 / 4).await;
    drop(fresh.request());
    assert!(limit.evict_idlest() && second.evicted.is_cancelled());
    second.evicted().await;
    assert!(limit.evict_idlest() && fresh.evicted.is_cancelled());
    assert!(limit.evict_idlest() && first.evicted.is_cancelled());
    assert!(!limit.evict_idlest());
}

#[tokio::test(start_paused = true)]
async fn a_connection_stays_while_one_of_its_requests_has_work() {
    let limit = ConnectionLimit::new(1);
    let connection = limit.admit().await;
    let (one, body, client) = upload(&connection).await;
    let other = connection.request();
    assert!(!limit.evict_idlest(), "the other has work");
    drop(other);
    assert!(limit.evict_idlest());
    // The rest arrives after all.
    drop(client);
    assert!(body.collect().await.unwrap().to_bytes().is_empty());
    let evicted = tokio::time::timeout(BODY_GRACE, connection.evicted());
    assert!(evicted.await.is_err(), "its request has work");
    drop(one);
    connection.evicted().await;
}

#[tokio::test(start_paused = true)]
async fn a_body_discarded_after_the_answer_is_no_request() {
    let limit = ConnectionLimit::new(1);
    let connection = limit.admit().await;
    let (request, mut body, client) = upload(&connection).await;
    drop(request);
    client.send(Bytes::from("x")).unwrap();
    body.frame().await.unwrap().unwrap();
    assert!(!connection.activity.lock().has_work() && limit.evict_idlest());
    drop(body);
    connection.evicted().await;
    {
        let activity = connection.activity.lock();
        assert_eq!((activity.requests, activity.awaiting), (0, 0));
    }
    // A body that has arrived, or is empty, is not waited for.
    let request = connection.request();
    assert!(request.tap(Body::empty()).frame().await.is_none());
    let body = request.tap(Body::from("abc"));
    assert_eq!(body.collect().await.unwrap().to_bytes(), "abc");
    assert!(connection.activity.lock().has_work());
}
