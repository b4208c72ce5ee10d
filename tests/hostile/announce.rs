//! Announcements and requests, with a peer that lies, floods and observes (spec M11).

use std::collections::BTreeSet;
use std::time::Duration;

use circuits::ids::LinkId;
use whisht::envelope::EnvelopeHash;
use whisht::node::{Command, PeerView, Reply};
use whisht::onion_wire::OnionMessage;

use crate::fixture::{Fixture, RELAYS, TARGET};
use crate::sim::World;
use crate::sim::scripted_peer::{PeerBehaviour, PeerSession};

/// Hashes that the target requested on a link, in order.
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

fn peer(fixture: &mut Fixture, at: usize) -> PeerView {
    let key = hex::encode(fixture.world.addr(at).key.0);
    let Ok(Reply::Peers(peers)) = fixture.world.command(TARGET, Command::Peers) else {
        panic!("no list of peers");
    };
    peers.into_iter().find(|peer| peer.key == key).unwrap()
}

/// Attack: a relay with an envelope that is not public yet searches for its owner, by announcing it
/// and observing requests, or by requesting it and observing answers.
#[test]
fn stem_envelope_is_requested_and_denied_like_unknown_hash() {
    let mut watched = 0;
    for round in 0..5 {
        let mut world = World::new(Duration::from_millis(5));
        // Other numbers give other random choices.
        for _ in 0..round {
            world.add(false, &[]);
        }
        // Envelopes that the relay sends along its stem are lost, until the embargo ends.
        let sinks = [0; 2].map(|_| world.add_scripted_peer(PeerBehaviour::relay()));
        let node = world.add(false, &sinks);
        let spy = world.add_scripted_peer(PeerBehaviour::relay());
        world.run(Duration::from_secs(2));
        let link = world.connect_scripted(spy, node);
        let secret = world.mined_envelope(spy, 600);
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
fn announcer_that_never_delivers_loses_rating_and_is_bypassed() {
    let mut fixture = Fixture::new();
    let envelope = fixture.envelope();
    let hash = envelope.hash();
    let (liar, liar_link) = (fixture.attacker, fixture.link);
    fixture.send_onion(&OnionMessage::Announce(vec![hash]));
    fixture.run(1);
    assert_eq!(requests(&fixture.world, liar, liar_link), [hash]);
    // Another peer has it, and answers.
    let honest = fixture.world.add_scripted_peer(PeerBehaviour::relay());
    let link = fixture.world.connect_scripted(honest, TARGET);
    let announce = OnionMessage::Announce(vec![hash]);
    fixture.world.act(honest, |attacker, now| {
        ((), attacker.send_onion(now, link, &announce))
    });
    fixture.run(6);
    assert_eq!(requests(&fixture.world, honest, link), [hash]);
    fixture.world.act(honest, |attacker, now| {
        ((), attacker.send_envelopes(now, link, &[envelope]))
    });
    fixture.run(10);
    for relay in 0..RELAYS {
        assert_eq!(fixture.world.status(relay).pool_envelopes, 1);
    }
    assert!(peer(&mut fixture, liar).rating < 0);
    assert!(peer(&mut fixture, honest).rating > 0);
}

#[test]
fn flood_of_invented_hashes_does_not_block_real_announcements() {
    let mut fixture = Fixture::new();
    for packet in 0..400 {
        let hashes = (0..256)
            .map(|number| invented(packet << 8 | number))
            .collect();
        fixture.send_onion(&OnionMessage::Announce(hashes));
    }
    fixture.run(1);
    assert!(fixture.session().is_open());
    let asked = requests(&fixture.world, fixture.attacker, fixture.link).len();
    assert!(asked <= 1_024, "{asked} at once");
    let envelope = fixture.envelope();
    let honest = fixture.world.add_scripted_peer(PeerBehaviour::relay());
    let link = fixture.world.connect_scripted(honest, TARGET);
    let announce = OnionMessage::Announce(vec![envelope.hash()]);
    fixture.world.act(honest, |attacker, now| {
        ((), attacker.send_onion(now, link, &announce))
    });
    fixture.run(2);
    assert_eq!(requests(&fixture.world, honest, link), [envelope.hash()]);
    fixture.run(600);
    let flooder = fixture.attacker;
    assert!(peer(&mut fixture, flooder).rating < -50);
}

#[test]
fn peer_without_requests_is_announced_pool_but_not_sent_it() {
    let mut fixture = Fixture::with(PeerBehaviour {
        requests_announced: false,
        ..PeerBehaviour::relay()
    });
    let envelope = fixture.envelope();
    let hash = envelope.hash();
    let bringer = fixture.world.add_scripted_peer(PeerBehaviour::relay());
    let link = fixture.world.connect_scripted(bringer, TARGET);
    fixture.world.act(bringer, |attacker, now| {
        ((), attacker.send_envelopes(now, link, &[envelope]))
    });
    fixture.run(5);
    let late = fixture.world.add_scripted_peer(PeerBehaviour {
        requests_announced: false,
        ..PeerBehaviour::relay()
    });
    let link = fixture.world.connect_scripted(late, TARGET);
    fixture.run(5);
    let received = fixture.world.scripted(late).session(link);
    assert!(received.gossiped().is_empty());
    let announced: Vec<_> = received
        .announced()
        .into_iter()
        .map(|(_, hash)| hash)
        .collect();
    assert_eq!(announced, [hash]);
}
