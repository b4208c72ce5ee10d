//! Compression of payloads (EIP-706): raw Snappy blocks.
//!
//! A small compressed frame could demand much memory, so the announced length is checked before
//! memory is reserved. Packing has two forms. [`Packing::Snappy`] is for gossip.
//! [`Packing::Literal`] writes a block without compression: an encoder that finds a match in a cell
//! would change the cell's length on the wire, and an observer reads lengths.

use std::ops::RangeInclusive;

use super::fault::PeerFault;

/// The encoding of a payload if the peer expects Snappy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Packing {
    /// Compressed by the encoder.
    Snappy,
    /// A valid block that contains the payload as one literal; its length depends on nothing else.
    Literal,
}

/// Decompresses a block whose content must have a length within `lengths`.
pub(super) fn unpack(block: &[u8], lengths: &RangeInclusive<usize>) -> Result<Vec<u8>, PeerFault> {
    let len = snap::raw::decompress_len(block).map_err(|_| PeerFault::SnappyMalformed)?;
    if !lengths.contains(&len) {
        return Err(PeerFault::PayloadLength);
    }
    snap::raw::Decoder::new()
        .decompress_vec(block)
        .map_err(|_| PeerFault::SnappyMalformed)
}

/// Packs `payload`, which must fit a frame.
pub(super) fn pack(payload: &[u8], packing: Packing) -> Vec<u8> {
    match packing {
        // The encoder fails only above 4 GiB.
        Packing::Snappy => snap::raw::Encoder::new()
            .compress_vec(payload)
            .unwrap_or_else(|_| literal(payload)),
        Packing::Literal => literal(payload),
    }
}

/// An upper bound of the length that [`pack`] returns for `len` bytes; exact for a cell that is
/// packed as [`Packing::Literal`].
pub(super) fn max_packed_len(len: usize, packing: Packing) -> usize {
    match packing {
        Packing::Snappy => snap::raw::max_compress_len(len),
        Packing::Literal => len.saturating_add(if len <= TWO_BYTES { 5 } else { 9 }),
    }
}

/// The block that holds `payload` as one literal: length, tag, bytes.
pub(super) fn literal(payload: &[u8]) -> Vec<u8> {
    let mut block = Vec::with_capacity(payload.len().saturating_add(9));
    let mut len = payload.len();
    loop {
        let [low, ..] = len.to_le_bytes();
        len >>= 7;
        if len == 0 {
            block.push(low & 0x7f);
            break;
        }
        block.push(low | 0x80);
    }
    let Some(last) = payload.len().checked_sub(1) else {
        return block;
    };
    let [a, b, c, d, ..] = last.to_le_bytes();
    match last {
        0..60 => block.push(a << 2),
        60..0x100 => block.extend([60 << 2, a]),
        0x100..0x1_0000 => block.extend([61 << 2, a, b]),
        0x1_0000..0x100_0000 => block.extend([62 << 2, a, b, c]),
        _ => block.extend([63 << 2, a, b, c, d]),
    }
    block.extend_from_slice(payload);
    block
}

/// Up to here the length takes two bytes, and the tag of a literal at most three.
const TWO_BYTES: usize = 0x3fff;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Both sides of every step in the width of length and tag.
    const LENGTHS: [usize; 15] = [
        0, 1, 60, 61, 127, 128, 256, 257, 918, 16_383, 16_384, 65_536, 65_537, 2_097_151, 2_097_152,
    ];

    #[test]
    fn literal_of_every_tag_width_decompresses() {
        for len in LENGTHS {
            let payload = vec![0; len];
            let block = literal(&payload);
            assert_eq!(unpack(&block, &(len..=len)), Ok(payload));
            assert!(block.len() <= max_packed_len(len, Packing::Literal));
        }
        assert_eq!(literal(&[0; 918]).len(), 923);
        assert_eq!(max_packed_len(918, Packing::Literal), 923);
    }

    #[test]
    fn snappy_bomb_is_refused_by_announced_length() {
        // Announces 4 GiB - 1 and goes on with nothing.
        let bomb = [0xff, 0xff, 0xff, 0xff, 0x0f];
        assert_eq!(unpack(&bomb, &(0..=1024)), Err(PeerFault::PayloadLength));
        let honest = pack(&[0; 1025], Packing::Snappy);
        assert!(honest.len() < 100);
        assert_eq!(unpack(&honest, &(0..=1024)), Err(PeerFault::PayloadLength));
    }

    #[test]
    fn block_with_wrong_length_is_malformed() {
        for block in [&[][..], &[5, 0], &[0x80], &[1, 0, 7, 7], &[4, 1, 0]] {
            assert_eq!(unpack(block, &(0..=1024)), Err(PeerFault::SnappyMalformed));
        }
    }

    proptest! {
        #[test]
        fn packed_payload_round_trips(payload: Vec<u8>, plain: bool) {
            let packing = if plain { Packing::Literal } else { Packing::Snappy };
            let block = pack(&payload, packing);
            prop_assert!(block.len() <= max_packed_len(payload.len(), packing));
            prop_assert_eq!(unpack(&block, &(0..=payload.len())), Ok(payload));
        }
    }
}
