//! Small, repeatable mutations of an input.
//!
//! The kinds are those that break decoders: a flipped bit, a wrong length, a part that is missing,
//! duplicated, or taken from another input.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// Draws mutations of the inputs of one corpus.
pub(crate) struct Mutator {
    rng: ChaCha8Rng,
    corpus: Vec<Vec<u8>>,
}

impl Mutator {
    /// Seeded with the name of the target.
    pub(crate) fn new(name: &str, corpus: Vec<Vec<u8>>) -> Self {
        let mut seed = [0; 32];
        for (slot, byte) in seed.iter_mut().zip(name.bytes()) {
            *slot = byte;
        }
        Self {
            rng: ChaCha8Rng::from_seed(seed),
            corpus,
        }
    }

    /// Applies one to three kinds of mutation, and returns their names.
    pub(crate) fn mutate(&mut self, input: &[u8]) -> (Vec<u8>, String) {
        let mut mutant = input.to_vec();
        let rounds = 1 + self.below(3);
        let kinds: Vec<&str> = (0..rounds).map(|_| self.damage(&mut mutant)).collect();
        mutant.truncate(MAX_LEN);
        (mutant, kinds.join(", "))
    }

    /// Random bytes of a random length.
    pub(crate) fn noise(&mut self) -> Vec<u8> {
        let mut noise = vec![0; self.below(2_048)];
        self.rng.fill_bytes(&mut noise);
        noise
    }

    fn damage(&mut self, bytes: &mut Vec<u8>) -> &'static str {
        let (from, to) = self.range(bytes.len());
        let at = self.below(bytes.len());
        match self.below(7) {
            0 => {
                let bit = 1 << self.below(8);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= bit;
                }
                "a bit flipped"
            }
            1 => {
                let edge = [
                    0x00, 0x01, 0x7f, 0x80, 0xb7, 0xb8, 0xbf, 0xc0, 0xf7, 0xf8, 0xff,
                ];
                let value = edge.get(self.below(edge.len())).copied();
                if let (Some(byte), Some(value)) = (bytes.get_mut(at), value) {
                    *byte = value;
                }
                "a byte at the edge of its range"
            }
            2 => {
                self.rng
                    .fill_bytes(bytes.get_mut(from..to).unwrap_or_default());
                "a part overwritten"
            }
            3 => {
                bytes.drain(from..to);
                "a part missing"
            }
            4 => {
                let part = bytes.get(from..to).unwrap_or_default().to_vec();
                bytes.splice(from..from, part);
                "a part doubled"
            }
            5 => {
                let mut more = vec![0; self.below(40)];
                self.rng.fill_bytes(&mut more);
                bytes.splice(at..at, more);
                "something inserted"
            }
            _ => {
                let choice = self.below(self.corpus.len());
                let other = self.corpus.get(choice).cloned().unwrap_or_default();
                let (start, end) = self.range(other.len());
                let part = other.get(start..end).unwrap_or_default().to_vec();
                bytes.splice(from..to, part);
                "a part of another input"
            }
        }
    }

    /// A range within `len`; both short and long ranges are drawn.
    fn range(&mut self, len: usize) -> (usize, usize) {
        let from = self.below(len);
        let most = if self.below(2) == 0 { 8 } else { len };
        let to = from + self.below(most + 1);
        (from, to.min(len))
    }

    /// Uniform below `bound`, except for a negligible bias; 0 if `bound` is 0.
    fn below(&mut self, bound: usize) -> usize {
        let drawn = usize::try_from(self.rng.next_u32()).unwrap_or_default();
        drawn.checked_rem(bound).unwrap_or_default()
    }
}

/// At most `most` prefixes of the input, spread over its length, with the one before last.
pub(crate) fn truncations(input: &[u8], most: usize) -> impl Iterator<Item = &[u8]> {
    let stride = input.len().div_ceil(most.max(1)).max(1);
    (1..=input.len())
        .step_by(stride)
        .filter_map(|dropped| input.get(..input.len() - dropped))
}

/// Bounds the growth by duplication.
const MAX_LEN: usize = 1 << 18;
