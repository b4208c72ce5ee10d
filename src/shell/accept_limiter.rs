//! Limits on inbound connections.
//!
//! Three limits apply: inbound connections in total, connections from one source, and connections
//! whose handshake may not be finished (anonymity 3.11). No limit looks at the bytes on a
//! connection.

use std::collections::BTreeMap;
use std::future::pending;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

use super::random;

/// Limits on inbound connections, shared by all listeners of a node.
#[derive(Clone, Debug)]
pub(super) struct AcceptLimiter {
    half_open: HalfOpen,
    inbound: Arc<Semaphore>,
    sources: SourceCounts,
    loopback_only: bool,
}

impl AcceptLimiter {
    pub(super) fn new(loopback_only: bool) -> Self {
        Self {
            half_open: HalfOpen::default(),
            inbound: Arc::new(Semaphore::new(MAX_INBOUND)),
            sources: SourceCounts::default(),
            loopback_only,
        }
    }

    /// Waits until there is room for one more connection.
    pub(super) async fn acquire_slot(&self) -> Result<OwnedSemaphorePermit, AcquireError> {
        Arc::clone(&self.inbound).acquire_owned().await
    }

    /// Finds the source that a connection counts against. Connections over loopback come from local
    /// users or from a Tor daemon, so they have no source.
    pub(super) fn admit(&self, from: IpAddr, slot: OwnedSemaphorePermit) -> Option<AcceptPermit> {
        let from = from.to_canonical();
        let source = match from.is_loopback() {
            true => None,
            false if self.loopback_only => return None,
            false => Some(self.sources.enter(from)?),
        };
        let half_open = self.half_open.enter();
        Some(AcceptPermit {
            half_open,
            _slot: slot,
            source,
        })
    }
}

/// Holds a permit among the inbound connections. Completes if the connection has to make room for
/// another while its handshake may still be in progress.
pub(super) async fn until_evicted(permit: Option<AcceptPermit>) {
    if let Some(AcceptPermit { half_open, .. }) = permit
        && timeout(HANDSHAKE_TIMEOUT, half_open.evicted())
            .await
            .is_ok()
    {
        return;
    }
    pending().await
}

/// A permit for one inbound connection, returned on drop.
#[derive(Debug)]
pub(super) struct AcceptPermit {
    half_open: HalfOpenPermit,
    _slot: OwnedSemaphorePermit,
    source: Option<SourcePermit>,
}

impl AcceptPermit {
    /// The source of the connection; `None` if it came over loopback.
    pub(super) fn source(&self) -> Option<IpAddr> {
        self.source.as_ref().map(|permit| permit.address)
    }
}

/// Connections whose handshake may not be finished.
///
/// Above the limit a random connection is closed. A flood therefore has to be fast enough to hit
/// most handshakes within the fraction of a second that they take. If new connections had to wait
/// instead, a few silent connections would block all others.
#[derive(Clone, Debug, Default)]
struct HalfOpen(Arc<Mutex<HalfOpenTable>>);

#[derive(Debug, Default)]
struct HalfOpenTable {
    entries: BTreeMap<u64, oneshot::Sender<()>>,
    last: u64,
}

impl HalfOpen {
    fn lock(&self) -> MutexGuard<'_, HalfOpenTable> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self) -> HalfOpenPermit {
        let (sender, evicted) = oneshot::channel();
        let mut table = self.lock();
        if table.entries.len() >= MAX_HALF_OPEN {
            // Without randomness the oldest connection is closed. A flood can predict that, but not
            // prevent it.
            let draw = random().map_or(0, u64::from_be_bytes);
            let count = u64::try_from(table.entries.len())
                .unwrap_or(u64::MAX)
                .max(1);
            let unlucky = usize::try_from(draw % count).unwrap_or_default();
            let unlucky = table.entries.keys().nth(unlucky).copied();
            unlucky.map(|id| table.entries.remove(&id));
        }
        table.last = table.last.wrapping_add(1);
        let id = table.last;
        table.entries.insert(id, sender);
        HalfOpenPermit {
            all: self.clone(),
            id,
            evicted: Some(evicted),
        }
    }
}

#[derive(Debug)]
struct HalfOpenPermit {
    all: HalfOpen,
    id: u64,
    evicted: Option<oneshot::Receiver<()>>,
}

impl HalfOpenPermit {
    /// Completes when the connection has to make room for another.
    async fn evicted(mut self) {
        if let Some(evicted) = self.evicted.take() {
            // Nothing is ever sent: the end of the channel is the signal.
            let _ = evicted.await;
        }
    }
}

impl Drop for HalfOpenPermit {
    fn drop(&mut self) {
        self.all.lock().entries.remove(&self.id);
    }
}

/// A network that one operator can be expected to own: a /24 of IPv4, a /48 of IPv6.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct SourceNetwork(u64);

impl SourceNetwork {
    fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self(u64::from(address.to_bits() >> 8)),
            IpAddr::V6(address) => {
                let prefix = u64::try_from(address.to_bits() >> 80).unwrap_or(u64::MAX);
                Self(V6_MARK | prefix)
            }
        }
    }
}

