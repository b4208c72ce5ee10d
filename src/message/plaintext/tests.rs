use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(3)
}

fn parse(bytes: &[u8]) -> Result<(Vec<u8>, Vec<u8>), PlaintextError> {
    let parsed = ParsedPlaintext::new(ProtocolVersion::V6, Zeroizing::new(bytes.to_vec()))?;
    Ok((parsed.payload().to_vec(), parsed.padding().to_vec()))
}

#[test]
fn plaintexts_that_crashed_geth_are_refused() {
    for crasher in [
        &[0x03][..],
        &[0x01, 0x01],
        &[0x01, 0x02, 0x09],
        &[0x03, 0x02, 0x00, 0x00],
        &[0x03, 0x03, 0x00, 0x00],
        &[0x02, 0x03, 0x00, 0x00],
    ] {
        assert!(parse(crasher).is_err(), "{crasher:02x?}");
    }
}

#[test]
fn size_field_beyond_message_is_refused() {
    assert_eq!(
        parse(&[0x03, 0xff, 0xff, 0xff, 0x01]),
        Err(PlaintextError::NoRoomForPayload)
    );
    assert_eq!(parse(&[]), Err(PlaintextError::Empty));
}

#[test]
fn unknown_flags_and_wide_size_fields_parse() {
    assert_eq!(parse(&[0xf9, 0x01, 0x07]), Ok((vec![7], vec![])));
    assert_eq!(parse(&[0x03, 1, 0, 0, 7, 8]), Ok((vec![7], vec![8])));
    assert_eq!(parse(&[0x00]), Ok((vec![], vec![])));
    assert_eq!(parse(&[0x00, 1, 2]), Ok((vec![], vec![1, 2])));
}

#[test]
fn signature_flag_without_signature_is_refused() {
    for len in 0..SIGNATURE_LEN + 1 {
        let mut bytes = vec![0; len];
        bytes.insert(0, SIGNED);
        bytes.truncate(len.max(1));
        assert!(parse(&bytes).is_err());
    }
}

#[test]
fn aligned_padding_has_at_least_one_byte() {
    for len in [0, 1, 100, 253, 254, 255, 508, 509, 510, 70_000] {
        for signer in [None, Some(ClientSecret::generate(&mut rng()))] {
            let plaintext =
                Plaintext::build(&mut rng(), &vec![7; len], Padding::Align, signer.as_ref());
            let plaintext = plaintext.unwrap();
            assert_eq!(plaintext.as_bytes().len() % 256, 0);
            let (payload, padding) = parse(plaintext.as_bytes()).unwrap();
            assert_eq!(payload.len(), len);
            assert!((1..=256).contains(&padding.len()));
        }
    }
}

#[test]
fn given_padding_is_unchanged() {
    let plaintext = Plaintext::build(&mut rng(), b"hi", Padding::Given(&[9; 3]), None).unwrap();
    assert_eq!(plaintext.as_bytes(), [0x01, 0x02, b'h', b'i', 9, 9, 9]);
}

#[test]
fn payload_one_byte_above_maximum_is_refused() {
    for len in [2, 3, 256, 257, 258, 259, 260, 507, 65_480, 65_539, 65_541] {
        let max = max_payload_len(len, false).unwrap();
        let build = |payload: usize| {
            Plaintext::build(&mut rng(), &vec![1; payload], Padding::UpTo(len), None)
        };
        assert_eq!(build(max).unwrap().as_bytes().len(), len);
        assert_eq!(build(max + 1).unwrap_err(), PayloadTooLong { max });
    }
    assert_eq!(max_payload_len(1, false), None);
    assert_eq!(max_payload_len(67, true), Some(0));
    assert_eq!(max_payload_len(66, true), None);
}

#[test]
fn payload_above_three_byte_size_is_refused() {
    let payload = vec![0; MAX_PAYLOAD_LEN + 1];
    assert_eq!(
        Plaintext::build(&mut rng(), &payload, Padding::Align, None).unwrap_err(),
        PayloadTooLong {
            max: MAX_PAYLOAD_LEN
        }
    );
}

#[test]
fn decoy_signature_recovers_key_for_every_body() {
    for body in [&b""[..], b"x", &[7; 600]] {
        assert!(recover(body, &DECOY_SIGNATURE).is_some());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn built_plaintext_parses(payload: Vec<u8>, extra in 0_usize..700, sign: bool, seed: u64) {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let signer = sign.then(|| ClientSecret::generate(&mut rng));
        let len = payload.len() + 3 + SIGNATURE_LEN + extra;
        let tag = CopyTag::draw(&mut rng);
        let tagged = Padding::Tagged(tag, len + CopyTag::LEN);
        for padding in [Padding::Align, Padding::UpTo(len), Padding::Given(&[1; 9]), tagged] {
            let built = Plaintext::build(&mut rng, &payload, padding, signer.as_ref()).unwrap();
            let parsed = ParsedPlaintext::new(ProtocolVersion::V6, Zeroizing::new(built.as_bytes().to_vec())).unwrap();
            prop_assert_eq!(parsed.payload(), &payload[..]);
            prop_assert_eq!(parsed.signer().unwrap(), signer.as_ref().map(ClientSecret::public));
            match padding {
                Padding::Align => prop_assert_eq!(built.as_bytes().len() % 256, 0),
                Padding::UpTo(len) => prop_assert_eq!(built.as_bytes().len(), len),
                Padding::Given(bytes) => prop_assert_eq!(parsed.padding(), bytes),
                Padding::Tagged(_, len) | Padding::Marked(_, len) => {
                    prop_assert_eq!(built.as_bytes().len(), len);
                    prop_assert_eq!(CopyTag::of_padding(parsed.padding()), Some(tag));
                }
            }
        }
    }

    #[test]
    fn parsed_parts_lie_inside_plaintext(bytes: Vec<u8>) {
        if let Ok(parsed) = ParsedPlaintext::new(ProtocolVersion::V6, Zeroizing::new(bytes.clone())) {
            let signature = if parsed.is_signed() { SIGNATURE_LEN } else { 0 };
            let parts = parsed.payload().len() + parsed.padding().len() + signature;
            prop_assert_eq!(1 + usize::from(bytes[0] & 3) + parts, bytes.len());
        }
    }
}
