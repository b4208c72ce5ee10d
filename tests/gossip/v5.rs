//! Peers that speak `shh/5` beside others that speak `shh/6`.

use std::collections::BTreeSet;
use std::time::Duration;

use circuits::time::{Instant, UnixSecs};
use whisht::bloom::Bloom;
use whisht::envelope::{
    AesNonce, EncryptionHint, Envelope, ProtocolVersion, Topic, Ttl, UnminedEnvelope,
};
use whisht::gossip::packet::v5::{self, code};
use whisht::gossip::packet::{MinPow, ShhPacket};
use whisht::gossip::{
    EnvelopeRejected, GossipFault, OutboundPacket, PacketOutcome, ProtocolViolation,
};
use whisht::link::Capability;
use whisht::pow::PowValues;

use super::world::*;

const MINUTE: Duration = Duration::from_secs(60);
const GETH_7: &str = "Geth/v1.7.3-stable/linux-amd64/go1.9.2";

/// An envelope of `shh/5` without work, identified by its number.
fn old(number: u32) -> Envelope {
    old_of(number, 660, 32)
}

fn old_of(number: u32, ttl: u32, len: usize) -> Envelope {
    let data = [number.to_be_bytes().to_vec(), vec![3; len - 4]].concat();
    let unmined = UnminedEnvelope {
        expiry: UnixSecs(START - 60 + ttl),
        ttl: Ttl(ttl),
        topic: Topic([1, 2, 3, 4]),
        hint: EncryptionHint::Symmetric(AesNonce([9; 12])),
        data,
    };
    unmined.with_nonce(7)
}

fn connect_v5(node: &mut TestNode, link: circuits::ids::LinkId) {
    let sends = node
        .gossip
        .add_peer_as(node.now, link, ProtocolVersion::V5, GETH_7);
    assert_eq!(sends.len(), 1);
    assert_eq!(sends[0].capability, Capability::SHH_5);
    assert_eq!((sends[0].code, &sends[0].payload[..]), (0, &[0x05][..]));
    let _ = node.receive(link, code::STATUS, &v5::status()).unwrap();
}

fn deliver(node: &mut TestNode, link: circuits::ids::LinkId, envelope: &Envelope) -> PacketOutcome {
    let packet = v5::message(envelope);
    node.receive(link, code::MESSAGE, &packet).unwrap()
}

/// The one envelope of a packet of `shh/5`.
fn only(send: &OutboundPacket) -> Envelope {
    assert_eq!(send.capability, Capability::SHH_5);
    let Ok(ShhPacket::Messages(mut envelopes)) = ShhPacket::decode_v5(send.code, &send.payload)
    else {
        panic!("not a message: {send:?}");
    };
    let envelope = envelopes.next().unwrap().unwrap();
    assert_eq!(envelope.as_rlp(), send.payload);
    envelope
}

#[test]
fn envelope_is_sent_only_to_peers_of_its_version() {
    let mut node = TestNode::new(0.0);
    connect_v5(&mut node, A);
    connect_v5(&mut node, B);
    node.connect(C, GETH_OLD);
    let received = deliver(&mut node, A, &old(1));
    assert_eq!((received.admitted.len(), received.accepted.len()), (1, 1));
    assert_eq!(node.deliver(C, &[plain(1)]), Ok(1));
    node.post(&plain(2));
    let sent = node.run(MINUTE);
    let (to_old, to_new): (Vec<_>, Vec<_>) = sent.iter().partition(|(_, send)| send.link != C);
    assert_eq!(to_old.len(), 1);
    assert_eq!((to_old[0].1.link, only(&to_old[0].1)), (B, old(1)));
    assert_eq!(to_new.len(), 1);
    assert_eq!(envelopes(&to_new[0].1), [plain(2)]);
    // One pool contains both.
    assert_eq!(node.pool.len(), 3);
    assert!(node.run(MINUTE).is_empty());
}

#[test]
fn new_shh5_peer_receives_pool_of_its_version() {
    let mut node = TestNode::new(0.0);
    for number in 0..50 {
        node.post(&plain(number));
        node.post(&old(number));
    }
    connect_v5(&mut node, A);
    let sent = node.run(MINUTE);
    let given: BTreeSet<_> = sent.iter().map(|(_, send)| only(send).hash()).collect();
    assert_eq!((sent.len(), given.len()), (50, 50));
    assert!((0..50).all(|number| given.contains(&old(number).hash())));
}

