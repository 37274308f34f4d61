//! What a handler leaves unread of a body: read and discarded after the answer, so that the client can read the answer.

use std::{sync::Arc, task::Poll, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body as _;
use parking_lot::Mutex;

use super::tap::{FramePoll, Observer, tap};

/// The longest pause of a client within a body that is being discarded.
const PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
struct State {
    received: u64,
    polled: bool,
    rest: Option<Body>,
}

/// Counts what the handler reads and keeps what it leaves.
struct Watch(Arc<Mutex<State>>);

/// Knows what the handler of a request has read of the body, and what not.
#[derive(Debug)]
pub(crate) struct Unread(Arc<Mutex<State>>);

pub(crate) fn watch(body: Body) -> (Body, Unread) {
    let state = Arc::<Mutex<State>>::default();
    if body.is_end_stream() {
        return (body, Unread(state));
    }
    (tap(body, Watch(Arc::clone(&state))), Unread(state))
}

impl Observer for Watch {
    fn polled(&mut self, frame: FramePoll) -> FramePoll {
        let mut state = self.0.lock();
        state.polled = true;
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            state.received += frame.data_ref().map_or(0, Bytes::len) as u64;
        }
        drop(state);
        frame
    }

    fn dropped(&mut self, rest: Option<Body>) {
        if let Some(body) = rest.filter(|b| !b.is_end_stream()) {
            self.0.lock().rest = Some(body);
        }
    }
}

impl Unread {
    pub(crate) fn received(&self) -> u64 {
        self.0.lock().received
    }

    /// Reads and discards what was left unread, in the background: at most `limit` bytes, for at most `time`, and not
    /// beyond a pause of [`PAUSE`]. Many clients read the answer only after they have sent their whole request; if the
    /// connection were closed before that, the kernel would answer with a reset that overtakes the response.
    ///
    /// Returns false if the rest is not read and the connection has to end: it is longer than `limit`, or the client
    /// still waits for `100 Continue` (`expects_continue`, and the handler has not polled the body).
    pub(crate) fn discard(self, expects_continue: bool, limit: u64, time: Duration) -> bool {
        let (rest, polled) = {
            let mut state = self.0.lock();
            (state.rest.take(), state.polled)
        };
        let Some(body) = rest else { return true };
        if (expects_continue && !polled) || body.size_hint().lower() > limit {
            return false;
        }
        tokio::spawn(tokio::time::timeout(time, read_and_discard(body, limit)));
        true
    }
}

async fn read_and_discard(mut body: Body, limit: u64) {
    let mut read = 0u64;
    while let Ok(Some(Ok(frame))) = tokio::time::timeout(PAUSE, body.frame()).await {
        read = read.saturating_add(frame.data_ref().map_or(0, Bytes::len) as u64);
        if read > limit {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{sync::mpsc, time::Instant};

    use super::*;
    use crate::http::body::testing::{chunks, fed};

    #[tokio::test]
    async fn what_a_handler_leaves_is_kept_and_counted() {
        let (mut body, rest) = watch(chunks(&[10, 20, 30]));
        body.frame().await.unwrap().unwrap();
        assert_eq!(rest.received(), 10);
        drop(body);
        let kept = rest.0.lock().rest.take().unwrap();
        assert_eq!(kept.collect().await.unwrap().to_bytes().len(), 50);
    }

    #[tokio::test]
    async fn a_body_read_to_its_end_leaves_nothing() {
        let (body, rest) = watch(chunks(&[10, 20]));
        assert_eq!(body.collect().await.unwrap().to_bytes().len(), 30);
        assert_eq!(rest.received(), 30);
        assert!(rest.0.lock().rest.is_none());
    }

    /// A body of which a handler read nothing.
    fn left() -> (mpsc::UnboundedSender<Bytes>, Unread) {
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
        assert_eq!(start.elapsed(), Duration::ZERO, "the caller does not wait for it");
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
}
