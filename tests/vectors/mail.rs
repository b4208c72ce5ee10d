//! Requests to mail servers: those recorded from go-ethereum, in their envelopes, and the packets
//! of status-im.

use circuits::ids::RelayKey;
use circuits::secret::Secret;
use circuits::time::UnixSecs;
use serde_json::Value;
use whisht::bloom::Bloom;
use whisht::envelope::{Envelope, EnvelopeHash};
use whisht::gossip::packet::Envelopes;
use whisht::mail::RequestId;
use whisht::mail::access::AccessPolicy;
use whisht::mail::cursor::{Cursor, Position};
use whisht::mail::request::{Limit, MailRequest, RequestPacket};
use whisht::mail::response::{MailCompletion, messages};
use whisht::mail::sync::{self, SyncResponse};
use whisht::message::{ClientSecret, SymKey};

use super::{array, bytes, cases, int, name, text};

/// A server with the password of a case.
fn server(case: &Value) -> AccessPolicy {
    let password = SymKey::from_password(text(&case["password"])).unwrap();
    assert_eq!(password.expose(), &array::<32>(&case["sym_key"]));
    AccessPolicy {
        password: Some(password),
        node: ClientSecret::from_bytes(&Secret::init_with(|key| key.fill(1))).unwrap(),
        allowed: std::collections::BTreeSet::new(),
        min_pow: text(&case["server_min_pow"]).parse().unwrap(),
    }
}

#[test]
fn recorded_geth_requests_are_admitted_as_by_geth() {
    for case in cases("mailserver_request", "cases") {
        let packet = RequestPacket::decode(&bytes(&case["envelope_rlp"])).unwrap();
        let verdict = server(&case).admit(RelayKey([1; 64]), packet, UnixSecs(0));
        let accepted = case["accepted"].as_bool().unwrap();
        assert_eq!(verdict.is_ok(), accepted, "{}: {verdict:?}", name(&case));
        let Ok((id, request)) = verdict else { continue };
        let envelope = Envelope::decode(&bytes(&case["envelope_rlp"])).unwrap();
        assert_eq!(id, RequestId(envelope.hash().0));
        assert_eq!(request.lower.0, int::<u32>(&case["result_lower"]));
        assert_eq!(request.upper.0, int::<u32>(&case["result_upper"]));
        assert_eq!(request.bloom, Bloom(array(&case["result_bloom"])));
        assert!(!request.batch, "its clients cannot read a list");
    }
}

#[test]
fn packed_request_matches_geth_client_bytes() {
    for case in cases("mailserver_request", "cases") {
        let payload = bytes(&case["payload"]);
        let accepted = case["accepted"].as_bool().unwrap();
        if !accepted || payload.len() != 72 {
            continue;
        }
        let request = MailRequest {
            lower: UnixSecs(int(&case["lower"])),
            upper: UnixSecs(int(&case["upper"])),
            bloom: Bloom(array(&case["bloom"])),
            limit: Limit::All,
            after: None,
            batch: false,
        };
        assert_eq!(request.to_packed(), payload, "{}", name(&case));
    }
}

#[test]
fn archive_positions_match_geth_database_keys() {
    for case in cases("mailserver_request", "db_key_cases") {
        let position = Position {
            sent: UnixSecs(int(&case["sent"])),
            hash: EnvelopeHash(array(&case["hash"])),
        };
        assert_eq!(position.to_bytes().to_vec(), bytes(&case["db_key"]));
    }
    for stored in cases("mailserver_request", "archive") {
        let envelope = Envelope::decode(&bytes(&stored["rlp"])).unwrap();
        assert_eq!(envelope.sent().0, int::<u32>(&stored["sent"]));
        assert_eq!(envelope.hash().0, array::<32>(&stored["hash"]));
    }
}

/// The recorded packets of one kind.
fn packets(kind: &str) -> Vec<Value> {
    let mut packets = cases("status", "cases");
    packets.retain(|packet| packet["kind"] == kind);
    assert!(!packets.is_empty(), "no {kind}");
    packets
}

