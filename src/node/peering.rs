//! Which peers we want to be connected to, and when to try again.
//!
//! Waits double from one second to a minute, each with a random part, so that nodes that lost the
//! same peer do not come back in step.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use circuits::ids::RelayKey;
use circuits::time::Instant;
use rand_core::Rng;

use crate::endpoint::PeerAddr;

/// The peers that the user named.
pub(super) struct Peering {
    wanted: BTreeMap<RelayKey, Wanted>,
    /// Peers that come in whoever is there already.
    always: BTreeSet<RelayKey>,
}

struct Wanted {
    peer: PeerAddr,
    /// `None` while connected or being dialled.
    next_try: Option<Instant>,
    wait: Duration,
}

impl Peering {
    pub(super) fn new<'a>(peers: impl IntoIterator<Item = &'a PeerAddr>, now: Instant) -> Self {
        let mut peering = Self {
            wanted: BTreeMap::new(),
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
        let Some(wanted) = self.wanted.get_mut(&key) else {
            return;
        };
        let spread = u64::try_from(wanted.wait.as_micros())
            .unwrap_or(u64::MAX)
            .max(1);
        let extra = Duration::from_micros(rng.next_u64() % spread);
        wanted.next_try = Some(now.after(wanted.wait.saturating_add(extra)));
        wanted.wait = wanted.wait.saturating_mul(2).min(LAST_WAIT);
    }
}

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LAST_WAIT: Duration = Duration::from_secs(60);

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
    fn waits_grow_to_a_minute_and_no_further() {
        let mut rng = ChaCha20Rng::from_seed([0; 32]);
        let mut peering = Peering::new(&[peer()], Instant::ZERO);
        for _ in 0..20 {
            peering.lost(Instant::ZERO, peer().key, &mut rng);
        }
        assert_eq!(peering.due(Instant::ZERO.after(LAST_WAIT * 2)).len(), 1);
    }
}
