//! The layer of a relay: the position that it has on mixing paths.
//!
//! The layer follows from the relay's key alone, so that every node computes the same one and no
//! message has to agree on it. A relay can search for a key of a chosen layer at little cost; that
//! helps an attacker less than a share of every layer does, because all five have to be malicious to
//! follow a cell.

use core::fmt;

use sha2::{Digest, Sha256};

use crate::ids::RelayKey;

/// One of the five layers of relays.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Layer(u8);

impl Layer {
    /// Number of layers: the relays of a mixing path before the rendezvous.
    pub const COUNT: usize = 5;

    /// The layer of guards.
    pub const FIRST: Self = Self(0);

    /// The layers in the order in which a cell passes them.
    pub const ALL: [Self; Self::COUNT] = [Self(0), Self(1), Self(2), Self(3), Self(4)];

    /// The layer of a relay: the first four bytes of `SHA-256("whisht/1/layer" | key)`, modulo 5.
    #[must_use]
    pub fn of(key: &RelayKey) -> Self {
        let digest: [u8; 32] = Sha256::new()
            .chain_update(LABEL)
            .chain_update(key.0)
            .finalize()
            .into();
        let [a, b, c, d, ..] = digest;
        Self::from_remainder(u32::from_be_bytes([a, b, c, d]))
    }

    /// The layer of the relay with this rank among the ids of a snapshot, counted from 0. For the
    /// profile `local`, where a few relays must fill every layer.
    #[must_use]
    pub fn of_rank(rank: usize) -> Self {
        Self::from_remainder(u32::try_from(rank).unwrap_or(0))
    }

    const fn from_remainder(number: u32) -> Self {
        // The remainder is below 5.
        let [.., layer] = (number % LAYERS).to_be_bytes();
        Self(layer)
    }

    /// Its position on a path, counted from 0.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The number of the layer, counted from 1.
impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", u16::from(self.0).saturating_add(1))
    }
}

const LABEL: &[u8] = b"whisht/1/layer";

/// [`Layer::COUNT`] as a divisor.
const LAYERS: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_of_many_keys_are_equally_frequent() {
        let mut counts = [0_u32; Layer::COUNT];
        for number in 0..10_000_u32 {
            let mut key = RelayKey([7; 64]);
            key.0[..4].copy_from_slice(&number.to_be_bytes());
            counts[Layer::of(&key).index()] += 1;
        }
        // Standard deviation 40.
        assert!(counts.iter().all(|count| count.abs_diff(2_000) < 200));
    }

    #[test]
    fn ranks_fill_the_layers_in_turn() {
        let layers: Vec<_> = (0..7).map(|rank| Layer::of_rank(rank).index()).collect();
        assert_eq!(layers, [0, 1, 2, 3, 4, 0, 1]);
        assert_eq!(Layer::FIRST.to_string(), "1");
        assert_eq!(Layer::ALL[4].to_string(), "5");
    }
}
