//! Keccak-256 of a fixed prefix and a nonce, as cheap as one permutation.
//!
//! A search hashes the same bytes again and again with another nonce behind them. Everything
//! before the last block is absorbed once; a try then mixes eight bytes into a prepared block and
//! permutes, twice where nonce and padding straddle a block boundary. The result is that of the
//! ordinary hash, and the tests hold it against one.

use keccak::{Fn1600, Keccak, State1600};

/// Keccak-256 after all but the end of its input.
#[derive(Clone)]
pub(super) struct Midstate {
    absorbed: State1600,
    /// What is still to come, padded, with the nonce left zero: one block or two.
    tail: [u64; 2 * LANES],
    tail_lanes: usize,
    /// The byte of `tail` at which the nonce stands.
    nonce_at: usize,
}

impl Midstate {
    pub(super) fn new(prefix: &[u8]) -> Self {
        let mut absorbed = [0; 25];
        let whole = prefix.chunks_exact(RATE);
        let rest = whole.remainder();
        Keccak::new().with_f1600(|permute| {
            for block in whole {
                absorb(&mut absorbed, words(block), permute);
            }
        });

        let mut end = rest.to_vec();
        end.extend_from_slice(&[0; NONCE_LEN]);
        end.push(PAD_FIRST);
        end.resize(end.len().next_multiple_of(RATE), 0);
        if let Some(last) = end.last_mut() {
            *last |= PAD_LAST;
        }
        let mut tail = [0; 2 * LANES];
        for (lane, word) in tail.iter_mut().zip(words(&end)) {
            *lane = word;
        }
        Self {
            absorbed,
            tail,
            tail_lanes: end.len() / 8,
            nonce_at: rest.len(),
        }
    }

    /// The first of `nonces` whose hash passes `check`.
    ///
    /// A hash comes as four words, each read big-endian from the digest.
    pub(super) fn find(
        &self,
        mut nonces: impl Iterator<Item = u64>,
        check: impl Fn([u64; 4]) -> bool,
    ) -> Option<u64> {
        let mut found = None;
        Keccak::new().with_f1600(|permute| {
            found = nonces.find(|&nonce| check(self.hash(nonce, permute)));
        });
        found
    }

    fn hash(&self, nonce: u64, permute: Fn1600) -> [u64; 4] {
        // The nonce is big-endian and lanes are little-endian; it may lie across two lanes.
        let shifted = u128::from(nonce.swap_bytes()) << (8 * (self.nonce_at % 8));
        let halves = shifted.to_le_bytes();
        let mut tail = self.tail;
        let at = self.nonce_at / 8;
        for (lane, word) in tail.iter_mut().skip(at).zip(words(&halves)) {
            *lane ^= word;
        }

        let mut state = self.absorbed;
        let blocks = tail.chunks_exact(LANES).take(self.tail_lanes / LANES);
        for block in blocks {
            absorb(&mut state, block.iter().copied(), permute);
        }
        let [a, b, c, d, ..] = state;
        [a, b, c, d].map(u64::swap_bytes)
    }
}

fn absorb(state: &mut State1600, block: impl Iterator<Item = u64>, permute: Fn1600) {
    for (lane, word) in state.iter_mut().zip(block) {
        *lane ^= word;
    }
    permute(state);
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u64> {
    let (words, _) = bytes.as_chunks::<8>();
    words.iter().copied().map(u64::from_le_bytes)
}

/// Bytes of input per permutation.
const RATE: usize = 136;
const LANES: usize = RATE / 8;
const NONCE_LEN: usize = 8;
/// The padding of Keccak before NIST changed it.
const PAD_FIRST: u8 = 0x01;
const PAD_LAST: u8 = 0x80;

#[cfg(test)]
mod tests {
    use sha3::{Digest, Keccak256};

    use super::*;

    #[test]
    fn agrees_with_the_ordinary_hash_at_every_alignment() {
        for len in 0..3 * RATE {
            let prefix: Vec<u8> = (0..len)
                .map(|at| (at * 7 % 251).try_into().unwrap())
                .collect();
            let nonce = 0x0123_4567_89ab_cdef_u64.rotate_left(len.try_into().unwrap());
            let expected: [u8; 32] = Keccak256::new()
                .chain_update(&prefix)
                .chain_update(nonce.to_be_bytes())
                .finalize()
                .into();
            let found = Midstate::new(&prefix).find(core::iter::once(nonce), |words| {
                words.map(u64::to_be_bytes).concat() == expected
            });
            assert_eq!(found, Some(nonce), "prefix of {len} bytes");
        }
    }
}
