//! The rules for a peer's messages on a link, and their limits (spec M8, M12, M17).

use circuits::directory::RelayEndpoint;
use circuits::ids::{NetworkId, Profile};
use whisht::link::{Capability, DisconnectReason};
use whisht::node::Command;
use whisht::onion_wire::OnionMessage;

use crate::fixture::{Fixture, RELAYS, TARGET};
use crate::sim::scripted_peer::PeerBehaviour;

#[test]
fn peer_of_other_network_gets_gossip_only() {
    let mut fixture = Fixture::new();
    let foreign_peer = fixture.world.add_scripted_peer(PeerBehaviour {
        network: Some(NetworkId::new(Profile::Local, "another")),
        ..PeerBehaviour::relay()
    });
    let link = fixture.world.connect_scripted(foreign_peer, TARGET);
    let cell = fixture.echo_cell();
    fixture.world.act(foreign_peer, |attacker, now| {
        ((), attacker.send_cells(now, link, &[cell]))
    });
    let envelope = fixture.envelope();
    fixture.world.act(foreign_peer, |attacker, now| {
        ((), attacker.send_envelopes(now, link, &[envelope]))
    });
    fixture.run(5);
    assert!(fixture.session().cells().is_empty());
    assert!(fixture.world.scripted(foreign_peer).session(link).is_open());
    assert!(
        fixture
            .world
            .scripted(foreign_peer)
            .session(link)
            .relays()
            .is_empty()
    );
    assert_eq!(fixture.world.status(TARGET).pool_envelopes, 1);
}

#[test]
fn cells_before_status_are_ignored() {
    let mut fixture = Fixture::new();
    let early_peer = fixture.world.add_scripted_peer(PeerBehaviour {
        network: None,
        ..PeerBehaviour::relay()
    });
    let link = fixture.world.connect_scripted(early_peer, TARGET);
    let cell = fixture.echo_cell();
    fixture.world.act(early_peer, |attacker, now| {
        ((), attacker.send_cells(now, link, &[cell]))
    });
    fixture.run(10);
    assert!(fixture.session().cells().is_empty());
    assert!(
        fixture.world.scripted(early_peer).session(link).is_open(),
        "the peer may gossip"
    );
}

#[test]
fn malformed_onion_message_ends_link_with_subprotocol_error() {
    for (code, payload) in [
        (0, vec![0xc0]),
        (1, vec![0xc1, 0x80]),
        (2, vec![0xff; 40]),
        (4, vec![0xc1, 0xc0]),
    ] {
        let mut fixture = Fixture::new();
        let link = fixture.link;
        fixture.world.act(fixture.attacker, |attacker, now| {
            let what = (Capability::ONION_1, code);
            ((), attacker.send_raw(now, link, what, payload))
        });
        fixture.run(1);
        assert_eq!(
            fixture.session().disconnect_reason,
            Some(DisconnectReason::SubprotocolError),
            "code {code}"
        );
    }
}

#[test]
fn reserved_onion_code_is_ignored() {
    let mut fixture = Fixture::new();
    let link = fixture.link;
    fixture.world.act(fixture.attacker, |attacker, now| {
        let what = (Capability::ONION_1, 15);
        ((), attacker.send_raw(now, link, what, vec![0xff; 40]))
    });
    fixture.run(1);
    assert!(fixture.session().is_open());
}

#[test]
fn equivocating_relay_is_excluded_by_every_node() {
    let mut fixture = Fixture::new();
    let endpoint = || vec![RelayEndpoint::Ip4([127, 0, 0, 1].into(), 9)];
    for salt in 0..2 {
        let raw = fixture.world.act(fixture.attacker, |attacker, now| {
            (attacker.descriptor(now, endpoint(), salt), Vec::new())
        });
        fixture.send_onion(&OnionMessage::Descriptors(vec![raw]));
        fixture.run(2);
        let usable = RELAYS + usize::from(salt == 0);
        for relay in 0..RELAYS {
            let status = fixture.world.status(relay);
            assert_eq!(status.eligible_relays, usable, "after story {salt}");
        }
    }
}

#[test]
fn flood_of_forged_descriptors_does_not_block_new_relay() {
    let mut fixture = Fixture::new();
    let known = fixture.world.status(TARGET).relays;
    let raw = fixture.world.act(fixture.attacker, |attacker, now| {
        let endpoints = vec![RelayEndpoint::Ip4([127, 0, 0, 1].into(), 9)];
        (attacker.descriptor(now, endpoints, 0), Vec::new())
    });
    for n in 0..500_usize {
        let mut forged = raw.clone();
        let at = forged.len() - 1 - n % 60;
        forged[at] ^= 1;
        fixture.send_onion(&OnionMessage::Descriptors(vec![forged]));
    }
    fixture.run(1);
    assert_eq!(fixture.world.status(TARGET).relays, known);
    let newcomer = fixture.world.add(true, &[TARGET, 1]);
    fixture.run(5);
    assert_eq!(fixture.world.status(newcomer).relays, known + 1);
    assert_eq!(fixture.world.status(TARGET).relays, known + 1);
}

#[test]
fn simultaneous_dials_leave_one_link() {
    let mut fixture = Fixture::new();
    let first = fixture.world.add(false, &[]);
    let second = fixture.world.add(false, &[]);
    for (at, peer) in [(first, second), (second, first)] {
        let peer = fixture.world.addr(peer);
        fixture.world.command(at, Command::AddPeer(peer)).unwrap();
    }
    fixture.run(30);
    assert_eq!(fixture.world.status(first).peers, 1);
    assert_eq!(fixture.world.status(second).peers, 1);
}

#[test]
fn silent_peer_in_handshake_is_redialled() {
    let mut fixture = Fixture::new();
    let tarpit = fixture.world.add_scripted_peer(PeerBehaviour {
        handshakes: false,
        ..PeerBehaviour::relay()
    });
    let peer = fixture.world.addr(tarpit);
    fixture.world.command(1, Command::AddPeer(peer)).unwrap();
    fixture.run(120);
    let tries = fixture.world.scripted(tarpit).sessions().count();
    assert!((3..20).contains(&tries), "{tries} tries in two minutes");
}
