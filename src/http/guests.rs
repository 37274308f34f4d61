//! Who is connected, so that connections that only wait never keep others out.
//!
//! `--max-connections` may be open. When one more comes, the one that has waited longest without a request in
//! flight has to go: a client that says nothing, or its request's head a byte at a time, holds a place for as long
//! as nobody else wants it.

use std::{
    collections::HashMap,
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
    present: Mutex<HashMap<u64, Arc<State>>>,
    next: AtomicU64,
}

#[derive(Debug)]
struct State {
    /// Asked to leave.
    leave: CancellationToken,
    /// Requests in flight, and when the last of them ended (or the connection began).
    busy: Mutex<(usize, Instant)>,
}

/// One connection's place, given back when dropped.
#[derive(Debug)]
pub struct Guest {
    guests: Arc<Guests>,
    number: u64,
    state: Arc<State>,
    _place: OwnedSemaphorePermit,
}

/// A request in flight, until dropped.
#[derive(Debug)]
pub struct InFlight(Arc<State>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Guests {
    /// Room for that many.
    #[must_use]
    pub fn new(places: usize) -> Arc<Self> {
        Arc::new(Self {
            room: Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))),
            present: Mutex::default(),
            next: AtomicU64::new(0),
        })
    }

    /// A place for a connection that is there already; whoever has waited longest leaves for it. If all have
    /// requests in flight it waits until one has none.
    pub async fn admit(self: &Arc<Self>) -> Guest {
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
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let state = Arc::new(State {
            leave: CancellationToken::new(),
            busy: Mutex::new((0, Instant::now())),
        });
        lock(&self.present).insert(number, Arc::clone(&state));
        Guest {
            guests: Arc::clone(self),
            number,
            state,
            _place: place,
        }
    }

    /// Asks the one that has waited longest to leave; false if nobody waits.
    pub fn send_one_away(&self) -> bool {
        let present = lock(&self.present);
        let waiting = present.values().filter(|state| !state.leave.is_cancelled());
        let longest = waiting
            .filter_map(|state| {
                let (requests, since) = *lock(&state.busy);
                (requests == 0).then_some((since, state))
            })
            .min_by_key(|(since, _)| *since);
        if let Some((_, state)) = longest {
            state.leave.cancel();
        }
        longest.is_some()
    }
}

impl Guest {
    /// Marks a request as in flight.
    #[must_use]
    pub fn request(&self) -> InFlight {
        lock(&self.state.busy).0 += 1;
        InFlight(Arc::clone(&self.state))
    }

    /// Comes back when the guest has been asked to leave and has no request in flight.
    pub async fn asked_to_leave(&self) {
        self.state.leave.cancelled().await;
        // A request may have come in between; it is answered first.
        while lock(&self.state.busy).0 > 0 {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        lock(&self.guests.present).remove(&self.number);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut busy = lock(&self.0.busy);
        *busy = (busy.0.saturating_sub(1), Instant::now());
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
        assert!(!first.state.leave.is_cancelled() && !second.state.leave.is_cancelled());
        drop(third);
        let fourth = admitted.await.unwrap();
        assert_eq!(lock(&guests.present).len(), 3);

        assert!(guests.send_one_away() && second.state.leave.is_cancelled());
        assert!(guests.send_one_away() && fourth.state.leave.is_cancelled());
        assert!(!guests.send_one_away(), "the first has a request in flight");
        drop(busy);
        assert!(guests.send_one_away());
        first.asked_to_leave().await;
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
