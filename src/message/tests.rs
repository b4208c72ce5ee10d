use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(5)
}

fn plaintext(payload: &[u8]) -> Plaintext {
    Plaintext::build(&mut rng(), payload, Padding::Align, None).unwrap()
}

#[test]
fn message_decrypts_with_its_key_only() {
    let (ours, theirs) = (SymKey::generate(&mut rng()), {
        let mut rng = rng();
        let _ = SymKey::generate(&mut rng);
        SymKey::generate(&mut rng)
    });
    let data = seal_symmetric(&mut rng(), &ours, &plaintext(b"hello"));
    assert_eq!(data.len(), 256 + SYMMETRIC_OVERHEAD);
    assert_eq!(
        decrypt_symmetric(&ours, &data).unwrap().payload.as_slice(),
        b"hello"
    );
    assert_eq!(
        decrypt_symmetric(&theirs, &data),
        Err(DecryptError::Symmetric)
    );
}

#[test]
fn asymmetric_message_names_recipient() {
    let recipient = ClientSecret::generate(&mut rng());
    let data = seal_asymmetric(&mut rng(), &recipient.public(), &plaintext(b"hello"));
    assert_eq!(data.len(), 256 + ASYMMETRIC_OVERHEAD);
    let opened = decrypt_asymmetric(&recipient, &data).unwrap();
    assert_eq!(opened.payload.as_slice(), b"hello");
    assert_eq!(opened.recipient, Some(recipient.public()));
    assert_eq!(opened.signer, None);
}

#[test]
fn data_shorter_than_nonce_and_tag_is_refused() {
    let key = SymKey::generate(&mut rng());
    for len in 0..SYMMETRIC_OVERHEAD {
        assert_eq!(
            decrypt_symmetric(&key, &vec![7; len]),
            Err(DecryptError::TooShort)
        );
    }
}

#[test]
fn encrypted_empty_plaintext_is_refused() {
    // Encryption of zero bytes is valid; a message without flags is not.
    let key = SymKey::generate(&mut rng());
    let nonce = [1; AesNonce::LEN];
    let mut nothing = [0; 0];
    let tag = key
        .cipher()
        .encrypt_inout_detached(&nonce.into(), b"", InOutBuf::from(&mut nothing[..]))
        .unwrap();
    let data = [&tag[..], &nonce[..]].concat();
    assert_eq!(
        decrypt_symmetric(&key, &data),
        Err(DecryptError::Malformed(PlaintextError::Empty))
    );
}

#[test]
fn decrypted_message_is_redacted_in_debug() {
    let opened = parse(plaintext(b"secret").as_bytes()).unwrap();
    assert_eq!(format!("{opened:?}"), "DecryptedMessage([redacted])");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn encrypted_messages_decrypt(payload: Vec<u8>, seed: u64) {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let (key, person) = (SymKey::generate(&mut rng), ClientSecret::generate(&mut rng));
        let plaintext =
            Plaintext::build(&mut rng, &payload, Padding::Align, Some(&person)).unwrap();

        let data = seal_symmetric(&mut rng, &key, &plaintext);
        let opened = decrypt_symmetric(&key, &data).unwrap();
        prop_assert_eq!(opened.payload.as_slice(), &payload[..]);
        prop_assert_eq!(opened.signer, Some(person.public()));

        let data = seal_asymmetric(&mut rng, &person.public(), &plaintext);
        let opened = decrypt_asymmetric(&person, &data).unwrap();
        prop_assert_eq!(opened.payload.as_slice(), &payload[..]);
        prop_assert_eq!(opened.signer, Some(person.public()));
    }

    #[test]
    fn altered_byte_is_detected(at in 0_usize..284, flip in 1_u8..) {
        let key = SymKey::generate(&mut rng());
        let mut data = seal_symmetric(&mut rng(), &key, &plaintext(b"hello"));
        data[at] ^= flip;
        prop_assert_eq!(decrypt_symmetric(&key, &data), Err(DecryptError::Symmetric));
    }

    #[test]
    fn arbitrary_plaintext_does_not_panic(bytes: Vec<u8>) {
        if let Ok(opened) = parse(&bytes) {
            prop_assert!(opened.payload.len() + opened.padding.len() < bytes.len());
        }
    }
}
