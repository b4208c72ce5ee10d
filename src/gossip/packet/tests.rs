//! Tests of the packet codec against bytes recorded from real nodes, and against hostile ones.

use circuits::time::UnixSecs;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::envelope::{EnvelopeHash, Topic, Ttl};

pub(super) fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../tests/vectors/status.json")).unwrap()
}

pub(super) fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn bits(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap(), 16).unwrap()
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().unwrap()
}

fn code(case: &Value) -> u8 {
    case["code"].as_u64().unwrap().try_into().unwrap()
}

/// Decodes a whole packet, as a node would.
fn read(code: u8, payload: &[u8]) -> Result<(), MalformedPacket> {
    match ShhPacket::decode(code, payload)? {
        ShhPacket::Messages(mut envelopes) => envelopes.try_for_each(|one| one.map(drop)),
        _ => Ok(()),
    }
}

fn rlps(envelopes: Envelopes<'_>) -> Vec<String> {
    envelopes
        .map(|envelope| hex::encode(envelope.unwrap().as_rlp()))
        .collect()
}

fn names(value: &Value) -> Vec<String> {
    let list = value.as_array().unwrap().iter();
    list.map(|one| one.as_str().unwrap().to_owned()).collect()
}

#[test]
fn recorded_packets_decode_to_recorded_fields() {
    let vectors = vectors();
    let mut read = 0;
    for case in vectors["cases"].as_array().unwrap() {
        let (kind, fields) = (case["kind"].as_str().unwrap(), &case["fields"]);
        let payload = bytes(&case["payload"]);
        let name = format!("{kind}: {}", case["name"]);
        if kind.starts_with("v5_") {
            // Another protocol version, which is decoded in `v5`.
            continue;
        }
        match (kind, ShhPacket::decode(code(case), &payload).unwrap()) {
            ("status", ShhPacket::Status(status)) => check_status(&status, fields, &name),
            ("pow_requirement", ShhPacket::PowRequirement(min)) => {
                assert_eq!(
                    min.value().to_bits(),
                    bits(&fields["pow_f64_bits"]),
                    "{name}"
                );
                assert_eq!(outgoing::pow_requirement(min), payload, "{name}");
            }
            ("bloom_exchange", ShhPacket::BloomExchange(bloom)) => {
                assert_eq!(bloom, Bloom(array(&fields["bloom"])), "{name}");
                assert_eq!(outgoing::bloom_exchange(&bloom), payload, "{name}");
            }
            ("messages", ShhPacket::Messages(envelopes)) => {
                let decoded: Vec<_> = envelopes.clone().map(Result::unwrap).collect();
                assert_eq!(outgoing::messages(&decoded), payload, "{name}");
                assert_eq!(rlps(envelopes), names(&fields["envelopes"]), "{name}");
            }
            ("batch_acknowledged", ShhPacket::BatchAcknowledged(Some(batch))) => {
                assert_eq!(batch, array(&fields["batch_hash"]), "{name}");
                assert_eq!(outgoing::batch_acknowledged(&batch), payload, "{name}");
            }
            ("messages_response", ShhPacket::MessagesResponse(Some(response))) => {
                check_response(&response, fields, &payload, &name);
            }
            ("p2p_message", ShhPacket::P2p(P2pKind::Message, inside)) => {
                let envelopes = Envelopes::p2p(inside).unwrap();
                assert_eq!(rlps(envelopes), names(&fields["envelopes"]), "{name}");
            }
            ("p2p_request", ShhPacket::P2p(P2pKind::Request, _))
            | ("p2p_request_complete", ShhPacket::P2p(P2pKind::RequestComplete, _))
            | ("p2p_sync_request", ShhPacket::P2p(P2pKind::SyncRequest, _))
            | ("p2p_sync_response", ShhPacket::P2p(P2pKind::SyncResponse, _)) => {}
            (_, other) => panic!("{name}: {other:?}"),
        }
        read += 1;
    }
    assert_eq!(read, 99);
}

