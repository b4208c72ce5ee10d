//! Blocks and padding of Keccak-256, for one sponge or a lane of many.

/// Bytes of input per permutation.
pub(crate) const RATE: usize = 136;
/// The padding of Keccak before NIST changed it: its first byte, and the last of the block.
const PAD_FIRST: u8 = 0x01;
const PAD_LAST: u8 = 0x80;

/// Adds at most one block of input to the words of one sponge.
#[inline]
pub(crate) fn absorb<'a>(mut words: impl Iterator<Item = &'a mut u64>, block: &[u8]) {
    let (whole, rest) = block.as_chunks::<8>();
    for (bytes, sum) in whole.iter().zip(words.by_ref()) {
        *sum ^= u64::from_le_bytes(*bytes);
    }
    if let (false, Some(sum)) = (rest.is_empty(), words.next()) {
        let mut last = [0; 8];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        *sum ^= u64::from_le_bytes(last);
    }
}

/// Adds the padding of a last block that contains `len` bytes, less than [`RATE`].
pub(crate) fn absorb_padding<'a>(words: impl Iterator<Item = &'a mut u64>, len: usize) {
    absorb(words, &padded_block(&[], len));
}

/// The last block of an input: at most [`RATE`] - 1 bytes, and the padding after the first `len`.
pub(crate) fn padded_block(input: &[u8], len: usize) -> [u8; RATE] {
    let mut block = [0; RATE];
    if let Some(head) = block.get_mut(..input.len()) {
        head.copy_from_slice(input);
    }
    if let Some(first) = block.get_mut(len) {
        *first = PAD_FIRST;
    }
    if let Some(last) = block.last_mut() {
        *last |= PAD_LAST;
    }
    block
}

/// The digest in the words of a sponge after its last permutation.
pub(crate) fn digest_of(words: impl Iterator<Item = u64>) -> [u8; 32] {
    let mut digest = [0; 32];
    let (parts, _) = digest.as_chunks_mut::<8>();
    for (part, word) in parts.iter_mut().zip(words) {
        *part = word.to_le_bytes();
    }
    digest
}
