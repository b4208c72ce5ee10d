//! Keccak-256 of a fixed prefix and a nonce, at the cost of one permutation.
//!
//! A search hashes the same bytes with many nonces after them. All blocks before the last are
//! absorbed once. A trial then writes eight bytes into a prepared block and permutes. If a nonce
//! spans two blocks, its first bytes change so rarely that their block counts as fixed until they
//! change. Only a nonce that exactly fills its block costs two permutations, because the padding
//! needs another block.
//!
//! The result equals the ordinary hash, and the tests compare the two.

use keccak::State1600;

use super::nonce_lanes::{FindNonce, HashMask};
use crate::keccak::sponge::{RATE, absorb, absorb_padding, digest_of};
use crate::keccak::{KeccakBackend, permute};

/// The state of Keccak-256 before the end of its input.
#[derive(Clone)]
pub(super) struct Midstate {
    /// The whole blocks, and the part before the nonce in the last block.
    absorbed: State1600,
    /// Offset of the nonce in its block, in bytes.
    nonce_at: usize,
}

/// The last block of many trials, which differ in their nonces only.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// The sponge with all input but the nonce, ready for the permutation.
    pub(super) state: State1600,
    /// Indices of the words that take the nonce's first bytes and the others.
    pub(super) at: [usize; 2],
    /// Offset of the nonce in the first of these words, in bits.
    shift: u32,
    /// Whether a block of padding only follows.
    pub(super) padding_follows: bool,
}

impl Midstate {
    pub(super) fn new(prefix: &[u8]) -> Self {
        let mut absorbed = [0; 25];
        let whole = prefix.chunks_exact(RATE);
        let rest = whole.remainder();
        for block in whole {
            absorb(absorbed.iter_mut(), block);
            permute(&mut absorbed);
        }
        absorb(absorbed.iter_mut(), rest);
        Self {
            absorbed,
            nonce_at: rest.len(),
        }
    }

    /// The first of `count` nonces from `start` that matches; no nonce may exceed 64 bits.
    pub(super) fn find(
        &self,
        backend: KeccakBackend,
        mut start: u64,
        mut count: u64,
        wanted: HashMask,
    ) -> Option<u64> {
        while count > 0 {
            let (block, run) = self.block(start);
            let run = run.min(count);
            let found = backend.run(FindNonce {
                block: &block,
                start,
                count: run,
                wanted,
            });
            if found.is_some() {
                return found;
            }
            start = start.wrapping_add(run);
            count = count.saturating_sub(run);
        }
        None
    }

    /// The ordinary hash with one nonce.
    pub(super) fn digest(&self, nonce: u64) -> [u8; 32] {
        let (block, _) = self.block(nonce);
        let mut state = block.state;
        block.absorb_nonce(&mut state, nonce);
        permute(&mut state);
        if block.padding_follows {
            absorb_padding(state.iter_mut(), 0);
            permute(&mut state);
        }
        digest_of(state.into_iter())
    }

    /// The block for trials from `nonce` on, and the number of nonces for which it is valid.
    fn block(&self, nonce: u64) -> (Block, u64) {
        let word = self.nonce_at / 8;
        let shift = bits(self.nonce_at % 8);
        let mut block = Block {
            state: self.absorbed,
            at: [word, word + 1],
            shift,
            padding_follows: self.nonce_at + NONCE_LEN == RATE,
        };
        let over = (self.nonce_at + NONCE_LEN).saturating_sub(RATE);
        if over == 0 {
            if !block.padding_follows {
                absorb_padding(block.state.iter_mut(), self.nonce_at + NONCE_LEN);
            }
            return (block, u64::MAX);
        }
        // Of the two words, the first is in this block, and the second is the first of the next.
        let [first, _] = block.words(nonce);
        if let Some(last) = block.state.get_mut(LAST_WORD) {
            *last ^= first;
        }
        permute(&mut block.state);
        absorb_padding(block.state.iter_mut(), over);
        block.at = [CAPACITY_WORD, 0];
        let run = 1_u64 << bits(over);
        (block, run.saturating_sub(nonce % run))
    }
}

impl Block {
    /// The nonce's contribution to the two words of [`Block::at`]. The nonce is big-endian, words
    /// are little-endian, and the nonce may span two of them.
    pub(super) fn words(&self, nonce: u64) -> [u64; 2] {
        let bytes = nonce.swap_bytes();
        let first = match self.at {
            // The previous block contains the first bytes.
            [CAPACITY_WORD, _] => 0,
            _ => bytes.unbounded_shl(self.shift),
        };
        [first, bytes.unbounded_shr(u64::BITS - self.shift)]
    }

    fn absorb_nonce(&self, state: &mut State1600, nonce: u64) {
        for (at, word) in self.at.into_iter().zip(self.words(nonce)) {
            if let Some(lane) = state.get_mut(at) {
                *lane ^= word;
            }
        }
    }
}

fn bits(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(0).saturating_mul(8)
}

/// The last word of the state that takes input.
const LAST_WORD: usize = RATE / 8 - 1;
/// The first word of the state that takes no input.
const CAPACITY_WORD: usize = RATE / 8;
const NONCE_LEN: usize = 8;

#[cfg(test)]
mod tests {
    use sha3::{Digest, Keccak256};

    use super::*;

    #[test]
    fn midstate_equals_ordinary_hash_at_every_alignment() {
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
            let midstate = Midstate::new(&prefix);
            assert_eq!(midstate.digest(nonce), expected, "prefix of {len} bytes");
        }
    }

    #[test]
    fn block_is_valid_for_nonces_with_equal_prefix() {
        for len in 0..RATE {
            let midstate = Midstate::new(&vec![1; len]);
            let (_, run) = midstate.block(0x0102_0304_0506_07fe);
            let expected = match len {
                ..=128 => u64::MAX,
                129 => 2,
                _ => (1 << (8 * (len - 128))) - 0x0102_0304_0506_07fe % (1 << (8 * (len - 128))),
            };
            assert_eq!(run, expected, "prefix of {len} bytes");
        }
    }
}
