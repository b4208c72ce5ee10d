//! Validation of hostile and honest onion keys, and key agreement.

use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use proptest::prelude::*;

use super::*;

fn secret(bytes: [u8; 32]) -> OnionSecret {
    OnionSecret::from_secret(Secret::init_with(|to| *to = bytes))
}

/// `value + 2^255 - 19`, little-endian, for a value small enough to leave the top bit clear.
fn plus_p(value: u8) -> [u8; 32] {
    let mut bytes = [0xff; 32];
    bytes[0] = 0xed + value;
    bytes[31] = 0x7f;
    bytes
}

fn agree(key: &OnionSecret, alpha: [u8; 32]) -> Option<Secret<32>> {
    key.agree(&Element::decode(&alpha))
}

#[test]
fn generated_key_passes_check() {
    for seed in 0..32 {
        let public = *secret([seed; 32]).public();
        assert_eq!(OnionPublic::check(*public.as_bytes()), Ok(public));
    }
}

#[test]
fn public_key_matches_rfc_7748() {
    // Section 6.1, Alice.
    let private = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a";
    let public = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";
    let key = secret(hex::decode(private).unwrap().try_into().unwrap());
    assert_eq!(hex::encode(key.public().as_bytes()), public);
}

#[test]
fn key_with_torsion_component_is_refused() {
    let base = secret([5; 32]).public().point;
    for torsion in &EIGHT_TORSION[1..] {
        let bytes = (base + torsion).to_montgomery().to_bytes();
        assert_eq!(OnionPublic::check(bytes), Err(BadOnionKey::Torsion));
    }
}

#[test]
fn key_on_twist_is_refused() {
    // u = 2 lies on the twist, and so does u = -1, for which the map to Edwards form is undefined.
    let mut two = [0; 32];
    two[0] = 2;
    assert_eq!(OnionPublic::check(two), Err(BadOnionKey::OnTwist));
    let mut minus_one = plus_p(0);
    minus_one[0] -= 1;
    assert_eq!(OnionPublic::check(minus_one), Err(BadOnionKey::OnTwist));
}

#[test]
fn key_of_small_order_is_refused() {
    for point in &EIGHT_TORSION[1..] {
        let bytes = point.to_montgomery().to_bytes();
        assert_eq!(OnionPublic::check(bytes), Err(BadOnionKey::SmallOrder));
    }
}

#[test]
fn non_canonical_key_is_refused() {
    assert_eq!(
        OnionPublic::check(plus_p(9)),
        Err(BadOnionKey::NotCanonical)
    );
    assert_eq!(
        OnionPublic::check(plus_p(0)),
        Err(BadOnionKey::NotCanonical)
    );
    let mut top_bit = *secret([5; 32]).public().as_bytes();
    top_bit[31] |= 0x80;
    assert_eq!(OnionPublic::check(top_bit), Err(BadOnionKey::NotCanonical));
}

#[test]
fn agreement_with_low_order_element_fails() {
    let key = secret([5; 32]);
    for point in EIGHT_TORSION {
        assert!(agree(&key, point.to_montgomery().0).is_none());
    }
    // The same with the ignored bit set, and with p as an encoding of zero.
    let mut zero = [0; 32];
    zero[31] = 0x80;
    assert!(agree(&key, zero).is_none());
    assert!(agree(&key, plus_p(0)).is_none());
    assert!(agree(&key, plus_p(1)).is_none());
}

#[test]
fn onion_secret_debug_shows_no_secret_byte() {
    let key = secret([0xab; 32]);
    let public = format!("{:?}", key.public());
    assert_eq!(
        format!("{key:?}"),
        format!("OnionSecret {{ public: {public}, .. }}")
    );
}

proptest! {
    #[test]
    fn scalar_product_equals_iterated_x25519(
        relay in any::<[u8; 32]>(),
        factors in prop::collection::vec(any::<[u8; 32]>(), 1..7),
    ) {
        let relay = secret(relay);
        let mut alpha = curve25519_dalek::constants::X25519_BASEPOINT;
        let mut product = Scalar::ONE;
        for factor in &factors {
            alpha = alpha.mul_clamped(*factor);
            product *= layer::clamped_scalar(&Secret::init_with(|to| *to = *factor));
        }
        prop_assert_eq!(EdwardsPoint::mul_base(&product).to_montgomery().0, alpha.0);
        let theirs = agree(&relay, alpha.0).unwrap();
        let ours = (relay.public().point * product).to_montgomery();
        prop_assert_eq!(&ours.0, theirs.expose());
    }
}
