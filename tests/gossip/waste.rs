//! Traffic that is valid and worth nothing: the node tolerates what honest peers send, and ends the
//! link of a peer that sends much more (docs/decisions/0003, 0012).

use std::time::Duration;

use circuits::time::UnixSecs;
use whisht::envelope::{Envelope, Topic, Ttl};
use whisht::gossip::packet::{P2pKind, code, outgoing};
use whisht::gossip::{GossipFault, ProtocolViolation, Waste};

use super::world::*;

const fn too_wasteful(waste: Waste) -> GossipFault {
    GossipFault::Peer(ProtocolViolation::TooWasteful(waste))
}

/// An envelope that expired a second ago.
fn just_expired(number: u64) -> Envelope {
    let data = number.to_be_bytes().repeat(4);
    Envelope::build(UnixSecs(START - 1), Ttl(60), Topic([1; 4]), data, number)
}

/// Delivers packets until the link ends; returns the number of packets and the fault.
fn flood(
    node: &mut TestNode,
    most: usize,
    mut send: impl FnMut(&mut TestNode) -> Result<(), GossipFault>,
) -> (usize, Option<GossipFault>) {
    for sent in 0..most {
        if let Err(fault) = send(node) {
            return (sent, Some(fault));
        }
    }
    (most, None)
}

#[test]
fn flood_of_repeated_envelopes_ends_link_with_a_strike() {
    let mut node = TestNode::new(0.0);
    node.connect(A, GETH_OLD);
    let packet = vec![plain(1); 100];
    let (packets, fault) = flood(&mut node, 1_000, |node| node.deliver(A, &packet).map(drop));
    assert_eq!(fault, Some(too_wasteful(Waste::Repeated)));
    assert!(ProtocolViolation::TooWasteful(Waste::Repeated).is_strike());
    assert!((30..50).contains(&packets), "{packets} packets");
}

#[test]
fn flood_of_envelopes_that_just_expired_ends_link_without_a_strike() {
    let mut node = TestNode::new(0.0);
    node.connect(A, GETH_OLD);
    let packet: Vec<_> = (0..100).map(just_expired).collect();
    let (packets, fault) = flood(&mut node, 1_000, |node| node.deliver(A, &packet).map(drop));
    assert_eq!(fault, Some(too_wasteful(Waste::JustExpired)));
    // Another node can make an honest peer forward what expires on the way.
    assert!(!ProtocolViolation::TooWasteful(Waste::JustExpired).is_strike());
    assert!((150..200).contains(&packets), "{packets} packets");
}

#[test]
fn flood_of_unread_codes_ends_link_with_a_strike() {
    for code in [99, P2pKind::Message.code()] {
        let mut node = TestNode::new(0.0);
        node.connect(A, GETH_OLD);
        let (packets, fault) = flood(&mut node, 10_000, |node| {
            node.receive(A, code, &[0xc0]).map(drop)
        });
        assert_eq!(fault, Some(too_wasteful(Waste::Unread)));
        assert!(ProtocolViolation::TooWasteful(Waste::Unread).is_strike());
        assert!((1_000..1_100).contains(&packets), "{packets} packets");
    }
}

#[test]
fn peer_that_reconnects_and_sends_its_pool_again_is_tolerated() {
    let mut node = TestNode::new(0.0);
    let pool: Vec<_> = (0..2_000).map(plain).collect();
    for link in [A, B, C] {
        node.connect(link, GETH_OLD);
        for packet in pool.chunks(100) {
            assert!(node.deliver(link, packet).is_ok());
        }
        node.gossip.remove_peer(node.now, link);
    }
}

#[test]
fn envelope_that_crosses_the_link_in_both_directions_is_no_waste() {
    let mut node = TestNode::new(0.0);
    node.connect(A, GETH_OLD);
    // More than the quota, each sent to the peer before the peer sends it.
    for number in 0..5_000 {
        node.post(&plain(number));
        if number % 100 == 99 {
            node.run(Duration::from_secs(1));
        }
    }
    node.run(Duration::from_secs(60));
    for number in 0..5_000 {
        assert_eq!(node.deliver(A, &[plain(number)]), Ok(0));
    }
}

#[test]
fn honest_rates_of_worthless_traffic_are_tolerated_without_end() {
    let mut node = TestNode::new(0.0);
    node.connect(A, GETH_OLD);
    for second in 0..300 {
        let now = START + second;
        let late = |n: u64| {
            let number = u64::from(second) * 100 + n;
            Envelope::build(
                UnixSecs(now - 1),
                Ttl(60),
                Topic([1; 4]),
                vec![1; 32],
                number,
            )
        };
        let packet: Vec<_> = (0..100).map(late).collect();
        assert_eq!(node.deliver(A, &packet), Ok(0));
        for _ in 0..5 {
            assert!(node.receive(A, 99, &[0xc0]).is_ok());
            assert!(node.receive(A, code::BATCH_ACKNOWLEDGED, &[0xc0]).is_ok());
        }
        let repeated = vec![plain(1); 20];
        assert!(
            node.receive(A, code::MESSAGES, &outgoing::messages(&repeated))
                .is_ok()
        );
        node.run(Duration::from_secs(1));
    }
}
