//! Randomness of a world: every seed is a hash of the world's seed and a purpose.
//!
//! A hash keeps the seeds of any two nodes, links and purposes apart, whatever their numbers are.
//! This module draws nothing from the system: equal world seeds give equal runs.

use circuits::secret::Secret;
use sha2::{Digest, Sha256};

use crate::link::LinkKey;

/// The seed of a world, from which every other seed is derived.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WorldSeed(pub [u8; 32]);

impl WorldSeed {
    /// The seed that a user names by a number.
    #[must_use]
    pub fn from_number(number: u64) -> Self {
        Self([0; 32]).child("number", &[number])
    }

    /// `SHA-256(domain | world seed | length of label | label | numbers)`: one seed for each
    /// purpose and each list of numbers.
    #[must_use]
    pub fn derive(&self, label: &str, numbers: &[u64]) -> [u8; 32] {
        let length = u64::try_from(label.len()).unwrap_or(u64::MAX);
        let mut hash = Sha256::new()
            .chain_update(DOMAIN)
            .chain_update(self.0)
            .chain_update(length.to_be_bytes())
            .chain_update(label);
        for number in numbers {
            hash.update(number.to_be_bytes());
        }
        hash.finalize().into()
    }

    /// A small generator for delays.
    pub(super) fn small_rng(&self, label: &str, numbers: &[u64]) -> SmallRng {
        let [a, b, c, d, e, f, g, h, ..] = self.derive(label, numbers);
        SmallRng(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }

    /// The link key of the node `number`.
    pub(super) fn link_key(&self, number: u64) -> LinkKey {
        let mut attempt = 0;
        // One hash in 2^128 is not a valid key.
        loop {
            if let Ok(key) = LinkKey::from_bytes(&mut self.derive("link key", &[number, attempt])) {
                return key;
            }
            attempt += 1;
        }
    }

    /// A secret of `N` bytes, `N <= 32`.
    pub(super) fn secret<const N: usize>(&self, label: &str, numbers: &[u64]) -> Secret<N> {
        let seed = self.derive(label, numbers);
        Secret::init_with(|secret: &mut [u8; N]| {
            for (to, from) in secret.iter_mut().zip(seed) {
                *to = from;
            }
        })
    }

    fn child(self, label: &str, numbers: &[u64]) -> Self {
        Self(self.derive(label, numbers))
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014): eight bytes of state for each direction of each link.
/// It draws delays and losses, never keys.
#[derive(Clone, Debug)]
pub(super) struct SmallRng(u64);

impl SmallRng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Uniform in (0, 1].
    pub(super) fn unit(&mut self) -> f64 {
        let high = u32::try_from(self.next() >> 32).unwrap_or(u32::MAX);
        (f64::from(high) + 1.0) / 4_294_967_296.0
    }

    /// Exponential with mean 1.
    pub(super) fn exponential(&mut self) -> f64 {
        -self.unit().ln()
    }

    /// Uniform below `bound`; 0 if the bound is 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        let product = u128::from(self.next()) * u128::from(bound);
        u64::try_from(product >> 64).unwrap_or(0)
    }
}

const DOMAIN: &[u8] = b"whisht simulator";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_seeds_differ_by_world_label_and_number() {
        let world = WorldSeed::from_number(1);
        // Two nodes that shared a seed while it was their number modulo 251.
        assert_ne!(world.derive("run", &[0]), world.derive("run", &[251]));
        assert_ne!(world.derive("run", &[0]), world.derive("link", &[0]));
        assert_ne!(world.derive("run", &[0]), world.derive("run", &[0, 0]));
        let other = WorldSeed::from_number(2);
        assert_ne!(world.derive("run", &[0]), other.derive("run", &[0]));
    }

    #[test]
    fn small_rng_is_uniform_and_bounded() {
        let mut rng = WorldSeed::from_number(3).small_rng("test", &[]);
        let mean = (0..10_000).map(|_| rng.unit()).sum::<f64>() / 10_000.0;
        assert!((0.49..0.51).contains(&mean), "{mean}");
        let mean = (0..10_000).map(|_| rng.exponential()).sum::<f64>() / 10_000.0;
        assert!((0.97..1.03).contains(&mean), "{mean}");
        assert!((0..1_000).all(|_| rng.below(7) < 7));
        assert_eq!(rng.below(0), 0);
    }
}
