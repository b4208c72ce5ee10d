use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(12)
}

#[test]
fn both_ends_have_one_secret() {
    let mut rng = rng();
    let secret = XWingSecret::draw(&mut rng);
    let public = XWingPublic::decode(secret.public().as_bytes()).unwrap();
    let (ciphertext, shared) = public.encapsulate(&mut rng).unwrap();
    assert_eq!(*secret.decapsulate(&ciphertext).unwrap(), *shared);
    let restored = XWingSecret::from_seed(secret.seed().clone());
    assert_eq!(*restored.decapsulate(&ciphertext).unwrap(), *shared);
    let (_, other) = public.encapsulate(&mut rng).unwrap();
    assert_ne!(*other, *shared);
}

#[test]
fn ciphertext_of_low_order_is_refused() {
    let mut rng = rng();
    let secret = XWingSecret::draw(&mut rng);
    let (mut ciphertext, _) = secret.public().encapsulate(&mut rng).unwrap();
    ciphertext[X_WING_CIPHERTEXT_LEN - 32..].fill(0);
    assert!(secret.decapsulate(&ciphertext).is_none());
}

#[test]
fn key_with_coefficient_out_of_range_is_refused() {
    let public = XWingSecret::draw(&mut rng()).public();
    let mut bytes = *public.as_bytes();
    bytes[..2].fill(0xff);
    assert_eq!(XWingPublic::decode(&bytes), Err(BadXWingKey));
}