fn check_status(status: &Status, fields: &Value, name: &str) {
    assert_eq!(
        status.min_pow.value().to_bits(),
        bits(&fields["min_pow_f64_bits"]),
        "{name}"
    );
    let bloom = (fields["bloom"] != "").then(|| Bloom(array(&fields["bloom"])));
    assert_eq!(status.bloom, bloom, "{name}");
    assert_eq!(Some(status.light), fields["light_node"].as_bool(), "{name}");
    assert_eq!(
        status.confirmations,
        fields["confirmations_enabled"].as_bool(),
        "{name}"
    );
    assert_eq!(status.rate_limits, None, "{name}");
}

fn check_response(response: &MessagesResponse, fields: &Value, payload: &[u8], name: &str) {
    assert_eq!(response.batch, array(&fields["batch_hash"]), "{name}");
    let errors = fields["errors"].as_array().unwrap();
    assert_eq!(response.errors.len(), errors.len(), "{name}");
    for (read, recorded) in response.errors.iter().zip(errors) {
        assert_eq!(read.envelope, array(&recorded["hash"]), "{name}");
        assert_eq!(Some(read.code), recorded["code"].as_u64(), "{name}");
        assert_eq!(recorded["description"], *read.description, "{name}");
    }
    if errors.is_empty() {
        assert_eq!(
            outgoing::messages_response(&response.batch, &[]),
            payload,
            "{name}"
        );
    }
}

#[test]
fn packets_are_accepted_as_geth_accepts_them() {
    let vectors = vectors();
    for case in vectors["accept_cases"].as_array().unwrap() {
        let (name, code) = (case["name"].as_str().unwrap(), code(case));
        if case["phase"] == "status" && code != code::STATUS {
            // The gossip checks the order of packets, not the codec.
            continue;
        }
        let verdict = read(code, &bytes(&case["payload"]));
        assert_eq!(
            verdict.is_ok(),
            case["geth_1_8_27"] == "accept",
            "{name}: {verdict:?}"
        );
    }
}

#[test]
fn status_equals_that_of_geth() {
    let status = outgoing::status(MinPow::new(0.2).unwrap(), &Bloom::FULL, false);
    assert_eq!(hex::encode(status), "cc06883fc999999999999a8080");
}

#[test]
fn status_of_six_fields_has_rate_limits() {
    let payload = hex::decode("d106883fc999999999999a808001c30a0580").unwrap();
    let Ok(ShhPacket::Status(status)) = ShhPacket::decode(0, &payload) else {
        panic!("not read");
    };
    assert_eq!(status.confirmations, Some(true));
    let limits = RateLimits {
        ip: 10,
        peer: 5,
        topic: 0,
    };
    assert_eq!(status.rate_limits, Some(limits));
    assert!(matches!(
        ShhPacket::decode(20, &[0xc3, 0x0a, 0x05, 0x80]),
        Ok(ShhPacket::RateLimits(Some(read))) if read == limits
    ));
}

#[test]
fn response_names_rejected_envelopes() {
    let refused = [
        (EnvelopeHash([1; 32]), outgoing::ResponseErrorCode::Expiry),
        (EnvelopeHash([2; 32]), outgoing::ResponseErrorCode::Other),
    ];
    let payload = outgoing::messages_response(&[9; 32], &refused);
    let Ok(ShhPacket::MessagesResponse(Some(response))) = ShhPacket::decode(12, &payload) else {
        panic!("not read");
    };
    assert_eq!(response.batch, [9; 32]);
    let codes: Vec<_> = response.errors.iter().map(|error| error.code).collect();
    assert_eq!(codes, [36, 37]);
}

#[test]
fn messages_header_has_computed_length() {
    let envelope = Envelope::decode(&hex::decode(E1).unwrap()).unwrap();
    for count in [1, 2, 7, 8, 2_000] {
        let envelopes = vec![envelope.clone(); count];
        let body = count * envelope.as_rlp().len();
        let packet = outgoing::messages(&envelopes);
        assert_eq!(packet.len(), body + outgoing::messages_header_len(body));
    }
}

#[test]
fn million_empty_items_are_refused_at_first() {
    let mut payload = vec![0xfa, 0x0f, 0x42, 0x40];
    payload.resize(1_000_004, 0xc0);
    let Ok(ShhPacket::Messages(mut envelopes)) = ShhPacket::decode(1, &payload) else {
        panic!("not read");
    };
    assert_eq!(envelopes.next(), Some(Err(MalformedPacket::Envelope)));
    assert_eq!(envelopes.next(), None);
}

