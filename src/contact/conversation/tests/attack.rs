//! Attacks on a conversation: replay, messages of others, keys that name another reader, forged control
//! parts, damaged records.

use super::super::*;
use super::fixture::*;
use crate::contact::first_contact::FirstError;
use crate::contact::parts::{Acks, EpochOffer, InnerError, InnerMessage};
use crate::contact::x_wing::{X_WING_PUBLIC_LEN, XWingSecret};
use rand_chacha::ChaCha20Rng;
use zeroize::Zeroizing;

#[test]
fn replayed_envelope_is_not_awaited() {
    let mut rng = rng(40);
    let (mut a, mut b) = open_pair(&mut rng);
    let there = a.write(&mut rng, START, "there");
    assert!(b.read(&mut rng, START, &there).is_some());
    let record = b.conversation.to_bytes();
    assert!(b.read(&mut rng, START, &there).is_none());
    let at = StepRef {
        epoch: 0,
        slot: StepSlot::Chain(0),
        shard: 0,
    };
    let replayed = b.conversation.arrived(&mut rng, START, at, None, b"x");
    assert_eq!(replayed.err(), Some(NotAwaited));
    assert_eq!(*record, *b.conversation.to_bytes());
}

#[test]
fn replayed_ratchet_message_in_a_new_step_is_a_duplicate() {
    let mut rng = rng(41);
    let (mut a, mut b) = open_pair(&mut rng);
    let mut message = a.compose(&mut rng, START, "there");
    for outcome in ["Message", "Duplicate"] {
        let envelope = a.seal(&mut rng, START, &mut message).unwrap();
        let arrived = b.read(&mut rng, START, &envelope).unwrap();
        let name = format!("{:?}", arrived.outcome);
        assert!(name.starts_with(outcome), "{name}");
    }
}

#[test]
fn first_message_replayed_at_the_pre_keys_has_the_id_of_its_conversation() {
    let mut rng = rng(42);
    let mut reader = Reader::new(&mut rng);
    let mut a = start(&mut rng, &reader);
    let first = a.write(&mut rng, START, "first");
    let (b, _) = accept(&mut rng, &mut reader, &first);
    let (again, _) = accept(&mut rng, &mut reader, &first);
    assert_eq!(b.conversation.id(), again.conversation.id());
    assert_eq!(a.conversation.id(), b.conversation.id());
}

#[test]
fn unknown_key_share_by_a_card_with_the_keys_of_another_opens_nothing() {
    let mut rng = rng(43);
    let reader = Reader::new(&mut rng);
    // A card of the attacker's id that shows the keys of the reader.
    let attacker = ContactId([66; 32]);
    let first_box = FirstBox::create(&mut rng, &attacker, &reader.block).unwrap();
    let mut a = Conversation::start(START, &reader.block, &attacker, first_box).unwrap();
    a.set_ticket(FirstTicket([0; 8]));
    let mut a = End::new(a);
    let first = a.write(&mut rng, START, "for the attacker");
    assert!(
        reader.open(&first).is_none(),
        "the outer layer names the id"
    );
    let mut message = a.compose(&mut rng, START, "again");
    let attempt = a.conversation.attempt(&mut rng, START, &mut message);
    let kappa = reader.block.kappa();
    let body = attempt.unwrap().body;
    let opened = FirstBox::open(&reader.x_wing, &READER_ID, &kappa, &body);
    assert_eq!(opened.err(), Some(FirstError::Box), "so does the box");
}

#[test]
fn text_of_another_conversation_or_direction_is_refused() {
    let mut rng = rng(44);
    let (a, mut b) = open_pair(&mut rng);
    let text = |bind: &[u8; 16]| InnerMessage::encode(9, Acks::default(), bind, &[]);
    for bind in [[0; 16], a.conversation.bind(Direction::FromReader)] {
        let arrived = b.conversation.take_in(&mut rng, START, &text(&bind));
        let refused = ArrivalOutcome::Unreadable(InnerError::OtherConversation);
        assert_eq!(arrived.outcome, refused);
    }
    let bind = a.conversation.bind(Direction::FromInitiator);
    let arrived = b.conversation.take_in(&mut rng, START, &text(&bind));
    assert!(matches!(
        arrived.outcome,
        ArrivalOutcome::Message { number: 9, .. }
    ));
}

#[test]
fn hostile_offers_change_nothing() {
    let mut rng = rng(45);
    let (mut a, _) = open_pair(&mut rng);
    let key = Box::new(*XWingSecret::draw(&mut rng).public().as_bytes());
    let seed = Zeroizing::new([1; 32]);
    let broken = Box::new([0xff; X_WING_PUBLIC_LEN]);
    let offers = [(0, key.clone()), (1, key.clone()), (3, key), (2, broken)];
    for (epoch, key) in offers {
        let seed = seed.clone();
        let offer = Part::Offer(EpochOffer { epoch, key, seed });
        let parts = a.conversation.take_parts(&mut rng, START, vec![offer]);
        assert!(parts.is_empty());
        assert_eq!(a.conversation.newest_epoch(), 1, "offer of {epoch}");
    }
}