/// The packets and bytes sent at each moment.
fn bursts(sent: &[Sent]) -> Vec<(Instant, usize, usize)> {
    let mut bursts: Vec<(Instant, usize, usize)> = Vec::new();
    for (time, send) in sent {
        match bursts.last_mut() {
            Some((last, packets, bytes)) if last == time => {
                *packets += 1;
                *bytes += send.payload.len();
            }
            _ => bursts.push((*time, 1, send.payload.len())),
        }
    }
    bursts
}

#[test]
fn shh5_bursts_are_bounded_and_sent_three_per_second() {
    for (len, count, burst) in [(32, 500, 32), (1_000, 200, 15), (9_000, 20, 1)] {
        let mut node = TestNode::new(0.0);
        for number in 0..count {
            node.post(&old_of(number, 660, len));
        }
        connect_v5(&mut node, A);
        let sent = node.run(MINUTE);
        assert_eq!(sent.len(), usize::try_from(count).unwrap());
        let bursts = bursts(&sent);
        let (_, packets, bytes) = bursts[0];
        assert_eq!(packets, burst, "of {len} bytes");
        assert!(bytes <= 16_384);
        for pair in bursts.windows(2) {
            assert_eq!(pair[1].0.since(pair[0].0), Duration::from_millis(334));
        }
    }
}

#[test]
fn envelope_longer_than_burst_is_sent_alone() {
    let mut node = TestNode::new(0.0);
    node.post(&old_of(1, 660, 40_000));
    node.post(&old(2));
    connect_v5(&mut node, A);
    let sent = node.run(MINUTE);
    assert_eq!(bursts(&sent).len(), 2);
}

#[test]
fn shh5_low_pow_is_dropped_without_blame() {
    let mut node = TestNode::new(1e9);
    connect_v5(&mut node, A);
    for number in 0..1_000 {
        let received = deliver(&mut node, A, &old(number));
        assert!(received.admitted.is_empty() && received.accepted.is_empty());
        assert!(received.rejected.is_empty() && received.replies.is_empty());
    }
    assert_eq!(node.gossip.holder_count(old(0).hash()), 0);
}

#[test]
fn shh5_unwanted_topic_is_dropped_without_blame() {
    let mut node = TestNode::new(0.0);
    connect_v5(&mut node, A);
    node.connect(B, GETH_OLD);
    let sends = node.gossip.set_bloom(node.now, Bloom::EMPTY);
    assert_eq!(sends.len(), 1, "shh/5 has no packet for it");
    assert_eq!(sends[0].link, B);
    let sends = node.gossip.set_min_pow(node.now, MinPow::ZERO);
    assert!(sends.iter().all(|send| send.link == B));
    let _ = node.run(Duration::from_secs(11));
    for number in 0..100 {
        assert!(deliver(&mut node, A, &old(number)).accepted.is_empty());
    }
}

#[test]
fn shh5_expired_envelopes_end_link() {
    let mut node = TestNode::new(0.0);
    connect_v5(&mut node, A);
    // Expired sixty seconds ago; an envelope that expires in transit is not the peer's fault.
    for number in 0..16 {
        let received = deliver(&mut node, A, &old_of(number, 1, 40));
        assert_eq!(received.rejected.len(), 1);
    }
    let packet = v5::message(&old_of(16, 1, 40));
    let fault = node.receive(A, code::MESSAGE, &packet).unwrap_err();
    assert!(matches!(
        fault,
        GossipFault::Peer(ProtocolViolation::TooManyRejected(
            EnvelopeRejected::Expiry(_)
        ))
    ));
}

