//! Protocol violations by unknown peers, and the resulting bans (docs/decisions/0012).

use circuits::ids::LinkId;
use whisht::envelope::{Envelope, Topic, Ttl};
use whisht::gossip::packet::code;
use whisht::link::{Capability, DisconnectReason};
use whisht::node::Command;

use crate::fixture::{Fixture, TARGET};
use crate::sim::World;
use crate::sim::scripted_peer::PeerBehaviour;

/// Sends a message that no honest program sends.
fn violate_protocol(world: &mut World, attacker: usize, link: LinkId) {
    let what = (Capability::SHH_6, u16::from(code::MESSAGES));
    world.act(attacker, |attacker, now| {
        ((), attacker.send_raw(now, link, what, vec![0xc1, 0xc0]))
    });
    world.run(std::time::Duration::from_secs(1));
}

fn disconnect_reason(world: &World, attacker: usize, link: LinkId) -> Option<DisconnectReason> {
    world.scripted(attacker).session(link).disconnect_reason
}

#[test]
fn protocol_violation_bans_unlisted_peer_for_one_then_two_minutes() {
    let mut fixture = Fixture::new();
    let (attacker, mut link) = (fixture.attacker, fixture.link);
    for minutes in [1, 2] {
        violate_protocol(&mut fixture.world, attacker, link);
        let reason = disconnect_reason(&fixture.world, attacker, link);
        assert_eq!(reason, Some(DisconnectReason::SubprotocolError));
        assert_eq!(fixture.world.status(TARGET).refused, 1);
        fixture.run(60 * minutes - 10);
        link = fixture.world.connect_scripted(attacker, TARGET);
        let reason = disconnect_reason(&fixture.world, attacker, link);
        assert_eq!(reason, Some(DisconnectReason::UselessPeer));
        fixture.run(10);
        link = fixture.world.connect_scripted(attacker, TARGET);
        assert!(fixture.world.scripted(attacker).session(link).is_open());
        assert_eq!(fixture.world.status(TARGET).refused, 0);
    }
}

#[test]
fn bans_do_not_extend_to_other_peers_at_same_address() {
    let mut fixture = Fixture::new();
    for _ in 0..20 {
        let bad = fixture.world.add_scripted_peer(PeerBehaviour::relay());
        let link = fixture.world.connect_scripted(bad, TARGET);
        violate_protocol(&mut fixture.world, bad, link);
        assert!(!fixture.world.scripted(bad).session(link).is_open());
    }
    // All peers here connect from loopback, as through an onion service.
    let good = fixture.world.add_scripted_peer(PeerBehaviour::relay());
    let link = fixture.world.connect_scripted(good, TARGET);
    assert!(fixture.world.scripted(good).session(link).is_open());
    assert_eq!(fixture.world.status(TARGET).refused, 20);
}

/// Attack: an envelope dated so that this node refuses it and its peer accepts it, to get this peer
/// banned.
#[test]
fn expired_envelopes_disconnect_peer_without_ban() {
    let mut fixture = Fixture::new();
    let now = fixture.world.clock().unix;
    let late: Vec<Envelope> = (0..40)
        .map(|number| {
            let expiry = circuits::time::UnixSecs(now.0 - 30);
            Envelope::build(expiry, Ttl(50), Topic([1; 4]), vec![1; 40], number)
        })
        .collect();
    let (attacker, link) = (fixture.attacker, fixture.link);
    fixture.world.act(attacker, |attacker, now| {
        ((), attacker.send_envelopes(now, link, &late))
    });
    fixture.run(1);
    let reason = disconnect_reason(&fixture.world, attacker, link);
    assert_eq!(reason, Some(DisconnectReason::SubprotocolError));
    assert_eq!(fixture.world.status(TARGET).refused, 0);
    let link = fixture.world.connect_scripted(attacker, TARGET);
    assert!(fixture.world.scripted(attacker).session(link).is_open());
}

#[test]
fn named_peer_is_redialled_with_backoff_after_violation() {
    let mut fixture = Fixture::new();
    let (attacker, peer) = (fixture.attacker, fixture.world.addr(fixture.attacker));
    let node = fixture.world.add(false, &[]);
    fixture.world.command(node, Command::AddPeer(peer)).unwrap();
    fixture.run(2);
    let before = fixture.world.scripted(attacker).sessions().count();
    // Calls have numbers from the same series as the attacker's own; the last one is the node's.
    let link = LinkId(u64::try_from(before).unwrap());
    violate_protocol(&mut fixture.world, attacker, link);
    assert!(!fixture.world.scripted(attacker).session(link).is_open());
    fixture.run(50);
    assert_eq!(fixture.world.scripted(attacker).sessions().count(), before);
    fixture.run(15);
    assert_eq!(
        fixture.world.scripted(attacker).sessions().count(),
        before + 1
    );
    let link = LinkId(u64::try_from(before).unwrap() + 1);
    assert!(fixture.world.scripted(attacker).session(link).is_open());
}

#[test]
fn peer_with_negative_rating_is_evicted_for_newcomer() {
    let mut fixture = Fixture::new();
    let node = fixture
        .world
        .add_with(false, &[], |config| config.max_peers = 2);
    fixture.run(1);
    let quiet = fixture.world.add_scripted_peer(PeerBehaviour::relay());
    let quiet_link = fixture.world.connect_scripted(quiet, node);
    let bad = fixture.world.add_scripted_peer(PeerBehaviour::relay());
    let bad_link = fixture.world.connect_scripted(bad, node);
    let newcomer = fixture.world.add_scripted_peer(PeerBehaviour::relay());
    // One refused envelope is tolerated, and remembered.
    let now = fixture.world.clock().unix;
    let expiry = circuits::time::UnixSecs(now.0 - 30);
    let late = Envelope::build(expiry, Ttl(50), Topic([1; 4]), vec![1; 40], 1);
    fixture.world.act(bad, |attacker, now| {
        ((), attacker.send_envelopes(now, bad_link, &[late]))
    });
    fixture.run(1);
    let link = fixture.world.connect_scripted(newcomer, node);
    assert!(fixture.world.scripted(newcomer).session(link).is_open());
    assert!(fixture.world.scripted(quiet).session(quiet_link).is_open());
    assert_eq!(
        disconnect_reason(&fixture.world, bad, bad_link),
        Some(DisconnectReason::TooManyPeers)
    );
}