#[test]
fn acknowledgement_of_messages_never_sent_is_harmless() {
    let mut rng = rng(46);
    let (mut a, mut b) = open_pair(&mut rng);
    let acks = Acks {
        up_to: u64::MAX,
        beyond: u32::MAX,
    };
    let bind = b.conversation.bind(Direction::FromReader);
    let forged = InnerMessage::encode(2, acks, &bind, &[]);
    let arrived = a.conversation.take_in(&mut rng, START, &forged);
    assert_eq!(arrived.answered, [0_u64; 0]);
    let there = a.write(&mut rng, START, "there");
    assert!(b.read(&mut rng, START, &there).is_some());
}

#[test]
fn resync_of_a_hostile_peer_moves_the_chain_only_so_far() {
    let mut rng = rng(47);
    let (mut a, mut b) = open_pair(&mut rng);
    let slot = |day: u32, slot| StepRef {
        epoch: 0,
        slot: StepSlot::Resync { day, slot },
        shard: 0,
    };
    let today = START.0 / DAY;
    let there = a.write(&mut rng, START, "there");
    let far = b
        .conversation
        .arrived(&mut rng, START, slot(today, 0), Some(u32::MAX), &[]);
    assert!(far.is_ok());
    assert!(b.open(&there).is_some(), "the window has not moved");
    for (day, number) in [(today + 2, 0), (today - 5, 0), (today, 8)] {
        let at = slot(day, number);
        let refused = b.conversation.arrived(&mut rng, START, at, Some(1), &[]);
        assert_eq!(refused.err(), Some(NotAwaited), "{day} {number}");
    }
}

#[test]
fn cut_or_altered_record_is_refused_or_harmless() {
    let mut rng = rng(48);
    let (a, _) = open_pair(&mut rng);
    let record = a.conversation.to_bytes();
    for len in (0..record.len()).step_by(97) {
        let (cut, _) = record.split_at(len);
        assert!(Conversation::from_bytes(cut).is_err(), "{len}");
    }
    for place in (0..record.len()).step_by(89) {
        let mut altered = record.clone();
        altered[place] ^= 0x80;
        let _no_panic = Conversation::from_bytes(&altered);
    }
}

/// Key-compromise impersonation: a thief has every secret behind the reader's card and every envelope that was
/// ever sent, and even the outer keys of the steps that the reader awaits. He writes to the reader as the source.
#[test]
fn kci_thief_of_the_reader_does_not_speak_as_the_source() {
    let mut rng = rng(49);
    let mut reader = Reader::new(&mut rng);
    let mut a = start(&mut rng, &reader);
    let first = a.write(&mut rng, START, "first");
    let (mut b, _) = accept(&mut rng, &mut reader, &first);
    b.accept_request();
    let answer = b.write(&mut rng, START, "answer");
    a.read(&mut rng, START, &answer).unwrap();
    let there = a.write(&mut rng, START, "there");
    let (_, replayed) = b.open(&there).unwrap();
    b.read(&mut rng, START, &there).unwrap();
    let newest = b.conversation.newest_epoch();

    // The stolen secrets open the recorded first message: a copy of the reader's end as it was.
    let (mut copy, _) = accept(&mut rng, &mut reader, &first);
    copy.accept_request();
    let body = |end: &mut End, rng: &mut ChaCha20Rng| {
        let mut message = end.compose(rng, START, "I am the source");
        let attempt = end.conversation.attempt(rng, START, &mut message);
        attempt.unwrap().body
    };
    let mut own = start(&mut rng, &reader);
    let own_first = body(&mut own, &mut rng);
    let own_ratchet = reader.unbox(&own_first).1;
    let (_, first_ratchet) = reader.unbox(&reader.open(&first).unwrap().body);
    let forged = [
        ("a conversation of the thief", own_first),
        ("a ratchet of the thief", own_ratchet),
        ("a copy of the reader, reflected", body(&mut copy, &mut rng)),
        ("the recorded first message", first_ratchet),
        ("a recorded step", replayed.body.to_vec()),
    ];
    for (index, (what, body)) in (10..).zip(forged) {
        let mut steps = (index..200).flat_map(|step| {
            let slot = StepSlot::Chain(step);
            (0..=newest).map(move |epoch| StepRef {
                epoch,
                slot,
                shard: 0,
            })
        });
        let at = steps.find(|at| b.conversation.step_key(*at).is_some());
        let at = at.expect("the reader awaits steps");
        let arrived = b.conversation.arrived(&mut rng, START, at, None, &body);
        let outcome = arrived.unwrap().outcome;
        let is_text = matches!(outcome, ArrivalOutcome::Message { .. });
        assert!(!is_text, "{what}: {outcome:?}");
    }
    b.restart();
    let here = a.write(&mut rng, START, "still here");
    let arrived = b.read(&mut rng, START, &here).unwrap();
    assert_eq!(text_of(&arrived), (3, "still here".to_owned()));
}
