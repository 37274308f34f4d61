use super::*;
use std::collections::VecDeque;
use tokio::{sync::mpsc, time::Instant};

/// A body of chunks of these sizes.
struct Chunks(VecDeque<usize>);

impl HttpBody for Chunks {
    type Data = Bytes;
    type Error = std::convert::Infallible;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(
            self.0
                .pop_front()
                .map(|n| Ok(Frame::data(Bytes::from(vec![7; n])))),
        )
    }
}

fn chunks(sizes: &[usize]) -> Body {
    Body::new(Chunks(sizes.iter().copied().collect()))
}

#[tokio::test]
async fn a_body_holds_its_share_of_memory_until_it_is_dropped() {
    let room = Arc::new(Semaphore::new(10));
    let held = collect(&room, chunks(&[1000, 25, 3000]), 1 << 20).await.unwrap();
    assert_eq!(held.bytes.len(), 4025);
    assert_eq!(room.available_permits(), 6);
    assert!(matches!(
        collect(&room, chunks(&[7000]), 1 << 20).await,
        Err(Refusal::NoRoom)
    ));
    assert_eq!(
        room.available_permits(),
        6,
        "a refused body gives back what it had"
    );
    drop(held);
    assert_eq!(room.available_permits(), 10);
}

#[tokio::test]
async fn the_limit_holds_without_a_content_length() {
    let room = Arc::new(Semaphore::new(1000));
    assert!(collect(&room, chunks(&[50, 50]), 100).await.is_ok());
    assert!(matches!(
        collect(&room, chunks(&[50, 51]), 100).await,
        Err(Refusal::TooLarge)
    ));
}

#[tokio::test]
async fn what_a_handler_leaves_is_kept_and_counted() {
    let (mut body, rest) = watch(chunks(&[10, 20, 30]));
    body.frame().await.unwrap().unwrap();
    assert_eq!(rest.received(), 10);
    drop(body);
    let kept = lock(&rest.0).rest.take().unwrap();
    assert_eq!(kept.collect().await.unwrap().to_bytes().len(), 50);
}

#[tokio::test]
async fn a_body_read_to_its_end_leaves_nothing() {
    let (body, rest) = watch(chunks(&[10, 20]));
    assert_eq!(body.collect().await.unwrap().to_bytes().len(), 30);
    assert_eq!(rest.received(), 30);
    assert!(lock(&rest.0).rest.is_none());
}

/// A body that is fed through a channel.
pub(in crate::http) fn fed() -> (mpsc::UnboundedSender<Bytes>, Body) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (sender, Body::new(Fed(receiver)))
}

struct Fed(mpsc::UnboundedReceiver<Bytes>);

impl HttpBody for Fed {
    type Data = Bytes;
    type Error = std::convert::Infallible;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(cx).map(|b| b.map(|b| Ok(Frame::data(b))))
    }
}

/// A body of which a handler read nothing.
fn left() -> (mpsc::UnboundedSender<Bytes>, Rest) {
    let (sender, body) = fed();
    let (body, rest) = watch(body);
    drop(body);
    (sender, rest)
}

#[tokio::test(start_paused = true)]
async fn what_is_left_is_taken_in_behind_the_answer_while_it_comes() {
    let start = Instant::now();
    let (sender, rest) = left();
    assert!(rest.discard(false, 100, 10 * PAUSE));
    assert_eq!(start.elapsed(), Duration::ZERO, "nobody waits for it");
    for _ in 0..4 {
        tokio::time::sleep(PAUSE / 2).await;
        assert!(sender.send(Bytes::from("x")).is_ok(), "it is still taken in");
        // So that the byte is seen before the clock goes on.
        tokio::task::yield_now().await;
    }
    sender.closed().await;
    assert_eq!(start.elapsed(), 3 * PAUSE, "it paused for too long");
}

#[tokio::test(start_paused = true)]
async fn what_is_left_is_taken_in_within_bounds() {
    let start = Instant::now();
    let (sender, rest) = left();
    assert!(rest.discard(false, 100, PAUSE / 2));
    sender.closed().await;
    assert_eq!(start.elapsed(), PAUSE / 2, "no longer than it may");
    let (sender, rest) = left();
    assert!(rest.discard(false, 100, PAUSE));
    sender.send(Bytes::from_static(&[7; 101])).unwrap();
    sender.closed().await;
    assert_eq!(start.elapsed(), PAUSE / 2, "and no more of it");
    let (sender, rest) = left();
    assert!(!rest.discard(true, 100, PAUSE), "it has not been begun");
    assert!(sender.is_closed());
    let (body, rest) = watch(chunks(&[1]));
    assert_eq!(body.collect().await.unwrap().to_bytes().len(), 1);
    assert!(rest.discard(true, 100, PAUSE), "all of it was read");
}
