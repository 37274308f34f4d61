//! Request bodies: read within limits of size, time and the memory all of them share, and taken in when
//! nobody wanted them.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{App, place::NoPlace, problem::Problem};
use crate::metrics::Rejected;

/// A body in memory, and its share of the memory for bodies.
#[derive(Debug)]
pub struct Held {
    /// The body.
    pub bytes: Bytes,
    share: Option<OwnedSemaphorePermit>,
}

/// Reads a body whole.
///
/// # Errors
/// 413 if it is longer than `--max-body` (at once if its header says so), 408 if it does not arrive within
/// `--body-timeout`, 503 if bodies take as much memory as they may or, for one that was awaited, all places are taken when it is there, 400 if it breaks off.
pub async fn read(app: &App, body: Body) -> Result<Held, Problem> {
    let limit = app.config.max_body;
    if body.size_hint().lower() > limit {
        return Err(Problem::body_too_large(limit));
    }
    match tokio::time::timeout(app.config.body_timeout, collect(&app.buffers, body, limit)).await {
        Ok(Ok(held)) => Ok(held),
        Ok(Err(Refusal::TooLarge)) => Err(Problem::body_too_large(limit)),
        Ok(Err(Refusal::NoRoom)) => {
            app.metrics.reject(Rejected::Buffers);
            Err(Problem::overloaded())
        }
        Ok(Err(Refusal::NoPlace)) => {
            app.metrics.reject(Rejected::InFlight);
            Err(Problem::overloaded())
        }
        Ok(Err(Refusal::Broken(error))) => {
            Err(Problem::bad_request("the body broke off or is badly framed").inside(error))
        }
        Err(_) => Err(Problem::body_timeout()),
    }
}

#[derive(Debug)]
enum Refusal {
    TooLarge,
    NoRoom,
    NoPlace,
    Broken(String),
}

/// Memory is claimed as bytes arrive and not as headers promise, so that a promise alone holds none.
async fn collect(room: &Arc<Semaphore>, mut body: Body, limit: u64) -> Result<Held, Refusal> {
    let mut held = Held {
        bytes: Bytes::new(),
        share: None,
    };
    let mut rest = BytesMut::new();
    let mut length = 0u64;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| {
            if NoPlace::is(&e) {
                Refusal::NoPlace
            } else {
                Refusal::Broken(e.to_string())
            }
        })?;
        // Trailers are of no use here.
        let Ok(chunk) = frame.into_data() else { continue };
        length = length.saturating_add(chunk.len() as u64);
        if length > limit {
            return Err(Refusal::TooLarge);
        }
        let have = held.share.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let want = usize::try_from(length.div_ceil(1024))
            .unwrap_or(usize::MAX)
            .saturating_sub(have);
        if want > 0 {
            let more = u32::try_from(want)
                .ok()
                .and_then(|n| Arc::clone(room).try_acquire_many_owned(n).ok())
                .ok_or(Refusal::NoRoom)?;
            match &mut held.share {
                Some(share) => share.merge(more),
                none => *none = Some(more),
            }
        }
        // Most bodies come in one piece, which is then used as it is.
        if held.bytes.is_empty() && rest.is_empty() {
            held.bytes = chunk;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&std::mem::take(&mut held.bytes));
            }
            rest.extend_from_slice(&chunk);
        }
    }
    if !rest.is_empty() {
        held.bytes = rest.freeze();
    }
    Ok(held)
}

/// What became of a request's body after its handler was done with it.
#[derive(Debug, Default)]
struct State {
    received: u64,
    polled: bool,
    rest: Option<Body>,
}

/// Hands the body on, counts it, and keeps what a handler leaves unread.
#[derive(Debug)]
pub struct Watched {
    body: Option<Body>,
    state: Arc<Mutex<State>>,
}

/// The other end of [`Watched`].
#[derive(Debug)]
pub struct Rest(Arc<Mutex<State>>);

/// Wraps a body.
pub fn watch(body: Body) -> (Body, Rest) {
    if body.is_end_stream() {
        return (body, Rest(Arc::default()));
    }
    let state = Arc::<Mutex<State>>::default();
    (
        Body::new(Watched {
            body: Some(body),
            state: Arc::clone(&state),
        }),
        Rest(state),
    )
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else {
            return Poll::Ready(None);
        };
        lock(&this.state).polled = true;
        let frame = ready!(Pin::new(body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                let n = frame.data_ref().map_or(0, Bytes::len);
                lock(&this.state).received += n as u64;
            }
            Some(Err(_)) | None => this.body = None,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(body) = self.body.take().filter(|b| !b.is_end_stream()) {
            lock(&self.state).rest = Some(body);
        }
    }
}

impl Rest {
    /// Bytes that a handler read.
    #[must_use]
    pub fn received(&self) -> u64 {
        lock(&self.0).received
    }

    /// Takes in and throws away what was left unread, up to `limit` bytes and for `time` at most. Many
    /// clients read an answer only after sending their whole request; closing on them before that makes
    /// the kernel answer with a reset that overtakes the response.
    ///
    /// With `expects_continue` an untouched body is left alone: the client has not begun to send it.
    pub async fn discard(self, expects_continue: bool, limit: u64, time: Duration) {
        let (rest, polled) = {
            let mut state = lock(&self.0);
            (state.rest.take(), state.polled)
        };
        let Some(mut body) = rest else { return };
        if (expects_continue && !polled) || body.size_hint().lower() > limit {
            return;
        }
        let all = async {
            let mut taken = 0u64;
            while let Some(Ok(frame)) = body.frame().await {
                taken = taken.saturating_add(frame.data_ref().map_or(0, Bytes::len) as u64);
                if taken > limit {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(time, all).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

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
}
