//! Which peers we want to be connected to, and when to try again.
//!
//! Waits for peers that the user named double from one second to a minute, those for peers that
//! discovery found from five minutes to half a day; each has a random part, so that nodes that lost
//! the same peer do not come back in step.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use circuits::ids::RelayKey;
use circuits::time::Instant;
use rand_core::Rng;

use crate::endpoint::PeerAddr;

/// The peers that the user named, and those that were found and tried.
pub(super) struct Peering {
    wanted: BTreeMap<RelayKey, Wanted>,
    found: BTreeMap<RelayKey, Found>,
    /// Peers that come in whoever is there already.
    always: BTreeSet<RelayKey>,
}

struct Wanted {
    peer: PeerAddr,
    /// `None` while connected or being dialled.
    next_try: Option<Instant>,
    wait: Duration,
    /// It broke the protocol: not before this.
    put_off: Instant,
}

/// A peer that discovery found, and what came of it.
struct Found {
    /// Not before then.
    next_try: Instant,
    wait: Duration,
    /// It broke the protocol: not before this.
    put_off: Instant,
    /// Being dialled, or connected.
    busy: bool,
}

impl Peering {
    pub(super) fn new<'a>(peers: impl IntoIterator<Item = &'a PeerAddr>, now: Instant) -> Self {
        let mut peering = Self {
            wanted: BTreeMap::new(),
            found: BTreeMap::new(),
            always: BTreeSet::new(),
        };
        for peer in peers {
            peering.add(*peer, now);
        }
        peering
    }

    /// Wants one more peer. A second address for the same key replaces the first.
    pub(super) fn add(&mut self, peer: PeerAddr, now: Instant) {
        self.wanted.insert(
            peer.key,
            Wanted {
                peer,
                next_try: Some(now),
                wait: FIRST_WAIT,
                put_off: now,
            },
        );
    }

    /// Wants a peer no more; a link to it is not touched.
    pub(super) fn remove(&mut self, key: RelayKey) {
        self.wanted.remove(&key);
    }

    /// Lets a peer in however many there are, or no longer. Beyond [`MOST_ALWAYS`] nobody more is.
    pub(super) fn always_admit(&mut self, key: RelayKey, always: bool) {
        if !always {
            self.always.remove(&key);
        } else if self.always.len() < MOST_ALWAYS {
            self.always.insert(key);
        }
    }

    /// Whether a peer comes in however many there are.
    pub(super) fn always_admits(&self, key: RelayKey) -> bool {
        self.always.contains(&key)
    }

    /// Whether the user named this peer.
    pub(super) fn wants(&self, key: RelayKey) -> bool {
        self.wanted.contains_key(&key)
    }

    /// Whether a node that was found may be dialled: it is none that the user named, and the last
    /// try was long enough ago.
    pub(super) fn may_try(&self, key: RelayKey, now: Instant) -> bool {
        let tried = self.found.get(&key);
        !self.wants(key) && tried.is_none_or(|found| !found.busy && found.next_try <= now)
    }

    /// A node that was found is dialled.
    pub(super) fn try_found(&mut self, key: RelayKey, now: Instant) {
        if self.found.len() >= MOST_FOUND && !self.found.contains_key(&key) {
            let idle = self.found.iter().filter(|(_, found)| !found.busy);
            let oldest = idle.min_by_key(|(_, found)| found.next_try);
            if let Some(key) = oldest.map(|(key, _)| *key) {
                self.found.remove(&key);
            }
        }
        let new = || Found {
            next_try: now,
            wait: FOUND_FIRST_WAIT,
            put_off: Instant::ZERO,
            busy: true,
        };
        self.found.entry(key).or_insert_with(new).busy = true;
    }

    /// Whether a peer is one that was found, and not one that the user named.
    pub(super) fn is_found(&self, key: RelayKey) -> bool {
        !self.wants(key) && self.found.get(&key).is_some_and(|found| found.busy)
    }

    /// Peers to be dialled now.
    pub(super) fn due(&mut self, now: Instant) -> Vec<PeerAddr> {
        let due = |wanted: &&mut Wanted| wanted.next_try.is_some_and(|next| next <= now);
        self.wanted
            .values_mut()
            .filter(due)
            .map(|wanted| {
                wanted.next_try = None;
                wanted.peer
            })
            .collect()
    }

    pub(super) fn connected(&mut self, key: RelayKey) {
        if let Some(wanted) = self.wanted.get_mut(&key) {
            wanted.next_try = None;
            wanted.wait = FIRST_WAIT;
        }
        if let Some(found) = self.found.get_mut(&key) {
            found.wait = FOUND_FIRST_WAIT;
        }
    }

    /// A peer broke the protocol: it is not dialled again before this.
    pub(super) fn put_off(&mut self, key: RelayKey, until: Instant) {
        if let Some(wanted) = self.wanted.get_mut(&key) {
            wanted.put_off = wanted.put_off.max(until);
        }
        if let Some(found) = self.found.get_mut(&key) {
            found.put_off = found.put_off.max(until);
        }
    }

    /// Tries every peer that waits to be tried again at once: what kept us from them is over.
    pub(super) fn hasten(&mut self, now: Instant) {
        for wanted in self.wanted.values_mut() {
            if wanted.next_try.is_some() {
                wanted.next_try = Some(now);
                wanted.wait = FIRST_WAIT;
            }
        }
    }

    /// A dial failed or a link was lost: waits, then tries again.
    pub(super) fn lost(&mut self, now: Instant, key: RelayKey, rng: &mut impl Rng) {
        let mut after = |wait: Duration| {
            let spread = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX).max(1);
            let extra = Duration::from_micros(rng.next_u64() % spread);
            now.after(wait.saturating_add(extra))
        };
        if let Some(wanted) = self.wanted.get_mut(&key) {
            wanted.next_try = Some(after(wanted.wait).max(wanted.put_off));
            wanted.wait = wanted.wait.saturating_mul(2).min(LAST_WAIT);
        }
        if let Some(found) = self.found.get_mut(&key) {
            found.next_try = after(found.wait).max(found.put_off);
            found.wait = found.wait.saturating_mul(2).min(FOUND_LAST_WAIT);
            found.busy = false;
        }
    }
}

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LAST_WAIT: Duration = Duration::from_secs(60);
const FOUND_FIRST_WAIT: Duration = Duration::from_secs(300);
const FOUND_LAST_WAIT: Duration = Duration::from_secs(12 * 3600);

