use http_body_util::BodyExt;
use tokio::sync::mpsc;

use super::*;
use crate::http::body::tests::fed;

#[tokio::test]
async fn the_one_that_waited_longest_leaves_and_never_one_with_a_request() {
    let guests = Guests::new(3);
    let (first, second, third) = (guests.admit().await, guests.admit().await, guests.admit().await);
    let busy = first.request();
    // Its request is over: it has waited for less time than the third.
    drop(second.request());
    let admitted = tokio::spawn({
        let guests = Arc::clone(&guests);
        async move { guests.admit().await }
    });
    third.asked_to_leave().await;
    assert!(!first.leave.is_cancelled() && !second.leave.is_cancelled());
    drop(third);
    let fourth = admitted.await.unwrap();
    assert_eq!(lock(&guests.waiting).len(), 2, "the second and the fourth");

    assert!(guests.send_one_away() && second.leave.is_cancelled());
    assert!(guests.send_one_away() && fourth.leave.is_cancelled());
    assert!(!guests.send_one_away(), "the first has a request in flight");
    drop(busy);
    assert!(guests.send_one_away());
    first.asked_to_leave().await;
    drop((first, second, fourth));
    assert_eq!(guests.room.available_permits(), 3);
}

#[tokio::test]
async fn nobody_who_has_gone_is_asked_to_leave() {
    let guests = Guests::new(2);
    let (idle, busy) = (guests.admit().await, guests.admit().await);
    let request = busy.request();
    drop((idle, busy));
    assert!(!guests.send_one_away() && guests.room.available_permits() == 1);
    // An HTTP/2 request may end after its connection.
    drop(request);
    assert!(!guests.send_one_away() && guests.room.available_permits() == 2);
}

#[tokio::test(start_paused = true)]
async fn who_is_asked_to_leave_answers_first() {
    let guests = Guests::new(1);
    let guest = guests.admit().await;
    assert!(guests.send_one_away());
    let late = guest.request();
    let asked = tokio::time::timeout(Duration::from_secs(5), guest.asked_to_leave());
    assert!(asked.await.is_err(), "its request is still in flight");
    drop(late);
    guest.asked_to_leave().await;
}

/// Whether nothing of the body is there yet.
async fn is_awaited(body: &mut Body) -> bool {
    std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut *body).poll_frame(cx).is_pending())).await
}

/// A request of the guest whose body is awaited, and what its client sends it through.
async fn upload(guest: &Arc<Guest>) -> (InFlight, Body, mpsc::UnboundedSender<Bytes>) {
    let (sender, body) = fed();
    let request = guest.request();
    let mut body = request.awaited(body);
    assert!(is_awaited(&mut body).await);
    (request, body, sender)
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_pauses_goes_after_the_idle_and_the_longest_first() {
    let guests = Guests::new(4);
    let (first, second) = (guests.admit().await, guests.admit().await);
    let (_first, mut body, client) = upload(&first).await;
    let (_second, _body, _client) = upload(&second).await;
    tokio::time::sleep(PATIENCE / 2).await;
    let (idle, fresh) = (guests.admit().await, guests.admit().await);
    client.send(Bytes::from("x")).unwrap();
    body.frame().await.unwrap().unwrap();
    assert_eq!(lock(&guests.waiting).len(), 3, "who goes on is busy");
    assert!(is_awaited(&mut body).await);

    assert!(guests.send_one_away() && idle.leave.is_cancelled());
    assert!(!first.leave.is_cancelled() && !second.leave.is_cancelled());
    // An idle one that has only just come stays, and who stopped sending long ago goes.
    tokio::time::sleep(PATIENCE * 3 / 4).await;
    drop(fresh.request());
    assert!(guests.send_one_away() && second.leave.is_cancelled());
    second.asked_to_leave().await;
    assert!(guests.send_one_away() && fresh.leave.is_cancelled());
    assert!(guests.send_one_away() && first.leave.is_cancelled());
    assert!(!guests.send_one_away());
}

#[tokio::test(start_paused = true)]
async fn nobody_goes_while_one_of_its_requests_is_worked_on() {
    let guests = Guests::new(1);
    let guest = guests.admit().await;
    let (one, body, client) = upload(&guest).await;
    let other = guest.request();
    assert!(!guests.send_one_away(), "the other is worked on");
    drop(other);
    assert!(guests.send_one_away());
    // The rest comes after all.
    drop(client);
    assert!(body.collect().await.unwrap().to_bytes().is_empty());
    let asked = tokio::time::timeout(PATIENCE, guest.asked_to_leave());
    assert!(asked.await.is_err(), "its request is worked on");
    drop(one);
    guest.asked_to_leave().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_in_after_the_answer_is_no_request() {
    let guests = Guests::new(1);
    let guest = guests.admit().await;
    let (request, mut body, client) = upload(&guest).await;
    drop(request);
    client.send(Bytes::from("x")).unwrap();
    body.frame().await.unwrap().unwrap();
    assert!(!lock(&guest.busy).has_work() && guests.send_one_away());
    drop(body);
    guest.asked_to_leave().await;
    {
        let busy = lock(&guest.busy);
        assert_eq!((busy.requests, busy.awaiting), (0, 0));
    }
    // A body that is there, or is none, is not waited for.
    let request = guest.request();
    assert!(request.awaited(Body::empty()).frame().await.is_none());
    let body = request.awaited(Body::from("abc"));
    assert_eq!(body.collect().await.unwrap().to_bytes(), "abc");
    assert!(lock(&guest.busy).has_work());
}
