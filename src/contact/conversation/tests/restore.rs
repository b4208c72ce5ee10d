//! States restored from an older copy: no key is used twice, nothing is sent, renewal is proven.

use std::collections::BTreeSet;

use super::super::*;
use super::fixture::*;
use crate::contact::outer::EnvelopeSealer;
use crate::contact::parts::Continuity;

#[test]
fn backup_restored_many_times_uses_no_envelope_key_twice() {
    let mut rng = rng(30);
    let (mut a, b) = open_pair(&mut rng);
    let message = a.compose(&mut rng, START, "again and again");
    let backups = [a.conversation.to_bytes(), b.conversation.to_bytes()];
    let outbox = message.to_bytes();
    // Both the salt in front of the data and the key decide about the key of the AEAD. Equal states give
    // equal steps, so the salts must differ.
    let mut salts = BTreeSet::new();
    let mut topics = BTreeSet::new();
    let sealed = 2_000;
    for _ in 0..sealed {
        let mut end = Conversation::from_bytes(&backups[0]).unwrap();
        let mut message = ComposedMessage::from_bytes(&outbox).unwrap();
        let attempt = end.attempt(&mut rng, START, &mut message).unwrap();
        let envelope = attempt.sealer.seal(&mut rng, 0, b"plaintext");
        topics.insert(envelope.topic.0);
        salts.insert(envelope.data.first_chunk::<32>().copied());
    }
    assert_eq!(topics.len(), 1, "the same step each time");
    assert_eq!(salts.len(), sealed);
}

#[test]
fn stale_conversation_receives_and_sends_nothing() {
    let mut rng = rng(31);
    let (mut a, mut b) = open_pair(&mut rng);
    let mut message = a.compose(&mut rng, START, "before");
    a.conversation.set_stale();
    a.restart();
    assert_eq!(a.conversation.state(), ConversationState::Stale);
    let refused = a.conversation.attempt(&mut rng, START, &mut message);
    assert_eq!(refused.err(), Some(AttemptRefusal::Stale));
    let refused = a.conversation.compose(&mut rng, START, &[Part::Goodbye]);
    assert_eq!(refused.err(), Some(ComposeError::Stale));
    let there = b.write(&mut rng, START, "there");
    let arrived = a.read(&mut rng, START, &there).unwrap();
    assert_eq!(text_of(&arrived).1, "there");
    assert_eq!(a.conversation.state(), ConversationState::Stale);
}

#[test]
fn stale_end_asks_for_a_renewal_without_the_ratchet() {
    let mut rng = rng(32);
    let (mut a, mut b) = open_pair(&mut rng);
    assert!(a.conversation.ask_renewal(START).is_none(), "not stale");
    a.conversation.set_stale();
    let attempt = a.conversation.ask_renewal(START).unwrap();
    assert!(matches!(attempt.sealer, EnvelopeSealer::Step(_)));
    let envelope = seal(&mut rng, attempt);
    let arrived = b.read(&mut rng, START, &envelope).unwrap();
    assert_eq!(arrived.outcome, ArrivalOutcome::RenewalAsked);
    assert!(b.read(&mut rng, START, &envelope).is_none(), "repeated");
    for _ in 1..8 {
        assert!(a.conversation.ask_renewal(START).is_some());
    }
    assert!(a.conversation.ask_renewal(START).is_none(), "used up");
    assert!(a.conversation.ask_renewal(START.after(DAY)).is_some());
}

#[test]
fn new_conversation_is_proven_by_the_old_one_and_by_no_other() {
    let mut rng = rng(33);
    let (mut a, mut b) = open_pair(&mut rng);
    for end in [&mut a, &mut b] {
        end.restart();
    }
    let new = ConversationId([7; 32]);
    let Part::Continuity(proof) = a.conversation.continuity(&new) else {
        panic!();
    };
    assert!(b.conversation.is_continued_by(&new, &proof));
    let other = ConversationId([8; 32]);
    assert!(!b.conversation.is_continued_by(&other, &proof));
    let forged = Continuity {
        proof: [0; 32],
        ..proof.clone()
    };
    assert!(!b.conversation.is_continued_by(&new, &forged));
    let (unrelated, _) = open_pair(&mut rng);
    assert!(!unrelated.conversation.is_continued_by(&new, &proof));
}
