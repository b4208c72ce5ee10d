use proptest::prelude::*;
use rlp::RlpStream;

use super::*;
use crate::envelope::{EnvelopeHash, Topic};
use crate::mail::cursor::Position;

const NOW: UnixSecs = UnixSecs(1_600_000_000);

fn list(fields: &[&[u8]]) -> Vec<u8> {
    let mut list = RlpStream::new_list(fields.len());
    for field in fields {
        list.append_raw(field, 1);
    }
    list.out().into()
}

fn number(value: u32) -> Vec<u8> {
    rlp::encode(&value).into()
}

fn string(bytes: &[u8]) -> Vec<u8> {
    rlp::encode(&bytes).into()
}

/// The fields of a list, to be spoilt one at a time.
fn fields() -> Vec<Vec<u8>> {
    vec![
        number(10),
        number(20),
        string(&[0xff; 64]),
        number(7),
        string(&[]),
        number(1),
    ]
}

fn read(fields: &[Vec<u8>]) -> Result<MailRequest, BadRequest> {
    let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
    MailRequest::read(&list(&fields), NOW)
}

#[test]
fn list_contains_all_fields() {
    let request = read(&fields()).unwrap();
    assert_eq!((request.lower, request.upper), (UnixSecs(10), UnixSecs(20)));
    assert_eq!(request.limit, Limit::Count(7));
    assert!(request.bloom.is_full() && request.batch && request.after.is_none());
}

#[test]
fn list_without_batch_field_means_no_batches() {
    let request = read(fields().get(..5).unwrap()).unwrap();
    assert!(!request.batch);
}

#[test]
fn list_with_end_zero_ends_one_minute_after_now() {
    let mut fields = fields();
    fields[1] = number(0);
    assert_eq!(read(&fields).unwrap().upper, NOW.after(60));
}

#[test]
fn limit_zero_is_default_and_large_limit_is_capped() {
    let mut fields = fields();
    fields[3] = number(0);
    assert_eq!(read(&fields).unwrap().limit.granted(), DEFAULT_LIMIT);
    fields[3] = number(u32::MAX);
    assert_eq!(read(&fields).unwrap().limit.granted(), MAX_LIMIT);
}

#[test]
fn invalid_list_field_is_refused() {
    for (field, bad, expected) in [
        (0, string(&[1, 0, 0, 0, 0]), BadRequest::Malformed),
        (0, number(21), BadRequest::Backwards),
        (1, vec![0xc0], BadRequest::Malformed),
        (2, string(&[0xff; 63]), BadRequest::Bloom),
        (2, string(&[]), BadRequest::Bloom),
        (3, vec![0xc0], BadRequest::Malformed),
        (4, string(&[1; 35]), BadRequest::Cursor),
        (4, string(&[1; 37]), BadRequest::Cursor),
        (5, number(2), BadRequest::Malformed),
    ] {
        let mut fields = fields();
        fields[field] = bad;
        assert_eq!(read(&fields), Err(expected), "field {field}");
    }
    let mut seven = fields();
    seven.push(number(0));
    assert_eq!(read(&seven), Err(BadRequest::Malformed));
    assert_eq!(read(&fields()[..3]), Err(BadRequest::Malformed));
}

#[test]
fn packed_request_accepts_geth_lengths_only() {
    for len in 0..120 {
        let payload = vec![0; len];
        let taken = MailRequest::read(&payload, NOW).is_ok();
        assert_eq!(taken, len == 8 || len >= 72, "{len}");
    }
}

#[test]
fn packed_request_reads_optional_limit_and_cursor() {
    let position = Position {
        sent: UnixSecs(9),
        hash: EnvelopeHash([3; 32]),
    };
    let mut payload = vec![0; 72];
    payload.extend(5_u32.to_be_bytes());
    assert_eq!(
        MailRequest::read(&payload, NOW).unwrap().limit,
        Limit::Count(5)
    );
    payload.extend(position.to_bytes());
    let request = MailRequest::read(&payload, NOW).unwrap();
    assert_eq!(request.after, Some(position.into()));
    payload.push(0);
    assert_eq!(MailRequest::read(&payload, NOW).unwrap().after, None);
    assert!(!request.batch, "go-ethereum's clients cannot read a list");
}

#[test]
fn plain_request_above_limit_is_refused() {
    let request = MailRequest {
        limit: Limit::Count(MAX_PLAIN_LIMIT + 1),
        ..read(&fields()).unwrap()
    };
    let packet = RequestPacket::decode(&request.to_plain(RequestId([7; 32]))).unwrap();
    assert!(matches!(
        packet,
        RequestPacket::Plain(RequestId(id), Err(BadRequest::Limit)) if id == [7; 32]
    ));
}

#[test]
fn packet_of_other_form_is_refused() {
    for payload in [
        &[][..],
        &[0x80],
        &[0xc0],
        &[0xc1, 0xc0],
        &[0xc3, 1, 2, 3],
        &[0xff; 40],
    ] {
        assert_eq!(RequestPacket::decode(payload).err(), Some(NotARequest));
    }
}

prop_compose! {
    fn any_request()(
        lower in 0..u32::MAX,
        len: u32,
        bloom: [[u8; 32]; 2],
        limit in 0..=MAX_PLAIN_LIMIT,
        after: Option<(u32, [u8; 32], Option<[u8; 4]>)>,
    ) -> MailRequest {
        let mut bits = [0; 64];
        bits.copy_from_slice(&bloom.concat());
        MailRequest {
            lower: UnixSecs(lower),
            upper: UnixSecs(lower).after(len.max(1)),
            bloom: Bloom(bits),
            limit: Limit::of(limit),
            after: after.map(|(sent, hash, topic)| Cursor {
                position: Position { sent: UnixSecs(sent), hash: EnvelopeHash(hash) },
                topic: topic.map(Topic),
            }),
            batch: true,
        }
    }
}

proptest! {
    #[test]
    fn list_round_trips(request in any_request(), batch: bool) {
        let request = MailRequest { batch, ..request };
        prop_assert_eq!(MailRequest::read(&request.to_list(), NOW), Ok(request));
    }

    #[test]
    fn packed_request_round_trips(request in any_request()) {
        let request = MailRequest { batch: false, ..request };
        prop_assert_eq!(MailRequest::read(&request.to_packed(), NOW), Ok(request));
    }

    #[test]
    fn plain_request_round_trips(request in any_request(), id: [u8; 32]) {
        let packet = RequestPacket::decode(&request.to_plain(RequestId(id)));
        let Ok(RequestPacket::Plain(read_id, Ok(read))) = packet else {
            return Err(TestCaseError::fail("not a plain request"));
        };
        prop_assert_eq!((read_id, read), (RequestId(id), request));
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>) {
        let _ = RequestPacket::decode(&bytes);
        let _ = MailRequest::read(&bytes, NOW);
    }
}
