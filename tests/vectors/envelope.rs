//! Envelopes: fields, bytes, hashes, bloom filters, and invalid inputs.

use circuits::time::UnixSecs;
use whisht::bloom::Bloom;
use whisht::envelope::{Envelope, EnvelopeHash, Topic, Ttl};

use super::{array, bytes, cases, int, name, text};

#[test]
fn envelopes_decode_to_recorded_fields() {
    for case in cases("envelope_v6", "cases") {
        let envelope = Envelope::decode(&bytes(&case["rlp"])).unwrap();
        assert_eq!(
            envelope.expiry(),
            UnixSecs(int(&case["expiry"])),
            "{}",
            name(&case)
        );
        assert_eq!(envelope.ttl(), Ttl(int(&case["ttl"])), "{}", name(&case));
        assert_eq!(
            envelope.topic(),
            Topic(array(&case["topic"])),
            "{}",
            name(&case)
        );
        assert_eq!(envelope.data(), bytes(&case["data"]), "{}", name(&case));
        assert_eq!(
            envelope.nonce().to_string(),
            text(&case["nonce"]),
            "{}",
            name(&case)
        );
        assert_eq!(
            envelope.hash(),
            EnvelopeHash(array(&case["hash"])),
            "{}",
            name(&case)
        );
        assert_eq!(
            Bloom::assigned(envelope.topic()).0,
            array(&case["bloom"]),
            "{}",
            name(&case)
        );
    }
}

#[test]
fn envelope_fields_encode_to_recorded_bytes() {
    for case in cases("envelope_v6", "cases") {
        let built = Envelope::build(
            UnixSecs(int(&case["expiry"])),
            Ttl(int(&case["ttl"])),
            Topic(array(&case["topic"])),
            bytes(&case["data"]),
            text(&case["nonce"]).parse().unwrap(),
        );
        assert_eq!(built.as_rlp(), bytes(&case["rlp"]), "{}", name(&case));
        assert_eq!(
            built.hash(),
            EnvelopeHash(array(&case["hash"])),
            "{}",
            name(&case)
        );
        assert_eq!(built.data(), bytes(&case["data"]), "{}", name(&case));
    }
}

#[test]
fn envelope_bytes_refused_by_geth_and_status_im_are_refused() {
    for case in cases("envelope_v6", "decode_cases") {
        let accepted = Envelope::decode(&bytes(&case["rlp"])).is_ok();
        assert_eq!(accepted, case["geth_1_8_27"] == "accept", "{}", name(&case));
        assert_eq!(
            accepted,
            case["status_im_1_6_2"] == "accept",
            "{}",
            name(&case)
        );
    }
}
