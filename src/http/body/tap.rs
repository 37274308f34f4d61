//! The one `HttpBody` wrapper: hands a body on and lets an observer see, and replace, the result of every poll.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

pub(crate) type FramePoll = Poll<Option<Result<Frame<Bytes>, axum::Error>>>;

pub(crate) trait Observer: Send + Unpin + 'static {
    /// Whether [`Observer::polled`] must see the end of the body. Otherwise a reader may stop as soon as the body says
    /// that nothing more comes, without a last poll.
    const NEEDS_END: bool = false;

    /// Receives the result of a poll and returns what the reader gets.
    fn polled(&mut self, frame: FramePoll) -> FramePoll;

    /// The reader has dropped the body; `_rest` is what it left, `None` if it read the body to its end or to an error.
    fn dropped(&mut self, _rest: Option<Body>) {}
}

struct Tap<O: Observer> {
    /// None after the end or an error.
    body: Option<Body>,
    observer: O,
}

pub(crate) fn tap(body: Body, observer: impl Observer) -> Body {
    Body::new(Tap {
        body: Some(body),
        observer,
    })
}

impl<O: Observer> HttpBody for Tap<O> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> FramePoll {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let frame = Pin::new(body).poll_frame(cx);
        let frame = self.observer.polled(frame);
        if matches!(frame, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Some(body) => !O::NEEDS_END && body.is_end_stream(),
            None => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl<O: Observer> Drop for Tap<O> {
    fn drop(&mut self) {
        let rest = self.body.take();
        self.observer.dropped(rest);
    }
}