#[test]
fn envelope_65537_is_refused() {
    let tiny = hex::decode("c980808400000000 8080".replace(' ', "")).unwrap();
    let mut body = tiny.repeat(MAX_ENVELOPES + 1);
    let len = u32::try_from(body.len()).unwrap().to_be_bytes();
    let mut payload = vec![0xfa];
    payload.extend_from_slice(&len[1..]);
    payload.append(&mut body);
    let Ok(ShhPacket::Messages(mut envelopes)) = ShhPacket::decode(1, &payload) else {
        panic!("not read");
    };
    assert!(
        envelopes
            .by_ref()
            .take(MAX_ENVELOPES)
            .all(|one| one.is_ok())
    );
    assert_eq!(
        envelopes.next(),
        Some(Err(MalformedPacket::TooManyEnvelopes))
    );
    assert_eq!(envelopes.next(), None);
}

#[test]
fn length_bomb_is_refused_before_allocation() {
    let bomb = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    for code in [0, 1, 2, 3] {
        assert!(read(code, &bomb).is_err(), "code {code}");
    }
    assert!(Envelopes::p2p(&bomb).is_err());
}

#[test]
fn response_with_too_many_errors_is_ignored() {
    let refused = vec![(EnvelopeHash([1; 32]), outgoing::ResponseErrorCode::Other); 1_025];
    let payload = outgoing::messages_response(&[9; 32], &refused);
    assert!(matches!(
        ShhPacket::decode(12, &payload),
        Ok(ShhPacket::MessagesResponse(None))
    ));
}

#[test]
fn malformed_p2p_packet_is_refused_only_when_decoded() {
    let payload = [0xde, 0xad];
    assert!(read(127, &payload).is_ok());
    assert_eq!(
        Envelopes::p2p(&payload).unwrap_err(),
        MalformedPacket::MessagesNotAList
    );
    assert_eq!(
        Envelopes::p2p(&[]).unwrap_err(),
        MalformedPacket::MessagesNotAList
    );
    assert_eq!(Envelopes::p2p(&[0xc0]).unwrap().count(), 0);
}

proptest! {
    #[test]
    fn arbitrary_packets_do_not_panic(code: u8, payload: Vec<u8>) {
        let _ = read(code, &payload);
        let _ = Envelopes::p2p(&payload).map(Iterator::count);
    }

    #[test]
    fn batches_equal_envelopes_one_by_one(count in 0_usize..100, edits: Vec<(u16, u8)>) {
        let envelopes: Vec<_> = (0..count)
            .map(|at| Envelope::build(UnixSecs(9), Ttl(5), Topic([1; 4]), vec![7; at * 5], 1))
            .collect();
        let mut payload = outgoing::messages(&envelopes);
        for (at, byte) in edits.into_iter().take(count % 3) {
            let at = usize::from(at) % payload.len();
            payload[at] = byte;
        }
        let Ok(ShhPacket::Messages(packet)) = ShhPacket::decode(1, &payload) else {
            return Ok(());
        };
        let one_by_one: Result<Vec<_>, _> = packet.clone().collect();
        let batches = {
            let mut packet = packet;
            let batches = core::iter::from_fn(|| match packet.next_batch() {
                Ok(batch) if batch.is_empty() => None,
                other => Some(other),
            });
            let mut batches = batches.collect::<Result<Vec<_>, _>>();
            batches.as_mut().map(|all| all.concat()).map_err(|error| *error)
        };
        prop_assert_eq!(batches, one_by_one);
    }

    #[test]
    fn pow_requirement_round_trips(bits: u64) {
        match MinPow::from_bits(bits) {
            Some(min) => {
                let payload = outgoing::pow_requirement(min);
                let read = ShhPacket::decode(2, &payload);
                prop_assert!(matches!(read, Ok(ShhPacket::PowRequirement(read)) if read == min));
            }
            None => {
                let value = f64::from_bits(bits);
                prop_assert!(!value.is_finite() || value < 0.0);
            }
        }
    }
}

/// An envelope of the protocol's test vectors.
const E1: &str = "e2845f5e10323284deadbeef8d68656c6c6f2077686973706572880102030405060708";
