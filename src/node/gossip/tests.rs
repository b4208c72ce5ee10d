//! Gossip without a node.

use circuits::ids::LinkId;

use super::*;
use crate::node::fixture::{Fixture, START, envelope};
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
