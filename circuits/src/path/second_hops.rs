//! The second hops of circuits: four relays, one of which follows the guard on every circuit.
//!
//! The other end of a hand-over can make a client build circuits, a few for each offer. With a second
//! hop drawn anew for each circuit, an adversary who is that other end and runs some relays is soon next
//! to the guard, and learns which guard it is (spec M24; Tor's vanguards). One-shot cells have no such
//! set: no other node can make a client send them.
//!
//! Relays are ranked by a keyed hash, as guards are. A member is replaced only when the directory does
//! not have it any more.

use core::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::guard::{Guard, GuardSeed};
use super::relation::are_related;
use crate::bytes::ByteReader;
use crate::directory::Snapshot;
use crate::ids::RelayId;

/// The second hops of a node. `Debug` shows their number.
pub struct SecondHops {
    seed: GuardSeed,
    own: RelayId,
    members: Vec<RelayId>,
}

impl SecondHops {
    /// Number of relays.
    pub const COUNT: usize = 4;

    /// Ranks relays by the seed of the guards, under a label of its own; never chooses `own`.
    #[must_use]
    pub const fn new(seed: GuardSeed, own: RelayId) -> Self {
        Self {
            seed,
            own,
            members: Vec::new(),
        }
    }

    /// Drops members that are not eligible any more, and fills up with relays that may follow the
    /// guard. Returns whether there was a change.
    pub fn refresh(&mut self, snapshot: &Snapshot, guard: Guard<'_>) -> bool {
        let before = self.members.clone();
        self.members.retain(|id| snapshot.get(id).is_some());
        if self.members.len() < Self::COUNT {
            let vacant = Self::COUNT.saturating_sub(self.members.len());
            let guard = guard.relay();
            let mut ranked: Vec<_> = snapshot
                .relays()
                .iter()
                .filter(|relay| relay.hop.id != self.own && relay.hop.id != guard.hop.id)
                .filter(|relay| !are_related(snapshot.profile(), relay, guard))
                .filter(|relay| guard.can_dial(relay) && !self.members.contains(&relay.hop.id))
                .map(|relay| (self.rank(&relay.hop.id), relay.hop.id))
                .collect();
            ranked.sort_unstable();
            let chosen = ranked.into_iter().take(vacant).map(|(_, id)| id);
            self.members.extend(chosen);
        }
        self.members != before
    }

    /// The relays.
    #[must_use]
    pub fn members(&self) -> &[RelayId] {
        &self.members
    }

    /// The members, to be stored with the guards.
    #[must_use]
    pub fn export(&self) -> Vec<u8> {
        self.members.iter().flat_map(|id| id.0).collect()
    }

    /// Restores stored members. What is behind the last whole one is ignored.
    pub fn import(&mut self, stored: &[u8]) {
        let mut reader = ByteReader::new(stored);
        self.members.clear();
        while self.members.len() < Self::COUNT
            && let Ok(id) = reader.array()
        {
            self.members.push(RelayId(id));
        }
    }

    /// HMAC-SHA256(seed, label | relay id); the lowest value ranks first.
    fn rank(&self, id: &RelayId) -> [u8; 32] {
        // HMAC accepts keys of any length, so the error case is unreachable.
        Hmac::<Sha256>::new_from_slice(self.seed.0.expose()).map_or([0; 32], |mut mac| {
            mac.update(LABEL);
            mac.update(&id.0);
            mac.finalize().into_bytes().into()
        })
    }
}

impl fmt::Debug for SecondHops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecondHops")
            .field("members", &self.members.len())
            .finish_non_exhaustive()
    }
}

const LABEL: &[u8] = b"whisht/1/second-hop";
