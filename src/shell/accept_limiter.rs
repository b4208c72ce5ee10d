//! Limits on inbound connections, for links and for clients.
//!
//! A connection is *unproven* until it has shown that it is worth its slot: a link has finished its
//! handshake, a client has shown the token. Unproven connections are bounded, and one of them makes
//! room for the next: silent connections can neither accumulate nor block the owner. Proven
//! connections are bounded as well and are never evicted. Connections from one network are bounded
//! where unknown peers can connect (anonymity 3.11). No limit looks at the bytes on a connection.

use std::collections::BTreeMap;
use std::future::pending;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use self::source::{SourceCounts, SourcePermit};
use super::random;

mod source;

/// The numbers of connections that a limiter admits.
#[derive(Clone, Copy, Debug)]
pub(super) struct AcceptLimits {
    /// Connections that hold a slot: proven ones, and those that took a slot on arrival.
    pub(super) slots: usize,
    /// Unproven connections.
    pub(super) unproven: usize,
    /// Connections from one /24 or /48, not counting those over loopback.
    pub(super) per_source: usize,
    /// Whether connections are admitted only over loopback.
    pub(super) loopback_only: bool,
    /// Which unproven connection makes room.
    pub(super) eviction: Eviction,
}

/// Which unproven connection makes room for the next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Eviction {
    /// The oldest.
    Oldest,
    /// A random one. A flood has to be fast enough to hit most connections within the fraction of a
    /// second that they take to prove themselves.
    Random,
}

/// Admits connections; all listeners with the same limits share one.
#[derive(Clone, Debug)]
pub(super) struct AcceptLimiter {
    limits: AcceptLimits,
    slots: Arc<Semaphore>,
    unproven: Arc<Mutex<UnprovenTable>>,
    sources: SourceCounts,
}

/// Unproven connections in order of arrival.
#[derive(Debug, Default)]
struct UnprovenTable {
    connections: BTreeMap<u64, oneshot::Sender<()>>,
    last: u64,
}

/// A slot, returned on drop.
#[derive(Debug)]
pub(super) struct AcceptSlot(
    #[expect(dead_code, reason = "returned on drop")] OwnedSemaphorePermit,
);

impl AcceptLimiter {
    pub(super) fn new(limits: AcceptLimits) -> Self {
        Self {
            limits,
            slots: Arc::new(Semaphore::new(limits.slots)),
            unproven: Arc::default(),
            sources: SourceCounts::new(limits.per_source),
        }
    }

    /// Waits for a slot, before a connection is accepted: until then, connections wait in the queue
    /// of the operating system.
    pub(super) async fn slot(&self) -> Option<AcceptSlot> {
        let slot = Arc::clone(&self.slots).acquire_owned().await;
        slot.ok().map(AcceptSlot)
    }

    fn try_slot(&self) -> Option<AcceptSlot> {
        let slot = Arc::clone(&self.slots).try_acquire_owned();
        slot.ok().map(AcceptSlot)
    }

    /// Admits an unproven connection, with or without a slot; `None` if its source has too many.
    /// Connections over loopback come from local users or from a Tor daemon, so they have no source.
    pub(super) fn admit(&self, from: IpAddr, slot: Option<AcceptSlot>) -> Option<AcceptPermit> {
        let from = from.to_canonical();
        let source = if from.is_loopback() {
            None
        } else if self.limits.loopback_only {
            return None;
        } else {
            Some(self.sources.enter(from)?)
        };
        let (id, evicted) = self.enter_unproven();
        Some(AcceptPermit {
            limiter: self.clone(),
            state: Mutex::new(PermitState {
                unproven: Some(id),
                evicted: Some(evicted),
                slot,
            }),
            source,
        })
    }

    /// Admits a local connection that needs no proof; `None` if all slots are taken.
    pub(super) fn admit_proven(&self) -> Option<AcceptPermit> {
        let state = PermitState {
            unproven: None,
            evicted: None,
            slot: Some(self.try_slot()?),
        };
        Some(AcceptPermit {
            limiter: self.clone(),
            state: Mutex::new(state),
            source: None,
        })
    }

