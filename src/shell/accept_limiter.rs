//! Limits on inbound connections, for links and for clients.
//!
//! A connection is *unproven* until it has shown that it is worth its slot: a link has finished its
//! handshake and the node keeps it, a client has shown the token. Unproven connections are bounded,
//! and one of them makes room for the next: silent connections can neither accumulate nor block the
//! owner. A *proven* connection holds a slot and is never evicted here. A connection that the owner
//! closed may still write its last bytes; such connections are bounded as well, and the oldest is
//! cut. The limiter does not know what the bytes on a connection mean.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::random;
use crate::endpoint::Prefix;

/// The numbers of connections that a limiter admits.
#[derive(Clone, Copy, Debug)]
pub(super) struct AcceptLimits {
    /// Proven connections.
    pub(super) slots: usize,
    /// Unproven connections.
    pub(super) unproven: usize,
    /// Unproven connections from one /24 or /48, not counting those over loopback.
    pub(super) per_source: usize,
    /// Connections that the owner closed and that still write their last bytes.
    pub(super) closing: usize,
    /// Whether connections are admitted only over loopback.
    pub(super) loopback_only: bool,
    /// Which unproven connection makes room.
    pub(super) eviction: Eviction,
}

/// Which unproven connection makes room for the next. One that has sent nothing goes before one
/// that has.
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
    tables: Arc<Mutex<Tables>>,
}

/// Connections without a slot, in order of arrival.
#[derive(Debug, Default)]
struct Tables {
    unproven: BTreeMap<u64, Unproven>,
    closing: BTreeMap<u64, Arc<Notify>>,
    last: u64,
}

#[derive(Debug)]
struct Unproven {
    evict: Arc<Notify>,
    source: Option<Prefix>,
    is_silent: bool,
}

impl AcceptLimiter {
    pub(super) fn new(limits: AcceptLimits) -> Self {
        Self {
            limits,
            slots: Arc::new(Semaphore::new(limits.slots)),
            tables: Arc::default(),
        }
    }

    /// Admits an unproven connection; `None` if its address is not admitted. Connections over
    /// loopback come from local users or from a Tor daemon, so they have no source.
    pub(super) fn admit(&self, from: IpAddr) -> Option<AcceptPermit> {
        let from = from.to_canonical();
        let source = (!from.is_loopback()).then_some(from);
        if source.is_some() && self.limits.loopback_only {
            return None;
        }
        let evict = Arc::new(Notify::new());
        let id = self.lock().enter(
            Unproven {
                evict: Arc::clone(&evict),
                source: source.map(Prefix::of),
                is_silent: true,
            },
            self.limits,
        );
        Some(self.permit(id, evict, source, None))
    }

    /// Evicts an unproven connection, because the process has no descriptor left.
    pub(super) fn make_room(&self) {
        self.lock().evict(None, self.limits.eviction);
    }

    /// Admits a local connection that needs no proof; `None` if all slots are taken.
    pub(super) fn admit_proven(&self) -> Option<AcceptPermit> {
        let slot = self.try_slot()?;
        let id = self.lock().next_id();
        Some(self.permit(id, Arc::new(Notify::new()), None, Some(slot)))
    }

    fn permit(
        &self,
        id: u64,
        evict: Arc<Notify>,
        source: Option<IpAddr>,
        slot: Option<OwnedSemaphorePermit>,
    ) -> AcceptPermit {
        AcceptPermit {
            limiter: self.clone(),
            id,
            evict,
            source,
            slot: Mutex::new(slot),
        }
    }

    fn try_slot(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.slots).try_acquire_owned().ok()
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    const fn next_id(&mut self) -> u64 {
        self.last = self.last.wrapping_add(1);
        self.last
    }

    /// Adds a connection. At a limit, one that is subject to the same limit makes room.
    fn enter(&mut self, new: Unproven, limits: AcceptLimits) -> u64 {
        let of_source = |source| {
            let same = self.unproven.values().filter(|one| one.source == source);
            same.count()
        };
        let crowded = new
            .source
            .filter(|source| of_source(Some(*source)) >= limits.per_source);
        if crowded.is_some() || self.unproven.len() >= limits.unproven {
            self.evict(crowded, limits.eviction);
        }
        let id = self.next_id();
        self.unproven.insert(id, new);
        id
    }

    /// Evicts one connection, of this source if one is named.
    fn evict(&mut self, source: Option<Prefix>, eviction: Eviction) {
        let suits = |is_silent: bool| {
            let entries = self.unproven.iter();
            let suiting = entries.filter(|(_, one)| {
                one.is_silent == is_silent && (source.is_none() || one.source == source)
            });
            suiting.map(|(id, _)| *id).collect::<Vec<u64>>()
        };
        let silent = suits(true);
        let candidates = if silent.is_empty() {
            suits(false)
        } else {
            silent
        };
        let chosen = match eviction {
            Eviction::Oldest => 0,
            Eviction::Random => below(candidates.len()),
        };
        if let Some(id) = candidates.get(chosen)
            && let Some(evicted) = self.unproven.remove(id)
        {
            evicted.evict.notify_one();
        }
    }

    /// Adds a connection that the owner closed; the oldest is cut at the limit.
    fn close(&mut self, id: u64, evict: Arc<Notify>, limits: AcceptLimits) {
        self.unproven.remove(&id);
        self.closing.insert(id, evict);
        if self.closing.len() > limits.closing
            && let Some((_, oldest)) = self.closing.pop_first()
        {
            oldest.notify_one();
        }
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
    id: u64,
    evict: Arc<Notify>,
    source: Option<IpAddr>,
    slot: Mutex<Option<OwnedSemaphorePermit>>,
}

impl AcceptPermit {
    /// The source of the connection; `None` if it came over loopback.
    pub(super) const fn source(&self) -> Option<IpAddr> {
        self.source
    }

    /// Records that the connection has sent something.
    pub(super) fn note_received(&self) {
        if let Some(entry) = self.limiter.lock().unproven.get_mut(&self.id) {
            entry.is_silent = false;
        }
    }

    /// Records that the connection has proven itself: it takes a slot and is not evicted any more.
    /// False if all slots are taken.
    pub(super) fn promote(&self) -> bool {
        let mut slot = self.slot();
        if slot.is_none() {
            let Some(free) = self.limiter.try_slot() else {
                return false;
            };
            *slot = Some(free);
        }
        self.limiter.lock().unproven.remove(&self.id);
        true
    }

    /// Records that the owner has closed the connection: it returns its slot, and writes its last
    /// bytes unless too many others do.
    pub(super) fn close(&self) {
        *self.slot() = None;
        let evict = Arc::clone(&self.evict);
        let limits = self.limiter.limits;
        self.limiter.lock().close(self.id, evict, limits);
    }

    /// Completes when the connection has to make room for another; never while it holds a slot.
    pub(super) async fn evicted(&self) {
        self.evict.notified().await;
    }

    fn slot(&self) -> MutexGuard<'_, Option<OwnedSemaphorePermit>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AcceptPermit {
    fn drop(&mut self) {
        let mut tables = self.limiter.lock();
        tables.unproven.remove(&self.id);
        tables.closing.remove(&self.id);
    }
}

#[cfg(test)]
mod tests;
