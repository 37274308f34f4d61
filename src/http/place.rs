//! A request's place among those in flight (`--max-in-flight`).
//!
//! It is held from the head to the answer, but not while the client is awaited: whoever sends a body drop by drop would
//! otherwise keep others out for `--body-timeout` with as many connections as there are places. Bodies on their way are
//! bounded by `--max-buffered`, `--body-timeout` and `--max-connections`.

use std::{
    error::Error,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A place, or none for the time being.
#[derive(Debug, Clone)]
pub(super) struct Place {
    room: Arc<Semaphore>,
    held: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
}

impl Place {
    /// A place, if there is one.
    #[must_use]
    pub(super) fn take(room: &Arc<Semaphore>) -> Option<Self> {
        let permit = Arc::clone(room).try_acquire_owned().ok()?;
        Some(Self {
            room: Arc::clone(room),
            held: Arc::new(Mutex::new(Some(permit))),
        })
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Option<OwnedSemaphorePermit>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self) {
        *self.held() = None;
    }

    /// Takes one again; whether there was one.
    fn take_again(&self) -> bool {
        let mut held = self.held();
        if held.is_none() {
            *held = Arc::clone(&self.room).try_acquire_owned().ok();
        }
        held.is_some()
    }
}

/// The body's error when it is there at last and all places are taken.
#[derive(Debug, thiserror::Error)]
#[error("all places are taken")]
pub(super) struct NoPlace;

impl NoPlace {
    /// Whether an error of a body is this one.
    #[must_use]
    pub(super) fn is(error: &(dyn Error + 'static)) -> bool {
        let mut next = Some(error);
        while let Some(error) = next {
            if error.is::<Self>() {
                return true;
            }
            next = error.source();
        }
        false
    }
}

/// A body whose request gives its place back while the next part is awaited, and needs one again at the body's end.
pub(super) fn awaited(body: Body, place: Place) -> Body {
    Body::new(Awaited { body, place })
}

#[derive(Debug)]
struct Awaited {
    body: Body,
    place: Place,
}

impl HttpBody for Awaited {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Pending => {
                self.place.give_back();
                Poll::Pending
            }
            Poll::Ready(None) if !self.place.take_again() => {
                Poll::Ready(Some(Err(axum::Error::new(NoPlace))))
            }
            frame @ Poll::Ready(_) => frame,
        }
    }

    fn is_end_stream(&self) -> bool {
        // Not before the place has been asked for.
        false
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::http::body::tests::fed;

    async fn given_back(room: &Semaphore) {
        while room.available_permits() == 0 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_body_that_is_there_keeps_its_place() {
        let room = Arc::new(Semaphore::new(1));
        let place = Place::take(&room).unwrap();
        assert!(Place::take(&room).is_none());
        let body = awaited(Body::from("abc"), place.clone());
        assert_eq!(body.collect().await.unwrap().to_bytes(), "abc");
        assert_eq!(room.available_permits(), 0);
        drop(place);
        assert_eq!(room.available_permits(), 1);
    }

    #[tokio::test]
    async fn a_slow_body_leaves_its_place_to_others_and_takes_one_at_its_end() {
        let room = Arc::new(Semaphore::new(1));
        let (sender, body) = fed();
        let place = Place::take(&room).unwrap();
        let read = tokio::spawn(awaited(body, place.clone()).collect());
        given_back(&room).await;
        let other = Place::take(&room).unwrap();
        drop(other);
        sender.send(Bytes::from("abc")).unwrap();
        drop(sender);
        assert_eq!(read.await.unwrap().unwrap().to_bytes(), "abc");
        assert_eq!(room.available_permits(), 0);
        drop(place);
        assert_eq!(room.available_permits(), 1);
    }

    #[tokio::test]
    async fn a_slow_body_finds_all_places_taken() {
        let room = Arc::new(Semaphore::new(1));
        let (sender, body) = fed();
        let place = Place::take(&room).unwrap();
        let read = tokio::spawn(awaited(body, place).collect());
        given_back(&room).await;
        let _other = Place::take(&room).unwrap();
        drop(sender);
        let error = read.await.unwrap().unwrap_err();
        assert!(NoPlace::is(&error), "{error}");
        assert!(!NoPlace::is(&std::io::Error::other("x")));
    }
}