/// Number of inbound connections of each source.
#[derive(Clone, Debug, Default)]
struct SourceCounts(Arc<Mutex<BTreeMap<SourceNetwork, usize>>>);

impl SourceCounts {
    /// Counts one more connection; `None` if the source has reached its limit.
    fn enter(&self, address: IpAddr) -> Option<SourcePermit> {
        let source = SourceNetwork::of(address);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(source).or_default();
        if *count >= MAX_PER_SOURCE {
            return None;
        }
        *count += 1;
        Some(SourcePermit {
            sources: self.clone(),
            source,
            address,
        })
    }
}

#[derive(Debug)]
struct SourcePermit {
    sources: SourceCounts,
    source: SourceNetwork,
    address: IpAddr,
}

impl Drop for SourcePermit {
    fn drop(&mut self) {
        let mut counts = self
            .sources
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.source) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.source);
            }
        }
    }
}

/// Maximum number of inbound connections. Each costs two buffers and a file descriptor; the usual
/// limit of 1,024 descriptors leaves room for as many outbound ones.
const MAX_INBOUND: usize = 256;
/// Maximum number of these whose handshake may not be finished.
const MAX_HALF_OPEN: usize = 128;
/// Maximum number of inbound connections from one /24 or /48.
const MAX_PER_SOURCE: usize = MAX_INBOUND / 4;
/// A connection of this age has finished its handshake, because the node otherwise closes it after
/// five seconds. The shell does not parse handshakes.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(6);
/// Separates the two address families: a /48 has 48 bits.
const V6_MARK: u64 = 1 << 63;

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_in_one_network_are_one_source() {
        let source = |text| SourceNetwork::of(address(text));
        assert_eq!(source("192.0.2.1"), source("192.0.2.254"));
        assert_ne!(source("192.0.2.1"), source("192.0.3.1"));
        assert_eq!(source("2001:db8:1::1"), source("2001:db8:1:ffff::2"));
        assert_ne!(source("2001:db8:1::1"), source("2001:db8:2::1"));
        assert_ne!(source("0.0.1.0"), source("0:0:1::"));
    }

    /// A connection arrives.
    async fn arrive(limiter: &AcceptLimiter, from: &str) -> Option<AcceptPermit> {
        limiter.admit(address(from), limiter.acquire_slot().await.unwrap())
    }

    #[tokio::test]
    async fn one_source_cannot_take_all_slots() {
        let limiter = AcceptLimiter::new(false);
        let mut entries = Vec::new();
        for _ in 0..MAX_PER_SOURCE {
            entries.push(arrive(&limiter, "192.0.2.1").await.unwrap());
        }
        assert!(arrive(&limiter, "192.0.2.77").await.is_none());
        assert!(arrive(&limiter, "198.51.100.1").await.is_some());
        entries.pop();
        assert!(arrive(&limiter, "::ffff:192.0.2.1").await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_half_open_connection_makes_room_for_another() {
        let limiter = AcceptLimiter::new(false);
        let mut waiters = tokio::task::JoinSet::new();
        for _ in 0..MAX_HALF_OPEN {
            waiters.spawn(until_evicted(arrive(&limiter, "127.0.0.1").await));
        }
        tokio::task::yield_now().await;
        assert!(waiters.try_join_next().is_none());
        let newcomer = arrive(&limiter, "127.0.0.1").await;
        assert!(newcomer.is_some(), "no connection waits");
        let evicted = timeout(HANDSHAKE_TIMEOUT / 2, waiters.join_next()).await;
        assert!(evicted.is_ok(), "one makes room");
        assert!(waiters.try_join_next().is_none(), "and only one");
        assert_eq!(limiter.half_open.lock().entries.len(), MAX_HALF_OPEN);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_past_its_handshake_is_not_evicted() {
        let limiter = AcceptLimiter::new(false);
        let mut waiters = tokio::task::JoinSet::new();
        waiters.spawn(until_evicted(arrive(&limiter, "127.0.0.1").await));
        sleep(HANDSHAKE_TIMEOUT * 2).await;
        assert!(limiter.half_open.lock().entries.is_empty());
        let mut flood = Vec::new();
        for _ in 1..MAX_INBOUND {
            flood.push(arrive(&limiter, "127.0.0.1").await.unwrap());
        }
        sleep(HANDSHAKE_TIMEOUT * 2).await;
        assert!(waiters.try_join_next().is_none());
        assert!(
            timeout(HANDSHAKE_TIMEOUT, limiter.acquire_slot())
                .await
                .is_err(),
            "the rest wait outside"
        );
    }

    #[tokio::test]
    async fn the_local_profile_accepts_only_loopback() {
        let limiter = AcceptLimiter::new(true);
        assert!(arrive(&limiter, "192.0.2.1").await.is_none());
        assert!(arrive(&limiter, "127.0.0.9").await.is_some());
        assert!(arrive(&limiter, "::1").await.is_some());
    }
}
