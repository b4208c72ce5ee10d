//! Receiving without a node.

use super::*;
use crate::envelope::{Envelope, Ttl, UnminedEnvelope};
use crate::message::{CopyTag, Padding, Plaintext, seal_symmetric};
use crate::node::event::Event;
use crate::node::fixture::{Fixture, START, envelope};
use crate::node::output::Output;

const TOPIC: Topic = Topic([7; 4]);

fn key() -> SymKey {
    SymKey::new(circuits::secret::Secret::init_with(|key| key.fill(5))).unwrap()
}

/// An envelope that the identity of `key` can decrypt.
fn message(test: &mut Fixture) -> Envelope {
    let plaintext = Plaintext::build(test.fx.rng(), b"hello", Padding::Align, None).unwrap();
    sealed(test, &plaintext, 1)
}

fn sealed(test: &mut Fixture, plaintext: &Plaintext, nonce: u64) -> Envelope {
    let unmined = UnminedEnvelope {
        hint: crate::envelope::EncryptionHint::Absent,
        expiry: START.unix.after(50),
        ttl: Ttl(50),
        topic: TOPIC,
        data: seal_symmetric(test.fx.rng(), &key(), plaintext),
    };
    unmined.with_nonce(nonce)
}

/// Receives each of the messages, in an envelope of its own with the same tag, and returns the
/// payloads in the inbox.
fn received_with_one_tag(messages: &[(&[u8], Option<&ClientSecret>)]) -> Vec<String> {
    let mut test = Fixture::new(|_| {});
    listen(&mut test);
    let padding = Padding::Tagged(CopyTag::draw(test.fx.key_rng()), 400);
    for (payload, signer) in messages {
        let plaintext = Plaintext::build(test.fx.rng(), payload, padding, *signer).unwrap();
        let copy = sealed(&mut test, &plaintext, 1);
        test.receive
            .offer(&mut test.fx, START, copy, DeliveryPath::Direct);
    }
    test.receive.try_decrypt(&mut test.fx);
    let inbox = test.receive.messages(0).unwrap().into_iter();
    inbox.map(|message| message.payload).collect()
}

#[test]
fn copy_of_a_message_in_another_envelope_is_stored_once() {
    let inbox = received_with_one_tag(&[(b"hello", None), (b"hello", None)]);
    assert_eq!(inbox, [crate::node::hex(b"hello")]);
}

#[test]
fn message_with_the_tag_of_another_message_is_not_suppressed() {
    let secret = |byte| {
        let bytes = circuits::secret::Secret::init_with(|key: &mut [u8; 32]| key.fill(byte));
        ClientSecret::from_bytes(&bytes).unwrap()
    };
    let (signer, attacker) = (secret(1), secret(2));
    // Whichever the attacker who has learnt the tag sends first, the real message arrives.
    let inbox = received_with_one_tag(&[
        (b"pay me", Some(&attacker)),
        (b"hello", Some(&attacker)),
        (b"hello", None),
        (b"hello", Some(&signer)),
    ]);
    assert_eq!(inbox.len(), 4);
}

fn listen(test: &mut Fixture) {
    let identity = Identity::Shared(key(), TOPIC);
    let name = "club".to_owned();
    let pool = test.gossip.pool();
    test.receive
        .add_identity(&mut test.fx, START, name, identity, pool)
        .unwrap();
}

#[test]
fn envelope_without_a_key_to_try_is_not_queued() {
    let mut test = Fixture::new(|_| {});
    let path = DeliveryPath::Gossip { pow: 1.0 };
    test.receive.offer(&mut test.fx, START, envelope(1), path);
    assert_eq!(test.receive.waiting(), 0);
}

#[test]
fn direct_message_for_an_identity_is_stored_once_and_counted() {
    let mut test = Fixture::new(|_| {});
    listen(&mut test);
    let sent = message(&mut test);
    for _ in 0..2 {
        test.receive
            .offer(&mut test.fx, START, sent.clone(), DeliveryPath::Direct);
    }
    assert!(test.receive.has_direct());
    assert_eq!(test.receive.try_decrypt(&mut test.fx), 1);
    assert!(!test.receive.has_direct());
    let outputs = test.fx.take_outputs();
    assert!(matches!(outputs[..], [Output::Notify(Event::Message(_))]));
    let inbox = test.receive.messages(0).unwrap();
    assert_eq!(inbox.len(), 1);
    assert_eq!(inbox[0].payload, hex::encode(b"hello"));
}

#[test]
fn locked_identity_gives_an_error_instead_of_an_empty_inbox() {
    let mut test = Fixture::new(|_| {});
    let locked = PublicIdentity::Shared(TOPIC);
    test.receive.add_locked("club".to_owned(), locked).unwrap();
    assert!(test.receive.messages(0).is_err());
    assert!(test.receive.shared_key("club").is_err());
    listen(&mut test);
    assert!(test.receive.messages(0).unwrap().is_empty());
}

#[test]
fn poll_after_a_loss_fails_once_and_then_returns_the_kept_messages() {
    let mut test = Fixture::new(|_| {});
    let filter = Filter {
        key: crate::subscriptions::FilterKey::Symmetric(Arc::new(key())),
        topics: Vec::new(),
        source: None,
        minimum_pow: 0.0,
        allow_p2p: true,
    };
    let filter = test.receive.install(filter, false).unwrap();
    let plaintext = Plaintext::build(test.fx.rng(), &[7; 60_000], Padding::Align, None).unwrap();
    let data = seal_symmetric(test.fx.rng(), &key(), &plaintext);
    let offered = 400_u32;
    for nonce in 1..=offered {
        let envelope = Envelope::build(
            START.unix.after(50),
            Ttl(50),
            TOPIC,
            data.clone(),
            u64::from(nonce),
        );
        let path = DeliveryPath::Gossip { pow: 1.0 };
        test.receive.offer(&mut test.fx, START, envelope, path);
    }
    while test.receive.waiting() > 0 {
        test.receive.try_decrypt(&mut test.fx);
    }
    let Err(ShhError::MessagesLost { lost }) = test.receive.poll(filter) else {
        panic!("the loss is not reported");
    };
    let kept = test.receive.poll(filter).unwrap().len();
    assert_eq!(lost + u64::try_from(kept).unwrap(), u64::from(offered));
    assert!(kept > 200);
    assert!(test.receive.poll(filter).unwrap().is_empty());
    assert_eq!(
        test.receive.poll(FilterId(99)).unwrap_err(),
        ShhError::NoFilter
    );
}
