//! What a neighbour may say on a link, and what it costs (spec M8, M12, M17).

use circuits::directory::RelayEndpoint;
use circuits::ids::{NetworkId, Profile};
use whisht::link::{Capability, DisconnectReason};
use whisht::node::Command;
use whisht::onion_wire::OnionMessage;

use crate::scene::{RELAYS, Scene, TARGET};
use crate::sim::rogue::Manners;

#[test]
fn a_neighbour_of_another_network_keeps_gossip_and_nothing_else() {
    let mut scene = Scene::new();
    let foreigner = scene.world.add_rogue(Manners {
        network: Some(NetworkId::new(Profile::Local, "another")),
        ..Manners::good()
    });
    let line = scene.world.intrude(foreigner, TARGET);
    let cell = scene.echo();
    scene.world.incite(foreigner, |rogue, now| {
        ((), rogue.bring(now, line, &[cell]))
    });
    let envelope = scene.envelope();
    scene.world.incite(foreigner, |rogue, now| {
        ((), rogue.gossip(now, line, &[envelope]))
    });
    scene.run(5);
    assert!(scene.line().cells().is_empty());
    assert!(scene.world.rogue(foreigner).line(line).stands());
    assert!(scene.world.rogue(foreigner).line(line).relays().is_empty());
    assert_eq!(scene.world.status(TARGET).pool_envelopes, 1);
}

#[test]
fn what_comes_before_a_status_is_not_listened_to() {
    let mut scene = Scene::new();
    let rude = scene.world.add_rogue(Manners {
        network: None,
        ..Manners::good()
    });
    let line = scene.world.intrude(rude, TARGET);
    let cell = scene.echo();
    scene
        .world
        .incite(rude, |rogue, now| ((), rogue.bring(now, line, &[cell])));
    scene.run(10);
    assert!(scene.line().cells().is_empty());
    assert!(scene.world.rogue(rude).line(line).stands(), "it may gossip");
}

#[test]
fn a_malformed_body_ends_the_link_and_names_the_protocol() {
    for (code, payload) in [
        (0, vec![0xc0]),
        (1, vec![0xc1, 0x80]),
        (2, vec![0xff; 40]),
        (4, vec![0xc1, 0xc0]),
    ] {
        let mut scene = Scene::new();
        let line = scene.line;
        scene.world.incite(scene.rogue, |rogue, now| {
            let what = (Capability::ONION_1, code);
            ((), rogue.babble(now, line, what, payload))
        });
        scene.run(1);
        assert_eq!(
            scene.line().farewell,
            Some(DisconnectReason::SubprotocolError),
            "code {code}"
        );
    }
}

#[test]
fn a_reserved_code_is_ignored() {
    let mut scene = Scene::new();
    let line = scene.line;
    scene.world.incite(scene.rogue, |rogue, now| {
        let what = (Capability::ONION_1, 15);
        ((), rogue.babble(now, line, what, vec![0xff; 40]))
    });
    scene.run(1);
    assert!(scene.line().stands());
}

#[test]
fn a_relay_that_tells_two_stories_is_excluded_everywhere() {
    let mut scene = Scene::new();
    let endpoint = || vec![RelayEndpoint::Ip4([127, 0, 0, 1].into(), 9)];
    for salt in 0..2 {
        let raw = scene.world.incite(scene.rogue, |rogue, now| {
            (rogue.descriptor(now, endpoint(), salt), Vec::new())
        });
        scene.say(&OnionMessage::Descriptors(vec![raw]));
        scene.run(2);
        let usable = RELAYS + usize::from(salt == 0);
        for relay in 0..RELAYS {
            let status = scene.world.status(relay);
            assert_eq!(status.eligible_relays, usable, "after story {salt}");
        }
    }
}

#[test]
fn a_flood_of_worthless_descriptors_fills_no_directory_and_keeps_no_other_out() {
    let mut scene = Scene::new();
    let known = scene.world.status(TARGET).relays;
    let raw = scene.world.incite(scene.rogue, |rogue, now| {
        let endpoints = vec![RelayEndpoint::Ip4([127, 0, 0, 1].into(), 9)];
        (rogue.descriptor(now, endpoints, 0), Vec::new())
    });
    for n in 0..500_usize {
        let mut forged = raw.clone();
        let at = forged.len() - 1 - n % 60;
        forged[at] ^= 1;
        scene.say(&OnionMessage::Descriptors(vec![forged]));
    }
    scene.run(1);
    assert_eq!(scene.world.status(TARGET).relays, known);
    let newcomer = scene.world.add(true, &[TARGET, 1]);
    scene.run(5);
    assert_eq!(scene.world.status(newcomer).relays, known + 1);
    assert_eq!(scene.world.status(TARGET).relays, known + 1);
}

#[test]
fn two_nodes_that_dial_each_other_at_once_end_with_one_link() {
    let mut scene = Scene::new();
    let first = scene.world.add(false, &[]);
    let second = scene.world.add(false, &[]);
    for (at, peer) in [(first, second), (second, first)] {
        let peer = scene.world.addr(peer);
        scene.world.command(at, Command::AddPeer(peer)).unwrap();
    }
    scene.run(30);
    assert_eq!(scene.world.status(first).peers, 1);
    assert_eq!(scene.world.status(second).peers, 1);
}

#[test]
fn strangers_that_fill_every_place_keep_no_peer_out_that_the_user_named() {
    let mut scene = Scene::new();
    let node = scene
        .world
        .add_with(false, &[], |config| config.max_peers = 3);
    scene.run(1);
    let mut lines = Vec::new();
    for _ in 0..4 {
        let stranger = scene.world.add_rogue(Manners::good());
        lines.push((stranger, scene.world.intrude(stranger, node)));
    }
    let (last, line) = lines[3];
    assert_eq!(
        scene.world.rogue(last).line(line).farewell,
        Some(DisconnectReason::TooManyPeers)
    );
    let friend = scene.world.addr(TARGET);
    scene.world.command(node, Command::AddPeer(friend)).unwrap();
    scene.run(2);
    assert_eq!(scene.world.status(node).peers, 4);
}

#[test]
fn a_peer_that_is_mute_in_the_handshake_is_tried_again() {
    let mut scene = Scene::new();
    let tarpit = scene.world.add_rogue(Manners {
        handshakes: false,
        ..Manners::good()
    });
    let peer = scene.world.addr(tarpit);
    scene.world.command(1, Command::AddPeer(peer)).unwrap();
    scene.run(120);
    let tries = scene.world.rogue(tarpit).lines().count();
    assert!((3..20).contains(&tries), "{tries} tries in two minutes");
}
