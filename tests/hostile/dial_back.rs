//! Peers that dial a node on request (docs/wire.md, "Dial back"): honest ones, liars and floods.

use std::time::Duration;

use circuits::directory::RelayEndpoint;
use circuits::ids::LinkId;
use whisht::node::{Command, DialBackOutcome, DialBackView, Refusal, Reply};
use whisht::onion_wire::{DialBackMessage, DialBackNonce, DialBackResult, OnionMessage};

use crate::sim::World;
use crate::sim::scripted_peer::PeerBehaviour;

const NONCE: DialBackNonce = DialBackNonce([9; 8]);

/// The first port of the world; machine `n` listens at this port plus `n`.
const FIRST_PORT: u16 = 20_000;

fn ask(world: &mut World, node: usize) -> Result<DialBackView, Refusal> {
    match world.ask(node, Command::DialBack)? {
        Reply::DialBack(view) => Ok(view),
        other => panic!("{other:?}"),
    }
}

fn outcomes(view: &DialBackView) -> Vec<DialBackOutcome> {
    view.peers.iter().map(|peer| peer.outcome).collect()
}

/// Nodes, and one more that dials them all.
fn nodes_and_asker(world: &mut World, count: usize) -> usize {
    let nodes: Vec<usize> = (0..count).map(|_| world.add(false, &[])).collect();
    let asker = world.add(false, &nodes);
    world.run(Duration::from_secs(5));
    asker
}

fn wait(world: &mut World, secs: u64) {
    world.run(Duration::from_secs(secs));
}

fn send(world: &mut World, peer: usize, link: LinkId, message: DialBackMessage) {
    let message = OnionMessage::DialBack(message);
    world.act(peer, |peer, now| ((), peer.send_onion(now, link, &message)));
}

fn request(world: &mut World, peer: usize, link: LinkId, port: u16) {
    let port = port.try_into().unwrap();
    let request = DialBackMessage::Request { nonce: NONCE, port };
    send(world, peer, link, request);
}

/// The dial back messages that a scripted peer received.
fn received(world: &World, peer: usize) -> Vec<DialBackMessage> {
    let sessions = world.scripted(peer).sessions();
    let messages = sessions.flat_map(|session| session.onion_messages());
    let dial_backs = messages.filter_map(|(_, message)| match message {
        OnionMessage::DialBack(message) => Some(message),
        _ => None,
    });
    dial_backs.collect()
}

fn results(world: &World, peer: usize) -> Vec<DialBackResult> {
    let answers = received(world, peer).into_iter();
    let results = answers.filter_map(|message| match message {
        DialBackMessage::Answer { nonce, result } if nonce == NONCE => Some(result),
        _ => None,
    });
    results.collect()
}

/// Machines to which a node opened connections after `before` of them.
fn new_dials(world: &World, node: usize, before: usize) -> Vec<usize> {
    let dials = world.dials(node).into_iter().skip(before);
    dials.map(|(_, to)| to).collect()
}

#[test]
fn node_is_reached_by_three_peers_and_no_link_comes_of_it() {
    let mut world = World::new(Duration::from_millis(5));
    let asker = nodes_and_asker(&mut world, 4);
    let before = world.status(asker);
    assert_eq!((before.peers, before.dial_back), (4, None));

    let view = ask(&mut world, asker).unwrap();
    assert_eq!(outcomes(&view), [DialBackOutcome::Reached; 3]);
    let port = FIRST_PORT + u16::try_from(asker).unwrap();
    assert!(view.peers.iter().all(|peer| peer.port == port), "{view:?}");
    let dialled = (0..4).filter(|node| new_dials(&world, *node, 0) == [asker]);
    assert_eq!(dialled.count(), 3);

    wait(&mut world, 10);
    let after = world.status(asker);
    assert_eq!((after.peers, after.refused), (4, 0));
    assert_eq!(after.unreached_peers, before.unreached_peers);
    let inbound = &after.inbound;
    assert_eq!((inbound.unproven, inbound.displaced), (0, 0));
    assert_eq!(inbound.gossip + inbound.cells_only + inbound.named, 0);
    assert_eq!(after.dial_back.unwrap().peers, view.peers);
    for node in 0..4 {
        let status = world.status(node);
        assert_eq!((status.peers, status.refused), (1, 0), "node {node}");
    }
}

