use circuits::time::UnixSecs;
use proptest::prelude::*;

use super::*;
use crate::envelope::{EncryptionHint, Topic, Ttl, UnminedEnvelope};
use crate::gossip::packet::Envelopes;
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

#[test]
fn single_envelope_is_bare_and_several_are_a_list() {
    let one = envelope(1, 50);
    assert_eq!(messages(core::slice::from_ref(&one), true), [one.as_rlp()]);
    let both = [one, envelope(2, 50)];
    assert_eq!(messages(&both, false).len(), 2);
    let [packet] = messages(&both, true).try_into().unwrap();
    let read: Vec<Envelope> = Envelopes::p2p(&packet)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(read, both);
}

#[test]
fn packets_stay_within_size_limit() {
    let large: Vec<Envelope> = (0..5).map(|number| envelope(number, 400_000)).collect();
    let packets = messages(&large, true);
    assert_eq!(packets.len(), 3);
    assert!(packets.iter().all(|packet| packet.len() <= MAX_PACKET));
    // Exactly full, with the header.
    let half = MAX_PACKET / 2;
    let overhead = envelope(1, half).as_rlp().len() - half;
    let first = envelope(1, half - overhead - 4);
    let second = envelope(2, half - overhead);
    let [packet] = messages(&[first.clone(), second], true).try_into().unwrap();
    assert_eq!(packet.len(), MAX_PACKET);
    let longer = envelope(2, half - overhead + 1);
    assert_eq!(messages(&[first, longer], true).len(), 2);
}

#[test]
fn envelope_above_packet_size_is_omitted() {
    let envelopes = [envelope(1, MAX_PACKET), envelope(2, 10)];
    assert_eq!(messages(&envelopes, true), [envelopes[1].as_rlp()]);
}

#[test]
fn completion_has_status_im_length() {
    for len in 0..160 {
        let payload: Vec<u8> = rlp::encode(&vec![1_u8; len]).into();
        let read = MailCompletion::decode(&payload).is_ok();
        assert_eq!(read, [32, 64, 100, 104].contains(&len), "{len}");
    }
}

#[test]
fn failure_reason_is_bounded() {
    let failure = |text: &str| MailCompletion::Failed {
        id: RequestId([9; 32]),
        reason: text.to_owned(),
    };
    let said = failure("rate limit exceeded");
    assert_eq!(MailCompletion::decode(&said.encode()), Ok(said));
    let novel = failure(&"x".repeat(MAX_REASON + 1));
    assert_eq!(MailCompletion::decode(&novel.encode()), Err(NotACompletion));
    let cut: Vec<u8> = rlp::encode(&b"ERROR=short".to_vec()).into();
    assert_eq!(MailCompletion::decode(&cut), Err(NotACompletion));
}

#[test]
fn invalid_utf8_reason_stays_bounded() {
    let broken: Vec<u8> = [b"ERROR=".as_slice(), &[9; 32], &[0xf8; MAX_REASON]].concat();
    let read = MailCompletion::decode(&rlp::encode(&broken)).unwrap();
    assert_eq!(MailCompletion::decode(&read.encode()), Ok(read));
}

proptest! {
    #[test]
    fn completion_round_trips(
        id: [u8; 32],
        last: Option<[u8; 32]>,
        cursor: Option<(u32, [u8; 32])>,
    ) {
        prop_assume!(!id.starts_with(ERROR) && last != Some([0; 32]));
        let completion = MailCompletion::Done {
            id: RequestId(id),
            last: last.map(EnvelopeHash),
            cursor: cursor.map(|(sent, hash)| {
                Position { sent: UnixSecs(sent), hash: EnvelopeHash(hash) }.into()
            }),
        };
        prop_assert_eq!(MailCompletion::decode(&completion.encode()), Ok(completion));
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>) {
        let _ = MailCompletion::decode(&bytes);
    }
}
