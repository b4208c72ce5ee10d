use circuits::time::UnixSecs;
use proptest::prelude::*;

use super::*;
use crate::envelope::{EncryptionHint, EnvelopeHash, Topic, Ttl, UnminedEnvelope};
use crate::mail::cursor::Position;

fn envelope(number: u32, len: usize) -> Envelope {
    UnminedEnvelope {
        expiry: UnixSecs(1_600_000_000),
        ttl: Ttl(60),
        topic: Topic::default(),
        hint: EncryptionHint::Absent,
        data: vec![7; len],
    }
    .with_nonce(number.into())
}

fn cursor() -> Cursor {
    Position {
        sent: UnixSecs(5),
        hash: EnvelopeHash([6; 32]),
    }
    .into()
}

#[test]
fn request_round_trips() {
    let bytes = request(UnixSecs(1), UnixSecs(2), &Bloom::FULL, Some(cursor()));
    let read = read_request(&bytes).unwrap();
    assert_eq!((read.lower, read.upper), (UnixSecs(1), UnixSecs(2)));
    assert_eq!(
        (read.limit, read.after),
        (Limit::Count(MAX_SYNC_LIMIT), Some(cursor()))
    );
}

#[test]
fn request_with_reversed_range_is_refused() {
    let bytes = request(UnixSecs(2), UnixSecs(1), &Bloom::FULL, None);
    assert_eq!(read_request(&bytes), Err(BadRequest::Backwards));
    assert_eq!(read_request(&[0xc0]), Err(BadRequest::Malformed));
}

#[test]
fn last_packet_ends_answer_and_has_cursor() {
    let envelopes: Vec<Envelope> = (0..4).map(|number| envelope(number, 500_000)).collect();
    let packets = responses(&envelopes, Some(cursor()), true);
    assert_eq!(packets.len(), 2);
    let read: Vec<SyncResponse> = packets
        .iter()
        .map(|packet| SyncResponse::decode(packet).unwrap())
        .collect();
    assert!(packets.iter().all(|packet| packet.len() <= MAX_PACKET));
    assert_eq!((read[0].last, read[0].cursor), (false, None));
    assert_eq!((read[1].last, read[1].cursor), (true, Some(cursor())));
    let all = read.into_iter().flat_map(|packet| packet.envelopes);
    assert!(all.eq(envelopes));
}

#[test]
fn empty_page_is_one_packet() {
    let [packet] = responses(&[], None, true).try_into().unwrap();
    assert_eq!(packet, [0xc4, 0xc0, 0x80, 0x01, 0x80]);
}

#[test]
fn refusal_is_last_packet() {
    let read = SyncResponse::decode(&SyncResponse::refusal("e")).unwrap();
    assert!(read.last && read.error == "e" && read.envelopes.is_empty());
}

proptest! {
    #[test]
    fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>) {
        let _ = read_request(&bytes);
        let _ = SyncResponse::decode(&bytes);
    }
}
