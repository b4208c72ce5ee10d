use curve25519_dalek::montgomery::MontgomeryPoint;
use curve25519_elligator2::{MontgomeryPoint as OtherPoint, Randomized};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use super::*;

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(11)
}

fn random(rng: &mut ChaCha20Rng) -> [u8; 32] {
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    bytes
}

/// Whether a point is in the prime-order subgroup.
fn has_prime_order(point: &EphemeralPoint) -> bool {
    let lifted = MontgomeryPoint(point.0).to_edwards(0);
    lifted.is_some_and(|point| point.is_torsion_free())
}

#[test]
fn map_agrees_with_other_implementation() {
    let mut rng = rng();
    let edges = [[0; 32], [0xff; 32], [1; 32]];
    let strings = (0..300).map(|_| random(&mut rng)).chain(edges);
    for wire in strings {
        let other = OtherPoint::from_representative::<Randomized>(&wire).unwrap();
        assert_eq!(EphemeralPoint::of(&wire).0, other.to_bytes());
    }
}

#[test]
fn other_implementation_maps_our_keys_to_their_points() {
    let mut rng = rng();
    for _ in 0..100 {
        let key = EphemeralKey::draw(&mut rng);
        let other = OtherPoint::from_representative::<Randomized>(key.wire()).unwrap();
        let reader = OuterSecret::draw(&mut rng);
        let shared = key.agree(reader.public()).unwrap();
        let back = reader
            .secret
            .diffie_hellman(&PublicKey::from(other.to_bytes()));
        assert_eq!(*shared, back.to_bytes());
        let point = EphemeralPoint::of(key.wire());
        assert_eq!(*shared, *reader.agree(&point).unwrap());
    }
}

/// An observer maps each string to its point and asks for the order. Clean keys always have the prime order,
/// random strings in one case of eight.
#[test]
fn order_of_points_does_not_tell_keys_from_random_strings() {
    let mut rng = rng();
    let keys = (0..800).map(|_| *EphemeralKey::draw(&mut rng).wire());
    let keys = keys
        .filter(|wire| has_prime_order(&EphemeralPoint::of(wire)))
        .count();
    // 100 expected, with a deviation of 9.4.
    assert!((60..140).contains(&keys), "{keys} of 800");
    let clean = (0..200_u8).filter_map(|at| {
        let scalar = random(&mut rng);
        EphemeralKey::candidate(&scalar, 0, at)
    });
    let mut clean = clean.map(|key| EphemeralPoint::of(key.wire()));
    assert!(
        clean.all(|point| has_prime_order(&point)),
        "a clean key is told apart"
    );
}

#[test]
fn bits_of_keys_are_uniform() {
    let mut rng = rng();
    let mut ones = [0_u32; 256];
    let number = 1_000;
    for _ in 0..number {
        let key = EphemeralKey::draw(&mut rng);
        for (bit, ones) in ones.iter_mut().enumerate() {
            *ones += u32::from(key.wire()[bit / 8] >> (bit % 8) & 1);
        }
    }
    // Six deviations of 16 around the half.
    for (bit, ones) in ones.into_iter().enumerate() {
        assert!((405..595).contains(&ones), "bit {bit}: {ones} of {number}");
    }
}

#[test]
fn point_of_low_order_gives_no_secret() {
    let secret = OuterSecret::draw(&mut rng());
    // Zero maps to the point of order two.
    let point = EphemeralPoint::of(&[0; 32]);
    assert_eq!(point.0, [0; 32]);
    assert!(secret.agree(&point).is_none());
    let key = EphemeralKey::draw(&mut rng());
    assert!(key.agree(&[0; 32]).is_none());
}

#[test]
fn secrets_are_redacted_in_debug() {
    let secret = OuterSecret::from_bytes(&Zeroizing::new([7; 32]));
    assert_eq!(format!("{secret:?}"), "OuterSecret(..)");
    let key = EphemeralKey::draw(&mut rng());
    assert_eq!(format!("{key:?}"), "EphemeralKey(..)");
    assert_eq!(*secret.to_bytes(), [7; 32]);
}
