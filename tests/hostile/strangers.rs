//! Strangers that break the protocol, and who is kept out for it (docs/decisions/0012).

use circuits::ids::LinkId;
use whisht::envelope::{Envelope, Topic, Ttl};
use whisht::gossip::packet::code;
use whisht::link::{Capability, DisconnectReason};
use whisht::node::Command;

use crate::scene::{Scene, TARGET};
use crate::sim::World;
use crate::sim::rogue::Manners;

/// A rogue says something that no honest program says.
fn misbehave(world: &mut World, rogue: usize, line: LinkId) {
    let what = (Capability::SHH_6, u16::from(code::MESSAGES));
    world.incite(rogue, |rogue, now| {
        ((), rogue.babble(now, line, what, vec![0xc1, 0xc0]))
    });
    world.run(std::time::Duration::from_secs(1));
}

fn farewell(world: &World, rogue: usize, line: LinkId) -> Option<DisconnectReason> {
    world.rogue(rogue).line(line).farewell
}

#[test]
fn a_stranger_that_breaks_the_protocol_is_kept_out_for_a_minute_then_for_two() {
    let mut scene = Scene::new();
    let (rogue, mut line) = (scene.rogue, scene.line);
    for minutes in [1, 2] {
        misbehave(&mut scene.world, rogue, line);
        let reason = farewell(&scene.world, rogue, line);
        assert_eq!(reason, Some(DisconnectReason::SubprotocolError));
        assert_eq!(scene.world.status(TARGET).refused, 1);
        scene.run(60 * minutes - 10);
        line = scene.world.intrude(rogue, TARGET);
        let reason = farewell(&scene.world, rogue, line);
        assert_eq!(reason, Some(DisconnectReason::UselessPeer));
        scene.run(10);
        line = scene.world.intrude(rogue, TARGET);
        assert!(scene.world.rogue(rogue).line(line).stands());
        assert_eq!(scene.world.status(TARGET).refused, 0);
    }
}

#[test]
fn many_bad_strangers_at_one_address_keep_no_other_out_of_it() {
    let mut scene = Scene::new();
    for _ in 0..20 {
        let bad = scene.world.add_rogue(Manners::good());
        let line = scene.world.intrude(bad, TARGET);
        misbehave(&mut scene.world, bad, line);
        assert!(!scene.world.rogue(bad).line(line).stands());
    }
    // Everybody here comes from loopback, as everybody does through an onion service.
    let good = scene.world.add_rogue(Manners::good());
    let line = scene.world.intrude(good, TARGET);
    assert!(scene.world.rogue(good).line(line).stands());
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
    let (rogue, line) = (scene.rogue, scene.line);
    scene
        .world
        .incite(rogue, |rogue, now| ((), rogue.gossip(now, line, &late)));
    scene.run(1);
    let reason = farewell(&scene.world, rogue, line);
    assert_eq!(reason, Some(DisconnectReason::SubprotocolError));
    assert_eq!(scene.world.status(TARGET).refused, 0);
    let line = scene.world.intrude(rogue, TARGET);
    assert!(scene.world.rogue(rogue).line(line).stands());
}

#[test]
fn a_named_peer_that_breaks_the_protocol_is_dialled_again_but_not_in_a_loop() {
    let mut scene = Scene::new();
    let (rogue, peer) = (scene.rogue, scene.world.addr(scene.rogue));
    let node = scene.world.add(false, &[]);
    scene.world.command(node, Command::AddPeer(peer)).unwrap();
    scene.run(2);
    let before = scene.world.rogue(rogue).lines().count();
    // Calls are numbered from the same series as its own; the last one is the node's.
    let line = LinkId(u64::try_from(before).unwrap());
    misbehave(&mut scene.world, rogue, line);
    assert!(!scene.world.rogue(rogue).line(line).stands());
    scene.run(50);
    assert_eq!(scene.world.rogue(rogue).lines().count(), before);
    scene.run(15);
    assert_eq!(scene.world.rogue(rogue).lines().count(), before + 1);
    let line = LinkId(u64::try_from(before).unwrap() + 1);
    assert!(scene.world.rogue(rogue).line(line).stands());
}

#[test]
fn a_stranger_that_brings_only_trouble_makes_room_for_a_newcomer_and_a_quiet_one_does_not() {
    let mut scene = Scene::new();
    let node = scene
        .world
        .add_with(false, &[], |config| config.max_peers = 2);
    scene.run(1);
    let quiet = scene.world.add_rogue(Manners::good());
    let quiet_line = scene.world.intrude(quiet, node);
    let bad = scene.world.add_rogue(Manners::good());
    let bad_line = scene.world.intrude(bad, node);
    let newcomer = scene.world.add_rogue(Manners::good());
    let line = scene.world.intrude(newcomer, node);
    assert_eq!(
        farewell(&scene.world, newcomer, line),
        Some(DisconnectReason::TooManyPeers)
    );
    // One envelope that is refused is forgiven, and remembered.
    let now = scene.world.clock().unix;
    let expiry = circuits::time::UnixSecs(now.0 - 30);
    let late = Envelope::build(expiry, Ttl(50), Topic([1; 4]), vec![1; 40], 1);
    scene
        .world
        .incite(bad, |rogue, now| ((), rogue.gossip(now, bad_line, &[late])));
    scene.run(1);
    let line = scene.world.intrude(newcomer, node);
    assert!(scene.world.rogue(newcomer).line(line).stands());
    assert!(scene.world.rogue(quiet).line(quiet_line).stands());
    assert_eq!(
        farewell(&scene.world, bad, bad_line),
        Some(DisconnectReason::TooManyPeers)
    );
}
