//! Peers with different PoW rules, and the work of envelopes for them (docs/decisions/0005).

use std::time::Duration;

use circuits::level::Level;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use whisht::envelope::Topic;
use whisht::gossip::packet::{ShhPacket, code};
use whisht::message::ClientSecret;
use whisht::node::{Command, PowGeneration, Recipient, Reply, SendRequest};
use whisht::pow::PowValues;

use crate::sim::World;
use crate::sim::scripted_peer::{PeerBehaviour, PeerSession};

const OLD: &str = "Geth/v1.8.27-stable/linux-amd64/go1.10.4";
const NEW: &str = "Geth/v1.9.20-stable/linux-amd64/go1.14";

fn open_message() -> SendRequest {
    let secret = ClientSecret::generate(&mut ChaCha20Rng::from_seed([9; 32]));
    SendRequest {
        to: Recipient::Public(secret.public(), Topic([1, 2, 3, 4])),
        sign_as: None,
        payload: b"plainly".to_vec().into(),
        level: Some(Level::Open),
        life: Duration::from_secs(600),
        reader: whisht::node::ReaderKind::default(),
    }
}

/// A node that dialled one peer for each client name.
fn node_with_peers(
    clients: &[&'static str],
    generation: PowGeneration,
) -> (World, usize, Vec<usize>) {
    let mut world = World::new(Duration::from_millis(5));
    let peers: Vec<usize> = clients
        .iter()
        .map(|client| world.add_scripted_peer(PeerBehaviour::shh6_only(client)))
        .collect();
    let node = world.add_with(false, &peers, |config| config.pow_generation = generation);
    world.run(Duration::from_secs(5));
    (world, node, peers)
}

/// The work of every envelope that arrived on a link.
fn work(session: &PeerSession) -> Vec<PowValues> {
    let received = session.received.iter();
    received
        .filter(|received| received.code == u16::from(code::MESSAGES))
        .filter_map(
            |received| match ShhPacket::decode(code::MESSAGES, &received.payload) {
                Ok(ShhPacket::Messages(envelopes)) => Some(envelopes),
                _ => None,
            },
        )
        .flatten()
        .map(|envelope| PowValues::of(&envelope.unwrap()))
        .collect()
}

fn expected_hashes(world: &mut World, node: usize) -> f64 {
    match world.command(node, Command::Estimate(open_message())) {
        Ok(Reply::Estimate(estimate)) => estimate.expected_hashes,
        other => panic!("{other:?}"),
    }
}

#[test]
fn open_message_pow_follows_rule_of_only_peer() {
    for (client, old) in [(OLD, true), (NEW, false)] {
        let (mut world, node, peers) = node_with_peers(&[client], PowGeneration::Auto);
        world.command(node, Command::Send(open_message())).unwrap();
        world.run(Duration::from_secs(10));
        let session = world.scripted(peers[0]).sessions().next().unwrap();
        let work = work(session);
        assert_eq!(work.len(), 1, "{client}");
        let judged = if old { work[0].legacy } else { work[0].modern };
        assert!(judged >= 0.002, "{client}");
    }
}

#[test]
fn open_message_pow_satisfies_both_rules_for_mixed_peers() {
    let squared = |world: &mut World, node| {
        let hashes = expected_hashes(world, node);
        hashes.log2().round().rem_euclid(2.0) < 0.5 && hashes > f64::from(1 << 20)
    };
    let (mut world, node, _) = node_with_peers(&[OLD, NEW], PowGeneration::Auto);
    assert!(squared(&mut world, node));
    let (mut world, node, _) = node_with_peers(&["unknown/knows"], PowGeneration::Auto);
    assert!(
        squared(&mut world, node),
        "an unknown peer may have either rule"
    );
    let (mut world, node, _) = node_with_peers(&[OLD, NEW], PowGeneration::Modern);
    assert!(!squared(&mut world, node));
    let (mut world, node, _) = node_with_peers(&[NEW], PowGeneration::Both);
    assert!(squared(&mut world, node));
    let (mut world, node, _) = node_with_peers(&["whisht/v9"], PowGeneration::Auto);
    assert!(!squared(&mut world, node), "whisht accepts either rule");
}

#[test]
fn peers_that_refuse_pow_of_onion_messages_are_counted() {
    let (mut world, node, _) = node_with_peers(&[OLD, NEW, "unknown/knows"], PowGeneration::Legacy);
    assert_eq!(world.status(node).unserved_peers, 2);
    let Ok(Reply::Peers(peers)) = world.command(node, Command::Peers) else {
        panic!("no list of peers");
    };
    for peer in peers {
        assert_eq!(peer.served, peer.client == NEW, "{}", peer.client);
    }
}
