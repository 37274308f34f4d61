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

/// After its answer, a client may pause that long before the rest of its body is no longer waited for.
const PAUSE: Duration = Duration::from_secs(5);

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

    /// Takes in and throws away what was left unread, in the background: at most `limit` bytes, for `time` at most,
    /// and no longer than [`PAUSE`] without a byte. Many clients read an answer only after sending their whole request;
    /// closing on them before that makes the kernel answer with a reset that overtakes the response.
    ///
    /// False if it is left alone and the connection will end: it is longer than `limit`, or with `expects_continue`
    /// untouched, so that the client has not begun to send it.
    #[must_use]
    pub fn discard(self, expects_continue: bool, limit: u64, time: Duration) -> bool {
        let (rest, polled) = {
            let mut state = lock(&self.0);
            (state.rest.take(), state.polled)
        };
        let Some(body) = rest else { return true };
        if (expects_continue && !polled) || body.size_hint().lower() > limit {
            return false;
        }
        tokio::spawn(tokio::time::timeout(time, take_in(body, limit)));
        true
    }
}

async fn take_in(mut body: Body, limit: u64) {
    let mut taken = 0u64;
    while let Ok(Some(Ok(frame))) = tokio::time::timeout(PAUSE, body.frame()).await {
        taken = taken.saturating_add(frame.data_ref().map_or(0, Bytes::len) as u64);
        if taken > limit {
            return;
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
