//! A node with a limit of bandwidth, flooded by one of its peers.
//!
//! The gates at the sockets are not part of this world. They cut a long packet into parts, so here a single second
//! may have one packet more than the limit.

use std::time::Duration;

use circuits::ids::LinkId;
use whisht::bandwidth::BandwidthLimits;
use whisht::envelope::{Envelope, EnvelopeHash, Topic, Ttl};
use whisht::node::Command;

use crate::sim::World;
use crate::sim::scripted_peer::PeerBehaviour;

/// Bytes per second.
const LIMIT: u64 = 200_000;
/// The longest packet of gossip, and some frames.
const PACKET: u64 = 8 * 16_384 + 2_000;
const SECONDS: u64 = 10;
/// Envelopes of 600 bytes that the attacker sends in a second: more than the limit, and for two peers.
const FLOOD: u64 = 400;

/// An envelope without work; its number is in the data.
fn envelope(world: &World, number: u64) -> Envelope {
    let mut data = vec![7; 580];
    data[..8].copy_from_slice(&number.to_be_bytes());
    let expiry = world.clock().unix.after(600);
    Envelope::build(expiry, Ttl(600), Topic([1; 4]), data, number)
}

const fn limits(per_second: Option<u64>) -> BandwidthLimits {
    BandwidthLimits {
        per_second,
        received_per_day: None,
        sent_per_day: None,
    }
}

/// A node with this limit, and its three peers with their links.
fn node_with_peers(per_second: Option<u64>) -> (World, usize, [(usize, LinkId); 3]) {
    let mut world = World::new(Duration::from_millis(5));
    let node = world.add_with(false, &[], |config| {
        config.min_pow = 0.0;
        config.bandwidth = limits(per_second);
    });
    world.run(Duration::from_secs(1));
    let peers = [(); 3].map(|()| {
        let peer = world.add_scripted_peer(PeerBehaviour::relay());
        (peer, world.connect_scripted(peer, node))
    });
    world.run(Duration::from_secs(3));
    (world, node, peers)
}

/// A peer floods for a second. Returns the bytes that the node sends meanwhile.
fn sent_in_second_of_flood(
    world: &mut World,
    node: usize,
    attacker: (usize, LinkId),
    second: u64,
) -> u64 {
    let before = world.status(node).flow.bytes_sent;
    for packet in 0..4 {
        let first = second * FLOOD + packet * FLOOD / 4;
        let junk: Vec<Envelope> = (first..first + FLOOD / 4)
            .map(|number| envelope(world, number))
            .collect();
        send(world, attacker, &junk);
    }
    world.run(Duration::from_secs(1));
    world.status(node).flow.bytes_sent - before
}

fn send(world: &mut World, (peer, link): (usize, LinkId), envelopes: &[Envelope]) {
    world.act(peer, |peer, now| {
        ((), peer.send_envelopes(now, link, envelopes))
    });
}

#[test]
fn flood_by_one_peer_keeps_the_limit_and_passes_the_envelopes_of_another() {
    let (mut world, limited, [attacker, honest, reader]) = node_with_peers(Some(LIMIT));
    let mut wanted: Vec<EnvelopeHash> = Vec::new();
    let mut sent = Vec::new();
    for second in 0..SECONDS {
        let own = envelope(&world, 1_000_000 + second);
        wanted.push(own.hash());
        send(&mut world, honest, &[own]);
        sent.push(sent_in_second_of_flood(
            &mut world, limited, attacker, second,
        ));
    }
    for second in &sent {
        assert!(*second <= LIMIT + PACKET, "{sent:?}");
    }
    let mean = sent.iter().sum::<u64>() / SECONDS;
    assert!(mean <= LIMIT, "{mean}: {sent:?}");
    assert!(mean >= LIMIT / 2, "the limit is used: {mean}");

    world.run(Duration::from_secs(5));
    let received = world.scripted(reader.0).session(reader.1).gossiped();
    let missing = wanted
        .iter()
        .filter(|hash| !received.iter().any(|(_, received)| received == *hash))
        .count();
    assert_eq!(
        missing,
        0,
        "of {} envelopes of the honest peer",
        wanted.len()
    );
    assert_eq!(world.status(limited).peers, 3, "no peer was dropped");
}

/// As an operator does who meters the line: a limit is set, and lifted, while the node runs and is flooded.
#[test]
fn limit_that_is_set_under_a_flood_holds_at_once_until_it_is_lifted() {
    let (mut world, node, [attacker, _, _]) = node_with_peers(None);
    let mut second = 0;
    let mut mean_under = |world: &mut World, per_second| {
        let set = world.command(node, Command::SetBandwidth(limits(per_second)));
        assert!(set.is_ok());
        let sent: u64 = (0..5)
            .map(|_| {
                second += 1;
                sent_in_second_of_flood(world, node, attacker, second)
            })
            .sum();
        sent / 5
    };
    let free = mean_under(&mut world, None);
    let limited = mean_under(&mut world, Some(LIMIT));
    let lifted = mean_under(&mut world, None);
    assert!(free > LIMIT * 3 / 2, "{free}");
    assert!((LIMIT / 2..=LIMIT).contains(&limited), "{limited}");
    // What waited leaves too.
    assert!(lifted > free, "{lifted} after {free}");
}
