//! A node with a limit of bandwidth, flooded by one of its peers.
//!
//! The gates at the sockets are not part of this world. They cut a long packet into parts, so here a single second
//! may have one packet more than the limit.

use std::time::Duration;

use circuits::ids::LinkId;
use whisht::bandwidth::BandwidthLimits;
use whisht::envelope::{Envelope, EnvelopeHash, Topic, Ttl};

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

fn send(world: &mut World, (peer, link): (usize, LinkId), envelopes: &[Envelope]) {
    world.act(peer, |peer, now| {
        ((), peer.send_envelopes(now, link, envelopes))
    });
}

#[test]
fn flood_by_one_peer_keeps_the_limit_and_passes_the_envelopes_of_another() {
    let mut world = World::new(Duration::from_millis(5));
    let limited = world.add_with(false, &[], |config| {
        config.min_pow = 0.0;
        config.bandwidth = BandwidthLimits {
            per_second: Some(LIMIT),
            ..BandwidthLimits::default()
        };
    });
    world.run(Duration::from_secs(1));
    let mut connect = || {
        let peer = world.add_scripted_peer(PeerBehaviour::relay());
        (peer, world.connect_scripted(peer, limited))
    };
    let (attacker, honest, reader) = (connect(), connect(), connect());
    world.run(Duration::from_secs(3));

    let mut wanted: Vec<EnvelopeHash> = Vec::new();
    let mut sent = vec![world.status(limited).flow.bytes_sent];
    for second in 0..SECONDS {
        let own = envelope(&world, 1_000_000 + second);
        wanted.push(own.hash());
        send(&mut world, honest, &[own]);
        for packet in 0..4 {
            let first = second * FLOOD + packet * FLOOD / 4;
            let junk: Vec<Envelope> = (first..first + FLOOD / 4)
                .map(|number| envelope(&world, number))
                .collect();
            send(&mut world, attacker, &junk);
        }
        world.run(Duration::from_secs(1));
        sent.push(world.status(limited).flow.bytes_sent);
    }
    for pair in sent.windows(2) {
        assert!(pair[1] - pair[0] <= LIMIT + PACKET, "{sent:?}");
    }
    let mean = (sent[sent.len() - 1] - sent[0]) / SECONDS;
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
