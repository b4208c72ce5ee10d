//! The seven fields of `shh/5`.

use super::*;

/// Recorded from go-ethereum, like [`E1`] with the two additional fields.
const SYMMETRIC: &str = "f000845f5e10323284deadbeef8c0707070707070707070707078d\
                         68656c6c6f2077686973706572880102030405060708";
const ASYMMETRIC: &str =
    "e400845f5e10323284deadbeef808d68656c6c6f2077686973706572880102030405060708";

fn decode(hex: &str) -> Result<Envelope, EnvelopeError> {
    Envelope::decode_as(
        ProtocolVersion::V5,
        &hex::decode(hex.replace(' ', "")).unwrap(),
    )
}

#[test]
fn recorded_envelope_decodes() {
    let envelope = decode(SYMMETRIC).unwrap();
    assert_eq!(envelope.protocol(), ProtocolVersion::V5);
    assert_eq!(envelope.expiry(), UnixSecs(0x5f5e_1032));
    assert_eq!(envelope.ttl(), Ttl(50));
    assert_eq!(envelope.topic(), Topic([0xde, 0xad, 0xbe, 0xef]));
    let hint = EncryptionHint::Symmetric(AesNonce([7; 12]));
    assert_eq!(envelope.hint(), Some(hint));
    assert_eq!(envelope.data(), b"hello whisper");
    assert_eq!(envelope.nonce(), 0x0102_0304_0506_0708);
    assert_eq!(envelope.size(), 46);
    assert_eq!(
        hex::encode(envelope.hash().0),
        "1834d3af2cf0e465e1d6cee56f10e50330e08e33d573b10221634ba47d9b82a8"
    );
}

#[test]
fn envelope_without_aes_nonce_is_asymmetric() {
    let envelope = decode(ASYMMETRIC).unwrap();
    assert_eq!(envelope.hint(), Some(EncryptionHint::Asymmetric));
    assert_eq!(envelope.size(), 34);
}

#[test]
fn envelope_of_later_version_has_no_hint() {
    for (version, known) in [
        ("00", true),
        ("80", true),
        ("820000", true),
        ("8400000000", true),
        ("01", false),
        ("820001", false),
        ("8400000001", false),
    ] {
        let grown = hex::decode(version).unwrap().len() - 1;
        let header = format!("{:02x}", 0xf0 + grown);
        let bytes = SYMMETRIC.replacen("f000", &format!("{header}{version}"), 1);
        let envelope = decode(&bytes).unwrap();
        assert_eq!(envelope.hint().is_some(), known, "{version}");
        assert_eq!(envelope.data(), b"hello whisper");
    }
}

#[test]
fn version_of_five_bytes_is_refused() {
    let long = SYMMETRIC.replacen("f000", "f5850000000000", 1);
    assert_eq!(decode(&long), Err(EnvelopeError::Version));
    let list = SYMMETRIC.replacen("f000", "f0c0", 1);
    assert_eq!(decode(&list), Err(EnvelopeError::Version));
    let wide = SYMMETRIC.replacen("f000", "f18100", 1);
    assert_eq!(decode(&wide), Err(EnvelopeError::Version));
}

#[test]
fn aes_nonce_of_length_other_than_0_or_12_is_refused() {
    for len in 0..=16_u8 {
        let nonce = vec![7; usize::from(len)];
        let mut stream = rlp::RlpStream::new_list(7);
        stream
            .append(&&[0_u8][..])
            .append(&0x5f5e_1032_u32)
            .append(&50_u32)
            .append(&&[1_u8; 4][..])
            .append(&nonce.as_slice())
            .append(&&b"x"[..])
            .append(&1_u64);
        let read = Envelope::decode_as(ProtocolVersion::V5, &stream.out());
        match len {
            0 | 12 => assert!(read.is_ok()),
            _ => assert_eq!(read, Err(EnvelopeError::AesNonce)),
        }
    }
}

#[test]
fn no_bytes_decode_in_both_forms() {
    for bytes in [SYMMETRIC, ASYMMETRIC] {
        assert!(Envelope::decode(&hex::decode(bytes).unwrap()).is_err());
    }
    assert_eq!(decode(E1), Err(EnvelopeError::Topic));
    // With an empty version, all fields but the last two would be ambiguous.
    let blurred = ASYMMETRIC.replacen("e400", "e480", 1);
    assert!(decode(&blurred).is_ok());
    let other = Envelope::decode(&hex::decode(blurred).unwrap());
    assert_eq!(other, Err(EnvelopeError::Topic));
}

