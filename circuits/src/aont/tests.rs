//! Properties of the all-or-nothing transform: round trip, tamper detection and diffusion.
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use super::*;

const PACKAGE_LEN: usize = 1_230;
const CAPACITY: usize = PACKAGE_LEN - PACKAGE_OVERHEAD;

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// A package with a valid mask around any plaintext body.
fn package_around(mut body: Vec<u8>) -> Vec<u8> {
    let mut key = [0x5a; AONT_KEY_LEN];
    apply_keystream(&Secret::take(&mut key.clone()), &mut body);
    mask(&mut key, &body);
    body.extend(key);
    body
}

/// Plaintext body of a package, whether or not the package is valid.
fn decrypt(package: &[u8]) -> Vec<u8> {
    let (body, tail) = package.split_last_chunk::<AONT_KEY_LEN>().unwrap();
    let (mut body, mut tail) = (body.to_vec(), *tail);
    mask(&mut tail, &body);
    apply_keystream(&Secret::take(&mut tail), &mut body);
    body
}

proptest! {
    #[test]
    fn pack_then_unpack_returns_envelope(
        envelope in proptest::collection::vec(any::<u8>(), 0..2_000),
        slack in 0_usize..700,
        seed: u64,
    ) {
        let package_len = envelope.len() + PACKAGE_OVERHEAD + slack;
        let package = pack(&mut rng(seed), &envelope, package_len).unwrap();
        prop_assert_eq!(package.len(), package_len);
        prop_assert_eq!(unpack(package), Ok(envelope));
    }

    #[test]
    fn unpack_refuses_arbitrary_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        prop_assert_eq!(unpack(bytes), Err(NotWhole));
    }
}

#[test]
fn pack_refuses_envelope_one_byte_too_long() {
    assert!(pack(&mut rng(1), &[1; CAPACITY], PACKAGE_LEN).is_ok());
    assert_eq!(
        pack(&mut rng(1), &[1; CAPACITY + 1], PACKAGE_LEN),
        Err(TooLong)
    );
    assert_eq!(pack(&mut rng(1), &[], PACKAGE_OVERHEAD - 1), Err(TooLong));
}

#[test]
fn unpack_refuses_package_with_any_flipped_bit() {
    let package = pack(&mut rng(2), &[0xee; 563], PACKAGE_LEN).unwrap();
    for byte in 0..PACKAGE_LEN {
        for bit in 0..8 {
            let mut altered = package.clone();
            altered[byte] ^= 1 << bit;
            assert_eq!(unpack(altered), Err(NotWhole), "byte {byte} bit {bit}");
        }
    }
}

#[test]
fn unpack_refuses_truncated_or_extended_package() {
    let package = pack(&mut rng(3), &[0xee; 563], PACKAGE_LEN).unwrap();
    for len in 0..PACKAGE_LEN {
        assert_eq!(unpack(package[..len].to_vec()), Err(NotWhole));
    }
    let mut longer = package;
    longer.push(0);
    assert_eq!(unpack(longer), Err(NotWhole));
}

#[test]
fn flipped_ciphertext_bit_flips_half_of_all_output_bits() {
    const TRIALS: u32 = 1_000;
    let mut rng = rng(4);
    let mut flipped = vec![0_u32; PACKAGE_LEN - AONT_KEY_LEN];
    for _ in 0..TRIALS {
        let package = pack(&mut rng, &[0; CAPACITY], PACKAGE_LEN).unwrap();
        let plain = decrypt(&package);
        let mut altered = package;
        let at = usize::try_from(rng.next_u32()).unwrap() % (PACKAGE_LEN - AONT_KEY_LEN);
        altered[at] ^= 1 << (rng.next_u32() % 8);
        for (count, (a, b)) in flipped.iter_mut().zip(plain.iter().zip(decrypt(&altered))) {
            *count += (a ^ b).count_ones();
        }
    }
    // 8,000 fair coins per byte: mean 4,000, standard deviation 45. For 1,198 fair bytes, a
    // deviation of five standard deviations is not expected.
    for (byte, count) in flipped.into_iter().enumerate() {
        assert!(
            count.abs_diff(4_000) < 225,
            "byte {byte}: {count} bits flipped"
        );
    }
}

#[test]
fn unpack_refuses_length_beyond_body() {
    let body_len = PACKAGE_LEN - AONT_KEY_LEN;
    let fits = u32::try_from(CAPACITY).unwrap();
    for length in [fits + 1, fits + 16, fits + 17, u32::MAX] {
        let mut body = vec![0; body_len];
        body[..4].copy_from_slice(&length.to_be_bytes());
        assert_eq!(
            unpack(package_around(body)),
            Err(NotWhole),
            "length {length}"
        );
    }
    let mut body = vec![0; body_len];
    body[..4].copy_from_slice(&fits.to_be_bytes());
    assert_eq!(unpack(package_around(body)), Ok(vec![0; CAPACITY]));
}

#[test]
fn unpack_refuses_nonzero_bytes_after_envelope() {
    let body_len = PACKAGE_LEN - AONT_KEY_LEN;
    for at in [
        4 + 100,
        body_len - CANARY_LEN - 1,
        body_len - CANARY_LEN,
        body_len - 1,
    ] {
        let mut body = vec![0; body_len];
        body[..4].copy_from_slice(&100_u32.to_be_bytes());
        body[at] = 1;
        assert_eq!(unpack(package_around(body)), Err(NotWhole), "byte {at}");
    }
}

#[test]
fn packages_of_one_envelope_share_no_bytes() {
    let mut rng = rng(5);
    let [a, b] = [(); 2].map(|()| pack(&mut rng, &[0; CAPACITY], PACKAGE_LEN).unwrap());
    // Expected number of equal bytes by chance: 1,230 / 256, standard deviation 2.2.
    let equal = a.iter().zip(&b).filter(|(a, b)| a == b).count();
    assert!(equal < 18, "{equal} bytes in common");
}
