//! Who is connected, so that connections that only wait never keep others out.
//!
//! `--max-connections` may be open. When one more comes, the one that has waited longest for its client has to go: a
//! client that says nothing, or its request's head or body a byte at a time, holds a place for as long as nobody else
//! wants it. Who uploads is given [`PATIENCE`] more than who is idle. Who has work in flight never goes.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// Where every guest was busy, how long until they are looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// A client that pauses within its request's body counts as idle that much later: uploads stall now and then. Not for
/// ever, or else bodies that never come would drive out everybody who is about to ask.
const PATIENCE: Duration = Duration::from_secs(5);

/// The connections that are open.
#[derive(Debug)]
pub struct Guests {
    room: Arc<Semaphore>,
    /// Those that only wait for their clients and that nobody has asked to leave; first the one to go first. In order,
    /// because a flood of connections asks for the first thousands of times a second.
    waiting: Mutex<BTreeMap<Turn, CancellationToken>>,
    next: AtomicU64,
}

/// Since when a guest counts as idle, and its number: two may have come at the same time.
type Turn = (Instant, u64);

/// One connection's place, given back when dropped.
#[derive(Debug)]
pub struct Guest {
    guests: Arc<Guests>,
    number: u64,
    /// Asked to leave.
    leave: CancellationToken,
    /// Locked before [`Guests::waiting`].
    busy: Mutex<Busy>,
    _place: OwnedSemaphorePermit,
}

#[derive(Debug, Default)]
struct Busy {
    /// There has been one.
    asked: bool,
    requests: usize,
    /// How many of them only wait for their bodies.
    awaiting: usize,
    /// Its place in the line of those that wait.
    turn: Option<Turn>,
}

/// A request in flight, until dropped. The connection's place is held for as long.
#[derive(Debug)]
pub struct InFlight(Arc<Asked>);

#[derive(Debug)]
struct Asked {
    guest: Arc<Guest>,
    /// Locked after [`Guest::busy`].
    stage: Mutex<Stage>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Work,
    /// Nothing to do before more of the body comes.
    Awaiting,
    /// Answered, though the rest of its body may still be taken in.
    Over,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Guests {
    /// Room for that many.
    #[must_use]
    pub fn new(places: usize) -> Arc<Self> {
        Arc::new(Self {
            room: Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))),
            waiting: Mutex::default(),
            next: AtomicU64::new(0),
        })
    }

    /// A place for a connection that is there already; whoever has waited longest leaves for it. If all have
    /// work in flight it waits until one has none.
    pub async fn admit(self: &Arc<Self>) -> Arc<Guest> {
        let place = loop {
            if let Ok(place) = Arc::clone(&self.room).try_acquire_owned() {
                break place;
            }
            self.send_one_away();
            let freed = Arc::clone(&self.room).acquire_owned();
            if let Ok(Ok(place)) = tokio::time::timeout(LOOK_AGAIN, freed).await {
                break place;
            }
        };
        let guest = Guest {
            guests: Arc::clone(self),
            number: self.next.fetch_add(1, Ordering::Relaxed),
            leave: CancellationToken::new(),
            busy: Mutex::default(),
            _place: place,
        };
        guest.line_up(&mut lock(&guest.busy));
        Arc::new(guest)
    }

    /// Asks the one that has waited longest to leave; false if nobody waits.
    pub fn send_one_away(&self) -> bool {
        let longest = lock(&self.waiting).pop_first();
        if let Some((_, leave)) = &longest {
            leave.cancel();
        }
        longest.is_some()
    }
}

impl Guest {
    /// Marks a request as in flight.
    #[must_use]
    pub fn request(self: &Arc<Self>) -> InFlight {
        let mut busy = lock(&self.busy);
        busy.asked = true;
        busy.requests += 1;
        self.line_up(&mut busy);
        InFlight(Arc::new(Asked {
            guest: Arc::clone(self),
            stage: Mutex::new(Stage::Work),
        }))
    }

    /// Comes back when the guest has been asked to leave and has no work in flight.
    pub async fn asked_to_leave(&self) {
        self.leave.cancelled().await;
        // A request, or the rest of one, may have come in between; it is answered first.
        while lock(&self.busy).has_work() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Whether it has ever sent a request's head.
    #[must_use]
    pub fn has_asked(&self) -> bool {
        lock(&self.busy).asked
    }

    /// Comes back when the guest has had no request in flight for that long.
    pub async fn idle_for(&self, time: Duration) {
        loop {
            let now = Instant::now();
            let since = lock(&self.busy).idle_since().unwrap_or(now);
            match since.checked_add(time) {
                Some(end) if end <= now => return,
                Some(end) => tokio::time::sleep_until(end).await,
                None => std::future::pending().await,
            }
        }
    }

    /// Goes to the end of the line of those that wait, or leaves it.
    fn line_up(&self, busy: &mut Busy) {
        let turn = (!busy.has_work() && !self.leave.is_cancelled()).then(|| {
            let patience = if busy.requests > 0 {
                PATIENCE
            } else {
                Duration::ZERO
            };
            (Instant::now() + patience, self.number)
        });
        let before = std::mem::replace(&mut busy.turn, turn);
        if before.is_none() && turn.is_none() {
            return;
        }
        let mut waiting = lock(&self.guests.waiting);
        if let Some(before) = before {
            waiting.remove(&before);
        }
        if let Some(turn) = turn {
            waiting.insert(turn, self.leave.clone());
        }
    }
}

impl Busy {
    fn idle_since(&self) -> Option<Instant> {
        self.turn.filter(|_| self.requests == 0).map(|(since, _)| since)
    }

    fn has_work(&self) -> bool {
        self.requests > self.awaiting
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if let Some(turn) = lock(&self.busy).turn {
            lock(&self.guests.waiting).remove(&turn);
        }
    }
}

impl InFlight {
    /// The request's body; while more of it is awaited, the request is no work.
    pub fn body(&self, body: Incoming) -> Body {
        self.awaited(Body::new(body))
    }

    fn awaited(&self, body: Body) -> Body {
        if body.is_end_stream() {
            return body;
        }
        let request = Arc::clone(&self.0);
        Body::new(Awaited {
            body,
            request,
            pending: false,
        })
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.comes_to(Stage::Over);
    }
}

impl Asked {
    fn comes_to(&self, stage: Stage) {
        let mut busy = lock(&self.guest.busy);
        let mut now = lock(&self.stage);
        if *now == Stage::Over {
            return;
        }
        match std::mem::replace(&mut *now, stage) {
            Stage::Awaiting => busy.awaiting = busy.awaiting.saturating_sub(1),
            Stage::Work | Stage::Over => {}
        }
        match stage {
            Stage::Awaiting => busy.awaiting += 1,
            Stage::Over => busy.requests = busy.requests.saturating_sub(1),
            Stage::Work => {}
        }
        self.guest.line_up(&mut busy);
    }
}

/// A body that tells when it is awaited.
#[derive(Debug)]
struct Awaited {
    body: Body,
    request: Arc<Asked>,
    pending: bool,
}

impl Awaited {
    fn is_pending(&mut self, pending: bool) {
        if self.pending != pending {
            self.pending = pending;
            let stage = if pending { Stage::Awaiting } else { Stage::Work };
            self.request.comes_to(stage);
        }
    }
}

impl HttpBody for Awaited {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        self.is_pending(frame.is_pending());
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.is_pending(false);
    }
}

#[cfg(test)]
mod tests;
