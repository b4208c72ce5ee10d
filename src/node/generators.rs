//! The random number generators of a node, one per purpose.
//!
//! A node gets one seed, and entropy of the operating system from its shell while it runs. Each
//! purpose draws from a generator of its own: what one peer can observe of the order in which gossip
//! is sent comes from another generator than keys and paths, and one more draw for one purpose does
//! not shift the draws for another: neither a simulation's, nor the cover traffic and the dials of a
//! node whose user sends a message. Past draws cannot be computed from the state
//! ([`ErasingRng`]). This module asks nothing of the operating system.

use circuits::erasing_rng::ErasingRng;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// The generators of one node.
pub(super) struct Generators {
    /// Seeds the others, and is used for nothing else.
    root: ErasingRng,
    keys: ErasingRng,
    paths: ErasingRng,
    schedule: ErasingRng,
    cover: ErasingRng,
    dials: ErasingRng,
    circuits: ErasingRng,
}

impl Generators {
    /// Generators that are determined by `seed`. The caller wipes the seed.
    pub(super) fn new(seed: &[u8; 32]) -> Self {
        let mut root = ErasingRng::from_seed(seed);
        Self {
            keys: root.child(),
            paths: root.child(),
            schedule: root.child(),
            cover: root.child(),
            dials: root.child(),
            circuits: ErasingRng::from_seed(&labelled(seed, b"circuits")),
            root,
        }
    }

    /// Mixes entropy of the operating system into every generator.
    pub(super) fn reseed(&mut self, entropy: &[u8; 32]) {
        self.root.reseed(entropy);
        let children = [
            &mut self.keys,
            &mut self.paths,
            &mut self.schedule,
            &mut self.cover,
            &mut self.dials,
            &mut self.circuits,
        ];
        for child in children {
            child.reseed(&self.root.seed());
        }
    }

    /// A seed for the generator of a component that keeps its own.
    pub(super) fn seed(&mut self) -> Zeroizing<[u8; 32]> {
        self.root.seed()
    }

    /// For keys, and for what is encrypted or padded with them.
    pub(super) const fn keys(&mut self) -> &mut ErasingRng {
        &mut self.keys
    }

    /// For guards, lanes and stems, and for the delays on them.
    pub(super) const fn paths(&mut self) -> &mut ErasingRng {
        &mut self.paths
    }

    /// For timers, order and search starts: what other nodes may observe.
    pub(super) const fn schedule(&mut self) -> &mut ErasingRng {
        &mut self.schedule
    }

    /// For cover traffic: its routes, delays and content. Only slots draw from it.
    pub(super) const fn cover(&mut self) -> &mut ErasingRng {
        &mut self.cover
    }

    /// For the times of dials.
    pub(super) const fn dials(&mut self) -> &mut ErasingRng {
        &mut self.dials
    }

    /// For circuits of this node: their paths, setup cells and padding.
    pub(super) const fn circuits(&mut self) -> &mut ErasingRng {
        &mut self.circuits
    }
}

/// A seed for one purpose, without a draw from the root, whose later draws it would shift.
fn labelled(seed: &[u8; 32], purpose: &[u8]) -> Zeroizing<[u8; 32]> {
    let digest = Sha256::new()
        .chain_update(b"whisht/1/generator/")
        .chain_update(purpose)
        .chain_update(seed)
        .finalize();
    Zeroizing::new(digest.into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand_core::Rng;

    use super::*;

    fn draws(generators: &mut Generators) -> [u64; 6] {
        [
            generators.keys().next_u64(),
            generators.paths().next_u64(),
            generators.schedule().next_u64(),
            generators.cover().next_u64(),
            generators.dials().next_u64(),
            generators.circuits().next_u64(),
        ]
    }

    #[test]
    fn purposes_draw_different_numbers() {
        let draws = BTreeSet::from(draws(&mut Generators::new(&[1; 32])));
        assert_eq!(draws.len(), 6);
    }

    #[test]
    fn draws_for_one_purpose_do_not_shift_another() {
        let (mut one, mut two) = (Generators::new(&[1; 32]), Generators::new(&[1; 32]));
        one.schedule().fill_bytes(&mut [0; 5_000]);
        assert_eq!(one.keys().next_u64(), two.keys().next_u64());
        assert_eq!(one.paths().next_u64(), two.paths().next_u64());
        assert_eq!(one.cover().next_u64(), two.cover().next_u64());
        assert_eq!(one.dials().next_u64(), two.dials().next_u64());
        assert_eq!(one.circuits().next_u64(), two.circuits().next_u64());
    }

    #[test]
    fn entropy_changes_every_generator() {
        let (mut one, mut two) = (Generators::new(&[1; 32]), Generators::new(&[1; 32]));
        one.reseed(&[2; 32]);
        for (one, two) in draws(&mut one).into_iter().zip(draws(&mut two)) {
            assert_ne!(one, two);
        }
        assert_ne!(*one.seed(), *two.seed());
    }

    #[test]
    fn equal_seeds_and_entropy_give_equal_draws() {
        let (mut one, mut two) = (Generators::new(&[1; 32]), Generators::new(&[1; 32]));
        one.reseed(&[2; 32]);
        two.reseed(&[2; 32]);
        assert_eq!(draws(&mut one), draws(&mut two));
    }
}