/// Nodes that were found and are remembered to have been tried.
const MOST_FOUND: usize = 1024;

/// Peers that are let in however many there are.
const MOST_ALWAYS: usize = 256;

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
    fn a_peer_is_dialled_once_until_it_is_lost() {
        let mut rng = ChaCha20Rng::from_seed([0; 32]);
        let mut peering = Peering::new(&[peer()], Instant::ZERO);
        assert_eq!(peering.due(Instant::ZERO).len(), 1);
        let later = Instant::from_micros(10_000_000);
        assert!(peering.due(later).is_empty());
        peering.lost(later, peer().key, &mut rng);
        assert!(peering.due(later).is_empty());
        assert_eq!(peering.due(later.after(Duration::from_secs(2))).len(), 1);
    }

    #[test]
    fn a_peer_that_is_put_off_is_not_dialled_before_its_time() {
        let mut rng = ChaCha20Rng::from_seed([0; 32]);
        let mut peering = Peering::new(&[peer()], Instant::ZERO);
        assert_eq!(peering.due(Instant::ZERO).len(), 1);
        let until = Instant::ZERO.after(LAST_WAIT * 9);
        peering.put_off(peer().key, until);
        peering.lost(Instant::ZERO, peer().key, &mut rng);
        assert!(peering.due(Instant::ZERO.after(LAST_WAIT * 8)).is_empty());
        assert_eq!(peering.due(until).len(), 1);
    }

    #[test]
    fn a_found_peer_that_was_no_use_is_left_alone_for_longer_and_longer() {
        let mut rng = ChaCha20Rng::from_seed([0; 32]);
        let mut peering = Peering::new([], Instant::ZERO);
        let key = peer().key;
        let mut now = Instant::ZERO;
        for round in 0..20 {
            assert!(peering.may_try(key, now));
            peering.try_found(key, now);
            assert!(peering.is_found(key) && !peering.may_try(key, now));
            peering.lost(now, key, &mut rng);
            assert!(!peering.is_found(key));
            let least = FOUND_FIRST_WAIT * 2_u32.pow(round.min(7));
            assert!(!peering.may_try(key, now.after(least.min(FOUND_LAST_WAIT) / 2)));
            now = now.after(FOUND_LAST_WAIT * 2);
        }
        // One that was a peer, and went, is tried again soon.
        peering.try_found(key, now);
        peering.connected(key);
        peering.lost(now, key, &mut rng);
        assert!(peering.may_try(key, now.after(FOUND_FIRST_WAIT * 2)));
    }

    #[test]
    fn a_peer_that_the_user_names_is_no_longer_a_found_one() {
        let mut peering = Peering::new([], Instant::ZERO);
        peering.try_found(peer().key, Instant::ZERO);
        peering.add(peer(), Instant::ZERO);
        assert!(!peering.is_found(peer().key) && !peering.may_try(peer().key, Instant::ZERO));
    }

    #[test]
    fn what_is_remembered_of_found_peers_is_bounded() {
        let mut peering = Peering::new([], Instant::ZERO);
        let mut rng = ChaCha20Rng::from_seed([0; 32]);
        for number in 0..5_000_u16 {
            let mut key = [0; 64];
            key[..2].copy_from_slice(&number.to_be_bytes());
            peering.try_found(RelayKey(key), Instant::ZERO);
            peering.lost(Instant::ZERO, RelayKey(key), &mut rng);
        }
        assert_eq!(peering.found.len(), MOST_FOUND);
    }

    #[test]
    fn waits_grow_to_a_minute_and_no_further() {
        let mut rng = ChaCha20Rng::from_seed([0; 32]);
        let mut peering = Peering::new(&[peer()], Instant::ZERO);
        for _ in 0..20 {
            peering.lost(Instant::ZERO, peer().key, &mut rng);
        }
        assert_eq!(peering.due(Instant::ZERO.after(LAST_WAIT * 2)).len(), 1);
    }
}
