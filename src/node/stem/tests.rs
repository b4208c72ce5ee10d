//! The stem without a node.

use core::time::Duration;

use super::*;
use crate::node::event::MessageId;
use crate::node::fixture::{Fixture, START, envelope};

const RENDEZVOUS: StemSource = StemSource::Rendezvous;
const MESSAGE: StemSource = StemSource::Message(MessageId(1));

/// The peer that is always at this link.
fn peer(link: LinkId) -> StemPeer {
    let [.., number] = link.0.to_be_bytes();
    StemPeer {
        link,
        id: ShortId([number; 16]),
    }
}

fn stem_of(test: &mut Fixture, links: &[LinkId]) {
    let peers: Vec<_> = links.iter().copied().map(peer).collect();
    test.stem.set_successor_candidates(&mut test.fx, &peers);
}

fn insert(test: &mut Fixture, envelope: &Envelope, source: StemSource) -> bool {
    let (fx, gossip) = (&mut test.fx, &test.gossip);
    test.stem.insert(fx, START, envelope, source, gossip)
}

/// A stem with two successors.
fn with_successors() -> Fixture {
    let mut test = Fixture::new(|_| {});
    stem_of(&mut test, &[LinkId(1), LinkId(2)]);
    test
}

fn receive(test: &mut Fixture, from: u64, envelope: &Envelope) -> Result<(), StemRejected> {
    let (fx, gossip) = (&mut test.fx, &test.gossip);
    test.stem
        .on_stem(fx, START, peer(LinkId(from)), envelope, gossip)
}

/// The successors that a stem was forwarded to.
fn forwarded(actions: &[Action]) -> Vec<LinkId> {
    let actions = actions.iter();
    actions
        .filter_map(|action| match action {
            Action::SendOnion(to, Priority::Control, OnionMessage::Stem(_)) => Some(*to),
            _ => None,
        })
        .collect()
}

/// Lets the next embargo end, some minutes after the start.
fn end_embargo(test: &mut Fixture) -> Vec<Action> {
    let due = test.stem.embargo.next_due().unwrap();
    let now = Now { mono: due, ..START };
    test.stem.end_embargoes(&mut test.fx, now, &test.gossip);
    test.fx.take_actions()
}

#[test]
fn own_envelope_without_successors_is_refused() {
    let mut test = Fixture::new(|_| {});
    for source in [MESSAGE, RENDEZVOUS] {
        let inserted = insert(&mut test, &envelope(1), source);
        assert!(!inserted && test.fx.take_actions().is_empty());
    }
}

#[test]
fn own_envelope_goes_to_one_successor() {
    let mut test = with_successors();
    assert!(insert(&mut test, &envelope(1), MESSAGE));
    let actions = test.fx.take_actions();
    assert_eq!((forwarded(&actions).len(), actions.len()), (1, 1));
}

#[test]
fn public_envelope_ends_its_embargo() {
    let mut test = with_successors();
    insert(&mut test, &envelope(1), MESSAGE);
    test.fx.take_actions();
    test.stem.on_public(&mut test.fx, envelope(1).hash());
    assert_eq!(test.stem.embargo.next_due(), None);
    assert!(!test.stem.is_in_transit(envelope(1).hash()));
}

#[test]
fn embargo_of_message_takes_other_successor_then_blocks_and_never_diffuses() {
    let mut test = with_successors();
    insert(&mut test, &envelope(1), MESSAGE);
    let first = forwarded(&test.fx.take_actions());
    let second = forwarded(&end_embargo(&mut test));
    assert!(second.len() == 1 && first != second);
    let mut blocked = 0;
    let mut tried = 2;
    // Other successors of later epochs get it, six in all.
    for links in 2..40 {
        stem_of(&mut test, &[LinkId(2 * links - 1), LinkId(2 * links)]);
        for _ in 0..3 {
            if test.stem.embargo.next_due().is_none() {
                break;
            }
            let actions = end_embargo(&mut test);
            assert!(!actions.iter().any(|a| matches!(a, Action::Diffuse(_))));
            tried += forwarded(&actions).len();
            let is_blocked = |a: &&Action| matches!(a, Action::StemBlocked(MessageId(1)));
            blocked += actions.iter().filter(is_blocked).count();
            if actions.iter().any(|a| matches!(a, Action::StemFailed(_))) {
                assert!(!test.stem.is_in_transit(envelope(1).hash()));
            }
        }
    }
    assert_eq!(tried, MAX_MESSAGE_ATTEMPTS);
    assert!(blocked > 0);
    assert!(!test.stem.is_in_transit(envelope(1).hash()));
}

