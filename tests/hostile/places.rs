//! Links that do nothing but hold their places (docs/operating.md, "Inbound places").

use std::time::Duration;

use circuits::ids::LinkId;
use whisht::link::DisconnectReason;
use whisht::node::{Command, InboundView, MAX_INBOUND_LINKS};

use crate::sim::World;
use crate::sim::scripted_peer::PeerBehaviour;

/// A node with few places for gossip peers.
fn node(world: &mut World, max_peers: usize) -> usize {
    let node = world.add_with(false, &[], |config| config.max_peers = max_peers);
    world.run(Duration::from_secs(1));
    node
}

/// Links of attackers that say their status and nothing more.
fn idle_links(
    world: &mut World,
    node: usize,
    count: usize,
    behaviour: PeerBehaviour,
) -> Vec<(usize, LinkId)> {
    let peer = world.addr(node);
    let links = (0..count)
        .map(|_| {
            let attacker = world.add_scripted_peer(behaviour);
            let link = world.act(attacker, |attacker, _| attacker.dial(peer));
            (attacker, link)
        })
        .collect();
    world.run(Duration::from_secs(2));
    links
}

fn inbound(world: &mut World, node: usize) -> InboundView {
    world.status(node).inbound
}

fn disconnect_reason(world: &World, (peer, link): (usize, LinkId)) -> Option<DisconnectReason> {
    world.scripted(peer).session(link).disconnect_reason
}

/// Whether a node gets a link within this many seconds.
fn connects(world: &mut World, node: usize, secs: u64) -> bool {
    (0..secs).any(|_| {
        world.run(Duration::from_secs(1));
        world.status(node).peers > 0
    })
}

/// Adds a peer that a node always admits; returns whether it gets a link within two seconds.
fn named_peer_connects(world: &mut World, node: usize) -> bool {
    let named = world.add(false, &[node]);
    let key = world.addr(named).key;
    let admitted = world.command(node, Command::AlwaysAdmit(key, true));
    admitted.unwrap();
    connects(world, named, 2)
}

/// Attack: links that carry only cells, and none, take all inbound places.
#[test]
fn idle_links_for_cells_shut_out_neither_named_peers_nor_newcomers() {
    let mut world = World::new(Duration::from_millis(5));
    let node = node(&mut world, 25);
    let idle = PeerBehaviour::cells_only();
    let links = idle_links(&mut world, node, MAX_INBOUND_LINKS + 20, idle);
    let view = inbound(&mut world, node);
    assert_eq!(view.cells_only, MAX_INBOUND_LINKS);
    assert_eq!((view.displaced, view.turned_away), (20, 0));
    assert!(view.full.is_some_and(|full| full.contains("256")));
    let cut = links
        .iter()
        .find(|link| !world.scripted(link.0).session(link.1).is_open());
    let reason = disconnect_reason(&world, *cut.unwrap());
    assert_eq!(reason, Some(DisconnectReason::TooManyPeers));

    let newcomer = world.add(false, &[node]);
    assert!(connects(&mut world, newcomer, 15));
    assert!(named_peer_connects(&mut world, node));
    let view = inbound(&mut world, node);
    assert_eq!((view.named, view.gossip), (1, 1));

    // The idle links end when places have been short for ten minutes.
    world.run(Duration::from_secs(640));
    let view = inbound(&mut world, node);
    assert!(view.cells_only <= MAX_INBOUND_LINKS * 3 / 4, "{view:?}");
    assert_eq!((view.named, view.gossip), (1, 1));
}

/// Attack: links of `shh/6` that bring nothing fill `max-peers`.
#[test]
fn idle_gossip_links_shut_out_neither_named_peers_nor_newcomers() {
    let mut world = World::new(Duration::from_millis(5));
    let node = node(&mut world, 4);
    let idle = PeerBehaviour::shh6_only("Geth/v1.9.25-stable");
    let links = idle_links(&mut world, node, 4, idle);
    assert!(named_peer_connects(&mut world, node));
    let open = |world: &World| {
        let open = |link: &&(usize, LinkId)| world.scripted(link.0).session(link.1).is_open();
        links.iter().filter(open).count()
    };
    assert_eq!(
        open(&world),
        4,
        "a named peer takes a place above the maximum"
    );
    let newcomer = world.add(false, &[node]);
    assert!(connects(&mut world, newcomer, 15));
    assert!(open(&world) < 4);
    let full = inbound(&mut world, node).full;
    assert!(full.is_some_and(|full| full.contains("max-peers")));
}

/// Attack: newcomers without end, to push out peers that are useful.
#[test]
fn newcomers_displace_no_peer_that_brought_envelopes() {
    let mut world = World::new(Duration::from_millis(5));
    let node = node(&mut world, 3);
    let honest = PeerBehaviour::shh6_only("Geth/v1.9.25-stable");
    let useful = idle_links(&mut world, node, 2, honest);
    for (peer, link) in &useful {
        let envelope = world.mined_envelope(*peer, 60);
        world.act(*peer, |peer, now| {
            ((), peer.send_envelopes(now, *link, &[envelope]))
        });
    }
    world.run(Duration::from_secs(1));
    let flood = idle_links(&mut world, node, 30, honest);
    let stays = |link: &&(usize, LinkId)| world.scripted(link.0).session(link.1).is_open();
    assert_eq!(useful.iter().filter(stays).count(), 2);
    assert_eq!(flood.iter().filter(stays).count(), 1);
}

/// Attack: links that complete their handshake and never say what they speak.
#[test]
fn link_without_status_ends() {
    let mut world = World::new(Duration::from_millis(5));
    let node = node(&mut world, 25);
    let silent = PeerBehaviour {
        network: None,
        ..PeerBehaviour::cells_only()
    };
    let links = idle_links(&mut world, node, 3, silent);
    world.run(Duration::from_secs(4));
    for link in links {
        let reason = disconnect_reason(&world, link);
        assert_eq!(reason, Some(DisconnectReason::UselessPeer));
    }
    assert_eq!(world.status(node).peers, 0);
}
