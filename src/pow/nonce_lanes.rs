//! The search for a nonce in the lanes of Keccak: each lane tries another one.
//!
//! The ordinary hash must confirm every nonce that the lanes find.

use crate::keccak::{LaneTask, SideBySide};

use super::Generation;
use super::midstate::Block;

/// Searches the first of `count` nonces from `start` that matches; `block` must be valid for all.
pub(super) struct FindNonce<'a> {
    pub(super) block: &'a Block,
    pub(super) start: u64,
    pub(super) count: u64,
    pub(super) wanted: HashMask,
}

impl LaneTask for FindNonce<'_> {
    type Output = Option<u64>;

    fn run<const N: usize>(self, lanes: &impl SideBySide<N>) -> Option<u64> {
        let Self {
            block,
            start,
            count,
            wanted,
        } = self;
        let mut sponges = block.state.map(|word| [word; N]);
        let [first, second] = block
            .at
            .map(|at| block.state.get(at).copied().unwrap_or_default());
        let mut tried = 0;
        while tried < count {
            let mut next = start.wrapping_add(tried);
            let words: [[u64; 2]; N] = core::array::from_fn(|_| {
                let words = block.words(next);
                next = next.wrapping_add(1);
                words
            });
            let [at_first, at_second] = block.at;
            if let Some(lanes) = sponges.get_mut(at_first) {
                *lanes = words.map(|[word, _]| first ^ word);
            }
            if let Some(lanes) = sponges.get_mut(at_second) {
                *lanes = words.map(|[_, word]| second ^ word);
            }

            let [head, .., tail] = lanes.digests(&sponges, block.padding_follows);
            let deciding = if wanted.last_word { tail } else { head };
            let hit = (tried..count)
                .zip(deciding)
                .find(|(_, word)| word & wanted.mask == 0);
            if let Some((at, _)) = hit {
                return Some(start.wrapping_add(at));
            }
            tried = next.wrapping_sub(start);
        }
        None
    }
}

/// The digests that a search accepts: those in which the masked bits of one word are all zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct HashMask {
    last_word: bool,
    mask: u64,
}

impl HashMask {
    /// Digests in which a generation counts at least `bits`, of which at most 64 are checked.
    pub(super) fn new(generation: Generation, bits: u32) -> Self {
        let rest = u64::BITS.saturating_sub(bits);
        // Words are little-endian, and both generations count in big-endian numbers.
        match generation {
            Generation::Modern => Self {
                last_word: false,
                mask: u64::MAX.unbounded_shl(rest).swap_bytes(),
            },
            Generation::Legacy => Self {
                last_word: true,
                mask: u64::MAX.unbounded_shr(rest).swap_bytes(),
            },
        }
    }
}

#[cfg(test)]
mod tests;
