//! Whole nodes in simulated time.

use std::time::Duration;

use circuits::ids::Profile;
use circuits::level::Level;
use whisht::discovery::Contact;
use whisht::node::{Command, NodeConfig, PeerView, Reply};

use crate::sim::World;
use crate::sim::scripted_peer::PeerBehaviour;

/// A node whose bootnode is the first node of the world.
fn seeker(world: &World) -> impl FnOnce(&mut NodeConfig) + use<> {
    let bootnode = Contact::of(&world.addr(0)).unwrap();
    move |config| config.discovery = Some(vec![bootnode])
}

fn peers(world: &mut World, at: usize) -> Vec<PeerView> {
    match world.command(at, Command::Peers) {
        Ok(Reply::Peers(peers)) => peers,
        other => panic!("{other:?}"),
    }
}

/// A bootnode and `count` nodes that know only it.
fn bootnode_and_peers(count: usize, max_peers: usize) -> World {
    let mut world = World::new(Duration::from_millis(20));
    world.add_with(false, &[], |config| {
        config.discovery = Some(Vec::new());
        config.max_peers = max_peers;
    });
    for _ in 0..count {
        let seeker = seeker(&world);
        world.add_with(false, &[], |config| {
            seeker(config);
            config.max_peers = max_peers;
        });
    }
    world
}

#[test]
fn simulated_nodes_become_peers_from_one_bootnode() {
    let mut world = bootnode_and_peers(11, 9);
    world.run(Duration::from_secs(60));
    for at in 0..12 {
        let status = world.status(at);
        let known = status.discovery.unwrap_or_default();
        assert!(known >= 8, "{at} knows {known}");
        assert!(status.peers >= 3, "{at} has {} peers", status.peers);
    }
}

#[test]
fn discovered_peers_fill_at_most_a_third_of_slots() {
    let mut world = bootnode_and_peers(14, 9);
    let mut most = 0;
    for _ in 0..30 {
        world.run(Duration::from_secs(4));
        for at in 0..15 {
            let peers = peers(&mut world, at);
            let found = peers.iter().filter(|peer| peer.found).count();
            assert!(found <= 3, "{at} has {found}");
            assert!(peers.iter().all(|peer| !peer.found || peer.outbound));
            most = most.max(found);
        }
    }
    assert_eq!(most, 3);
}

#[test]
fn node_without_discovery_sends_no_datagrams() {
    let mut world = World::new(Duration::from_millis(20));
    world.add(false, &[]);
    let seeker = seeker(&world);
    let at = world.add_with(false, &[], seeker);
    world.run(Duration::from_secs(60));
    assert_eq!(world.status(0).discovery, None);
    assert_eq!(world.status(at).discovery, Some(0));
    assert_eq!((world.status(0).peers, world.status(at).peers), (0, 0));
    assert!(world.datagrams_of(0).is_empty() && !world.datagrams_of(at).is_empty());
}

#[test]
fn discovered_peers_do_not_count_for_stem_levels() {
    let mut world = bootnode_and_peers(5, 12);
    world.run(Duration::from_secs(60));
    let status = world.status(3);
    assert!(status.found_peers > 0 && status.dark_peers > 1);
    // Stems need outbound peers that the user named; no node here has one.
    let mut levels = status.levels.iter();
    let swift = levels.find(|level| level.level == Level::Swift).unwrap();
    assert!(swift.missing.is_some());
    let named = world.addr(0);
    world.command(3, Command::AddPeer(named)).unwrap();
    let named = world.addr(1);
    world.command(3, Command::AddPeer(named)).unwrap();
    world.run(Duration::from_secs(60));
    let status = world.status(3);
    let mut levels = status.levels.iter();
    let swift = levels.find(|level| level.level == Level::Swift).unwrap();
    assert_eq!(swift.missing, None);
}

#[test]
fn discovered_unresponsive_node_is_redialled_with_backoff() {
    let mut world = World::new(Duration::from_millis(20));
    let mute = PeerBehaviour {
        handshakes: false,
        ..PeerBehaviour::relay()
    };
    world.add_discoverable_peer(mute);
    let seeker = seeker(&world);
    let at = world.add_with(false, &[], seeker);
    world.run(Duration::from_secs(3_600));
    assert_eq!(
        world.status(at).discovery,
        Some(1),
        "the node is online and answers"
    );
    let dials = world.scripted(0).sessions().count();
    assert!((2..=6).contains(&dials), "{dials}");
}

#[test]
fn local_profile_sends_datagrams_to_loopback_only() {
    let mut world = World::new(Duration::from_millis(20));
    world.add_with(false, &[], |config| config.discovery = Some(Vec::new()));
    let seeker = seeker(&world);
    let far = "enode://79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798\
               483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8@8.8.8.8:30303";
    let at = world.add_with(false, &[], |config| {
        seeker(config);
        assert_eq!(config.profile, Profile::Local);
        let bootnodes = config.discovery.get_or_insert_default();
        bootnodes.push(far.parse().unwrap());
    });
    world.run(Duration::from_secs(30));
    assert_eq!(world.status(at).discovery, Some(1));
    let asked = world.datagrams_of(at);
    assert!(asked.iter().all(|to| to.ip().is_loopback()), "{asked:?}");
}
