//! The dialer: which peers are wanted, and when each is dialled again.
//!
//! Waits for static peers, which the user named, double from one second to a minute; waits for
//! discovered peers from five minutes to half a day. Each has a random part, so that nodes that lost
//! the same peer do not redial in step. The dialer opens no connection.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use circuits::backoff::Backoff;
use circuits::bounded_map::BoundedMap;
use circuits::ids::RelayKey;
use circuits::time::Instant;
use rand_core::CryptoRng;

use crate::endpoint::PeerAddr;

/// The static peers, and the discovered peers that were dialled.
pub(super) struct Dialer {
    static_peers: BTreeMap<RelayKey, StaticPeer>,
    /// Ranked for eviction: idle ones first, then by their next dial.
    discovered: BoundedMap<RelayKey, DiscoveredPeer, (bool, Instant)>,
    /// Peers that are admitted above the maximum number of peers.
    always_admitted: BTreeSet<RelayKey>,
    /// When dialled peers last replaced this node's only link to them by another with its key.
    replaced: VecDeque<Instant>,
}

struct StaticPeer {
    peer: PeerAddr,
    /// `None` while connected or being dialled.
    next_try: Option<Instant>,
    /// Number of failures since it was last connected.
    failures: u32,
    /// Set after a strike: not dialled before this.
    backoff_until: Instant,
    /// Why it was last not reached, or disconnected.
    failure: Option<String>,
    /// Whether `failure` is about the current dial or connection.
    is_explained: bool,
}

/// A static peer as users see it.
pub(super) struct StaticPeerState {
    /// Its address.
    pub(super) peer: PeerAddr,
    /// When it is dialled next; `None` while it is being dialled or connected.
    pub(super) next_try: Option<Instant>,
    /// Why it was last not reached, or disconnected.
    pub(super) failure: Option<String>,
}

/// A discovered peer that was dialled.
struct DiscoveredPeer {
    /// Not dialled before this.
    next_try: Instant,
    /// Number of failures since it was last connected.
    failures: u32,
    /// Set after a strike: not dialled before this.
    backoff_until: Instant,
    /// Whether it is being dialled, or connected.
    busy: bool,
}

