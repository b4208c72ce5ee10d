use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;
use crate::message::PlaintextError;

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(3)
}

fn plaintext(payload: &[u8], padding: Padding<'_>) -> Vec<u8> {
    let plaintext = PlaintextV5::build(&mut rng(), payload, padding, None).unwrap();
    plaintext.as_bytes().to_vec()
}

/// Payload and padding, or the reason why parsing failed.
fn parts(bytes: &[u8]) -> Result<(Vec<u8>, Vec<u8>), DecryptError> {
    parse(bytes).map(|opened| (opened.payload.to_vec(), opened.padding))
}

#[test]
fn given_padding_precedes_payload_with_size() {
    let written = plaintext(b"hi", Padding::Given(&[9; 3]));
    assert_eq!(written, [0x01, 0x04, 9, 9, 9, b'h', b'i']);
    assert_eq!(parts(&written), Ok((b"hi".to_vec(), vec![9; 3])));
}

#[test]
fn aligned_message_has_no_padding() {
    let written = plaintext(&[7; 255], Padding::Align);
    assert_eq!((written.len(), written[0]), (256, 0));
    let written = plaintext(&[7; 254], Padding::Align);
    assert_eq!((written.len(), &written[..2]), (256, &[0x01, 0x01][..]));
    let written = plaintext(&[7; 256], Padding::Align);
    assert_eq!((written.len(), &written[..2]), (512, &[0x01, 0xff][..]));
    let written = plaintext(b"hi", Padding::Given(&[]));
    assert_eq!(written, [0x00, b'h', b'i']);
}

#[test]
fn message_is_padded_to_requested_length() {
    for len in [3, 4, 5, 258, 259, 260, 65_538, 65_539, 65_540] {
        let written = plaintext(b"hi", Padding::UpTo(len));
        assert_eq!(written.len(), len);
        assert_eq!(parts(&written).unwrap().0, b"hi");
    }
    let refused = PlaintextV5::build(&mut rng(), b"hi", Padding::UpTo(2), None);
    assert_eq!(refused.unwrap_err(), PayloadTooLong { max: 1 });
}

#[test]
fn padding_above_three_byte_size_is_refused() {
    let max = MAX_PADDING_BLOCK - 3;
    assert_eq!(block_around(max), MAX_PADDING_BLOCK);
    let padding = vec![1; max + 1];
    let refused = PlaintextV5::build(&mut rng(), b"", Padding::Given(&padding), None);
    assert_eq!(refused.unwrap_err(), PayloadTooLong { max: 0 });
    let refused = PlaintextV5::build(&mut rng(), b"", Padding::UpTo(1 << 25), None);
    assert_eq!(refused.unwrap_err(), PayloadTooLong { max: 0 });
}

#[test]
fn plaintexts_that_crashed_geth_are_refused() {
    for crasher in [&[0x01][..], &[0x02], &[0x03, 0x01]] {
        let refused = parts(crasher).unwrap_err();
        assert_eq!(
            refused,
            DecryptError::Malformed(PlaintextError::NoRoomForSize)
        );
    }
}

#[test]
fn padding_size_beyond_message_or_into_signature_is_refused() {
    let refused = parts(&[0x03, 0xff, 0xff, 0xff, 0x01]).unwrap_err();
    assert_eq!(
        refused,
        DecryptError::Malformed(PlaintextError::NoRoomForPadding)
    );
    let mut signed = vec![SIGNED | 1, 3, 0];
    signed.extend_from_slice(&[0; SIGNATURE_LEN]);
    let refused = parts(&signed).unwrap_err();
    assert_eq!(
        refused,
        DecryptError::Malformed(PlaintextError::NoRoomForPadding)
    );
}

#[test]
fn padding_size_below_its_own_width_is_refused() {
    for bytes in [&[0x01, 0, 7][..], &[0x02, 1, 0, 7], &[0x03, 2, 0, 0, 7]] {
        let refused = parts(bytes).unwrap_err();
        assert_eq!(
            refused,
            DecryptError::Malformed(PlaintextError::PaddingWithoutItsSize)
        );
    }
}

