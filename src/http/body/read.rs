//! Reading a whole body, within limits of size, time, and the memory that all bodies share.

use std::sync::Arc;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    app::App,
    http::{admission::NoPermit, problem::Problem},
    observability::metrics::Rejected,
};

/// A body in memory, and its share of `--max-buffered`, released on drop.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) bytes: Bytes,
    share: OwnedSemaphorePermit,
}

impl Held {
    /// Exchanges the body for its answer. The answer keeps what it takes of the share until the last byte of it is written
    /// to the client, or dropped; the rest is released now. `None` if the answer is longer than the body and the bodies and
    /// answers in memory leave no room for it.
    pub(crate) fn into_answer(self, answer: Vec<u8>) -> Option<Body> {
        let Self { bytes, mut share } = self;
        drop(bytes);
        let (have, want) = (share.num_permits(), permits(answer.len() as u64));
        match want.checked_sub(have) {
            None => drop(share.split(have - want)),
            Some(more) => share.merge(acquire(share.semaphore(), more)?),
        }
        // The bytes own the share, not the body: the connection takes a body's bytes, and drops the body, before the client
        // has read them.
        Some(Body::from(Bytes::from_owner(Answer {
            bytes: answer,
            _share: share,
        })))
    }
}

struct Answer {
    bytes: Vec<u8>,
    _share: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// One permit for each KiB.
fn permits(bytes: u64) -> usize {
    usize::try_from(bytes.div_ceil(1024)).unwrap_or(usize::MAX)
}

fn acquire(memory: &Arc<Semaphore>, permits: usize) -> Option<OwnedSemaphorePermit> {
    let permits = u32::try_from(permits).ok()?;
    Arc::clone(memory).try_acquire_many_owned(permits).ok()
}

/// Reads a whole body.
///
/// # Errors
/// - 413: it is longer than `--max-body` (at once if its header says so)
/// - 408: it does not arrive within `--body-timeout`
/// - 503: the bodies in memory would exceed `--max-buffered`, or the request released its permit while it waited for
///   this body and gets none back at its end
/// - 400: it breaks off
pub(crate) async fn read(app: &App, body: Body) -> Result<Held, Problem> {
    let limit = app.config.max_body;
    if body.size_hint().lower() > limit {
        return Err(Problem::body_too_large(limit));
    }
    match tokio::time::timeout(app.config.body_timeout, collect(&app.buffers, body, limit)).await {
        Ok(Ok(held)) => Ok(held),
        Ok(Err(Refusal::TooLarge)) => Err(Problem::body_too_large(limit)),
        Ok(Err(Refusal::NoMemory)) => {
            app.metrics.reject(Rejected::Buffers);
            Err(Problem::overloaded())
        }
        Ok(Err(Refusal::NoPermit)) => {
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
    NoMemory,
    NoPermit,
    Broken(String),
}

/// Permits of `memory` are acquired as bytes arrive and not by what headers announce, so that an
/// announcement alone holds no memory.
async fn collect(memory: &Arc<Semaphore>, mut body: Body, limit: u64) -> Result<Held, Refusal> {
    let mut held = Held {
        bytes: Bytes::new(),
        share: acquire(memory, 0).ok_or(Refusal::NoMemory)?,
    };
    let mut rest = BytesMut::new();
    let mut length = 0u64;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| {
            if NoPermit::is(&e) {
                Refusal::NoPermit
            } else {
                Refusal::Broken(e.to_string())
            }
        })?;
        // Trailers are not used.
        let Ok(chunk) = frame.into_data() else { continue };
        length = length.saturating_add(chunk.len() as u64);
        if length > limit {
            return Err(Refusal::TooLarge);
        }
        let more = permits(length).saturating_sub(held.share.num_permits());
        if more > 0 {
            held.share.merge(acquire(memory, more).ok_or(Refusal::NoMemory)?);
        }
        // Most bodies come in one chunk, which is used without a copy.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::body::testing::chunks;

    #[tokio::test]
    async fn a_body_holds_its_share_of_memory_until_it_is_dropped() {
        let memory = Arc::new(Semaphore::new(10));
        let held = collect(&memory, chunks(&[1000, 25, 3000]), 1 << 20)
            .await
            .unwrap();
        assert_eq!(held.bytes.len(), 4025);
        assert_eq!(memory.available_permits(), 6);
        assert!(matches!(
            collect(&memory, chunks(&[7000]), 1 << 20).await,
            Err(Refusal::NoMemory)
        ));
        assert_eq!(
            memory.available_permits(),
            6,
            "a refused body gives back what it had"
        );
        drop(held);
        assert_eq!(memory.available_permits(), 10);
    }

    #[tokio::test]
    async fn an_answer_holds_its_share_until_its_last_byte_is_dropped() {
        let memory = Arc::new(Semaphore::new(10));
        for (answer, left) in [(100, 9), (3000, 7), (7000, 3)] {
            let held = collect(&memory, chunks(&[3000]), 1 << 20).await.unwrap();
            assert_eq!(memory.available_permits(), 7);
            let mut body = held.into_answer(vec![7; answer]).unwrap();
            assert_eq!(memory.available_permits(), left, "{answer}");
            // What a connection does: the bytes wait for the client, and the body is gone.
            let bytes = body.frame().await.unwrap().unwrap().into_data().unwrap();
            drop(body);
            assert_eq!(memory.available_permits(), left);
            assert_eq!(bytes.len(), answer);
            drop(bytes);
            assert_eq!(memory.available_permits(), 10);
        }
        let held = collect(&memory, chunks(&[3000]), 1 << 20).await.unwrap();
        assert!(held.into_answer(vec![7; 11_000]).is_none());
        assert_eq!(memory.available_permits(), 10);
    }

    #[tokio::test]
    async fn the_limit_holds_without_a_content_length() {
        let memory = Arc::new(Semaphore::new(1000));
        assert!(collect(&memory, chunks(&[50, 50]), 100).await.is_ok());
        assert!(matches!(
            collect(&memory, chunks(&[50, 51]), 100).await,
            Err(Refusal::TooLarge)
        ));
    }
}