fn cursor(value: &Value) -> Option<Cursor> {
    Cursor::read(&bytes(value)).unwrap()
}

#[test]
fn status_im_plain_requests_round_trip() {
    let mut plain = 0;
    for case in packets("p2p_request") {
        let (payload, fields) = (bytes(&case["payload"]), &case["fields"]);
        match RequestPacket::decode(&payload).unwrap() {
            RequestPacket::Sealed(envelope) => {
                assert_eq!(envelope.as_rlp(), bytes(&fields["envelope"]));
            }
            RequestPacket::Plain(id, request) => {
                let request = request.unwrap();
                assert_eq!(id, RequestId(array(&fields["id"])));
                assert_eq!(request.lower.0, int::<u32>(&fields["from"]));
                assert_eq!(request.upper.0, int::<u32>(&fields["to"]));
                assert_eq!(request.bloom, Bloom(array(&fields["bloom"])));
                assert_eq!(request.after, cursor(&fields["cursor"]));
                assert_eq!(request.to_plain(id), payload, "{}", name(&case));
                plain += 1;
            }
        }
    }
    assert_eq!(plain, 3);
}

#[test]
fn p2p_envelope_lists_match_status_im_bytes() {
    for case in packets("p2p_message") {
        let payload = bytes(&case["payload"]);
        let read: Vec<Envelope> = Envelopes::p2p(&payload)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let recorded = case["fields"]["envelopes"].as_array().unwrap();
        let recorded: Vec<Vec<u8>> = recorded.iter().map(bytes).collect();
        let bodies: Vec<&[u8]> = read.iter().map(Envelope::as_rlp).collect();
        assert_eq!(bodies, recorded);
        assert_eq!(messages(&read, true), [payload], "{}", name(&case));
    }
}

#[test]
fn request_completions_match_status_im_bytes() {
    for case in packets("p2p_request_complete") {
        let (payload, fields) = (bytes(&case["payload"]), &case["fields"]);
        let id = RequestId(array(&fields["request_id"]));
        let expected = match fields["error"].as_str() {
            Some(reason) => MailCompletion::Failed {
                id,
                reason: reason.to_owned(),
            },
            None => MailCompletion::Done {
                id,
                last: Some(EnvelopeHash(array(&fields["last_envelope_hash"]))),
                cursor: cursor(&fields["cursor"]),
            },
        };
        assert_eq!(MailCompletion::decode(&payload), Ok(expected.clone()));
        assert_eq!(expected.encode(), payload, "{}", name(&case));
    }
}

#[test]
fn sync_packets_match_status_im_bytes() {
    for case in packets("p2p_sync_request") {
        let fields = &case["fields"];
        let request = sync::read_request(&bytes(&case["payload"])).unwrap();
        assert_eq!(request.lower.0, int::<u32>(&fields["lower"]));
        assert_eq!(request.upper.0, int::<u32>(&fields["upper"]));
        assert_eq!(request.limit, Limit::Count(int(&fields["limit"])));
        assert_eq!(request.bloom, Bloom(array(&fields["bloom"])));
        assert_eq!(request.after, cursor(&fields["cursor"]));
    }
    for case in packets("p2p_sync_response") {
        let (payload, fields) = (bytes(&case["payload"]), &case["fields"]);
        let response = SyncResponse::decode(&payload).unwrap();
        assert_eq!(response.cursor, cursor(&fields["cursor"]));
        assert_eq!(response.last, fields["final"].as_bool().unwrap());
        assert_eq!(response.error, text(&fields["error"]));
        let recorded = fields["envelopes"].as_array().unwrap();
        assert_eq!(response.envelopes.len(), recorded.len());
        if response.last && response.error.is_empty() {
            let more = response.cursor;
            assert_eq!(sync::responses(&response.envelopes, more, true), [payload]);
        }
    }
}
