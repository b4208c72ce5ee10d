//! What a neighbour may say on a link, and what it costs (spec M8, M12, M17).

use circuits::directory::RelayEndpoint;
use circuits::ids::{NetworkId, Profile};
use whisht::link::{Capability, DisconnectReason};
use whisht::node::Command;
use whisht::onion_wire::OnionMessage;

use crate::scene::{RELAYS, Scene, TARGET};
use crate::sim::scripted_peer::PeerBehaviour;

#[test]
fn a_neighbour_of_another_network_keeps_gossip_and_nothing_else() {
    let mut scene = Scene::new();
    let foreigner = scene.world.add_scripted_peer(PeerBehaviour {
        network: Some(NetworkId::new(Profile::Local, "another")),
        ..PeerBehaviour::relay()
    });
    let link = scene.world.connect_scripted(foreigner, TARGET);
    let cell = scene.echo();
    scene.world.act(foreigner, |attacker, now| {
        ((), attacker.send_cells(now, link, &[cell]))
    });
    let envelope = scene.envelope();
    scene.world.act(foreigner, |attacker, now| {
        ((), attacker.send_envelopes(now, link, &[envelope]))
    });
    scene.run(5);
    assert!(scene.session().cells().is_empty());
    assert!(scene.world.scripted(foreigner).session(link).is_open());
    assert!(
        scene
            .world
            .scripted(foreigner)
            .session(link)
            .relays()
            .is_empty()
    );
    assert_eq!(scene.world.status(TARGET).pool_envelopes, 1);
}

#[test]
fn what_comes_before_a_status_is_not_listened_to() {
    let mut scene = Scene::new();
    let rude = scene.world.add_scripted_peer(PeerBehaviour {
        network: None,
        ..PeerBehaviour::relay()
    });
    let link = scene.world.connect_scripted(rude, TARGET);
    let cell = scene.echo();
    scene.world.act(rude, |attacker, now| {
        ((), attacker.send_cells(now, link, &[cell]))
    });
    scene.run(10);
    assert!(scene.session().cells().is_empty());
    assert!(
        scene.world.scripted(rude).session(link).is_open(),
        "it may gossip"
    );
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
        let link = scene.link;
        scene.world.act(scene.attacker, |attacker, now| {
            let what = (Capability::ONION_1, code);
            ((), attacker.send_raw(now, link, what, payload))
        });
        scene.run(1);
        assert_eq!(
            scene.session().disconnect_reason,
            Some(DisconnectReason::SubprotocolError),
            "code {code}"
        );
    }
}

#[test]
fn a_reserved_code_is_ignored() {
    let mut scene = Scene::new();
    let link = scene.link;
    scene.world.act(scene.attacker, |attacker, now| {
        let what = (Capability::ONION_1, 15);
        ((), attacker.send_raw(now, link, what, vec![0xff; 40]))
    });
    scene.run(1);
    assert!(scene.session().is_open());
}

#[test]
fn a_relay_that_tells_two_stories_is_excluded_everywhere() {
    let mut scene = Scene::new();
    let endpoint = || vec![RelayEndpoint::Ip4([127, 0, 0, 1].into(), 9)];
    for salt in 0..2 {
        let raw = scene.world.act(scene.attacker, |attacker, now| {
            (attacker.descriptor(now, endpoint(), salt), Vec::new())
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
    let raw = scene.world.act(scene.attacker, |attacker, now| {
        let endpoints = vec![RelayEndpoint::Ip4([127, 0, 0, 1].into(), 9)];
        (attacker.descriptor(now, endpoints, 0), Vec::new())
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
        let stranger = scene.world.add_scripted_peer(PeerBehaviour::relay());
        lines.push((stranger, scene.world.connect_scripted(stranger, node)));
    }
    let (last, link) = lines[3];
    assert_eq!(
        scene.world.scripted(last).session(link).disconnect_reason,
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
    let tarpit = scene.world.add_scripted_peer(PeerBehaviour {
        handshakes: false,
        ..PeerBehaviour::relay()
    });
    let peer = scene.world.addr(tarpit);
    scene.world.command(1, Command::AddPeer(peer)).unwrap();
    scene.run(120);
    let tries = scene.world.scripted(tarpit).sessions().count();
    assert!((3..20).contains(&tries), "{tries} tries in two minutes");
}
