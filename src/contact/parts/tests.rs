//! Parts there and back, limits, unknown types, hostile bytes.

use proptest::prelude::*;

use super::*;

const BIND: [u8; 16] = [7; 16];

fn every_part() -> Vec<Part> {
    vec![
        Part::Text("grüße".to_owned()),
        Part::Offer(EpochOffer {
            epoch: 1,
            key: Box::new([2; X_WING_PUBLIC_LEN]),
            seed: Zeroizing::new([3; 32]),
        }),
        Part::Accept(EpochAccept {
            epoch: 4,
            ciphertext: Box::new([5; X_WING_CIPHERTEXT_LEN]),
            seed: Zeroizing::new([6; 32]),
        }),
        Part::Address(ContactId([7; 32])),
        Part::FileOffer(vec![8; 9]),
        Part::FileAnswer(vec![10; 11]),
        Part::TalkOffer(vec![12; 13]),
        Part::TalkAnswer(vec![14; 15]),
        Part::Introduction(Introduction {
            id: ContactId([12; 32]),
            day: 20_834,
            how: 2,
            name: "Ann".to_owned(),
            note: "from the archive".to_owned(),
        }),
        Part::Goodbye,
        Part::SmallFile {
            name: "file.txt".to_owned(),
            bytes: vec![13; 14],
        },
        Part::Continuity(Continuity {
            old: ConversationId([15; 32]),
            proof: [16; 32],
        }),
        Part::GivenUp(17),
        Part::AlsoCame(vec![18, 19]),
    ]
}

fn encode(parts: &[Part]) -> Zeroizing<Vec<u8>> {
    let acks = Acks {
        up_to: 5,
        beyond: 0b1001,
    };
    InnerMessage::encode(9, acks, &BIND, &Part::encode_all(parts).unwrap())
}

#[test]
fn message_with_every_part_is_decoded_as_encoded() {
    let parts = every_part();
    let message = InnerMessage::decode(&encode(&parts), &BIND).unwrap();
    assert_eq!(message.parts, parts);
    assert_eq!((message.number, message.acks.up_to), (9, 5));
    for (number, expected) in [(5, true), (6, false), (7, true), (8, false), (10, true)] {
        assert_eq!(message.acks.contains(number), expected, "{number}");
    }
    assert!(!message.acks.contains(39));
    assert!(!message.acks.contains(u64::MAX));
}

#[test]
fn lengths_of_control_parts_are_those_of_their_encoding() {
    let len = |part: &Part| Part::encode_all(core::slice::from_ref(part)).unwrap().len();
    let parts = every_part();
    assert_eq!(len(&parts[1]), OFFER_LEN);
    assert_eq!(len(&parts[2]), ACCEPT_LEN);
    assert_eq!(len(&Part::GivenUp(17)), GIVEN_UP_LEN);
    assert_eq!(len(&Part::AlsoCame(vec![18, 19])), also_came_len(2));
    assert_eq!(
        (OFFER_LEN, encode(&[]).len()),
        (1_255, InnerMessage::HEAD_LEN)
    );
}

#[test]
fn message_with_other_binding_or_version_is_refused() {
    let bytes = encode(&[Part::Goodbye]);
    let other = InnerMessage::decode(&bytes, &[8; 16]);
    assert_eq!(other, Err(InnerError::OtherConversation));
    for place in [0, 1] {
        let mut altered = bytes.clone();
        altered[place] ^= 2;
        let refused = InnerMessage::decode(&altered, &BIND);
        assert_eq!(refused, Err(InnerError::Version), "byte {place}");
    }
}

#[test]
fn unknown_part_is_skipped_and_unknown_critical_part_is_reported() {
    let unknown = [99, 0, 0, 0, 2, 1, 1, 200, 0, 0, 0, 1, 1];
    let bytes = InnerMessage::encode(1, Acks::default(), &BIND, &unknown);
    let message = InnerMessage::decode(&bytes, &BIND).unwrap();
    assert_eq!(message.parts, [Part::NeedsNewer(200)]);
}

#[test]
fn part_beyond_its_maximum_is_refused_by_both_sides() {
    let introduction = |name: usize, note: usize| {
        Part::Introduction(Introduction {
            id: ContactId([0; 32]),
            day: 0,
            how: 0,
            name: "n".repeat(name),
            note: "n".repeat(note),
        })
    };
    let file = |name: usize| Part::SmallFile {
        name: "n".repeat(name),
        bytes: Vec::new(),
    };
    for (fits, exceeds) in [
        (
            Part::Text("x".repeat(MAX_TEXT_LEN)),
            Part::Text("x".repeat(MAX_TEXT_LEN + 1)),
        ),
        (introduction(64, 512), introduction(65, 0)),
        (introduction(0, 512), introduction(0, 513)),
        (file(255), file(256)),
        (Part::AlsoCame(vec![1; 8]), Part::AlsoCame(vec![1; 9])),
    ] {
        let message = InnerMessage::decode(&encode(core::slice::from_ref(&fits)), &BIND);
        assert_eq!(message.unwrap().parts, [fits]);
        assert!(Part::encode_all(&[exceeds]).is_err());
    }
    let mut forged = Part::encode_all(&[introduction(64, 0)]).unwrap();
    let place = PART_HEAD_LEN + 32 + 4 + 1;
    forged[place] = 65;
    let bytes = InnerMessage::encode(1, Acks::default(), &BIND, &forged);
    assert_eq!(InnerMessage::decode(&bytes, &BIND), Err(InnerError::Field));
}

#[test]
fn message_of_too_many_parts_is_refused() {
    let many = |count| encode(&vec![Part::Goodbye; count]);
    assert!(InnerMessage::decode(&many(MAX_PARTS), &BIND).is_ok());
    assert_eq!(
        InnerMessage::decode(&many(MAX_PARTS + 1), &BIND),
        Err(InnerError::Field)
    );
}

#[test]
fn cut_message_never_gains_or_changes_a_part() {
    let parts = every_part();
    let bytes = encode(&parts);
    for len in 0..bytes.len() {
        let (cut, _) = bytes.split_at(len);
        if let Ok(message) = InnerMessage::decode(cut, &BIND) {
            assert_eq!(message.parts, parts[..message.parts.len()], "{len}");
        }
    }
}

proptest! {
    #[test]
    fn decoder_accepts_only_what_it_encodes(tail in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = InnerMessage::encode(1, Acks::default(), &BIND, &tail);
        if let Ok(message) = InnerMessage::decode(&bytes, &BIND) {
            let again = encode(&message.parts);
            let decoded = InnerMessage::decode(&again, &BIND).unwrap();
            prop_assert_eq!(decoded.parts, message.parts);
        }
    }
}
