use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::EdwardsPoint;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;
use crate::contact::elligator::OuterSecret;
use crate::contact::x_wing::XWingSecret;

/// A block of keys that are good, and its bytes.
fn good() -> (KeyBlock, [u8; KEY_BLOCK_LEN]) {
    let mut rng = ChaCha20Rng::seed_from_u64(13);
    let mut key = || *OuterSecret::draw(&mut rng).public();
    let [outer, identity, fallback] = [key(), key(), key()];
    let x_wing = XWingSecret::draw(&mut rng).public();
    let block = KeyBlock::new(2_976, outer, identity, fallback, x_wing).unwrap();
    let bytes = block.to_bytes().try_into().unwrap();
    (block, bytes)
}

#[test]
fn block_decodes_as_it_was_encoded() {
    let (block, bytes) = good();
    let decoded = KeyBlock::decode(&bytes).unwrap();
    assert_eq!(decoded, block);
    assert_eq!(decoded.generation(), 2_976);
    assert_eq!(decoded.kappa(), block.kappa());
    for at in [0, 4, 36, 68] {
        let mut altered = bytes;
        altered[at] ^= 1;
        let kappa = KeyBlock::decode(&altered).map(|block| block.kappa());
        assert_ne!(kappa, Ok(block.kappa()), "{at}");
    }
}

/// Low order, a component of low order, not canonical, on the twist: a key of these kinds would single out its
/// senders, or give everyone the secret.
#[test]
fn invalid_curve_keys_are_refused_by_name() {
    let (_, bytes) = good();
    let mixed = EdwardsPoint::mul_base_clamped([3; 32]) + EIGHT_TORSION[1];
    let mut not_canonical = [0xff; 32];
    not_canonical[0] = 0xf6; // 2^255 - 10, which is 9 above p
    not_canonical[31] = 0x7f;
    let mut twist = [0; 32];
    twist[0] = 2;
    let bad = [
        [0; 32],
        EIGHT_TORSION[1].to_montgomery().to_bytes(),
        mixed.to_montgomery().to_bytes(),
        not_canonical,
        twist,
    ];
    let places = [
        (4, BadKeyBlock::Outer),
        (36, BadKeyBlock::OlmIdentity),
        (68, BadKeyBlock::OlmFallback),
    ];
    for key in bad {
        for (at, error) in places {
            let mut altered = bytes;
            altered[at..at + 32].copy_from_slice(&key);
            assert_eq!(KeyBlock::decode(&altered), Err(error), "{key:02x?}");
        }
        let x_wing = good().0.x_wing().clone();
        assert_eq!(KeyBlock::of_letters(key, x_wing), Err(BadKeyBlock::Outer));
    }
    let mut altered = bytes;
    altered[100..103].fill(0xff);
    assert_eq!(KeyBlock::decode(&altered), Err(BadKeyBlock::XWing));
}

#[test]
fn block_of_letters_has_zeros_for_olm() {
    let (block, _) = good();
    let letters = KeyBlock::of_letters(*block.outer(), block.x_wing().clone()).unwrap();
    let bytes = letters.to_bytes();
    assert_eq!(bytes[..4], [0; 4]);
    assert_eq!(bytes[36..100], [0; 64]);
    assert_ne!(letters.kappa(), block.kappa());
}
