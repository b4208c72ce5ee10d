//! Proof that a relay told different nodes different things.
//!
//! A relay that shows one onion key to its victim and another to everybody else knows the victim
//! by the key. Two valid descriptors that contradict each other prove it: both are kept and
//! flooded, and the relay is left out of every path for the epoch concerned and two more
//! (spec M12). Only the holder of the relay's key can make such a pair.

use std::collections::BTreeMap;

use super::descriptor::{DescriptorDigest, VerifiedDescriptor};
use crate::ids::{Epoch, RelayId};

/// Two valid descriptors of one relay that contradict each other.
#[derive(Clone, Debug)]
pub struct EquivocationProof {
    first: VerifiedDescriptor,
    second: VerifiedDescriptor,
}

impl EquivocationProof {
    /// Judges two descriptors of one relay: a proof, if no honest relay could have signed both.
    ///
    /// Contradictory are two different descriptors for one epoch, and a next key that is not the
    /// key of the epoch after it.
    pub(super) fn between(held: &VerifiedDescriptor, other: &VerifiedDescriptor) -> Option<Self> {
        let (first, second) = if held.epoch() <= other.epoch() {
            (held, other)
        } else {
            (other, held)
        };
        let contradictory = if first.epoch() == second.epoch() {
            first.raw() != second.raw()
        } else {
            first
                .onion(second.epoch())
                .is_some_and(|announced| second.onion(second.epoch()) != Some(announced))
        };
        contradictory.then(|| Self {
            first: first.clone(),
            second: second.clone(),
        })
    }

    /// The relay that equivocates.
    #[must_use]
    pub fn relay(&self) -> RelayId {
        self.first.id()
    }

    /// The two descriptors, the earlier epoch first: what is to be flooded.
    #[must_use]
    pub const fn descriptors(&self) -> [&VerifiedDescriptor; 2] {
        [&self.first, &self.second]
    }

    /// The last epoch that the relay is excluded from.
    fn until(&self) -> Epoch {
        self.second.epoch().next().next()
    }
}

/// The relays that are excluded, and why.
pub(super) struct ExcludedRelays {
    relays: BTreeMap<RelayId, Exclusion>,
    /// Proofs kept in full; beyond that only the relay's id is.
    max_proofs: usize,
    max_relays: usize,
}

struct Exclusion {
    until: Epoch,
    proof: Option<EquivocationProof>,
}

impl ExcludedRelays {
    pub(super) const fn new(max_proofs: usize, max_relays: usize) -> Self {
        Self {
            relays: BTreeMap::new(),
            max_proofs,
            max_relays,
        }
    }

    pub(super) fn contains(&self, id: &RelayId) -> bool {
        self.relays.contains_key(id)
    }

    pub(super) fn len(&self) -> usize {
        self.relays.len()
    }

    /// Whether this very descriptor is part of a proof that is kept.
    pub(super) fn proves_with(&self, id: &RelayId, digest: DescriptorDigest) -> bool {
        self.relays
            .get(id)
            .and_then(|exclusion| exclusion.proof.as_ref())
            .is_some_and(|proof| proof.descriptors().iter().any(|one| one.digest() == digest))
    }

    /// Excludes the relay that a proof concerns. When there are too many, the exclusion that ends
    /// first goes.
    pub(super) fn add(&mut self, proof: EquivocationProof) {
        let until = proof.until();
        let kept = self.proofs().count() < self.max_proofs;
        self.relays.insert(
            proof.relay(),
            Exclusion {
                until,
                proof: kept.then_some(proof),
            },
        );
        if self.relays.len() > self.max_relays {
            let first = self.relays.iter().min_by_key(|(_, one)| one.until);
            if let Some(id) = first.map(|(id, _)| *id) {
                self.relays.remove(&id);
            }
        }
    }

    /// Ends the exclusions that ran out before `epoch`.
    pub(super) fn expire(&mut self, epoch: Epoch) {
        self.relays.retain(|_, exclusion| exclusion.until >= epoch);
    }

    /// The proofs, in the order of the relays' ids.
    pub(super) fn proofs(&self) -> impl Iterator<Item = &EquivocationProof> {
        self.relays.values().filter_map(|one| one.proof.as_ref())
    }
}