#[test]
fn shh5_envelope_pow_uses_legacy_rule_only() {
    let sealed = |enough: &dyn Fn(PowValues) -> bool| {
        let unmined = |nonce| {
            let unmined = UnminedEnvelope {
                expiry: UnixSecs(START + 600),
                ttl: Ttl(660),
                topic: Topic([1, 2, 3, 4]),
                hint: EncryptionHint::Asymmetric,
                data: vec![5; 40],
            };
            unmined.with_nonce(nonce)
        };
        (0..1 << 22)
            .map(unmined)
            .find(|envelope| enough(PowValues::of(envelope)))
            .unwrap()
    };
    let (good, bad) = (
        sealed(&|pow| pow.legacy >= 0.01),
        sealed(&|pow| pow.legacy < 0.001),
    );
    let mut node = TestNode::new(0.01);
    connect_v5(&mut node, A);
    connect_v5(&mut node, B);
    assert_eq!(deliver(&mut node, A, &good).admitted.len(), 1);
    assert!(deliver(&mut node, A, &bad).admitted.is_empty());
    let sent = node.run(MINUTE);
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].1.link, only(&sent[0].1)), (B, good));
}

#[test]
fn malformed_packet_ends_link() {
    let later = v5::message(&plain(1));
    for (code, payload) in [
        (code::STATUS, &[0xc1, 0x05][..]),
        (code::STATUS, &[0x06]),
        (code::MESSAGE, &[0x80]),
        (code::MESSAGE, &[0xc0]),
        (code::MESSAGE, &[]),
        (code::MESSAGE, &later),
    ] {
        let mut node = TestNode::new(0.0);
        connect_v5(&mut node, A);
        let fault = node.receive(A, code, payload).unwrap_err();
        assert!(fault.blames_peer(), "{code} {payload:02x?}");
    }
}

#[test]
fn shh5_envelope_before_status_ends_link() {
    let mut node = TestNode::new(0.0);
    let _ = node
        .gossip
        .add_peer_as(node.now, A, ProtocolVersion::V5, GETH_7);
    let fault = node.receive(A, code::MESSAGE, &v5::message(&old(1)));
    assert_eq!(
        fault.unwrap_err(),
        GossipFault::Peer(ProtocolViolation::BeforeStatus)
    );
}

#[test]
fn shh5_oversized_packet_is_refused() {
    let mut node = TestNode::new(0.0);
    connect_v5(&mut node, A);
    // Peers of this version do not send their whole pool at once, so code 1 has no exemption
    // either.
    let packet = v5::message(&old_of(1, 660, 1 << 20));
    let fault = node.receive(A, code::MESSAGE, &packet).unwrap_err();
    assert_eq!(fault, GossipFault::Peer(ProtocolViolation::Oversized));
}

#[test]
fn shh5_direct_envelope_requires_trusted_peer() {
    let mut node = TestNode::new(1e9);
    connect_v5(&mut node, A);
    connect_v5(&mut node, B);
    let packet = v5::message(&old(1));
    let received = node.receive(A, code::P2P_MESSAGE, &packet).unwrap();
    assert!(received.direct.is_empty());
    assert!(node.receive(A, code::P2P_MESSAGE, &[0xff]).is_ok());
    assert!(node.gossip.trust(A));
    let received = node.receive(A, code::P2P_MESSAGE, &packet).unwrap();
    assert_eq!(received.direct, [old(1)]);
    assert!(node.run(MINUTE).is_empty());
    assert!(node.receive(A, code::P2P_MESSAGE, &[0xff]).is_err());
}

#[test]
fn shh5_mail_requests_and_unknown_codes_are_ignored() {
    let mut node = TestNode::new(0.0);
    connect_v5(&mut node, A);
    for code in code::P2P_REQUEST..64 {
        let received = node.receive(A, code, &v5::message(&old(1))).unwrap();
        assert!(received.p2p.is_none() && received.accepted.is_empty());
    }
}

#[test]
fn peer_listing_shows_version_and_pow_rule() {
    let mut node = TestNode::new(0.0);
    connect_v5(&mut node, A);
    let _ = node.gossip.add_peer(node.now, B, "Geth/v1.9.25");
    let peers: Vec<_> = node.gossip.peers().map(|(_, peer)| peer).collect();
    assert_eq!(
        (peers[0].protocol, peers[0].rule.label()),
        (ProtocolVersion::V5, "legacy")
    );
    assert!(peers[0].has_status && peers[0].bloom_bits == 512);
    assert_eq!(
        (peers[1].protocol, peers[1].rule.label()),
        (ProtocolVersion::V6, "modern")
    );
    assert_eq!(node.gossip.protocol(A), Some(ProtocolVersion::V5));
    assert_eq!(node.gossip.protocol(C), None);
}
