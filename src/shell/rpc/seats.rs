//! Places among the connections over TCP.
//!
//! Every user of the machine can connect, but only the owner's programs have the token. Who has
//! shown nothing yet sits apart, and the one that came first makes room for the next: connections
//! that say nothing can neither pile up nor keep the owner out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::limits::{MAX_CLIENTS, MAX_STRANGERS};

/// All places.
#[derive(Clone, Debug)]
pub(super) struct Seats {
    strangers: Arc<Mutex<Strangers>>,
    clients: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Strangers {
    /// In the order in which they came.
    seats: BTreeMap<u64, oneshot::Sender<()>>,
    last: u64,
}

impl Seats {
    pub(super) fn new() -> Self {
        Self {
            strangers: Arc::default(),
            clients: Arc::new(Semaphore::new(MAX_CLIENTS)),
        }
    }

    /// A place for a connection that has just come; the receiver ends when it must go.
    pub(super) fn stranger(&self) -> (Seat, oneshot::Receiver<()>) {
        let (sender, evicted) = oneshot::channel();
        let mut strangers = self.lock();
        if strangers.seats.len() >= MAX_STRANGERS {
            strangers.seats.pop_first();
        }
        strangers.last = strangers.last.wrapping_add(1);
        let id = strangers.last;
        strangers.seats.insert(id, sender);
        let place = Place::Stranger(id);
        let seat = Seat {
            all: self.clone(),
            place: Mutex::new(place),
        };
        (seat, evicted)
    }

    fn lock(&self) -> MutexGuard<'_, Strangers> {
        self.strangers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place, given back on drop.
#[derive(Debug)]
pub(super) struct Seat {
    all: Seats,
    place: Mutex<Place>,
}

#[derive(Debug)]
enum Place {
    Stranger(u64),
    Client(#[expect(dead_code, reason = "given back on drop")] OwnedSemaphorePermit),
}

impl Seat {
    /// Moves a connection that has shown the token to where it cannot be evicted. False if there
    /// are too many of those.
    pub(super) fn promote(&self) -> bool {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        let Place::Stranger(id) = *place else {
            return true;
        };
        let Ok(permit) = Arc::clone(&self.all.clients).try_acquire_owned() else {
            return false;
        };
        // Out of the strangers' list without being told to go: the channel outlives the place.
        if let Some(stay) = self.all.lock().seats.remove(&id) {
            // The receiver takes a message for leave to stay.
            let _ = stay.send(());
        }
        *place = Place::Client(permit);
        true
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let place = self.place.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Place::Stranger(id) = place {
            self.all.lock().seats.remove(id);
        }
    }
}

/// Completes when a connection has to make room for another, and never once it may stay.
pub(super) async fn evicted(notice: oneshot::Receiver<()>) {
    if notice.await.is_ok() {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_told_to_go(notice: &mut oneshot::Receiver<()>) -> bool {
        matches!(notice.try_recv(), Err(oneshot::error::TryRecvError::Closed))
    }

    #[test]
    fn silent_connections_do_not_keep_the_owner_out() {
        let seats = Seats::new();
        let (owner, mut notice) = seats.stranger();
        assert!(owner.promote() && owner.promote(), "twice is no harm");
        let mut strangers: Vec<_> = (0..=MAX_STRANGERS).map(|_| seats.stranger()).collect();
        let gone: Vec<_> = strangers
            .iter_mut()
            .map(|(_, notice)| is_told_to_go(notice))
            .collect();
        assert_eq!(gone.iter().filter(|gone| **gone).count(), 1);
        assert!(gone[0], "who came first goes first");
        assert_eq!(notice.try_recv(), Ok(()), "the owner may stay");
    }

    #[test]
    fn a_place_that_is_given_back_can_be_taken_again() {
        let seats = Seats::new();
        let clients: Vec<_> = (0..MAX_CLIENTS).map(|_| seats.stranger().0).collect();
        assert!(clients.iter().all(Seat::promote));
        let (late, _notice) = seats.stranger();
        assert!(!late.promote());
        drop(clients);
        assert!(late.promote());
        drop(late);
        assert!(seats.lock().seats.is_empty());
    }
}