#[test]
fn peers_are_asked_once_in_ten_minutes() {
    let mut world = World::new(Duration::from_millis(5));
    let asker = nodes_and_asker(&mut world, 2);
    let first = ask(&mut world, asker).unwrap();
    wait(&mut world, 590);
    let again = ask(&mut world, asker).unwrap();
    assert_eq!(again.peers, first.peers);
    assert!(again.secs_ago >= 590);
    assert_eq!(new_dials(&world, 0, 0), [asker]);
    wait(&mut world, 11);
    let second = ask(&mut world, asker).unwrap();
    assert_eq!(outcomes(&second), [DialBackOutcome::Reached; 2]);
    assert_eq!(new_dials(&world, 0, 0), [asker, asker]);
}

#[test]
fn closed_port_gets_no_answer() {
    let mut world = World::new(Duration::from_millis(5));
    let asker = nodes_and_asker(&mut world, 2);
    world.put_behind_nat(asker);
    let view = ask(&mut world, asker).unwrap();
    assert_eq!(outcomes(&view), [DialBackOutcome::NoAnswer; 2]);
}

#[test]
fn another_node_behind_the_advertised_port_is_not_taken_for_the_asking_node() {
    let mut world = World::new(Duration::from_millis(5));
    let nodes = [world.add(false, &[]), world.add(false, &[])];
    let other = world.add(false, &[]);
    let port = FIRST_PORT + u16::try_from(other).unwrap();
    let asker = world.add_with(false, &nodes, |config| {
        config.advertise = vec![RelayEndpoint::Ip4([127, 0, 0, 1].into(), port)];
    });
    wait(&mut world, 5);
    let view = ask(&mut world, asker).unwrap();
    assert_eq!(outcomes(&view), [DialBackOutcome::OtherKey; 2]);
    assert!(view.peers.iter().all(|peer| peer.port == port));
    assert_eq!(new_dials(&world, nodes[0], 0), [other]);
}

#[test]
fn client_and_node_behind_tor_never_ask() {
    let mut world = World::new(Duration::from_millis(5));
    let peer = world.add_scripted_peer(PeerBehaviour::relay());
    let client = world.add_with(false, &[peer], |config| config.listening.clear());
    let behind_tor = world.add_with(false, &[peer], |config| config.through_tor = true);
    wait(&mut world, 5);
    for node in [client, behind_tor] {
        let refused = ask(&mut world, node).unwrap_err().to_string();
        assert!(refused.contains("accepts no connections"), "{refused}");
        wait(&mut world, 1_300);
    }
    assert_eq!(received(&world, peer), []);
}

#[test]
fn node_without_a_command_asks_no_peer() {
    let mut world = World::new(Duration::from_millis(5));
    let peer = world.add_scripted_peer(PeerBehaviour::relay());
    world.add(true, &[peer]);
    wait(&mut world, 1_300);
    assert_eq!(received(&world, peer), []);
}

/// Attack: a peer reports that it reached the node, and has not dialled.
#[test]
fn report_of_a_connection_that_never_came_is_contradicted() {
    let mut world = World::new(Duration::from_millis(5));
    let liar = world.add_scripted_peer(PeerBehaviour::relay());
    let honest = world.add(false, &[]);
    let asker = world.add(false, &[liar, honest]);
    wait(&mut world, 5);
    // The peers take their time, so the command is not answered at once.
    let _unanswered = world.command(asker, Command::DialBack);
    wait(&mut world, 1);
    let asked = received(&world, liar);
    let [DialBackMessage::Request { nonce, .. }] = asked[..] else {
        panic!("{asked:?}");
    };
    let link = LinkId(1);
    let answer = |nonce| DialBackMessage::Answer {
        nonce,
        result: DialBackResult::Reached,
    };
    send(&mut world, liar, link, answer(NONCE));
    send(&mut world, liar, link, answer(nonce));
    let view = ask(&mut world, asker).unwrap();
    let key = hex::encode(world.addr(liar).key.0);
    for peer in &view.peers {
        let expected = if peer.peer == key {
            DialBackOutcome::Contradicted
        } else {
            DialBackOutcome::Reached
        };
        assert_eq!(peer.outcome, expected);
    }
    assert_eq!(view.peers.len(), 2);
}

