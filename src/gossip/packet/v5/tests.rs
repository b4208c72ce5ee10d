//! Tests of the packets of `shh/5` against bytes recorded from go-ethereum, and hostile ones.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::gossip::packet::tests::{bytes, vectors};

/// Decodes a whole packet, as a node would.
fn read(code: u8, payload: &[u8]) -> Result<usize, MalformedPacket> {
    match ShhPacket::decode_v5(code, payload)? {
        ShhPacket::Messages(envelopes) => envelopes.map(|one| one.map(|_| 1)).sum(),
        _ => Ok(0),
    }
}

#[test]
fn recorded_packets_decode_and_encode_again() {
    let vectors = vectors();
    let cases = vectors["cases"].as_array().unwrap().iter();
    let recorded = cases.filter(|case| case["kind"].as_str().unwrap().starts_with("v5_"));
    let mut seen = Vec::new();
    for case in recorded {
        let (payload, code) = (bytes(&case["payload"]), case["code"].as_u64().unwrap());
        let packet = ShhPacket::decode_v5(code.try_into().unwrap(), &payload).unwrap();
        let kind = case["kind"].as_str().unwrap();
        match (kind, packet) {
            ("v5_status", ShhPacket::Status(_)) => assert_eq!(status(), payload),
            ("v5_messages", ShhPacket::Messages(envelopes)) => {
                check_envelope(envelopes, &case["fields"]["envelope"], &payload);
            }
            ("v5_p2p_message", ShhPacket::P2p(P2pKind::Message, inside)) => {
                let envelopes = Envelopes::single(inside).unwrap();
                check_envelope(envelopes, &case["fields"]["envelope"], &payload);
            }
            ("v5_p2p_request", ShhPacket::P2p(P2pKind::Request, _)) => {}
            (_, other) => panic!("{kind}: {other:?}"),
        }
        seen.push(kind);
    }
    assert_eq!(seen.len(), 4);
}

fn check_envelope(mut envelopes: Envelopes<'_>, recorded: &Value, payload: &[u8]) {
    let envelope = envelopes.next().unwrap().unwrap();
    assert_eq!(envelope.as_rlp(), bytes(recorded));
    assert_eq!(message(&envelope), payload);
    assert!(envelopes.next().is_none());
}

#[test]
fn status_is_bare_number_five() {
    assert_eq!(status(), [0x05]);
    assert!(read(code::STATUS, &[0x05]).is_ok());
    assert!(read(code::STATUS, &[0x05, 0xff]).is_ok());
    for (payload, why) in [
        (&[][..], MalformedPacket::StatusNotANumber),
        (&[0xc0], MalformedPacket::StatusNotANumber),
        (&[0xc1, 0x05], MalformedPacket::StatusNotANumber),
        (&[0x81, 0x05], MalformedPacket::StatusNotANumber),
        (&[0x80], MalformedPacket::Version),
        (&[0x06], MalformedPacket::Version),
    ] {
        assert_eq!(read(code::STATUS, payload), Err(why), "{payload:02x?}");
    }
}

#[test]
fn list_of_envelopes_is_refused() {
    let one = hex::decode(ASYMMETRIC).unwrap();
    assert_eq!(read(code::MESSAGE, &one), Ok(1));
    let mut list = vec![0xe5];
    list.extend_from_slice(&one);
    assert_eq!(read(code::MESSAGE, &list), Err(MalformedPacket::Envelope));
    assert_eq!(read(code::MESSAGE, &[0xc0]), Err(MalformedPacket::Envelope));
    assert_eq!(read(code::MESSAGE, &[]), Err(MalformedPacket::Envelope));
}

#[test]
fn bytes_after_first_envelope_are_ignored() {
    let two = hex::decode(ASYMMETRIC.repeat(2)).unwrap();
    assert_eq!(read(code::MESSAGE, &two), Ok(1));
}

#[test]
fn envelope_of_shh_6_is_refused() {
    let other = "e2845f5e10323284deadbeef8d68656c6c6f2077686973706572880102030405060708";
    let other = hex::decode(other).unwrap();
    assert_eq!(read(code::MESSAGE, &other), Err(MalformedPacket::Envelope));
}

#[test]
fn pow_requirement_of_shh_6_decodes_as_p2p_message() {
    // Code 2 is a PoW requirement in the other protocol; here it is a P2P message, not decoded.
    let packet = ShhPacket::decode_v5(2, &[0x88, 0x3f, 0xc9, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a]);
    assert!(matches!(packet, Ok(ShhPacket::P2p(P2pKind::Message, _))));
}

#[test]
fn length_bomb_is_refused_before_allocation() {
    for code in [code::STATUS, code::MESSAGE] {
        assert!(read(code, &[0xff; 9]).is_err(), "code {code}");
    }
    assert!(Envelopes::single(&[0xff; 9]).is_err());
}

proptest! {
    #[test]
    fn arbitrary_packets_do_not_panic(code in 0_u8..6, payload: Vec<u8>) {
        prop_assert!(read(code, &payload).unwrap_or(0) <= 1);
        prop_assert!(Envelopes::single(&payload).map_or(0, Iterator::count) <= 1);
    }
}

const ASYMMETRIC: &str =
    "e400845f5e10323284deadbeef808d68656c6c6f2077686973706572880102030405060708";
