//! Limits on RPC connections over TCP.
//!
//! Every user of the machine can connect, but only the owner's programs have the token. Connections
//! that have not shown the token are counted separately, and the oldest of them makes room for the
//! next: silent connections can neither accumulate nor block the owner.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::limits::{MAX_CLIENTS, MAX_UNAUTHENTICATED};

/// All slots.
#[derive(Clone, Debug)]
pub(super) struct ClientLimiter {
    unauthenticated: Arc<Mutex<Unauthenticated>>,
    clients: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Unauthenticated {
    /// In order of arrival.
    waiting: BTreeMap<u64, oneshot::Sender<()>>,
    last: u64,
}

impl ClientLimiter {
    pub(super) fn new() -> Self {
        Self {
            unauthenticated: Arc::default(),
            clients: Arc::new(Semaphore::new(MAX_CLIENTS)),
        }
    }

    /// A slot for a new connection; the receiver completes when the connection must close.
    pub(super) fn admit(&self) -> (ClientPermit, oneshot::Receiver<()>) {
        let (sender, evicted) = oneshot::channel();
        let mut unauthenticated = self.lock();
        if unauthenticated.waiting.len() >= MAX_UNAUTHENTICATED {
            unauthenticated.waiting.pop_first();
        }
        unauthenticated.last = unauthenticated.last.wrapping_add(1);
        let id = unauthenticated.last;
        unauthenticated.waiting.insert(id, sender);
        let slot = ClientSlot::Unauthenticated(id);
        let permit = ClientPermit {
            all: self.clone(),
            slot: Mutex::new(slot),
        };
        (permit, evicted)
    }

    fn lock(&self) -> MutexGuard<'_, Unauthenticated> {
        self.unauthenticated
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A slot, returned on drop.
#[derive(Debug)]
pub(super) struct ClientPermit {
    all: ClientLimiter,
    slot: Mutex<ClientSlot>,
}

#[derive(Debug)]
enum ClientSlot {
    Unauthenticated(u64),
    Client(#[expect(dead_code, reason = "given back on drop")] OwnedSemaphorePermit),
}

impl ClientPermit {
    /// Moves a connection that has shown the token to the class that is never evicted. False if
    /// that class is full.
    pub(super) fn promote(&self) -> bool {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        let ClientSlot::Unauthenticated(id) = *slot else {
            return true;
        };
        let Ok(permit) = Arc::clone(&self.all.clients).try_acquire_owned() else {
            return false;
        };
        // The slot leaves the list without an eviction: the channel outlives the slot.
        if let Some(stay) = self.all.lock().waiting.remove(&id) {
            // The receiver takes a message as permission to stay.
            let _ = stay.send(());
        }
        *slot = ClientSlot::Client(permit);
        true
    }
}

impl Drop for ClientPermit {
    fn drop(&mut self) {
        let slot = self.slot.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let ClientSlot::Unauthenticated(id) = slot {
            self.all.lock().waiting.remove(id);
        }
    }
}

/// Completes when the connection has to make room for another, and never once it may stay.
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
    fn silent_connections_make_room_for_owner() {
        let limiter = ClientLimiter::new();
        let (owner, mut notice) = limiter.admit();
        assert!(
            owner.promote() && owner.promote(),
            "promotion is idempotent"
        );
        let mut unauthenticated: Vec<_> =
            (0..=MAX_UNAUTHENTICATED).map(|_| limiter.admit()).collect();
        let gone: Vec<_> = unauthenticated
            .iter_mut()
            .map(|(_, notice)| is_told_to_go(notice))
            .collect();
        assert_eq!(gone.iter().filter(|gone| **gone).count(), 1);
        assert!(gone[0], "the oldest client makes room");
        assert_eq!(notice.try_recv(), Ok(()), "the owner may stay");
    }

    #[test]
    fn released_slot_is_reused() {
        let limiter = ClientLimiter::new();
        let clients: Vec<_> = (0..MAX_CLIENTS).map(|_| limiter.admit().0).collect();
        assert!(clients.iter().all(ClientPermit::promote));
        let (late, _notice) = limiter.admit();
        assert!(!late.promote());
        drop(clients);
        assert!(late.promote());
        drop(late);
        assert!(limiter.lock().waiting.is_empty());
    }
}
