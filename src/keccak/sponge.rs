//! Blocks and padding of Keccak-256, for one sponge or a lane of many.

use keccak::State1600;

/// Bytes of input per permutation.
pub(crate) const RATE: usize = 136;
/// The padding of Keccak before NIST changed it: its first byte, and the last of the block.
const PAD_FIRST: u8 = 0x01;
const PAD_LAST: u8 = 0x80;

/// Adds at most one block of input to the words of one sponge.
#[inline]
pub(crate) fn absorb<'a>(words: impl Iterator<Item = &'a mut u64>, block: &[u8]) {
    for (sum, bytes) in words.zip(block.chunks(8)) {
        let mut word = [0; 8];
        for (to, from) in word.iter_mut().zip(bytes) {
            *to = *from;
        }
        *sum ^= u64::from_le_bytes(word);
    }
}

/// Adds the padding of a last block that contains `len` bytes, less than [`RATE`].
pub(crate) fn absorb_padding<'a>(words: impl Iterator<Item = &'a mut u64>, len: usize) {
    let mut padding = [0; RATE];
    if let Some(first) = padding.get_mut(len) {
        *first = PAD_FIRST;
    }
    if let Some(last) = padding.last_mut() {
        *last |= PAD_LAST;
    }
    absorb(words, &padding);
}

/// The digest that a sponge holds after its last permutation.
pub(crate) fn digest_of(state: &State1600) -> [u8; 32] {
    let mut digest = [0; 32];
    for (to, word) in digest.chunks_exact_mut(8).zip(state) {
        to.copy_from_slice(&word.to_le_bytes());
    }
    digest
}
