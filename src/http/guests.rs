//! Who is connected, so that connections that only wait never keep others out.
//!
//! `--max-connections` may be open. When one more comes, the one that has waited longest without a request in
//! flight has to go: a client that says nothing, or its request's head a byte at a time, holds a place for as long
//! as nobody else wants it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Where every guest was busy, how long until they are looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The connections that are open.
#[derive(Debug)]
pub struct Guests {
    room: Arc<Semaphore>,
    /// Those without a request that nobody has asked to leave; first the one that has waited longest. In order, because a
    /// flood of connections asks for the first thousands of times a second.
    waiting: Mutex<BTreeMap<Since, CancellationToken>>,
    next: AtomicU64,
}

/// Since when a guest has waited, and its number: two may have come at the same time.
type Since = (Instant, u64);

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

#[derive(Debug)]
struct Busy {
    requests: usize,
    /// When the last request ended (or the connection began).
    since: Instant,
}

/// A request in flight, until dropped. The connection's place is held for as long.
#[derive(Debug)]
pub struct InFlight(Arc<Guest>);

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
    /// requests in flight it waits until one has none.
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
            busy: Mutex::new(Busy {
                requests: 0,
                since: Instant::now(),
            }),
            _place: place,
        };
        guest.wait(&lock(&guest.busy));
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
        if busy.requests == 0 {
            lock(&self.guests.waiting).remove(&(busy.since, self.number));
        }
        busy.requests += 1;
        InFlight(Arc::clone(self))
    }

    /// Comes back when the guest has been asked to leave and has no request in flight.
    pub async fn asked_to_leave(&self) {
        self.leave.cancelled().await;
        // A request may have come in between; it is answered first.
        while lock(&self.busy).requests > 0 {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Takes its place in the line of those that wait.
    fn wait(&self, busy: &Busy) {
        if !self.leave.is_cancelled() {
            lock(&self.guests.waiting).insert((busy.since, self.number), self.leave.clone());
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let since = lock(&self.busy).since;
        lock(&self.guests.waiting).remove(&(since, self.number));
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut busy = lock(&self.0.busy);
        busy.requests = busy.requests.saturating_sub(1);
        busy.since = Instant::now();
        if busy.requests == 0 {
            self.0.wait(&busy);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_one_that_waited_longest_leaves_and_never_one_with_a_request() {
        let guests = Guests::new(3);
        let (first, second, third) = (guests.admit().await, guests.admit().await, guests.admit().await);
        let busy = first.request();
        // Its request is over: it has waited for less time than the third.
        drop(second.request());
        let admitted = tokio::spawn({
            let guests = Arc::clone(&guests);
            async move { guests.admit().await }
        });
        third.asked_to_leave().await;
        assert!(!first.leave.is_cancelled() && !second.leave.is_cancelled());
        drop(third);
        let fourth = admitted.await.unwrap();
        assert_eq!(lock(&guests.waiting).len(), 2, "the second and the fourth");

        assert!(guests.send_one_away() && second.leave.is_cancelled());
        assert!(guests.send_one_away() && fourth.leave.is_cancelled());
        assert!(!guests.send_one_away(), "the first has a request in flight");
        drop(busy);
        assert!(guests.send_one_away());
        first.asked_to_leave().await;
        drop((first, second, fourth));
        assert_eq!(guests.room.available_permits(), 3);
    }

    #[tokio::test]
    async fn nobody_who_has_gone_is_asked_to_leave() {
        let guests = Guests::new(2);
        let (idle, busy) = (guests.admit().await, guests.admit().await);
        let request = busy.request();
        drop((idle, busy));
        assert!(!guests.send_one_away() && guests.room.available_permits() == 1);
        // An HTTP/2 request may end after its connection.
        drop(request);
        assert!(!guests.send_one_away() && guests.room.available_permits() == 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_asked_to_leave_answers_first() {
        let guests = Guests::new(1);
        let guest = guests.admit().await;
        assert!(guests.send_one_away());
        let late = guest.request();
        let asked = tokio::time::timeout(Duration::from_secs(5), guest.asked_to_leave());
        assert!(asked.await.is_err(), "its request is still in flight");
        drop(late);
        guest.asked_to_leave().await;
    }
}