    fn enter_unproven(&self) -> (u64, oneshot::Receiver<()>) {
        let (sender, evicted) = oneshot::channel();
        let mut table = self.lock();
        if table.connections.len() >= self.limits.unproven {
            let unlucky = match self.limits.eviction {
                Eviction::Oldest => table.connections.keys().next(),
                Eviction::Random => table.connections.keys().nth(below(table.connections.len())),
            };
            if let Some(unlucky) = unlucky.copied() {
                table.connections.remove(&unlucky);
            }
        }
        table.last = table.last.wrapping_add(1);
        let id = table.last;
        table.connections.insert(id, sender);
        (id, evicted)
    }

    fn lock(&self) -> MutexGuard<'_, UnprovenTable> {
        self.unproven.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A random number below `count`. Without randomness it is zero, and the oldest connection is
/// evicted: a flood can predict that, but not prevent it.
fn below(count: usize) -> usize {
    let count = u64::try_from(count).unwrap_or(u64::MAX).max(1);
    let draw = random().map_or(0, u64::from_be_bytes);
    usize::try_from(draw % count).unwrap_or_default()
}

/// A permit for one inbound connection, returned on drop.
#[derive(Debug)]
pub(super) struct AcceptPermit {
    limiter: AcceptLimiter,
    state: Mutex<PermitState>,
    source: Option<SourcePermit>,
}

#[derive(Debug)]
struct PermitState {
    /// The entry among the unproven connections.
    unproven: Option<u64>,
    /// Closed without a message at the eviction; a message means that the connection may stay.
    evicted: Option<oneshot::Receiver<()>>,
    slot: Option<AcceptSlot>,
}

impl AcceptPermit {
    /// The source of the connection; `None` if it came over loopback.
    pub(super) fn source(&self) -> Option<IpAddr> {
        self.source.as_ref().map(SourcePermit::address)
    }

    /// Records that the connection has proven itself: it is not evicted any more. False if it has no
    /// slot and all slots are taken.
    pub(super) fn promote(&self) -> bool {
        let mut state = self.state();
        if state.slot.is_none() {
            let Some(slot) = self.limiter.try_slot() else {
                return false;
            };
            state.slot = Some(slot);
        }
        if let Some(id) = state.unproven.take()
            && let Some(stay) = self.limiter.lock().connections.remove(&id)
        {
            // This fails only if the eviction is not awaited any more.
            let _ = stay.send(());
        }
        true
    }

    /// Completes when the connection has to make room for another; never for a proven connection.
    pub(super) async fn evicted(&self) {
        let evicted = self.state().evicted.take();
        if let Some(evicted) = evicted
            && evicted.await.is_err()
        {
            return;
        }
        pending().await
    }

