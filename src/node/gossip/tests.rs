//! Gossip without a node.

use circuits::ids::LinkId;
use circuits::level::Level;

use super::*;
use crate::bloom::Bloom;
use crate::gossip::PowRule;
use crate::gossip::packet::{code, outgoing};
use crate::node::fixture::{Fixture, START, envelope};
use crate::pow::Generations;
use crate::subscriptions::DeliveryPath;

#[test]
fn envelope_is_inserted_once() {
    let mut test = Fixture::new(|_| {});
    let envelope = envelope(1);
    let proofs = test.gossip.validate(START, &envelope).unwrap();
    let fx = &mut test.fx;
    let path = test.gossip.insert(fx, START, &envelope, proofs, None);
    assert!(matches!(path, Some(DeliveryPath::Gossip { .. })));
    assert!(test.gossip.pool().contains(&envelope.hash()));
    assert_eq!(test.gossip.insert(fx, START, &envelope, proofs, None), None);
}

#[test]
fn new_peer_is_sent_our_status_first() {
    let mut test = Fixture::new(|_| {});
    let peer = NewPeer {
        link: LinkId(1),
        protocol: ProtocolVersion::V6,
        client: "geth",
        speaks_onion: false,
        trusted: true,
    };
    test.gossip.add_peer(&mut test.fx, START, &peer);
    assert!(matches!(
        test.fx.take_actions()[..],
        [Action::SendPacket(_)]
    ));
    assert!(test.gossip.machine().trusts(LinkId(1)));
}

#[test]
fn expired_envelope_leaves_the_mempool() {
    let mut test = Fixture::new(|_| {});
    let envelope = envelope(1);
    let proofs = test.gossip.validate(START, &envelope).unwrap();
    test.gossip
        .insert(&mut test.fx, START, &envelope, proofs, None);
    let later = Now {
        unix: START.unix.after(2_000),
        ..START
    };
    test.gossip.expire(later);
    assert!(test.gossip.pool().is_empty());
    assert!(test.gossip.validate(later, &envelope).is_err());
}

#[test]
fn envelope_limit_above_the_packet_limit_is_refused() {
    let mut test = Fixture::new(|_| {});
    assert!(test.gossip.set_max_size(MAX_ENVELOPE_SIZE).is_ok());
    assert!(test.gossip.set_max_size(MAX_ENVELOPE_SIZE + 1).is_err());
}

/// A status that only status-im sends: minimum 0.002, bloom filter, light flag, confirmations.
const STATUS_IM: &str = "cd06883f60624dd2f1a9fc808001";

/// A go-ethereum 1.8 and a status-im, both with a minimum above zero.
fn legacy_and_status_im(test: &mut Fixture) {
    for (number, client) in [(1, "Geth/v1.8.27-stable"), (2, "Statusd/v0.55.0/linux")] {
        let peer = NewPeer {
            link: LinkId(number),
            protocol: ProtocolVersion::V6,
            client,
            speaks_onion: false,
            trusted: false,
        };
        let fx = &mut test.fx;
        test.gossip.add_peer(fx, START, &peer);
    }
    let minimum = MinPow::new(0.2).unwrap();
    let status = outgoing::status(minimum, &Bloom::FULL, false);
    let confirming = hex::decode(STATUS_IM).unwrap();
    for (link, payload) in [(LinkId(1), status), (LinkId(2), confirming)] {
        let received = test
            .gossip
            .receive(&mut test.fx, START, link, code::STATUS, &payload);
        assert!(received.is_ok());
    }
}

#[test]
fn open_message_satisfies_status_im_beside_a_legacy_peer() {
    let mut test = Fixture::new(|_| {});
    legacy_and_status_im(&mut test);
    let status_im = test.gossip.machine().peer(LinkId(2)).unwrap();
    assert!(status_im.min_pow > 0.0);
    assert_eq!(status_im.rule, PowRule::Either);
    assert_eq!(status_im.accepted_rule, PowRule::Modern);
    assert!(!status_im.accepts(Generations::Legacy, 1.0));
    assert!(test.gossip.wants_both());
    let cheap = test.gossip.generations(Level::Open, 10);
    assert_eq!(cheap, Generations::Both);
    // Where both formulas are too expensive, the modern one is used.
    let expensive = test.gossip.generations(Level::Open, 20);
    assert_eq!(expensive, Generations::Modern);
}
