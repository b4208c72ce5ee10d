//! The stem without a node.

use circuits::time::Instant;

use super::*;
use crate::node::fixture::{Fixture, START, envelope};

fn stem_of(test: &mut Fixture, links: &[LinkId]) {
    test.stem.set_successor_candidates(&mut test.fx, links);
}

#[test]
fn own_envelope_without_successors_is_refused() {
    let mut test = Fixture::new(|_| {});
    assert!(!test.stem.insert(&mut test.fx, START, &envelope(1)));
    assert!(test.fx.take_actions().is_empty());
}

#[test]
fn own_envelope_goes_to_one_successor() {
    let mut test = Fixture::new(|_| {});
    stem_of(&mut test, &[LinkId(1), LinkId(2)]);
    assert!(test.stem.insert(&mut test.fx, START, &envelope(1)));
    assert!(matches!(
        test.fx.take_actions()[..],
        [Action::SendOnion(
            _,
            Priority::Control,
            OnionMessage::Stem(_)
        )]
    ));
}

#[test]
fn embargo_diffuses_an_envelope_that_gossip_did_not_deliver() {
    let mut test = Fixture::new(|_| {});
    stem_of(&mut test, &[LinkId(1), LinkId(2)]);
    test.stem.insert(&mut test.fx, START, &envelope(1));
    test.stem.insert(&mut test.fx, START, &envelope(2));
    test.fx.take_actions();
    test.stem.on_public(&mut test.fx, envelope(1).hash());
    test.stem
        .end_embargoes(&mut test.fx, Instant::from_micros(u64::MAX));
    let actions = test.fx.take_actions();
    assert!(
        matches!(&actions[..], [Action::Diffuse(diffused)] if diffused.hash() == envelope(2).hash())
    );
}

#[test]
fn envelope_that_returns_over_the_same_link_is_diffused() {
    let mut test = Fixture::new(|_| {});
    stem_of(&mut test, &[LinkId(1), LinkId(2)]);
    let from = LinkId(3);
    for _ in 0..2 {
        let gossip = &test.gossip;
        test.stem
            .on_stem(&mut test.fx, START, from, &envelope(1), gossip);
    }
    let actions = test.fx.take_actions();
    assert!(matches!(actions.last(), Some(Action::Diffuse(_))));
}

#[test]
fn malformed_envelope_is_counted_and_dropped() {
    let mut test = Fixture::new(|_| {});
    stem_of(&mut test, &[LinkId(1), LinkId(2)]);
    let expired = Envelope::build(
        START.unix.before(1_000),
        crate::envelope::Ttl(10),
        crate::envelope::Topic([1; 4]),
        vec![1; 300],
        1,
    );
    let gossip = &test.gossip;
    test.stem
        .on_stem(&mut test.fx, START, LinkId(3), &expired, gossip);
    assert!(test.fx.take_actions().is_empty());
    assert_eq!(test.fx.counted(Counter::Malformed), 1);
}
