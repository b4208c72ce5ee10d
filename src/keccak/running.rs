//! Keccak-256 of a stream, with digests on the way.
//!
//! Each frame of a link takes three digests of all bytes so far, and this is most of the time that a
//! node spends on gossip. The crate `sha3` computes the same, but for every processor alike; this
//! module permutes by the fastest means of the machine.

use keccak::State1600;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::permute;
use super::sponge::{RATE, absorb, digest_of, padded_block};

/// A Keccak-256 that has absorbed the beginning of a stream.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct RunningKeccak {
    /// The sponge after all whole blocks.
    state: State1600,
    /// The bytes after them.
    block: [u8; RATE],
    /// Their number, less than [`RATE`].
    len: usize,
}

impl RunningKeccak {
    /// A stream that has not begun.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: [0; 25],
            block: [0; RATE],
            len: 0,
        }
    }

    /// Absorbs further bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let room = RATE.saturating_sub(self.len);
        let (head, rest) = bytes.split_at(bytes.len().min(room));
        self.keep(head);
        if head.len() < room {
            return;
        }
        absorb(self.state.iter_mut(), &self.block);
        permute(&mut self.state);
        self.len = 0;
        let (whole, rest) = rest.as_chunks::<RATE>();
        for block in whole {
            absorb(self.state.iter_mut(), block);
            permute(&mut self.state);
        }
        self.keep(rest);
    }

    /// The digest of all bytes so far.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut state = Zeroizing::new(self.state);
        let last = self.block.get(..self.len).unwrap_or_default();
        absorb(state.iter_mut(), &padded_block(last, last.len()));
        permute(&mut state);
        digest_of(state.iter().copied())
    }

    /// Appends bytes to the block that is not absorbed yet.
    fn keep(&mut self, bytes: &[u8]) {
        let end = self.len.saturating_add(bytes.len());
        if let Some(room) = self.block.get_mut(self.len..end) {
            room.copy_from_slice(bytes);
            self.len = end;
        }
    }
}

impl Default for RunningKeccak {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha3::{Digest, Keccak256};

    use super::*;

    proptest! {
        #[test]
        fn digests_on_the_way_equal_those_of_sha3(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..500), 0..20),
        ) {
            let (mut ours, mut theirs) = (RunningKeccak::new(), Keccak256::new());
            for part in parts {
                ours.update(&part);
                theirs.update(&part);
                prop_assert_eq!(&ours.digest()[..], &theirs.clone().finalize()[..]);
            }
        }
    }

    #[test]
    fn stream_of_whole_blocks_equals_sha3() {
        for len in [0, 1, RATE - 1, RATE, RATE + 1, 2 * RATE - 1, 2 * RATE] {
            let mut ours = RunningKeccak::new();
            ours.update(&vec![7; len]);
            assert_eq!(ours.digest()[..], Keccak256::digest(vec![7; len])[..]);
        }
    }
}