#[test]
fn silent_peer_delays_the_report_by_fifteen_seconds() {
    let mut world = World::new(Duration::from_millis(5));
    let silent = world.add_scripted_peer(PeerBehaviour::relay());
    let asker = world.add(false, &[silent]);
    wait(&mut world, 5);
    let begun = world.clock().mono;
    let view = ask(&mut world, asker).unwrap();
    assert_eq!(outcomes(&view), [DialBackOutcome::Silent]);
    assert_eq!(world.clock().mono.since(begun), Duration::from_secs(15));
}

/// Attack: one peer asks without a pause, to let the node dial in its place.
#[test]
fn flood_of_requests_of_one_key_gets_one_dial_and_one_answer() {
    let mut world = World::new(Duration::from_millis(5));
    let target = world.add(false, &[]);
    let attacker = world.add_scripted_peer(PeerBehaviour::relay());
    let link = world.connect_scripted(attacker, target);
    let port = FIRST_PORT + u16::try_from(attacker).unwrap();
    for _ in 0..300 {
        request(&mut world, attacker, link, port);
    }
    wait(&mut world, 20);
    assert_eq!(new_dials(&world, target, 0), [attacker]);
    assert_eq!(results(&world, attacker), [DialBackResult::Reached]);
    // Ten minutes later one more is answered.
    wait(&mut world, 600);
    request(&mut world, attacker, link, port);
    wait(&mut world, 20);
    assert_eq!(results(&world, attacker).len(), 2);
    // Far more than an honest peer would send end the link.
    for _ in 0..2_000 {
        request(&mut world, attacker, link, port);
    }
    wait(&mut world, 5);
    assert!(!world.scripted(attacker).session(link).is_open());
}

/// Attack: many keys at one address, whose ports accept connections and say nothing.
#[test]
fn dials_for_one_address_are_few_and_end_after_ten_seconds() {
    let mut world = World::new(Duration::from_millis(5));
    let target = world.add(false, &[]);
    let mute = world.add_scripted_peer(PeerBehaviour {
        handshakes: false,
        ..PeerBehaviour::relay()
    });
    let port = FIRST_PORT + u16::try_from(mute).unwrap();
    let attackers: Vec<(usize, LinkId)> = (0..12)
        .map(|_| {
            let attacker = world.add_scripted_peer(PeerBehaviour::relay());
            (attacker, world.connect_scripted(attacker, target))
        })
        .collect();
    for (attacker, link) in &attackers {
        request(&mut world, *attacker, *link, port);
        wait(&mut world, 2);
    }
    wait(&mut world, 20);
    assert_eq!(new_dials(&world, target, 0), [mute; 4]);
    let all: Vec<Vec<DialBackResult>> = attackers
        .iter()
        .map(|(attacker, _)| results(&world, *attacker))
        .collect();
    let with = |result| all.iter().filter(|own| **own == [result]).count();
    assert_eq!(with(DialBackResult::OtherKey), 4);
    assert_eq!(with(DialBackResult::Busy), 8, "{all:?}");
}