#[test]
fn six_and_eight_fields_are_refused() {
    let six = "db00845f5e10323284deadbeef808d68656c6c6f2077686973706572";
    assert_eq!(decode(six), Err(EnvelopeError::Nonce));
    let eight = format!("{}80", ASYMMETRIC.replacen("e400", "e500", 1));
    assert_eq!(decode(&eight), Err(EnvelopeError::TooManyFields));
}

#[test]
fn truncated_envelope_is_refused() {
    let whole = hex::decode(SYMMETRIC).unwrap();
    for len in 0..whole.len() {
        assert!(Envelope::decode_as(ProtocolVersion::V5, &whole[..len]).is_err());
    }
}

#[test]
fn length_of_almost_2_to_the_64_is_refused() {
    for (bytes, why) in [
        ("ff ffffffffffffffff", EnvelopeError::NotOneList),
        ("ca bf ffffffffffffffff 80", EnvelopeError::Version),
        (
            "d1 00 80 80 84 00000000 bf ffffffffffffffff",
            EnvelopeError::AesNonce,
        ),
    ] {
        assert_eq!(decode(bytes), Err(why), "{bytes}");
    }
}

#[test]
fn aes_nonce_debug_is_redacted() {
    let hint = decode(SYMMETRIC).unwrap().hint().unwrap();
    assert_eq!(
        format!("{hint:?} {}", hint.protocol()),
        "Symmetric(AesNonce([redacted])) shh/5"
    );
}

/// Any encryption hint of this form.
fn hint() -> impl Strategy<Value = EncryptionHint> {
    prop_oneof![
        Just(EncryptionHint::Asymmetric),
        any::<[u8; 12]>().prop_map(|nonce| EncryptionHint::Symmetric(AesNonce(nonce))),
    ]
}

proptest! {
    #[test]
    fn built_envelope_decodes_to_same_bytes(
        expiry: u32, ttl: u32, topic: [u8; 4], nonce: u64, hint in hint(),
        data in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..3),
            proptest::collection::vec(any::<u8>(), 30..60),
            proptest::collection::vec(any::<u8>(), 210..300),
            proptest::collection::vec(any::<u8>(), 65_480..65_560),
        ],
    ) {
        let unmined = UnminedEnvelope {
            expiry: UnixSecs(expiry),
            ttl: Ttl(ttl),
            topic: Topic(topic),
            hint,
            data,
        };
        let built = unmined.with_nonce(nonce);
        let read = Envelope::decode_as(ProtocolVersion::V5, built.as_rlp()).unwrap();
        prop_assert_eq!(read.hash(), built.hash());
        prop_assert_eq!((read.protocol(), built.protocol()), (ProtocolVersion::V5, ProtocolVersion::V5));
        prop_assert_eq!((read.expiry(), read.ttl()), (unmined.expiry, unmined.ttl));
        prop_assert_eq!((read.topic(), read.nonce()), (unmined.topic, nonce));
        prop_assert_eq!(read.hint(), Some(hint));
        prop_assert_eq!(built.hint(), Some(hint));
        prop_assert_eq!(read.data(), &unmined.data[..]);
        prop_assert_eq!(built.data(), &unmined.data[..]);
        prop_assert_eq!(read.size(), unmined.size());
        prop_assert_eq!(read.without_nonce(), unmined.without_nonce());
    }

    #[test]
    fn altered_bytes_decode_exactly_or_are_refused(
        edits in proptest::collection::vec((0_usize..49, any::<u8>()), 0..4),
    ) {
        let mut bytes = hex::decode(SYMMETRIC).unwrap();
        for (at, byte) in edits {
            bytes[at] = byte;
        }
        if let Ok(read) = Envelope::decode_as(ProtocolVersion::V5, &bytes) {
            prop_assert_eq!(read.as_rlp(), &bytes[..]);
            prop_assert!(Envelope::decode(&bytes).is_err());
            prop_assert_eq!(
                read.size() - 20,
                read.data().len() + V5Fields::of(&bytes).len()
            );
        }
    }
}
