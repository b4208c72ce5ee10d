use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;

fn recipient() -> SecretKey {
    key("b71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291")
}

fn key(hex: &str) -> SecretKey {
    SecretKey::from_secret_bytes(hex::decode(hex).unwrap().try_into().unwrap()).unwrap()
}

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(7)
}

/// A ciphertext with a valid tag over the bytes that follow the ephemeral key.
fn tagged(sealed: &[u8]) -> Vec<u8> {
    let ephemeral = random_key(&mut rng());
    let keys = EciesKeys::derive(&recipient().public_key(), &ephemeral);
    let mut out = ephemeral.public_key().serialize_uncompressed().to_vec();
    out.extend_from_slice(sealed);
    out.extend_from_slice(&keys.mac(sealed, b"").finalize().into_bytes());
    out
}

#[test]
fn recorded_message_decrypts() {
    let data = hex::decode(
        "04654d1044b69c577a44e5f01a1209523adb4026e70c62d1c13a067acabc09d2667a49821a0ad4b634554d330a\
         15a58fe61f8a8e0544b310c6de7b0c8da7528a8d000102030405060708090a0b0c0d0e0fd2c3bcaf0fac1d5cd7\
         c58e7818ba980cd86474b2d38b0d3fbc26c2749353b43eeb3548e6da46",
    )
    .unwrap();
    let plaintext = decrypt(&recipient(), b"", &data).unwrap();
    assert_eq!(plaintext.as_slice(), [0x01, 0x02, b'h', b'i', 0xaa, 0xaa]);
}

#[test]
fn shared_mac_data_must_match() {
    let sealed = encrypt(&mut rng(), &recipient().public_key(), &[1, 0xb3], b"auth");
    assert!(decrypt(&recipient(), &[1, 0xb3], &sealed).is_ok());
    for wrong in [&b""[..], &[1], &[1, 0xb4], &[1, 0xb3, 0]] {
        assert_eq!(
            decrypt(&recipient(), wrong, &sealed),
            Err(EciesError::WrongTag)
        );
    }
}

#[test]
fn agree_returns_unhashed_x_coordinate() {
    let ours = key("49a7b37aa6f6645917e7b807e9d1c00d4fa71f18343b0d4122a4d2df64dd6fee");
    assert_eq!(
        hex::encode(agree(&recipient().public_key(), &ours).as_ref()),
        "2d21423c1dc3355da36e7f2c2b530eeffcf0680f93201a958b2ec3a7d04958e6"
    );
}

#[test]
fn tagged_body_shorter_than_iv_is_refused() {
    for len in 0..IV_LEN {
        assert_eq!(
            decrypt(&recipient(), b"", &tagged(&vec![7; len])),
            Err(EciesError::TooShort)
        );
    }
    assert!(
        decrypt(&recipient(), b"", &tagged(&[7; IV_LEN]))
            .unwrap()
            .is_empty()
    );
}

#[test]
fn compressed_and_hybrid_points_are_refused() {
    let good = encrypt(&mut rng(), &recipient().public_key(), b"", b"text");
    for form in [0x00, 0x02, 0x03, 0x05, 0x06, 0x07, 0xff] {
        let mut bad = good.clone();
        bad[0] = form;
        assert_eq!(
            decrypt(&recipient(), b"", &bad),
            Err(EciesError::NotUncompressed)
        );
    }
}

#[test]
fn ephemeral_key_off_curve_is_refused() {
    let mut bad = encrypt(&mut rng(), &recipient().public_key(), b"", b"text");
    bad[64] ^= 1;
    assert_eq!(
        decrypt(&recipient(), b"", &bad),
        Err(EciesError::NotOnCurve)
    );
}

#[test]
fn ciphertext_for_other_key_is_refused() {
    let sealed = encrypt(&mut rng(), &recipient().public_key(), b"", b"text");
    let other = random_key(&mut ChaCha20Rng::seed_from_u64(8));
    assert_eq!(decrypt(&other, b"", &sealed), Err(EciesError::WrongTag));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn encrypted_text_decrypts(text: Vec<u8>, shared: [u8; 2], seed: u64) {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let secret = random_key(&mut rng);
        let sealed = encrypt(&mut rng, &secret.public_key(), &shared, &text);
        prop_assert_eq!(sealed.len(), text.len() + OVERHEAD);
        let opened = decrypt(&secret, &shared, &sealed).unwrap();
        prop_assert_eq!(opened.as_slice(), &text[..]);
    }

    #[test]
    fn altered_byte_is_refused(at in 0_usize..OVERHEAD + 40, flip in 1_u8..) {
        let mut sealed = encrypt(&mut rng(), &recipient().public_key(), b"", &[5; 40]);
        sealed[at] ^= flip;
        prop_assert!(decrypt(&recipient(), b"", &sealed).is_err());
    }

    #[test]
    fn arbitrary_bytes_are_refused(bytes: Vec<u8>) {
        prop_assert!(decrypt(&recipient(), b"", &bytes).is_err());
    }
}
