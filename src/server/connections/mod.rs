//! Limits open connections (`--max-connections`). At the limit, the longest-idle connection is closed to admit a new one.
//!
//! A connection is idle while it waits for its client: for a request's head, or for more of a request's body. A pause
//! within a body counts as idle [`BODY_GRACE`] later. A connection with work in flight is never closed for another one.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::body::Body;
use hyper::body::{Body as _, Incoming};
use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::http::body::tap::{FramePoll, Observer, tap};

/// How often connections are checked again that could not be closed because they had work.
const RETRY: Duration = Duration::from_millis(20);
/// A pause within a request's body counts as idle this much later, because uploads stall now and then. The limit is needed:
/// bodies that never arrive would otherwise keep their connections and evict those of clients about to send a request.
const BODY_GRACE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct ConnectionLimit {
    permits: Arc<Semaphore>,
    /// Idle connections that are not evicted yet, longest idle first. Ordered, because a flood of connections evicts
    /// thousands a second.
    idle: Mutex<BTreeMap<IdleKey, CancellationToken>>,
    next: AtomicU64,
}

/// Since when a connection counts as idle, and its number, since two may have begun to wait at the same time.
type IdleKey = (Instant, u64);

/// An open connection; its permit is released on drop.
#[derive(Debug)]
pub(crate) struct Connection {
    limit: Arc<ConnectionLimit>,
    number: u64,
    evicted: CancellationToken,
    /// Locked before [`ConnectionLimit::idle`].
    activity: Mutex<Activity>,
    _permit: OwnedSemaphorePermit,
}

#[derive(Debug, Default)]
struct Activity {
    had_request: bool,
    requests: usize,
    /// Those of them that wait for their bodies.
    awaiting: usize,
    /// The connection's key in [`ConnectionLimit::idle`].
    key: Option<IdleKey>,
}

/// Marks a request as in flight until it is dropped. It keeps the connection's permit.
#[derive(Debug)]
pub(crate) struct RequestGuard(Arc<RequestState>);

#[derive(Debug)]
struct RequestState {
    connection: Arc<Connection>,
    /// Locked after [`Connection::activity`].
    stage: Mutex<Stage>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Work,
    AwaitsBody,
    /// Answered, though the rest of its body may still be read and discarded.
    Answered,
}

impl ConnectionLimit {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            permits: Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS))),
            idle: Mutex::default(),
            next: AtomicU64::new(0),
        })
    }

    /// Admits a connection that is accepted already, at the limit by evicting the longest-idle one. If all have work in
    /// flight, waits until one has none.
    pub(crate) async fn admit(self: &Arc<Self>) -> Arc<Connection> {
        let permit = loop {
            if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
                break permit;
            }
            self.evict_idlest();
            let released = Arc::clone(&self.permits).acquire_owned();
            if let Ok(Ok(permit)) = tokio::time::timeout(RETRY, released).await {
                break permit;
            }
        };
        let connection = Connection {
            limit: Arc::clone(self),
            number: self.next.fetch_add(1, Ordering::Relaxed),
            evicted: CancellationToken::new(),
            activity: Mutex::default(),
            _permit: permit,
        };
        connection.requeue(&mut connection.activity.lock());
        Arc::new(connection)
    }

    /// Tells the longest-idle connection to close; false if none is idle.
    pub(crate) fn evict_idlest(&self) -> bool {
        let idlest = self.idle.lock().pop_first();
        if let Some((_, evicted)) = &idlest {
            evicted.cancel();
        }
        idlest.is_some()
    }
}

impl Connection {
    pub(crate) fn request(self: &Arc<Self>) -> RequestGuard {
        let mut activity = self.activity.lock();
        activity.had_request = true;
        activity.requests += 1;
        self.requeue(&mut activity);
        RequestGuard(Arc::new(RequestState {
            connection: Arc::clone(self),
            stage: Mutex::new(Stage::Work),
        }))
    }

    /// Waits until the connection is evicted and has no work in flight.
    pub(crate) async fn evicted(&self) {
        self.evicted.cancelled().await;
        // A request, or the rest of one, may have arrived in the meantime; it is answered first.
        while self.activity.lock().has_work() {
            tokio::time::sleep(RETRY).await;
        }
    }

    pub(crate) fn had_request(&self) -> bool {
        self.activity.lock().had_request
    }

    /// Waits until the connection has had no request in flight for this long.
    pub(crate) async fn idle_for(&self, time: Duration) {
        loop {
            let now = Instant::now();
            let since = self.activity.lock().idle_since().unwrap_or(now);
            match since.checked_add(time) {
                Some(end) if end <= now => return,
                Some(end) => tokio::time::sleep_until(end).await,
                None => std::future::pending().await,
            }
        }
    }

    /// Makes the connection the last of the idle ones, or takes it out of them.
    fn requeue(&self, activity: &mut Activity) {
        let key = (!activity.has_work() && !self.evicted.is_cancelled()).then(|| {
            let grace = if activity.requests > 0 {
                BODY_GRACE
            } else {
                Duration::ZERO
            };
            (Instant::now() + grace, self.number)
        });
        let before = std::mem::replace(&mut activity.key, key);
        if before.is_none() && key.is_none() {
            return;
        }
        let mut idle = self.limit.idle.lock();
        if let Some(before) = before {
            idle.remove(&before);
        }
        if let Some(key) = key {
            idle.insert(key, self.evicted.clone());
        }
    }
}

impl Activity {
    fn idle_since(&self) -> Option<Instant> {
        self.key.filter(|_| self.requests == 0).map(|(since, _)| since)
    }

    fn has_work(&self) -> bool {
        self.requests > self.awaiting
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(key) = self.activity.lock().key {
            self.limit.idle.lock().remove(&key);
        }
    }
}

impl RequestGuard {
    /// Wraps the request's body: the request does not count as work while it waits for more of it.
    pub(crate) fn body(&self, body: Incoming) -> Body {
        self.tap(Body::new(body))
    }

    fn tap(&self, body: Body) -> Body {
        if body.is_end_stream() {
            return body;
        }
        let request = Arc::clone(&self.0);
        tap(
            body,
            BodyWait {
                request,
                pending: false,
            },
        )
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.0.enter(Stage::Answered);
    }
}

impl RequestState {
    fn enter(&self, stage: Stage) {
        let mut activity = self.connection.activity.lock();
        let mut now = self.stage.lock();
        if *now == Stage::Answered {
            return;
        }
        if std::mem::replace(&mut *now, stage) == Stage::AwaitsBody {
            activity.awaiting = activity.awaiting.saturating_sub(1);
        }
        match stage {
            Stage::AwaitsBody => activity.awaiting += 1,
            Stage::Answered => activity.requests = activity.requests.saturating_sub(1),
            Stage::Work => {}
        }
        self.connection.requeue(&mut activity);
    }
}

struct BodyWait {
    request: Arc<RequestState>,
    pending: bool,
}

impl BodyWait {
    fn set_pending(&mut self, pending: bool) {
        if self.pending != pending {
            self.pending = pending;
            self.request
                .enter(if pending { Stage::AwaitsBody } else { Stage::Work });
        }
    }
}

impl Observer for BodyWait {
    fn polled(&mut self, frame: FramePoll) -> FramePoll {
        self.set_pending(frame.is_pending());
        frame
    }

    fn dropped(&mut self, _rest: Option<Body>) {
        self.set_pending(false);
    }
}

#[cfg(test)]
mod tests;
