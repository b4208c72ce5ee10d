use proptest::prelude::*;

use super::*;

mod v5;

fn decode(hex: &str) -> Result<Envelope, EnvelopeError> {
    Envelope::decode(&hex::decode(hex.replace(' ', "")).unwrap())
}

const E1: &str = "e2845f5e10323284deadbeef8d68656c6c6f2077686973706572880102030405060708";

#[test]
fn recorded_envelope_decodes() {
    let envelope = decode(E1).unwrap();
    assert_eq!(envelope.expiry(), UnixSecs(0x5f5e_1032));
    assert_eq!(envelope.ttl(), Ttl(50));
    assert_eq!(envelope.sent(), UnixSecs(0x5f5e_1000));
    assert_eq!(envelope.topic(), Topic([0xde, 0xad, 0xbe, 0xef]));
    assert_eq!(envelope.data(), b"hello whisper");
    assert_eq!(envelope.nonce(), 0x0102_0304_0506_0708);
    assert_eq!(envelope.size(), 33);
    assert_eq!(
        hex::encode(envelope.hash().0),
        "3fa996f04b2e9165324f701c9a80bff0bd823345d775dc2b995c77b9a7b1f46b"
    );
    assert_eq!(
        hex::encode(envelope.without_nonce()),
        "d9845f5e10323284deadbeef8d68656c6c6f2077686973706572"
    );
}

#[test]
fn envelope_of_zero_fields_is_smallest() {
    let envelope = Envelope::build(UnixSecs(0), Ttl(0), Topic([0; 4]), Vec::new(), 0);
    assert_eq!(hex::encode(envelope.as_rlp()), "c9808084000000008080");
    assert!(envelope.data().is_empty());
}

#[test]
fn clones_share_their_bytes() {
    let envelope = decode(E1).unwrap();
    assert!(core::ptr::eq(envelope.as_rlp(), envelope.clone().as_rlp()));
}

#[test]
fn envelope_topic_and_hash_debug_are_redacted() {
    let envelope = decode(E1).unwrap();
    let printed = format!("{envelope:?} {:?} {:?}", envelope.topic(), envelope.hash());
    assert_eq!(
        printed,
        "Envelope(35 bytes) Topic([redacted]) EnvelopeHash([redacted])"
    );
}

#[test]
fn non_minimal_integers_are_refused() {
    for (bytes, why) in [
        ("c9 00 80 84 00000000 80 80", EnvelopeError::Expiry),
        ("c9 80 80 84 00000000 80 00", EnvelopeError::Nonce),
        ("cb 82 0001 80 84 00000000 80 80", EnvelopeError::Expiry),
        ("ca 80 81 05 84 00000000 80 80", EnvelopeError::Ttl),
        (
            "ce 85 0100000000 80 84 00000000 80 80",
            EnvelopeError::Expiry,
        ),
        (
            "d2 80 80 84 00000000 80 89 010000000000000000",
            EnvelopeError::Nonce,
        ),
    ] {
        assert_eq!(decode(bytes), Err(why), "{bytes}");
    }
}

#[test]
fn four_and_six_fields_are_refused() {
    assert_eq!(decode("c8 80 80 84 00000000 80"), Err(EnvelopeError::Nonce));
    assert_eq!(
        decode("ca 80 80 84 00000000 80 80 80"),
        Err(EnvelopeError::TooManyFields)
    );
}

#[test]
fn length_of_almost_2_to_the_64_is_refused() {
    for (bytes, why) in [
        ("ff ffffffffffffffff", EnvelopeError::NotOneList),
        ("ff 7fffffffffffffff 80", EnvelopeError::NotOneList),
        (
            "d0 80 80 84 00000000 bf ffffffffffffffff",
            EnvelopeError::Data,
        ),
        ("cc bb 7fffffff 80 84 00000000 80", EnvelopeError::Expiry),
    ] {
        assert_eq!(decode(bytes), Err(why), "{bytes}");
    }
}