/// Attack: peers in many networks let the node dial ports that say nothing.
#[test]
fn at_most_four_dials_wait_at_once() {
    let mut world = World::new(Duration::from_millis(5));
    let target = world.add(false, &[]);
    let silent = PeerBehaviour {
        handshakes: false,
        ..PeerBehaviour::relay()
    };
    // 64 machines share an address, so one attacker and one mute program are on each of six.
    let mut attackers = Vec::new();
    let mut mutes = Vec::new();
    for _ in 0..6 {
        let attacker = world.add_scripted_peer(PeerBehaviour::relay());
        let link = world.connect_scripted(attacker, target);
        let mute = world.add_scripted_peer(silent);
        attackers.push((attacker, link));
        mutes.push(mute);
        for _ in 0..62 {
            world.add_scripted_peer(silent);
        }
    }
    for ((attacker, link), mute) in attackers.iter().zip(&mutes) {
        let port = FIRST_PORT + u16::try_from(*mute).unwrap();
        request(&mut world, *attacker, *link, port);
        wait(&mut world, 1);
    }
    assert_eq!(new_dials(&world, target, 0), mutes[..4]);
    wait(&mut world, 15);
    let result = |(attacker, _): &(usize, LinkId)| results(&world, *attacker);
    let all: Vec<_> = attackers.iter().flat_map(result).collect();
    let (late, busy) = (DialBackResult::OtherKey, DialBackResult::Busy);
    assert_eq!(all, [late, late, late, late, busy, busy]);
}

#[test]
fn more_than_one_dial_a_second_is_refused_as_busy() {
    let mut world = World::new(Duration::from_millis(5));
    let target = world.add(false, &[]);
    let peers = [(); 2].map(|()| {
        let peer = world.add_scripted_peer(PeerBehaviour::relay());
        (peer, world.connect_scripted(peer, target))
    });
    for (peer, link) in peers {
        request(&mut world, peer, link, FIRST_PORT);
    }
    wait(&mut world, 15);
    let [first, second] = peers.map(|(peer, _)| results(&world, peer));
    assert_eq!(first, [DialBackResult::OtherKey]);
    assert_eq!(second, [DialBackResult::Busy]);
}

/// Attack: a peer lets the node dial a port of another machine.
#[test]
fn port_of_another_address_is_out_of_reach() {
    let mut world = World::new(Duration::from_millis(5));
    let target = world.add(false, &[]);
    let victim = world.add(false, &[]);
    // The machines from number 64 on have another address.
    let attacker = (0..64)
        .map(|_| world.add_scripted_peer(PeerBehaviour::relay()))
        .last();
    let attacker = attacker.unwrap();
    let link = world.connect_scripted(attacker, target);
    let port = FIRST_PORT + u16::try_from(victim).unwrap();
    request(&mut world, attacker, link, port);
    wait(&mut world, 15);
    assert_eq!(results(&world, attacker), [DialBackResult::NoAnswer]);
    assert!(new_dials(&world, target, 0).is_empty());
    let inbound = world.status(victim).inbound;
    assert_eq!((inbound.unproven, inbound.gossip), (0, 0));
}

#[test]
fn node_does_not_dial_low_ports_nor_over_its_own_links_nor_without_a_listener() {
    let mut world = World::new(Duration::from_millis(5));
    let target = world.add(false, &[]);
    let client = world.add_with(false, &[], |config| config.listening.clear());
    for (node, port, result) in [
        (target, 1_023, DialBackResult::PortNotDialed),
        (client, 20_003, DialBackResult::NeverDials),
    ] {
        let peer = world.add_scripted_peer(PeerBehaviour::relay());
        let link = world.connect_scripted(peer, node);
        request(&mut world, peer, link, port);
        wait(&mut world, 1);
        assert_eq!(results(&world, peer), [result]);
        assert!(new_dials(&world, node, 0).is_empty());
    }
    let dialled = world.add_scripted_peer(PeerBehaviour::relay());
    world.add(false, &[dialled]);
    wait(&mut world, 5);
    request(&mut world, dialled, LinkId(1), 20_000);
    wait(&mut world, 1);
    let declined = results(&world, dialled);
    assert_eq!(declined, [DialBackResult::AddressNotDialed]);
}