    fn state(&self) -> MutexGuard<'_, PermitState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AcceptPermit {
    fn drop(&mut self) {
        let id = self.state().unproven.take();
        if let Some(id) = id {
            self.limiter.lock().connections.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::task::JoinSet;
    use tokio::time::timeout;

    use super::*;

    const LIMITS: AcceptLimits = AcceptLimits {
        slots: 256,
        unproven: 128,
        per_source: 64,
        loopback_only: false,
        eviction: Eviction::Random,
    };
    /// Clients of the RPC endpoints.
    const CLIENTS: AcceptLimits = AcceptLimits {
        slots: 8,
        unproven: 4,
        per_source: 0,
        loopback_only: true,
        eviction: Eviction::Oldest,
    };

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// A link arrives.
    async fn arrive(limiter: &AcceptLimiter, from: &str) -> Option<AcceptPermit> {
        limiter.admit(address(from), limiter.slot().await)
    }

    /// A client arrives.
    fn connect(limiter: &AcceptLimiter) -> AcceptPermit {
        limiter.admit(address("127.0.0.1"), None).unwrap()
    }

    fn is_evicted(permit: &AcceptPermit) -> bool {
        let mut state = permit.state();
        let notice = state.evicted.as_mut().unwrap().try_recv();
        matches!(notice, Err(oneshot::error::TryRecvError::Closed))
    }

    #[tokio::test]
    async fn one_source_cannot_take_all_slots() {
        let limiter = AcceptLimiter::new(LIMITS);
        let mut entries = Vec::new();
        for _ in 0..LIMITS.per_source {
            entries.push(arrive(&limiter, "192.0.2.1").await.unwrap());
        }
        assert!(arrive(&limiter, "192.0.2.77").await.is_none());
        assert!(arrive(&limiter, "198.51.100.1").await.is_some());
        entries.pop();
        assert!(arrive(&limiter, "::ffff:192.0.2.1").await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn unproven_connection_makes_room_for_another() {
        let limiter = AcceptLimiter::new(LIMITS);
        let mut waiters = JoinSet::new();
        for _ in 0..LIMITS.unproven {
            let permit = arrive(&limiter, "127.0.0.1").await.unwrap();
            waiters.spawn(async move { permit.evicted().await });
        }
        tokio::task::yield_now().await;
        assert!(waiters.try_join_next().is_none());
        let newcomer = arrive(&limiter, "127.0.0.1").await;
        assert!(newcomer.is_some(), "no connection waits");
        let evicted = timeout(Duration::from_secs(1), waiters.join_next()).await;
        assert!(evicted.is_ok(), "one makes room");
        assert!(waiters.try_join_next().is_none(), "and only one");
        assert_eq!(limiter.lock().connections.len(), LIMITS.unproven);
    }

    #[tokio::test(start_paused = true)]
    async fn proven_connection_is_not_evicted_and_the_rest_wait_outside() {
        let limiter = AcceptLimiter::new(LIMITS);
        let mut waiters = JoinSet::new();
        let first = arrive(&limiter, "127.0.0.1").await.unwrap();
        assert!(first.promote());
        waiters.spawn(async move { first.evicted().await });
        let mut flood = Vec::new();
        for _ in 1..LIMITS.slots {
            flood.push(arrive(&limiter, "127.0.0.1").await.unwrap());
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(waiters.try_join_next().is_none());
        let waits = timeout(Duration::from_secs(60), limiter.slot()).await;
        assert!(waits.is_err());
    }

    #[tokio::test]
    async fn loopback_only_limiter_admits_no_other_address() {
        let limiter = AcceptLimiter::new(AcceptLimits {
            loopback_only: true,
            ..LIMITS
        });
        assert!(arrive(&limiter, "192.0.2.1").await.is_none());
        assert!(arrive(&limiter, "127.0.0.9").await.is_some());
        assert!(arrive(&limiter, "::1").await.is_some());
    }

    #[tokio::test]
    async fn silent_connections_do_not_keep_the_owner_out() {
        let limiter = AcceptLimiter::new(CLIENTS);
        let owner = connect(&limiter);
        assert!(
            owner.promote() && owner.promote(),
            "a second promotion changes nothing"
        );
        let silent: Vec<_> = (0..=CLIENTS.unproven).map(|_| connect(&limiter)).collect();
        let evicted: Vec<bool> = silent.iter().map(is_evicted).collect();
        assert_eq!(evicted, [true, false, false, false, false], "the oldest");
        assert!(!is_evicted(&owner));
    }

    #[tokio::test]
    async fn returned_slot_can_be_taken_again() {
        let limiter = AcceptLimiter::new(CLIENTS);
        let mut clients = Vec::new();
        for _ in 0..CLIENTS.slots {
            let client = connect(&limiter);
            assert!(client.promote());
            clients.push(client);
        }
        let late = connect(&limiter);
        assert!(!late.promote() && limiter.admit_proven().is_none());
        drop(clients);
        assert!(late.promote() && limiter.admit_proven().is_some());
        drop(late);
        assert!(limiter.lock().connections.is_empty());
    }
}
