use proptest::prelude::*;
use sha3::{Digest, Keccak256};

use super::super::midstate::Midstate;
use super::*;

/// The backends that this machine supports.
fn here() -> Vec<KeccakBackend> {
    KeccakBackend::NAMES
        .into_iter()
        .filter_map(KeccakBackend::named)
        .collect()
}

/// Prints skipped backends directly to the terminal, because the harness captures what tests print.
#[test]
fn unsupported_backends_are_printed() {
    use std::io::Write;
    for name in KeccakBackend::NAMES {
        let line = match KeccakBackend::named(name) {
            Some(_) => format!("TESTED: {name}\n"),
            None => format!("NOT TESTED: {name}, which this processor lacks\n"),
        };
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    assert!(!here().is_empty());
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

/// The digests of one group, by the functions that [`find`] uses.
#[cfg(target_arch = "x86_64")]
fn digests<const N: usize>(
    lanes: &impl SideBySide<N>,
    block: &Block,
    nonces: [u64; N],
) -> Vec<[u8; 32]> {
    let mut sponges = block.state.map(|word| [word; N]);
    for (lane, nonce) in nonces.into_iter().enumerate() {
        for (at, word) in block.at.into_iter().zip(block.words(nonce)) {
            sponges[at][lane] ^= word;
        }
    }
    let words = lanes.digests(&sponges, block.padding_follows);
    (0..N)
        .map(|lane| {
            words
                .map(|word| word[lane].to_le_bytes())
                .concat()
                .try_into()
                .unwrap()
        })
        .collect()
}

#[test]
fn backend_names_match_lanes() {
    for lanes in here() {
        assert!(KeccakBackend::NAMES.contains(&lanes.to_string().as_str()));
    }
    assert!(KeccakBackend::named("scalar").is_some() && KeccakBackend::named("MMX").is_none());
    assert_eq!(
        KeccakBackend::fastest().to_string(),
        here().last().unwrap().to_string()
    );
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

#[cfg(target_arch = "x86_64")]
proptest! {
    #[test]
    fn backends_return_whole_digests_for_every_state(
        state: [u64; 25],
        nonces: [u64; 8],
        word in 0_usize..17,
        shift in 0_u32..8,
        padding_follows: bool,
    ) {
        let block = Block::of(state, word, 8 * shift, padding_follows);
        let expected: Vec<_> = nonces
            .iter()
            .flat_map(|nonce| digests(&scalar::Scalar, &block, [*nonce]))
            .collect();
        if let Some(lanes) = avx512::Avx512::detect() {
            prop_assert_eq!(&digests(&lanes, &block, nonces), &expected);
        }
        if let Some(lanes) = avx2::Avx2::detect() {
            let [first @ .., _, _, _, _] = nonces;
            prop_assert_eq!(&digests(&lanes, &block, first)[..], &expected[..4]);
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