#[test]
fn embargo_of_rendezvous_diffuses_only_after_both_successors_failed() {
    let mut test = with_successors();
    insert(&mut test, &envelope(1), RENDEZVOUS);
    let first = forwarded(&test.fx.take_actions());
    // A successor is gone: the rendezvous waits for another one.
    stem_of(&mut test, &first);
    assert!(end_embargo(&mut test).is_empty());
    stem_of(&mut test, &[first[0], LinkId(3)]);
    assert_eq!(forwarded(&end_embargo(&mut test)), [LinkId(3)]);
    let last = end_embargo(&mut test);
    assert!(matches!(last[..], [Action::Diffuse(_)]));
}

#[test]
fn embargo_of_foreign_envelope_takes_other_successor_before_it_diffuses() {
    let mut test = Fixture::new(|_| {});
    let mut rerouted = 0;
    for _ in 0..20 {
        test.stem = Stem::new(test.fx.rng(), START.mono);
        stem_of(&mut test, &[LinkId(1), LinkId(2)]);
        receive(&mut test, 3, &envelope(1)).unwrap();
        let first = forwarded(&test.fx.take_actions());
        if first.is_empty() {
            // One node in ten ends all foreign stems of an epoch.
            continue;
        }
        let actions = end_embargo(&mut test);
        let second = forwarded(&actions);
        assert_ne!(first, second);
        if !second.is_empty() {
            rerouted += 1;
            assert!(matches!(end_embargo(&mut test)[..], [Action::Diffuse(_)]));
        }
    }
    assert!(rerouted > 10, "{rerouted} of 20 were rerouted");
}

#[test]
fn withdrawn_message_reaches_no_further_successor() {
    let mut test = with_successors();
    let (message, other) = (envelope(1), envelope(2));
    insert(&mut test, &message, MESSAGE);
    insert(&mut test, &other, RENDEZVOUS);
    for envelope in [&message, &other] {
        test.stem.withdraw(&mut test.fx, envelope.hash());
    }
    assert!(!test.stem.is_in_transit(message.hash()));
    assert!(test.stem.is_in_transit(other.hash()));
}

#[test]
fn envelope_that_returns_over_the_same_link_is_diffused() {
    let mut test = with_successors();
    for _ in 0..2 {
        receive(&mut test, 3, &envelope(1)).unwrap();
    }
    let actions = test.fx.take_actions();
    assert!(matches!(actions.last(), Some(Action::Diffuse(_))));
}

#[test]
fn envelope_of_other_shape_is_a_strike_and_dropped() {
    let mut test = with_successors();
    let tiny = Envelope::build(
        START.unix.after(14),
        crate::envelope::Ttl(14),
        crate::envelope::Topic([1; 4]),
        vec![1; 15],
        1,
    );
    let rejected = receive(&mut test, 3, &tiny).unwrap_err();
    assert!(rejected.is_strike());
    assert!(test.fx.take_actions().is_empty());
    assert_eq!(test.fx.counted(Counter::Malformed), 1);
}

#[test]
fn full_share_of_a_link_forgets_its_oldest_envelope_and_passes_the_new_one_on() {
    let mut test = with_successors();
    receive(&mut test, 4, &envelope(255)).unwrap();
    insert(&mut test, &envelope(254), RENDEZVOUS);
    test.fx.take_actions();
    let mut table = InTransit::new();
    let mut forgotten = Vec::new();
    let honest = Bringer::Peer(peer(LinkId(4)));
    assert!(table.note(&envelope(255), honest, &mut forgotten));
    // Ten links flood; no one of them holds more than its share.
    let life = crate::envelope::Ttl(1_800);
    for number in 0..20_000_u64 {
        let data = number.to_be_bytes().to_vec();
        let topic = crate::envelope::Topic([1; 4]);
        let junk = Envelope::build(START.unix, life, topic, data, 1);
        let link = Bringer::Peer(peer(LinkId(10 + number % 10)));
        assert!(table.note(&junk, link, &mut forgotten));
        assert!(table.get(junk.hash()).is_some(), "the new one is kept");
    }
    assert_eq!(forgotten.len(), 20_001 - in_transit::MAX_ENVELOPES);
    assert!(table.get(envelope(255).hash()).is_some());
}

