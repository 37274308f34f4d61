//! A request's permit to be in flight (`--max-in-flight`).
//!
//! The request holds it from its head to its answer, except while it waits for its client. Otherwise clients that send
//! their bodies byte by byte could hold every permit for `--body-timeout`. Bodies that are on their way are bounded by
//! `--max-buffered`, `--body-timeout` and `--max-connections`.

use std::{error::Error, sync::Arc, task::Poll};

use axum::body::Body;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::body::tap::{FramePoll, Observer, tap};

/// A permit that the request's body releases while it waits, shared by the request and its body.
#[derive(Debug, Clone)]
pub(crate) struct Permit {
    permits: Arc<Semaphore>,
    held: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
}

impl Permit {
    pub(crate) fn acquire(permits: &Arc<Semaphore>) -> Option<Self> {
        let permit = Arc::clone(permits).try_acquire_owned().ok()?;
        Some(Self {
            permits: Arc::clone(permits),
            held: Arc::new(Mutex::new(Some(permit))),
        })
    }

    /// Wraps the request's body: it releases the permit while it waits for the client, and acquires one again at its end.
    pub(crate) fn tap(&self, body: Body) -> Body {
        tap(body, self.clone())
    }

    /// Acquires a permit again if it was released; false if none is free.
    fn reacquire(&self) -> bool {
        let mut held = self.held.lock();
        if held.is_none() {
            *held = Arc::clone(&self.permits).try_acquire_owned().ok();
        }
        held.is_some()
    }
}

impl Observer for Permit {
    /// The permit is acquired at the end.
    const NEEDS_END: bool = true;

    fn polled(&mut self, frame: FramePoll) -> FramePoll {
        match frame {
            Poll::Pending => {
                *self.held.lock() = None;
                Poll::Pending
            }
            Poll::Ready(None) if !self.reacquire() => Poll::Ready(Some(Err(axum::Error::new(NoPermit)))),
            frame @ Poll::Ready(_) => frame,
        }
    }
}

/// The error at the end of a body that had to wait, if no permit is free then.
#[derive(Debug, thiserror::Error)]
#[error("no permit is free")]
pub(crate) struct NoPermit;

impl NoPermit {
    /// Whether the error of a body is this one, under the wrappers of others.
    pub(crate) fn is(error: &(dyn Error + 'static)) -> bool {
        std::iter::successors(Some(error), |&error| error.source()).any(<dyn Error>::is::<Self>)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::BodyExt;

    use super::*;
    use crate::http::body::testing::fed;

    async fn released(permits: &Semaphore) {
        while permits.available_permits() == 0 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_body_that_has_arrived_keeps_its_permit() {
        let permits = Arc::new(Semaphore::new(1));
        let permit = Permit::acquire(&permits).unwrap();
        assert!(Permit::acquire(&permits).is_none());
        let body = permit.tap(Body::from("abc"));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "abc");
        assert_eq!(permits.available_permits(), 0);
        drop(permit);
        assert_eq!(permits.available_permits(), 1);
    }

    #[tokio::test]
    async fn a_slow_body_releases_its_permit_and_acquires_one_at_its_end() {
        let permits = Arc::new(Semaphore::new(1));
        let (sender, body) = fed();
        let permit = Permit::acquire(&permits).unwrap();
        let read = tokio::spawn(permit.tap(body).collect());
        released(&permits).await;
        let other = Permit::acquire(&permits).unwrap();
        drop(other);
        sender.send(Bytes::from("abc")).unwrap();
        drop(sender);
        assert_eq!(read.await.unwrap().unwrap().to_bytes(), "abc");
        assert_eq!(permits.available_permits(), 0);
        drop(permit);
        assert_eq!(permits.available_permits(), 1);
    }

    #[tokio::test]
    async fn a_slow_body_may_find_no_permit_at_its_end() {
        let permits = Arc::new(Semaphore::new(1));
        let (sender, body) = fed();
        let permit = Permit::acquire(&permits).unwrap();
        let read = tokio::spawn(permit.tap(body).collect());
        released(&permits).await;
        let _other = Permit::acquire(&permits).unwrap();
        drop(sender);
        let error = read.await.unwrap().unwrap_err();
        assert!(NoPermit::is(&error), "{error}");
        assert!(!NoPermit::is(&std::io::Error::other("x")));
    }
}