impl Dialer {
    pub(super) fn new<'a>(peers: impl IntoIterator<Item = &'a PeerAddr>, now: Instant) -> Self {
        let mut dialer = Self {
            static_peers: BTreeMap::new(),
            discovered: BoundedMap::new(MAX_DISCOVERED),
            always_admitted: BTreeSet::new(),
            replaced: VecDeque::new(),
        };
        for peer in peers {
            dialer.add(*peer, now);
        }
        dialer
    }

    /// Adds a static peer. A second address for the same key replaces the first.
    pub(super) fn add(&mut self, peer: PeerAddr, now: Instant) {
        self.static_peers.insert(
            peer.key,
            StaticPeer {
                peer,
                next_try: Some(now),
                failures: 0,
                backoff_until: now,
                failure: None,
                is_explained: false,
            },
        );
    }

    /// Removes a static peer; a link to it is not closed.
    pub(super) fn remove(&mut self, key: RelayKey) {
        self.static_peers.remove(&key);
    }

    /// Admits a peer above the maximum number of peers, or no longer. At [`MAX_ALWAYS_ADMITTED`] no
    /// further peer is added.
    pub(super) fn always_admit(&mut self, key: RelayKey, always: bool) {
        if !always {
            self.always_admitted.remove(&key);
        } else if self.always_admitted.len() < MAX_ALWAYS_ADMITTED {
            self.always_admitted.insert(key);
        }
    }

    /// Whether a peer is admitted above the maximum number of peers.
    pub(super) fn always_admits(&self, key: RelayKey) -> bool {
        self.always_admitted.contains(&key)
    }

    /// Whether the user named this peer.
    pub(super) fn is_static(&self, key: RelayKey) -> bool {
        self.static_peers.contains_key(&key)
    }

    /// Whether a discovered node may be dialled: it is not a static peer, and its wait is over.
    pub(super) fn may_dial_discovered(&self, key: RelayKey, now: Instant) -> bool {
        let tried = self.discovered.get(&key);
        !self.is_static(key) && tried.is_none_or(|entry| !entry.busy && entry.next_try <= now)
    }

    /// Records the dial of a discovered node.
    pub(super) fn note_discovered_dial(&mut self, key: RelayKey, now: Instant) {
        if let Some(entry) = self.discovered.get_mut(&key) {
            entry.busy = true;
            let rank = (true, entry.next_try);
            self.discovered.touch(&key, rank);
            return;
        }
        let new = DiscoveredPeer {
            next_try: now,
            failures: 0,
            backoff_until: Instant::ZERO,
            busy: true,
        };
        self.discovered.insert(key, (true, now), new);
    }

    /// Whether a peer was discovered, and is not a static peer.
    pub(super) fn is_discovered(&self, key: RelayKey) -> bool {
        !self.is_static(key) && self.discovered.get(&key).is_some_and(|entry| entry.busy)
    }

    /// Whether this node dialled the peer by its own choice or the user's.
    pub(super) fn has_dialed(&self, key: RelayKey) -> bool {
        self.is_static(key) || self.discovered.contains_key(&key)
    }

    /// All static peers.
    pub(super) fn static_peers(&self) -> impl Iterator<Item = StaticPeerState> {
        self.static_peers.values().map(|entry| StaticPeerState {
            peer: entry.peer,
            next_try: entry.next_try,
            failure: entry.failure.clone(),
        })
    }

    /// Records why a static peer was not reached, or disconnected.
    pub(super) fn note_failure(&mut self, key: RelayKey, reason: String) {
        if let Some(entry) = self.static_peers.get_mut(&key) {
            entry.failure = Some(reason);
            entry.is_explained = true;
        }
    }

    /// A dialled peer disconnected this node's only link to it as a duplicate: another node connected
    /// to the peer with this node's key.
    pub(super) fn note_replaced(&mut self, now: Instant) {
        let was_in_use = self.is_key_in_use(now);
        self.replaced.push_back(now);
        if self.replaced.len() > REPLACED_LINKS {
            self.replaced.pop_front();
        }
        if !was_in_use && self.is_key_in_use(now) {
            tracing::warn!(
                "another node seems to use the key of this node, as a copy of its data directory would; \
                 stop one of the two, or delete `nodekey` in one directory, and `onion/` and \
                 `descriptor/` with it"
            );
        }
    }

    /// Whether another node seems to use this node's key. Two such nodes replace each other's links
    /// again and again; a single replacement may be a link that this machine has lost.
    pub(super) fn is_key_in_use(&self, now: Instant) -> bool {
        let oldest = self.replaced.front();
        self.replaced.len() >= REPLACED_LINKS
            && oldest.is_some_and(|oldest| now.since(*oldest) <= REPLACED_WITHIN)
    }

    /// Static peers whose wait is over.
    pub(super) fn due(&mut self, now: Instant) -> Vec<PeerAddr> {
        let due = |entry: &&mut StaticPeer| entry.next_try.is_some_and(|next| next <= now);
        self.static_peers
            .values_mut()
            .filter(due)
            .map(|entry| {
                entry.next_try = None;
                entry.peer
            })
            .collect()
    }

    /// Records that a peer is connected; its waits start from the minimum again.
    pub(super) fn connected(&mut self, key: RelayKey) {
        if let Some(entry) = self.static_peers.get_mut(&key) {
            entry.next_try = None;
            entry.failures = 0;
            entry.failure = None;
            entry.is_explained = false;
        }
        if let Some(entry) = self.discovered.get_mut(&key) {
            entry.failures = 0;
        }
    }

    /// Does not dial a peer before `until`, after a strike.
    pub(super) fn backoff_until(&mut self, key: RelayKey, until: Instant) {
        if let Some(entry) = self.static_peers.get_mut(&key) {
            entry.backoff_until = entry.backoff_until.max(until);
        }
        if let Some(entry) = self.discovered.get_mut(&key) {
            entry.backoff_until = entry.backoff_until.max(until);
        }
    }

    /// Ends the waits of all static peers.
    pub(super) fn expedite(&mut self, now: Instant) {
        for entry in self.static_peers.values_mut() {
            if entry.next_try.is_some() {
                entry.next_try = Some(now);
                entry.failures = 0;
            }
        }
    }

    /// Records that a dial failed or a link was lost; starts the wait.
    pub(super) fn lost(&mut self, now: Instant, key: RelayKey, rng: &mut impl CryptoRng) {
        if let Some(entry) = self.static_peers.get_mut(&key) {
            let wait = REDIAL.wait_with_jitter(entry.failures, rng);
            entry.next_try = Some(now.after(wait).max(entry.backoff_until));
            if !core::mem::take(&mut entry.is_explained) {
                entry.failure = Some(UNEXPLAINED.to_owned());
            }
            entry.failures = entry.failures.saturating_add(1);
        }
        if let Some(entry) = self.discovered.get_mut(&key) {
            let wait = REDIAL_DISCOVERED.wait_with_jitter(entry.failures, rng);
            entry.next_try = now.after(wait).max(entry.backoff_until);
            entry.failures = entry.failures.saturating_add(1);
            entry.busy = false;
            let rank = (false, entry.next_try);
            self.discovered.touch(&key, rank);
        }
    }
}

