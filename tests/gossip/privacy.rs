//! Secrets that peers must not learn: which envelopes are the node's own, and the origin of each.

use std::time::Duration;

use circuits::ids::LinkId;
use whisht::envelope::Envelope;

use super::world::*;

/// A node with five peers; the last is the spy.
fn surrounded() -> TestNode {
    let mut node = TestNode::new(0.0);
    for link in 1..=5 {
        node.connect(LinkId(link), GETH_OLD);
    }
    for number in 0..50 {
        node.post(&plain(number));
    }
    let _ = node.run(Duration::from_secs(60));
    node
}

const SPY: LinkId = LinkId(5);

/// The node's own envelope travels through the onion lanes and is not in the pool. A peer that
/// sends it gets the same reaction as for any other envelope.
#[test]
fn pushed_own_envelope_is_indistinguishable_from_foreign() {
    let envelope = plain(1_000);
    let watch = |own: bool| {
        let mut node = surrounded();
        // Before the envelope returns, the owner validates it, as every envelope before sending,
        // and checks for its echo.
        if own {
            assert!(node.gossip.validate(node.now, &envelope).is_ok());
            assert_eq!(node.gossip.holder_count(envelope.hash()), 0);
        }
        let mut sent = node.run(Duration::from_secs(10));
        let received = node.deliver(SPY, std::slice::from_ref(&envelope));
        if own {
            assert_eq!(node.gossip.holder_count(envelope.hash()), 1);
        }
        sent.extend(node.run(Duration::from_secs(10)));
        let again = node.deliver(LinkId(2), std::slice::from_ref(&envelope));
        sent.extend(node.run(Duration::from_secs(10)));
        (received, again, sent)
    };
    assert_eq!(watch(true), watch(false));
}

#[test]
fn own_envelope_is_not_sent_before_peer_delivers_it() {
    let mut node = surrounded();
    let own = plain(1_000);
    assert!(node.gossip.validate(node.now, &own).is_ok());
    assert!(node.run(Duration::from_secs(60)).is_empty());
}

#[test]
fn delivering_peers_are_counted_once_each() {
    let mut node = surrounded();
    let own = plain(1_000);
    assert_eq!(node.deliver(LinkId(1), std::slice::from_ref(&own)), Ok(1));
    assert_eq!(node.gossip.holder_count(own.hash()), 1);
    // Sending it on is not an echo, and neither is a second copy from the same peer.
    let sent = node.run(Duration::from_secs(60));
    assert!(was_sent(&sent, LinkId(2), &own));
    assert_eq!(node.deliver(LinkId(1), std::slice::from_ref(&own)), Ok(0));
    assert_eq!(node.gossip.holder_count(own.hash()), 1);
    assert_eq!(node.deliver(LinkId(2), std::slice::from_ref(&own)), Ok(0));
    assert_eq!(node.gossip.holder_count(own.hash()), 2);
}

#[test]
fn node_knows_which_envelopes_it_gossiped_first() {
    let mut node = surrounded();
    let (fluffed, foreign) = (plain(1_000), plain(1_001));
    node.post(&fluffed);
    assert_eq!(
        node.deliver(LinkId(1), std::slice::from_ref(&foreign)),
        Ok(1)
    );
    let _ = node.run(Duration::from_secs(10));
    assert_eq!(
        node.deliver(LinkId(2), &[fluffed.clone(), foreign.clone()]),
        Ok(0)
    );
    assert!(node.gossip.sent_before_received(fluffed.hash()));
    assert!(!node.gossip.sent_before_received(foreign.hash()));
}

/// First-spy timing: for every source of a new envelope, the order of the other peers is uniform.
#[test]
fn first_recipient_is_uniform_over_peers() {
    let mut node = surrounded();
    let mut firsts = [0_u32; 6];
    for number in 0..600 {
        let envelope: Envelope = timed(START - 60, 100_000, number);
        assert_eq!(node.deliver(LinkId(1), &[envelope]), Ok(1));
        let sent = node.run(Duration::from_secs(5));
        firsts[usize::try_from(sent[0].1.link.0).unwrap()] += 1;
    }
    assert_eq!(firsts[1], 0);
    // 150 expected for each of the other four, standard deviation 10.6.
    assert!(
        firsts[2..]
            .iter()
            .all(|&count| (107..=193).contains(&count)),
        "{firsts:?}"
    );
}

#[test]
fn equal_seed_and_packets_give_equal_output() {
    let run = |seed: u8| {
        let mut node = TestNode::with_seed(0.0, [seed; 32]);
        for link in [A, B, C] {
            node.connect(link, GETH_OLD);
        }
        for number in 0..100 {
            let _ = node.deliver(A, &[plain(number)]);
        }
        node.run(Duration::from_secs(60))
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}
