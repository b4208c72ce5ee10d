//! Envelopes before and after they are public (spec M10, M11).

use std::time::Duration;

use whisht::envelope::Envelope;
use whisht::onion_wire::OnionMessage;

use crate::scene::{RELAYS, Scene, TARGET};
use crate::sim::scripted_peer::PeerBehaviour;

#[test]
fn an_envelope_on_the_stem_is_in_nobodys_hands_until_it_is_public() {
    let mut scene = Scene::new();
    let spy = scene.world.add_scripted_peer(PeerBehaviour::relay());
    let link = scene.world.connect_scripted(spy, TARGET);
    let envelope = scene.envelope();
    let hash = envelope.hash();
    scene.say(&OnionMessage::Stem(envelope));
    let ask = OnionMessage::GetEnvelopes(vec![hash]);
    scene.world.act(spy, |attacker, now| {
        ((), attacker.send_onion(now, link, &ask))
    });
    let held = |scene: &mut Scene| scene.world.status(TARGET).pool_envelopes == 0;
    let mut hidden = 0;
    while held(&mut scene) && hidden < 1200 {
        scene.world.run(Duration::from_millis(500));
        let received = scene.world.scripted(spy).session(link).gossiped();
        if held(&mut scene) {
            assert!(received.is_empty(), "it was given away from the stem");
        }
        hidden += 1;
    }
    // The embargo of one node or another has brought it out, to everybody.
    scene.run(10);
    let received = scene.world.scripted(spy).session(link).gossiped();
    assert!(received.iter().any(|(_, received)| *received == hash));
    for relay in 0..RELAYS {
        assert_eq!(scene.world.status(relay).pool_envelopes, 1);
    }
}

#[test]
fn a_flood_on_the_stem_takes_no_more_than_its_room_and_shows_nobody_elses_envelope() {
    let mut scene = Scene::new();
    let first = scene.envelope();
    scene.say(&OnionMessage::Stem(first.clone()));
    scene.world.run(Duration::from_millis(100));
    let flood: Vec<Envelope> = (0..4_200).map(|_| scene.envelope_for(20)).collect();
    let link = scene.link;
    for envelope in flood {
        scene.world.act(scene.attacker, |attacker, now| {
            (
                (),
                attacker.send_onion(now, link, &OnionMessage::Stem(envelope)),
            )
        });
    }
    scene.world.run(Duration::from_millis(100));
    let pooled = scene.world.status(TARGET).pool_envelopes;
    // Of so many embargoes a few are over by themselves; none is cut short to make room.
    assert!(pooled < 60, "{pooled} were diffused at once");
    let seen = scene.session().gossiped();
    assert!(seen.iter().all(|(_, hash)| *hash != first.hash()));
    assert!(scene.session().is_open());
}

#[test]
fn an_envelope_is_offered_to_nobody_before_a_peer_brought_it_and_to_the_others_after() {
    let mut scene = Scene::new();
    let spy = scene.world.add_scripted_peer(PeerBehaviour::relay());
    let link = scene.world.connect_scripted(spy, TARGET);
    let envelope = scene.envelope();
    let hash = envelope.hash();
    let bringer = scene.link;
    scene.world.act(scene.attacker, |attacker, now| {
        ((), attacker.send_envelopes(now, bringer, &[envelope]))
    });
    scene.run(10);
    let received = scene.world.scripted(spy).session(link).gossiped();
    assert_eq!(
        received
            .iter()
            .filter(|(_, received)| *received == hash)
            .count(),
        1
    );
    assert!(
        scene.session().gossiped().is_empty(),
        "the bringer gets nothing back"
    );
}