#[test]
fn million_nested_lists_are_refused_at_first() {
    assert_eq!(
        Envelope::decode(&vec![0xc1; 1_000_000]),
        Err(EnvelopeError::NotOneList)
    );
    let mut nested = vec![0xfa, 0x0f, 0x42, 0x40];
    nested.resize(1_000_004, 0xc1);
    assert_eq!(Envelope::decode(&nested), Err(EnvelopeError::Expiry));
}

#[test]
fn second_encoding_of_same_envelope_is_refused() {
    let long_header = E1.replacen("e2", "f822", 1);
    assert_eq!(decode(&long_header), Err(EnvelopeError::NotOneList));
    let long_data = E1.replacen("e2", "e3", 1).replacen("8d6865", "b80d6865", 1);
    assert_eq!(decode(&long_data), Err(EnvelopeError::Data));
    assert_eq!(decode(&format!("{E1}00")), Err(EnvelopeError::NotOneList));
}

#[test]
fn truncated_envelope_is_refused() {
    let whole = hex::decode(E1).unwrap();
    for len in 0..whole.len() {
        assert!(Envelope::decode(&whole[..len]).is_err());
    }
}

proptest! {
    #[test]
    fn built_envelope_decodes_to_same_bytes(
        expiry: u32, ttl: u32, topic: [u8; 4], nonce: u64,
        data in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..3),
            proptest::collection::vec(any::<u8>(), 50..60),
            proptest::collection::vec(any::<u8>(), 230..300),
            proptest::collection::vec(any::<u8>(), 65_500..65_560),
        ],
    ) {
        let built = Envelope::build(UnixSecs(expiry), Ttl(ttl), Topic(topic), data.clone(), nonce);
        let read = Envelope::decode(built.as_rlp()).unwrap();
        prop_assert_eq!(read.as_rlp(), built.as_rlp());
        prop_assert_eq!(read.hash(), built.hash());
        prop_assert_eq!(read.expiry(), UnixSecs(expiry));
        prop_assert_eq!(read.ttl(), Ttl(ttl));
        prop_assert_eq!(read.topic(), Topic(topic));
        prop_assert_eq!(read.nonce(), nonce);
        prop_assert_eq!(read.data(), &data[..]);
        prop_assert_eq!(built.data(), &data[..]);
        prop_assert_eq!(read.without_nonce(), built.without_nonce());
    }

    #[test]
    fn envelopes_decoded_together_equal_each_alone(
        datas in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..20),
        broken: bool,
    ) {
        let build = |data| Envelope::build(UnixSecs(9), Ttl(5), Topic([1; 4]), data, 7);
        let built: Vec<_> = datas.into_iter().map(build).collect();
        let mut rlps: Vec<_> = built.iter().map(Envelope::as_rlp).collect();
        let together = Envelope::decode_all(ProtocolVersion::V6, &rlps).unwrap();
        prop_assert_eq!(&together, &built);
        for (one, alone) in together.iter().zip(&built) {
            prop_assert_eq!(one.as_rlp(), alone.as_rlp());
        }
        if broken {
            rlps.insert(rlps.len() / 2, &[0xc0]);
            let refused = Envelope::decode_all(ProtocolVersion::V6, &rlps);
            prop_assert_eq!(refused.unwrap_err(), EnvelopeError::Expiry);
        }
    }

    #[test]
    fn decoded_envelope_encodes_to_same_bytes(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..40),
        edits in proptest::collection::vec((0_usize..35, any::<u8>()), 0..4),
    ) {
        if edits.len() > 1 {
            bytes = hex::decode(E1).unwrap();
            for (at, byte) in edits {
                bytes[at] = byte;
            }
        }
        if let Ok(read) = Envelope::decode(&bytes) {
            let again = Envelope::build(
                read.expiry(), read.ttl(), read.topic(), read.data().to_vec(), read.nonce(),
            );
            prop_assert_eq!(again.as_rlp(), &bytes[..]);
        }
    }
}
