//! Proofs of equivocation: a relay signed contradictory descriptors.
//!
//! A relay that shows one onion key to a victim and another key to all other nodes can recognise
//! the victim by the key. Two valid descriptors that contradict each other prove this. Both are
//! stored and flooded, and no path uses the relay in that epoch and the next two (spec M12). Only
//! the holder of the relay's key can create such a pair.

use super::descriptor::{DescriptorDigest, VerifiedDescriptor};
use crate::bounded_map::BoundedMap;
use crate::ids::{Epoch, RelayId};

/// Two valid descriptors of one relay that contradict each other.
#[derive(Clone, Debug)]
pub struct EquivocationProof {
    first: VerifiedDescriptor,
    second: VerifiedDescriptor,
}

impl EquivocationProof {
    /// Compares two descriptors of one relay. Returns a proof if an honest relay could not have
    /// signed both.
    ///
    /// Two descriptors are contradictory if they differ for the same epoch, or if the next key of
    /// the earlier one is not the key of the later one.
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

    /// The two descriptors to flood, earlier epoch first.
    #[must_use]
    pub const fn descriptors(&self) -> [&VerifiedDescriptor; 2] {
        [&self.first, &self.second]
    }

    /// The last epoch from which the relay is excluded.
    fn until(&self) -> Epoch {
        self.second.epoch().next().next()
    }
}

/// The excluded relays with their proofs.
pub(super) struct ExcludedRelays {
    /// Ranked by the last epoch of the exclusion.
    relays: BoundedMap<RelayId, Option<EquivocationProof>, Epoch>,
    /// Maximum number of proofs stored in full; further exclusions store only the relay's id.
    max_proofs: usize,
}

impl ExcludedRelays {
    pub(super) const fn new(max_proofs: usize, max_relays: usize) -> Self {
        Self {
            relays: BoundedMap::new(max_relays),
            max_proofs,
        }
    }

    pub(super) fn contains(&self, id: &RelayId) -> bool {
        self.relays.contains_key(id)
    }

    pub(super) fn len(&self) -> usize {
        self.relays.len()
    }

    /// Whether the descriptor is part of a stored proof.
    pub(super) fn has_proof_with(&self, id: &RelayId, digest: DescriptorDigest) -> bool {
        self.relays
            .get(id)
            .and_then(Option::as_ref)
            .is_some_and(|proof| proof.descriptors().iter().any(|one| one.digest() == digest))
    }

    /// Excludes the relay of the proof. Above `max_relays`, the exclusion that ends first is
    /// dropped.
    pub(super) fn add(&mut self, proof: EquivocationProof) {
        let (relay, until) = (proof.relay(), proof.until());
        let ends_first = self.relays.first().is_some_and(|(_, first)| until < first);
        if self.relays.is_full() && !self.relays.contains_key(&relay) && ends_first {
            return;
        }
        let kept = self.proofs().count() < self.max_proofs;
        self.relays.insert(relay, until, kept.then_some(proof));
    }

    /// Drops the exclusions that ended before `epoch`.
    pub(super) fn expire(&mut self, epoch: Epoch) {
        while self.relays.pop_first_if(|until| until < epoch).is_some() {}
    }

    /// The stored proofs, in the order of the relays' ids.
    pub(super) fn proofs(&self) -> impl Iterator<Item = &EquivocationProof> {
        self.relays.values().filter_map(Option::as_ref)
    }
}