/// The reason if a connection ends, and neither side gives one.
const UNEXPLAINED: &str = "\
    the connection ended without a reason; the address may belong to another key, or to another kind \
    of node";

/// Number of replaced links from which on a second node with this node's key is assumed.
const REPLACED_LINKS: usize = 3;
/// The time in which they are counted: several times the maximum wait between two dials.
const REPLACED_WITHIN: Duration = Duration::from_secs(600);

/// Waits before a static peer is dialled again.
const REDIAL: Backoff = Backoff::new(Duration::from_secs(1), MAX_REDIAL_DELAY);
const MAX_REDIAL_DELAY: Duration = Duration::from_secs(60);
/// Waits before a discovered peer is dialled again.
const REDIAL_DISCOVERED: Backoff = Backoff::new(MIN_DISCOVERED_DELAY, MAX_DISCOVERED_DELAY);
const MIN_DISCOVERED_DELAY: Duration = Duration::from_secs(300);
const MAX_DISCOVERED_DELAY: Duration = Duration::from_secs(12 * 3600);

/// Maximum number of discovered nodes whose dials are remembered.
const MAX_DISCOVERED: usize = 1024;

/// Maximum number of peers that are admitted above the maximum.
const MAX_ALWAYS_ADMITTED: usize = 256;

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;
    use crate::endpoint::Endpoint;

    fn peer() -> PeerAddr {
        let addr: SocketAddr = "127.0.0.1:1".parse().unwrap();
        PeerAddr {
            key: RelayKey([1; 64]),
            endpoint: Endpoint::Tcp(addr),
        }
    }

    #[test]
    fn static_peer_is_dialled_once_until_it_is_lost() {
        let mut rng = ChaCha20Rng::from_seed([0; 32]);
        let mut dialer = Dialer::new(&[peer()], Instant::ZERO);
        assert_eq!(dialer.due(Instant::ZERO).len(), 1);
        let later = Instant::from_micros(10_000_000);
        assert!(dialer.due(later).is_empty());
        dialer.lost(later, peer().key, &mut rng);
        assert!(dialer.due(later).is_empty());
        assert_eq!(dialer.due(later.after(Duration::from_secs(2))).len(), 1);
    }

    #[test]
    fn key_is_in_use_elsewhere_after_three_replaced_links_in_ten_minutes() {
        let mut dialer = Dialer::new(&[peer()], Instant::ZERO);
        let minute = |minute: u64| Instant::from_micros(60_000_000 * minute);
        for when in [1, 8, 15, 22] {
            dialer.note_replaced(minute(when));
            assert!(!dialer.is_key_in_use(minute(when)));
        }
        dialer.note_replaced(minute(23));
        assert!(dialer.is_key_in_use(minute(23)));
        assert!(!dialer.is_key_in_use(minute(40)));
    }

    #[test]
    fn static_peer_that_is_not_reached_says_why_until_it_connects() {
        let mut rng = ChaCha20Rng::from_seed([0; 32]);
        let mut dialer = Dialer::new(&[peer()], Instant::ZERO);
        let state = |dialer: &Dialer| dialer.static_peers().next().unwrap();
        assert_eq!(dialer.due(Instant::ZERO).len(), 1);
        assert_eq!(
            (state(&dialer).next_try, state(&dialer).failure),
            (None, None)
        );
        dialer.note_failure(peer().key, "connection refused".to_owned());
        dialer.lost(Instant::ZERO, peer().key, &mut rng);
        assert_eq!(
            state(&dialer).failure.as_deref(),
            Some("connection refused")
        );
        assert!(state(&dialer).next_try.is_some());
        // The next dial ends in another way, without a reason.
        dialer.lost(Instant::ZERO, peer().key, &mut rng);
        assert_eq!(state(&dialer).failure.as_deref(), Some(UNEXPLAINED));
        dialer.connected(peer().key);
        assert_eq!(state(&dialer).failure, None);
    }

    #[test]
    fn backed_off_peer_is_not_dialled_early() {
        let mut rng = ChaCha20Rng::from_seed([0; 32]);
        let mut dialer = Dialer::new(&[peer()], Instant::ZERO);
        assert_eq!(dialer.due(Instant::ZERO).len(), 1);
        let until = Instant::ZERO.after(MAX_REDIAL_DELAY * 9);
        dialer.backoff_until(peer().key, until);
        dialer.lost(Instant::ZERO, peer().key, &mut rng);
        assert!(
            dialer
                .due(Instant::ZERO.after(MAX_REDIAL_DELAY * 8))
                .is_empty()
        );
        assert_eq!(dialer.due(until).len(), 1);
    }

    #[test]
    fn discovered_peer_backoff_doubles_up_to_the_maximum() {
        let mut rng = ChaCha20Rng::from_seed([0; 32]);
        let mut dialer = Dialer::new([], Instant::ZERO);
        let key = peer().key;
        let mut now = Instant::ZERO;
        for round in 0..20 {
            assert!(dialer.may_dial_discovered(key, now));
            dialer.note_discovered_dial(key, now);
            assert!(dialer.is_discovered(key) && !dialer.may_dial_discovered(key, now));
            dialer.lost(now, key, &mut rng);
            assert!(!dialer.is_discovered(key));
            let least = MIN_DISCOVERED_DELAY * 2_u32.pow(round.min(7));
            assert!(
                !dialer.may_dial_discovered(key, now.after(least.min(MAX_DISCOVERED_DELAY) / 2))
            );
            now = now.after(MAX_DISCOVERED_DELAY * 2);
        }
        // A peer that was connected is dialled again after the minimum wait.
        dialer.note_discovered_dial(key, now);
        dialer.connected(key);
        dialer.lost(now, key, &mut rng);
        assert!(dialer.may_dial_discovered(key, now.after(MIN_DISCOVERED_DELAY * 2)));
    }

    #[test]
    fn static_peer_is_not_a_discovered_peer() {
        let mut dialer = Dialer::new([], Instant::ZERO);
        dialer.note_discovered_dial(peer().key, Instant::ZERO);
        dialer.add(peer(), Instant::ZERO);
        assert!(
            !dialer.is_discovered(peer().key)
                && !dialer.may_dial_discovered(peer().key, Instant::ZERO)
        );
    }

    #[test]
    fn discovered_peers_are_bounded() {
        let mut dialer = Dialer::new([], Instant::ZERO);
        let mut rng = ChaCha20Rng::from_seed([0; 32]);
        for number in 0..5_000_u16 {
            let mut key = [0; 64];
            key[..2].copy_from_slice(&number.to_be_bytes());
            dialer.note_discovered_dial(RelayKey(key), Instant::ZERO);
            dialer.lost(Instant::ZERO, RelayKey(key), &mut rng);
        }
        assert_eq!(dialer.discovered.len(), MAX_DISCOVERED);
    }

    #[test]
    fn waits_double_up_to_a_minute() {
        let mut rng = ChaCha20Rng::from_seed([0; 32]);
        let mut dialer = Dialer::new(&[peer()], Instant::ZERO);
        for _ in 0..20 {
            dialer.lost(Instant::ZERO, peer().key, &mut rng);
        }
        assert_eq!(
            dialer.due(Instant::ZERO.after(MAX_REDIAL_DELAY * 2)).len(),
            1
        );
    }
}