#[test]
fn short_lived_message_is_given_up_instead_of_passed_on() {
    let mut test = with_successors();
    let message = envelope(1);
    insert(&mut test, &message, MESSAGE);
    test.fx.take_actions();
    let now = Now {
        mono: START.mono.after(Duration::from_secs(3_600)),
        unix: message.expiry().before(30),
    };
    test.stem.end_embargoes(&mut test.fx, now, &test.gossip);
    let actions = test.fx.take_actions();
    assert!(matches!(actions[..], [Action::StemFailed(MessageId(1))]));
}

#[test]
fn successor_that_connects_again_is_not_tried_again() {
    let mut test = with_successors();
    insert(&mut test, &envelope(1), MESSAGE);
    let first = forwarded(&test.fx.take_actions())[0];
    let again = StemPeer {
        link: LinkId(9),
        ..peer(first)
    };
    let other = LinkId(3 - first.0);
    test.stem
        .set_successor_candidates(&mut test.fx, &[again, peer(other)]);
    assert_eq!(forwarded(&end_embargo(&mut test)), [other]);
    assert!(forwarded(&end_embargo(&mut test)).is_empty());
}

#[test]
fn sender_treats_its_returned_envelope_like_any_other_node() {
    // Whether this node ends stems in an epoch is drawn; both kinds of nodes occur.
    let (mut diffused, mut passed_on) = (0, 0);
    for seed in 0..60 {
        let outcome = |own: bool| {
            let mut test = Fixture::new(|_| {});
            for _ in 0..seed {
                test.stem = Stem::new(test.fx.path_rng(), START.mono);
            }
            stem_of(&mut test, &[LinkId(1), LinkId(2)]);
            if own {
                insert(&mut test, &envelope(1), MESSAGE);
                test.fx.take_actions();
            }
            receive(&mut test, 3, &envelope(1)).unwrap();
            let actions = test.fx.take_actions();
            (forwarded(&actions), actions.len())
        };
        let (own, foreign) = (outcome(true), outcome(false));
        assert_eq!(own, foreign);
        diffused += usize::from(own.0.is_empty());
        passed_on += own.0.len();
    }
    assert!(diffused > 0 && passed_on > 0);
}

/// A peer of gossip that states a minimum of proof of work.
fn state_min_pow(test: &mut Fixture, link: LinkId, min_pow: f64) {
    let fx = &mut test.fx;
    let new = crate::node::gossip::NewPeer {
        link,
        protocol: crate::envelope::ProtocolVersion::V6,
        client: "whisht",
        speaks_onion: false,
        trusted: false,
    };
    test.gossip.add_peer(fx, START, &new);
    let minimum = crate::gossip::packet::MinPow::new(min_pow).unwrap();
    let status =
        crate::gossip::packet::outgoing::status(minimum, &crate::bloom::Bloom::FULL, false);
    let code = crate::gossip::packet::code::STATUS;
    let outcome = test.gossip.receive(fx, START, link, code, &status);
    assert!(outcome.is_ok());
    fx.take_actions();
}

#[test]
fn successor_that_requires_more_work_is_passed_over() {
    let mut test = with_successors();
    state_min_pow(&mut test, LinkId(1), 0.2);
    for _ in 0..5 {
        assert!(insert(&mut test, &envelope(1), RENDEZVOUS));
        assert_eq!(forwarded(&test.fx.take_actions()), [LinkId(2)]);
        test.stem.on_public(&mut test.fx, envelope(1).hash());
    }
    state_min_pow(&mut test, LinkId(2), 0.2);
    assert!(!insert(&mut test, &envelope(1), MESSAGE));
    receive(&mut test, 3, &envelope(1)).unwrap();
    let actions = test.fx.take_actions();
    assert!(matches!(actions[..], [Action::Diffuse(_)]));
}
