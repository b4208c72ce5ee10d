//! Stems that an attacker fills or swallows, so that the sender publishes its own message
//! (spec M10).
//!
//! The attacker wants the sender's own embargo to flood the message from the sender. It fills the
//! tables of the sender's successors, or it is the sender's successors.

use std::time::Duration;

use circuits::ids::LinkId;
use circuits::level::Level;
use circuits::secret::Secret;
use whisht::envelope::{Envelope, Topic, Ttl};
use whisht::message::ClientSecret;
use whisht::node::{Command, Event, Recipient, Reply, SendRequest, Stage, Trace};
use whisht::onion_wire::OnionMessage;

use crate::fixture::{Fixture, RELAYS};
use crate::sim::World;
use crate::sim::scripted_peer::{PeerBehaviour, PeerSession};

/// Envelopes that each successor of the sender is flooded with: more than its table holds.
const JUNK: usize = 4_200;

/// A message at level `swift` for another user.
fn send_swift(world: &mut World, from: usize) {
    let reader = ClientSecret::from_bytes(&Secret::init_with(|key| key.fill(9))).unwrap();
    let request = SendRequest {
        to: Recipient::Public(reader.public(), Topic([2; 4])),
        sign_as: None,
        payload: b"hello".to_vec().into(),
        level: Some(Level::Swift),
        life: Duration::from_secs(60),
        reader: whisht::node::ReaderKind::default(),
    };
    let reply = world.command(from, Command::Send(request));
    assert!(matches!(reply, Ok(Reply::Accepted(_))), "{reply:?}");
}

/// The envelope of the only message of a node.
fn sent_envelope(world: &World, from: usize) -> Option<String> {
    stages(world, from)
        .into_iter()
        .find_map(|stage| match stage {
            Stage::Sealed { envelope, .. } => Some(envelope),
            _ => None,
        })
}

fn stages(world: &World, from: usize) -> Vec<Stage> {
    let events = world.events(from).iter();
    events
        .filter_map(|(_, event)| match event {
            Event::Outgoing(_, stage) => Some(stage.clone()),
            _ => None,
        })
        .collect()
}

/// The node that made an envelope public.
fn first_to_flood(world: &World, nodes: &[usize], envelope: &str) -> Option<usize> {
    let floods = nodes.iter().flat_map(|node| {
        let events = world.events(*node).iter();
        events.filter_map(|(at, event)| match event {
            Event::Trace(Trace::Fluff { envelope: flooded }) if flooded == envelope => {
                Some((*at, *node))
            }
            _ => None,
        })
    });
    floods.min().map(|(_, node)| node)
}

/// Five relays, each of which dials two others; `round` varies all random choices.
fn relays(round: usize) -> (World, Vec<usize>) {
    let mut world = World::new(Duration::from_millis(5));
    for _ in 0..round {
        world.add(false, &[]);
    }
    let at = |relay: usize| round + relay % RELAYS;
    let relays = (0..RELAYS)
        .map(|relay| world.add(true, &[at(relay + 1), at(relay + 2)]))
        .collect();
    world.run(Duration::from_secs(5));
    (world, relays)
}

fn flood(world: &mut World, attacker: usize, link: LinkId, junk: &[Envelope]) {
    for envelope in junk {
        let message = OnionMessage::Stem(envelope.clone());
        world.act(attacker, |attacker, now| {
            ((), attacker.send_onion(now, link, &message))
        });
    }
}

/// Attack: peers that are neither the sender's peers nor on its stem fill the stem tables of both
/// its successors with envelopes that have the shape and the work of real ones.
#[test]
fn sender_is_not_first_to_flood_when_stem_tables_of_successors_are_full() {
    let mut junk = Vec::new();
    let (mut at_sender, mut unpublished) = (0, 0);
    for round in 0..12 {
        let (mut world, relays) = relays(round);
        // No node dials the sender, so no stem returns to it.
        let sender = world.add(false, &[relays[1], relays[2]]);
        world.run(Duration::from_secs(2));
        let attackers = [1, 2].map(|successor| {
            let attacker = world.add_scripted_peer(PeerBehaviour::relay());
            let link = world.connect_scripted(attacker, relays[successor]);
            (attacker, link)
        });
        while junk.len() < JUNK {
            junk.push(world.mined_envelope(attackers[0].0, 60));
        }
        for (attacker, link) in attackers {
            flood(&mut world, attacker, link, &junk);
        }
        world.run(Duration::from_millis(50));
        send_swift(&mut world, sender);
        let nodes = [relays.as_slice(), &[sender]].concat();
        let mut first = None;
        for _ in 0..240 {
            world.run(Duration::from_secs(1));
            let envelope = sent_envelope(&world, sender).unwrap();
            first = first_to_flood(&world, &nodes, &envelope);
            if first.is_some() {
                break;
            }
        }
        match first {
            Some(node) => at_sender += usize::from(node == sender),
            None => unpublished += 1,
        }
    }
    assert_eq!((at_sender, unpublished), (0, 0), "of 12");
}

/// Attack: cheap and short-lived envelopes, which no node would ever flood, keep a table full.
#[test]
fn cheap_stem_ends_the_link_of_the_peer_that_sent_it() {
    let mut fixture = Fixture::new();
    let expiry = fixture.world.clock().unix.after(14);
    let cheap = Envelope::build(expiry, Ttl(14), Topic([1; 4]), vec![1; 15], 1);
    fixture.send_onion(&OnionMessage::Stem(cheap));
    fixture.run(1);
    assert!(!fixture.session().is_open());
}

#[test]
fn valid_stems_do_not_end_a_link() {
    let mut fixture = Fixture::new();
    let envelope = fixture.envelope();
    fixture.send_onion(&OnionMessage::Stem(envelope));
    fixture.run(1);
    assert!(fixture.session().is_open());
}

/// Attack: both successors of the sender swallow its message, and a peer watches the sender.
#[test]
fn swift_message_waits_and_its_user_is_told_when_both_successors_swallow_it() {
    let mut world = World::new(Duration::from_millis(5));
    let sinks = [0; 2].map(|_| world.add_scripted_peer(PeerBehaviour::relay()));
    let sender = world.add(false, &sinks);
    let spy = world.add_scripted_peer(PeerBehaviour::relay());
    world.run(Duration::from_secs(2));
    let link = world.connect_scripted(spy, sender);
    send_swift(&mut world, sender);
    world.run(Duration::from_secs(3_600));
    let swallowed = sinks.map(|sink| {
        let sessions = world.scripted(sink).sessions();
        sessions.flat_map(PeerSession::stems).count()
    });
    assert_eq!(swallowed, [1, 1], "each successor gets it once");
    assert!(world.scripted(spy).session(link).gossiped().is_empty());
    assert_eq!(world.status(sender).pool_envelopes, 0);
    let stages = stages(&world, sender);
    assert!(
        stages
            .iter()
            .any(|stage| matches!(stage, Stage::Blocked { .. })),
        "{stages:?}"
    );
    assert!(
        matches!(stages.last(), Some(Stage::Failed { .. })),
        "{stages:?}"
    );
}
