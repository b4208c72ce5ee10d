//! Announcing and asking, with a neighbour that lies, floods and listens (spec M11).

use std::collections::BTreeSet;
use std::time::Duration;

use circuits::ids::LinkId;
use whisht::envelope::EnvelopeHash;
use whisht::node::{Command, PeerView, Reply};
use whisht::onion_wire::OnionMessage;

use crate::scene::{RELAYS, Scene, TARGET, envelope_of};
use crate::sim::World;
use crate::sim::scripted_peer::{PeerBehaviour, PeerSession};

/// Hashes that the target asked for on a link, in order.
fn requests(world: &World, attacker: usize, link: LinkId) -> Vec<EnvelopeHash> {
    let messages = world.scripted(attacker).session(link).onion_messages();
    messages
        .filter_map(|(_, message)| match message {
            OnionMessage::GetEnvelopes(hashes) => Some(hashes),
            _ => None,
        })
        .flatten()
        .collect()
}

fn invented(number: u32) -> EnvelopeHash {
    let mut hash = [0xaa; 32];
    hash[..4].copy_from_slice(&number.to_be_bytes());
    EnvelopeHash(hash)
}

fn peer(scene: &mut Scene, at: usize) -> PeerView {
    let key = hex::encode(scene.world.addr(at).key.0);
    let Ok(Reply::Peers(peers)) = scene.world.command(TARGET, Command::Peers) else {
        panic!("no list of peers");
    };
    peers.into_iter().find(|peer| peer.key == key).unwrap()
}

/// Whoever holds a piece of somebody's secret envelope may try to find its owner: by announcing it
/// and seeing who asks, or by asking and seeing who answers.
#[test]
fn an_envelope_that_travels_on_a_stem_is_asked_for_and_denied_like_one_that_does_not_exist() {
    let mut watched = 0;
    for round in 0..5 {
        let mut world = World::new(Duration::from_millis(5));
        // Other numbers draw other fates.
        for _ in 0..round {
            world.add(false, &[]);
        }
        // What it passes on along the stem ends in the dark, until its embargo is over.
        let sinks = [0; 2].map(|_| world.add_scripted_peer(PeerBehaviour::relay()));
        let node = world.add(false, &sinks);
        let spy = world.add_scripted_peer(PeerBehaviour::relay());
        world.run(Duration::from_secs(2));
        let link = world.connect_scripted(spy, node);
        let secret = envelope_of(&mut world, spy, 600);
        let (travelling, nothing) = (secret.hash(), invented(1));
        for message in [
            OnionMessage::Stem(secret),
            OnionMessage::GetEnvelopes(vec![travelling, nothing]),
            OnionMessage::Announce(vec![travelling, nothing]),
        ] {
            world.act(spy, |attacker, now| {
                ((), attacker.send_onion(now, link, &message))
            });
            world.run(Duration::from_secs(1));
        }
        let stems = |sink: &usize| {
            world
                .scripted(*sink)
                .sessions()
                .flat_map(PeerSession::stems)
                .count()
        };
        let stemmed = sinks.iter().map(stems).sum::<usize>();
        if world.status(node).pool_envelopes > 0 || stemmed == 0 {
            // One node in ten ends a stem.
            continue;
        }
        watched += 1;
        assert!(world.scripted(spy).session(link).gossiped().is_empty());
        let asked: BTreeSet<_> = requests(&world, spy, link).into_iter().collect();
        assert_eq!(asked, [travelling, nothing].into());
    }
    assert!(watched > 1, "{watched} stems were watched");
}

#[test]
fn a_neighbour_that_announces_and_never_delivers_loses_its_rating_and_delays_nobody_for_long() {
    let mut scene = Scene::new();
    let envelope = scene.envelope();
    let hash = envelope.hash();
    let (liar, lie) = (scene.attacker, scene.link);
    scene.say(&OnionMessage::Announce(vec![hash]));
    scene.run(1);
    assert_eq!(requests(&scene.world, liar, lie), [hash]);
    // Another has it, and answers.
    let honest = scene.world.add_scripted_peer(PeerBehaviour::relay());
    let link = scene.world.connect_scripted(honest, TARGET);
    let announce = OnionMessage::Announce(vec![hash]);
    scene.world.act(honest, |attacker, now| {
        ((), attacker.send_onion(now, link, &announce))
    });
    scene.run(6);
    assert_eq!(requests(&scene.world, honest, link), [hash]);
    scene.world.act(honest, |attacker, now| {
        ((), attacker.send_envelopes(now, link, &[envelope]))
    });
    scene.run(10);
    for relay in 0..RELAYS {
        assert_eq!(scene.world.status(relay).pool_envelopes, 1);
    }
    assert!(peer(&mut scene, liar).rating < 0);
    assert!(peer(&mut scene, honest).rating > 0);
}

#[test]
fn a_flood_of_invented_hashes_is_asked_for_a_packet_at_a_time_and_keeps_no_envelope_out() {
    let mut scene = Scene::new();
    for packet in 0..400 {
        let hashes = (0..256)
            .map(|number| invented(packet << 8 | number))
            .collect();
        scene.say(&OnionMessage::Announce(hashes));
    }
    scene.run(1);
    assert!(scene.session().is_open());
    let asked = requests(&scene.world, scene.attacker, scene.link).len();
    assert!(asked <= 256, "{asked} at once");
    let envelope = scene.envelope();
    let honest = scene.world.add_scripted_peer(PeerBehaviour::relay());
    let link = scene.world.connect_scripted(honest, TARGET);
    let announce = OnionMessage::Announce(vec![envelope.hash()]);
    scene.world.act(honest, |attacker, now| {
        ((), attacker.send_onion(now, link, &announce))
    });
    scene.run(2);
    assert_eq!(requests(&scene.world, honest, link), [envelope.hash()]);
    scene.run(600);
    let flooder = scene.attacker;
    assert!(peer(&mut scene, flooder).rating < -50);
}

#[test]
fn a_neighbour_that_asks_for_nothing_gets_the_whole_pool_by_name_and_little_of_it_in_body() {
    let mut scene = Scene::with(PeerBehaviour {
        requests_announced: false,
        ..PeerBehaviour::relay()
    });
    let envelope = scene.envelope();
    let hash = envelope.hash();
    let bringer = scene.world.add_scripted_peer(PeerBehaviour::relay());
    let link = scene.world.connect_scripted(bringer, TARGET);
    scene.world.act(bringer, |attacker, now| {
        ((), attacker.send_envelopes(now, link, &[envelope]))
    });
    scene.run(5);
    let late = scene.world.add_scripted_peer(PeerBehaviour {
        requests_announced: false,
        ..PeerBehaviour::relay()
    });
    let link = scene.world.connect_scripted(late, TARGET);
    scene.run(5);
    let received = scene.world.scripted(late).session(link);
    assert!(received.gossiped().is_empty());
    let announced: Vec<_> = received
        .announced()
        .into_iter()
        .map(|(_, hash)| hash)
        .collect();
    assert_eq!(announced, [hash]);
}
