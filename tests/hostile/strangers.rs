//! Strangers that break the protocol, and who is kept out for it (docs/decisions/0012).

use circuits::ids::LinkId;
use whisht::envelope::{Envelope, Topic, Ttl};
use whisht::gossip::packet::code;
use whisht::link::{Capability, DisconnectReason};
use whisht::node::Command;

use crate::scene::{Scene, TARGET};
use crate::sim::World;
use crate::sim::scripted_peer::PeerBehaviour;

/// An attacker says something that no honest program says.
fn misbehave(world: &mut World, attacker: usize, link: LinkId) {
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
fn a_stranger_that_breaks_the_protocol_is_kept_out_for_a_minute_then_for_two() {
    let mut scene = Scene::new();
    let (attacker, mut link) = (scene.attacker, scene.link);
    for minutes in [1, 2] {
        misbehave(&mut scene.world, attacker, link);
        let reason = disconnect_reason(&scene.world, attacker, link);
        assert_eq!(reason, Some(DisconnectReason::SubprotocolError));
        assert_eq!(scene.world.status(TARGET).refused, 1);
        scene.run(60 * minutes - 10);
        link = scene.world.connect_scripted(attacker, TARGET);
        let reason = disconnect_reason(&scene.world, attacker, link);
        assert_eq!(reason, Some(DisconnectReason::UselessPeer));
        scene.run(10);
        link = scene.world.connect_scripted(attacker, TARGET);
        assert!(scene.world.scripted(attacker).session(link).is_open());
        assert_eq!(scene.world.status(TARGET).refused, 0);
    }
}

#[test]
fn many_bad_strangers_at_one_address_keep_no_other_out_of_it() {
    let mut scene = Scene::new();
    for _ in 0..20 {
        let bad = scene.world.add_scripted_peer(PeerBehaviour::relay());
        let link = scene.world.connect_scripted(bad, TARGET);
        misbehave(&mut scene.world, bad, link);
        assert!(!scene.world.scripted(bad).session(link).is_open());
    }
    // Everybody here comes from loopback, as everybody does through an onion service.
    let good = scene.world.add_scripted_peer(PeerBehaviour::relay());
    let link = scene.world.connect_scripted(good, TARGET);
    assert!(scene.world.scripted(good).session(link).is_open());
    assert_eq!(scene.world.status(TARGET).refused, 20);
}

/// Whoever can date an envelope so that we refuse it and our neighbour does not, must not get that
/// neighbour banned.
#[test]
fn a_neighbour_that_passes_on_untimely_envelopes_is_let_in_again_at_once() {
    let mut scene = Scene::new();
    let now = scene.world.clock().unix;
    let late: Vec<Envelope> = (0..40)
        .map(|number| {
            let expiry = circuits::time::UnixSecs(now.0 - 30);
            Envelope::build(expiry, Ttl(50), Topic([1; 4]), vec![1; 40], number)
        })
        .collect();
    let (attacker, link) = (scene.attacker, scene.link);
    scene.world.act(attacker, |attacker, now| {
        ((), attacker.send_envelopes(now, link, &late))
    });
    scene.run(1);
    let reason = disconnect_reason(&scene.world, attacker, link);
    assert_eq!(reason, Some(DisconnectReason::SubprotocolError));
    assert_eq!(scene.world.status(TARGET).refused, 0);
    let link = scene.world.connect_scripted(attacker, TARGET);
    assert!(scene.world.scripted(attacker).session(link).is_open());
}

#[test]
fn a_named_peer_that_breaks_the_protocol_is_dialled_again_but_not_in_a_loop() {
    let mut scene = Scene::new();
    let (attacker, peer) = (scene.attacker, scene.world.addr(scene.attacker));
    let node = scene.world.add(false, &[]);
    scene.world.command(node, Command::AddPeer(peer)).unwrap();
    scene.run(2);
    let before = scene.world.scripted(attacker).sessions().count();
    // Calls are numbered from the same series as its own; the last one is the node's.
    let link = LinkId(u64::try_from(before).unwrap());
    misbehave(&mut scene.world, attacker, link);
    assert!(!scene.world.scripted(attacker).session(link).is_open());
    scene.run(50);
    assert_eq!(scene.world.scripted(attacker).sessions().count(), before);
    scene.run(15);
    assert_eq!(
        scene.world.scripted(attacker).sessions().count(),
        before + 1
    );
    let link = LinkId(u64::try_from(before).unwrap() + 1);
    assert!(scene.world.scripted(attacker).session(link).is_open());
}

#[test]
fn a_stranger_that_brings_only_trouble_makes_room_for_a_newcomer_and_a_quiet_one_does_not() {
    let mut scene = Scene::new();
    let node = scene
        .world
        .add_with(false, &[], |config| config.max_peers = 2);
    scene.run(1);
    let quiet = scene.world.add_scripted_peer(PeerBehaviour::relay());
    let quiet_link = scene.world.connect_scripted(quiet, node);
    let bad = scene.world.add_scripted_peer(PeerBehaviour::relay());
    let bad_link = scene.world.connect_scripted(bad, node);
    let newcomer = scene.world.add_scripted_peer(PeerBehaviour::relay());
    let link = scene.world.connect_scripted(newcomer, node);
    assert_eq!(
        disconnect_reason(&scene.world, newcomer, link),
        Some(DisconnectReason::TooManyPeers)
    );
    // One envelope that is refused is forgiven, and remembered.
    let now = scene.world.clock().unix;
    let expiry = circuits::time::UnixSecs(now.0 - 30);
    let late = Envelope::build(expiry, Ttl(50), Topic([1; 4]), vec![1; 40], 1);
    scene.world.act(bad, |attacker, now| {
        ((), attacker.send_envelopes(now, bad_link, &[late]))
    });
    scene.run(1);
    let link = scene.world.connect_scripted(newcomer, node);
    assert!(scene.world.scripted(newcomer).session(link).is_open());
    assert!(scene.world.scripted(quiet).session(quiet_link).is_open());
    assert_eq!(
        disconnect_reason(&scene.world, bad, bad_link),
        Some(DisconnectReason::TooManyPeers)
    );
}
