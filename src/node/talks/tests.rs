//! Offers and answers of a hostile correspondent who wants a line.

use circuits::ids::RelayId;
use circuits::secret::Secret;
use circuits::time::UnixSecs;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::line::LiveLine;
use super::routing::talking;
use super::{Talk, TalkProgress};
use crate::contact::conversation::{ConversationId, Part};
use crate::node::Node;
use crate::node::circuits::{CircuitHandle, CircuitOwner};
use crate::node::config::{NodeKeys, Restored};
use crate::node::contacts::MessageDirection;
use crate::node::fixture::{START, config, link_key};
use crate::transfer::schedule::{AttemptId, AttemptSchedule, RelayPlaces};
use crate::transfer::secret::{FileEnd, FileSecret};
use crate::transfer::talk::TalkSession;
use crate::transfer::talk_part::{TalkAnswer, TalkId, TalkOffer};

const CONTACT: ConversationId = ConversationId([1; 32]);
const ID: TalkId = TalkId([5; 16]);

fn relays(first: u8) -> Vec<RelayId> {
    (first..first + 2).map(|byte| RelayId([byte; 32])).collect()
}

/// A node with the offer of a line, by its user or by the contact.
fn offered(direction: MessageDirection) -> Node {
    let keys = NodeKeys {
        link: link_key(1),
        guard_seed: Secret::init_with(|seed| seed.fill(3)),
        mail_password: None,
    };
    let mut node = Node::new(config(), keys, Restored::default(), &[7; 32], START).unwrap();
    let talk = Talk {
        id: ID,
        direction,
        secret: FileSecret::take(&mut [5; 32]),
        relays: relays(10),
        until: START.unix.after(1_000),
        step: TalkProgress::Offered,
    };
    node.talks.talks.insert(CONTACT, talk);
    node
}

fn arrive(node: &mut Node, from: ConversationId, part: &Part) {
    let (talks, fx, context) = talking(node);
    talks.on_part(fx, START, (from, part), context);
}

fn offer(id: TalkId) -> Part {
    let offer = TalkOffer {
        id,
        secret: FileSecret::take(&mut [9; 32]),
        relays: relays(20),
    };
    Part::TalkOffer(offer.encode().to_vec())
}

fn answer(id: TalkId, answered: UnixSecs, places: [u8; 2]) -> Part {
    let places = RelayPlaces::new(places).unwrap();
    let schedule = Some(AttemptSchedule::answered_at(answered, places));
    Part::TalkAnswer(TalkAnswer { id, schedule }.encode())
}

fn is_agreed(node: &Node) -> bool {
    let talk = node.talks.talks.get(&CONTACT).unwrap();
    matches!(talk.step, TalkProgress::Agreed { .. })
}

#[test]
fn attack_offer_of_an_unknown_conversation_makes_no_line() {
    let mut node = offered(MessageDirection::Out);
    arrive(&mut node, ConversationId([2; 32]), &offer(TalkId([1; 16])));
    assert_eq!(node.talks.talks.len(), 1);
}

/// Both offers cross: the lower id stands at both ends.
#[test]
fn offer_that_crosses_replaces_the_own_one_only_with_a_lower_id() {
    for (id, direction) in [(9, MessageDirection::Out), (1, MessageDirection::In)] {
        let mut node = offered(MessageDirection::Out);
        arrive(&mut node, CONTACT, &offer(TalkId([id; 16])));
        let talk = node.talks.talks.get(&CONTACT).unwrap();
        assert_eq!(talk.direction, direction, "{id}");
    }
}

/// Only its users end an open line: an offer that replaced it would cut what they say.
#[test]
fn attack_offer_during_an_open_line_leaves_it_open() {
    let attempt = AttemptId::new(START.unix, 0).unwrap();
    let session = |own, seed| {
        let rng = &mut ChaCha20Rng::from_seed([seed; 32]);
        let keys = FileSecret::take(&mut [5; 32]).attempt(attempt);
        TalkSession::start(rng, START.mono, keys, own)
    };
    let mut own = session(FileEnd::Sender, 1);
    let mut peer = session(FileEnd::Receiver, 2);
    own.receive(START.mono, &peer.poll_payload().unwrap());
    let circuit = CircuitHandle::new(CircuitOwner::Talks, 1);
    let places = RelayPlaces::new([0, 1]).unwrap();
    let mut node = offered(MessageDirection::Out);
    let talk = node.talks.talks.get_mut(&CONTACT).unwrap();
    talk.step = TalkProgress::Agreed {
        schedule: AttemptSchedule::answered_at(START.unix, places),
        last: Some(attempt),
        live: Some(Box::new(LiveLine::met(own, attempt, circuit))),
    };
    assert!(talk.is_open());
    arrive(&mut node, CONTACT, &offer(TalkId([1; 16])));
    let talk = node.talks.talks.get(&CONTACT).unwrap();
    assert!(talk.id == ID && talk.is_open());
}

#[test]
fn talks_are_full_at_64_lines() {
    let mut node = offered(MessageDirection::In);
    for number in 2..=64 {
        assert!(!node.talks.is_full(), "{number}");
        let mut other = offered(MessageDirection::In);
        let talk = other.talks.talks.remove(&CONTACT).unwrap();
        let from = ConversationId([number; 32]);
        node.talks.talks.insert(from, talk);
    }
    assert!(node.talks.is_full());
}

/// The user has not accepted: an answer of the other side to its own offer would open a circuit.
#[test]
fn attack_answer_of_the_offering_side_to_its_own_offer_opens_nothing() {
    let mut node = offered(MessageDirection::In);
    arrive(&mut node, CONTACT, &answer(ID, START.unix, [0, 1]));
    assert!(!is_agreed(&node));
}

#[test]
fn attack_answer_with_another_id_start_or_relay_agrees_to_nothing() {
    let far = START.unix.after(2 * 3_600);
    for answer in [
        answer(TalkId([6; 16]), START.unix, [0, 1]),
        answer(ID, far, [0, 1]),
        answer(ID, START.unix, [0, 2]),
    ] {
        let mut node = offered(MessageDirection::Out);
        arrive(&mut node, CONTACT, &answer);
        assert!(!is_agreed(&node), "{answer:?}");
    }
    let mut node = offered(MessageDirection::Out);
    arrive(&mut node, CONTACT, &answer(ID, START.unix, [0, 1]));
    assert!(is_agreed(&node));
}