#[test]
fn data_shorter_than_tag_is_refused() {
    let key = SymKey::generate(&mut rng());
    for len in 0..16 {
        let opened = decrypt_symmetric(&key, AesNonce([1; 12]), &vec![7; len]);
        assert_eq!(opened, Err(DecryptError::TooShort));
    }
}

#[test]
fn message_decrypts_in_its_own_version_only() {
    let key = SymKey::generate(&mut rng());
    let plaintext = PlaintextV5::build(&mut rng(), b"hi", Padding::Align, None).unwrap();
    let (hint, data) = seal_symmetric(&mut rng(), &key, &plaintext);
    assert!(matches!(hint, EncryptionHint::Symmetric(_)));
    assert_eq!(
        crate::message::decrypt_symmetric(&key, &data),
        Err(DecryptError::Symmetric)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn encrypted_messages_decrypt(payload: Vec<u8>, extra in 0_usize..700, sign: bool, seed: u64) {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let (key, person) = (SymKey::generate(&mut rng), ClientSecret::generate(&mut rng));
        let signer = sign.then_some(&person);
        let len = payload.len() + 1 + SIGNATURE_LEN + extra;
        let given = vec![5; extra];
        for padding in [Padding::Align, Padding::UpTo(len), Padding::Given(&given)] {
            let plaintext = PlaintextV5::build(&mut rng, &payload, padding, signer).unwrap();
            match padding {
                Padding::Align => prop_assert_eq!(plaintext.as_bytes().len() % 256, 0),
                Padding::UpTo(len) | Padding::Tagged(_, len) | Padding::Marked(_, len) => {
                    prop_assert_eq!(plaintext.as_bytes().len(), len);
                }
                Padding::Given(given) => {
                    let padding = parse(plaintext.as_bytes()).unwrap().padding;
                    prop_assert_eq!(padding, given);
                }
            }
            let (hint, data) = seal_symmetric(&mut rng, &key, &plaintext);
            let EncryptionHint::Symmetric(nonce) = hint else {
                return Err(TestCaseError::fail("not marked as symmetric"));
            };
            let opened = decrypt_symmetric(&key, nonce, &data).unwrap();
            prop_assert_eq!(opened.payload.as_slice(), &payload[..]);
            prop_assert_eq!(opened.signer, signer.map(ClientSecret::public));

            let (hint, data) = seal_asymmetric(&mut rng, &person.public(), &plaintext);
            prop_assert_eq!(hint, EncryptionHint::Asymmetric);
            let opened = decrypt_asymmetric(&person, &data).unwrap();
            prop_assert_eq!(opened.payload.as_slice(), &payload[..]);
            prop_assert_eq!(opened.recipient, Some(person.public()));
        }
    }

    #[test]
    fn parsed_parts_lie_inside_plaintext(bytes: Vec<u8>) {
        if let Ok(opened) = parse(&bytes) {
            let signature = if opened.signer.is_some() { SIGNATURE_LEN } else { 0 };
            let parts = opened.payload.len() + opened.padding.len() + signature;
            prop_assert_eq!(1 + usize::from(bytes[0] & 3) + parts, bytes.len());
        }
    }

    #[test]
    fn altered_byte_is_detected(at in 0_usize..272, flip in 1_u8..) {
        let key = SymKey::generate(&mut rng());
        let plaintext = PlaintextV5::build(&mut rng(), b"hello", Padding::Align, None).unwrap();
        let (hint, mut data) = seal_symmetric(&mut rng(), &key, &plaintext);
        let EncryptionHint::Symmetric(nonce) = hint else {
            return Err(TestCaseError::fail("not marked as symmetric"));
        };
        data[at] ^= flip;
        prop_assert_eq!(decrypt_symmetric(&key, nonce, &data), Err(DecryptError::Symmetric));
    }
}
