use proptest::prelude::*;
use sha3::{Digest, Keccak256};

use super::super::midstate::Midstate;
use super::*;
use crate::keccak::KeccakBackend;

/// The backends that this machine supports.
fn here() -> Vec<KeccakBackend> {
    KeccakBackend::NAMES
        .into_iter()
        .filter_map(KeccakBackend::named)
        .collect()
}

fn ordinary(prefix: &[u8], nonce: u64) -> [u8; 32] {
    Keccak256::new()
        .chain_update(prefix)
        .chain_update(nonce.to_be_bytes())
        .finalize()
        .into()
}

/// Whether a hash matches, by an independent count of its zero bits.
fn passes(generation: Generation, bits: u32, hash: &[u8; 32]) -> bool {
    generation.zero_bits(hash) >= bits
}

#[test]
fn backends_equal_ordinary_hash_at_every_alignment() {
    let here = here();
    for len in 0..3 * 136 {
        let prefix: Vec<u8> = (0..len)
            .map(|at| (at * 7 % 251).try_into().unwrap())
            .collect();
        // In the second group the nonces carry into a higher byte.
        for start in [0x0123_4567_89ab_cd00_u64, 0x0123_4567_89ab_ccfd] {
            let midstate = Midstate::new(&prefix);
            for at in 0..8 {
                let wanted = ordinary(&prefix, start + at);
                let word = u64::from_le_bytes(wanted[..8].try_into().unwrap());
                // Bits that are zero in this hash and, with overwhelming probability, in no earlier
                // one.
                let exact = HashMask {
                    last_word: false,
                    mask: !word,
                };
                for lanes in &here {
                    let found = midstate.find(*lanes, start, 8, exact);
                    assert_eq!(found, Some(start + at), "{lanes}, prefix of {len} bytes");
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn backend_search_equals_sequential_search(
        prefix in prop::collection::vec(any::<u8>(), 0..700),
        start in (1_u64 << 56)..(u64::MAX - 1_000),
        count in 1_u64..300,
        bits in 0_u32..10,
        legacy: bool,
    ) {
        let generation = if legacy { Generation::Legacy } else { Generation::Modern };
        let expected = (start..start + count)
            .find(|nonce| passes(generation, bits, &ordinary(&prefix, *nonce)));
        for lanes in here() {
            let found = Midstate::new(&prefix).find(lanes, start, count, HashMask::new(generation, bits));
            prop_assert_eq!(found, expected, "{}", lanes);
        }
    }

    #[test]
    fn hash_mask_equals_count_of_generation(hash: [u64; 4], zeros in 0_u32..=64, bits in 0_u32..=64) {
        let [mut head, b, c, mut tail] = hash;
        // At the ends that count, in the byte order of the digest.
        head = (head.unbounded_shr(zeros)).swap_bytes();
        tail = (tail.unbounded_shl(zeros)).swap_bytes();
        let bytes: [u8; 32] = [head, b, c, tail].map(u64::to_le_bytes).concat().try_into().unwrap();
        for (generation, word) in [(Generation::Modern, head), (Generation::Legacy, tail)] {
            let wanted = HashMask::new(generation, bits);
            prop_assert_eq!(word & wanted.mask == 0, passes(generation, bits, &bytes));
        }
    }
}
