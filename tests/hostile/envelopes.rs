//! Envelopes before and after they are public (spec M10, M11).

use std::time::Duration;

use whisht::envelope::Envelope;
use whisht::onion_wire::OnionMessage;

use crate::fixture::{Fixture, RELAYS, TARGET};
use crate::sim::scripted_peer::PeerBehaviour;

#[test]
fn stem_envelope_is_not_served_until_embargo_ends() {
    let mut fixture = Fixture::new();
    let spy = fixture.world.add_scripted_peer(PeerBehaviour::relay());
    let link = fixture.world.connect_scripted(spy, TARGET);
    let envelope = fixture.envelope();
    let hash = envelope.hash();
    fixture.send_onion(&OnionMessage::Stem(envelope));
    let ask = OnionMessage::GetEnvelopes(vec![hash]);
    fixture.world.act(spy, |attacker, now| {
        ((), attacker.send_onion(now, link, &ask))
    });
    let is_hidden = |fixture: &mut Fixture| fixture.world.status(TARGET).pool_envelopes == 0;
    let mut hidden = 0;
    while is_hidden(&mut fixture) && hidden < 1200 {
        fixture.world.run(Duration::from_millis(500));
        let received = fixture.world.scripted(spy).session(link).gossiped();
        if is_hidden(&mut fixture) {
            assert!(received.is_empty(), "the stem leaked it");
        }
        hidden += 1;
    }
    // The embargo of some node has ended, and the envelope is flooded to all.
    fixture.run(10);
    let received = fixture.world.scripted(spy).session(link).gossiped();
    assert!(received.iter().any(|(_, received)| *received == hash));
    for relay in 0..RELAYS {
        assert_eq!(fixture.world.status(relay).pool_envelopes, 1);
    }
}

#[test]
fn stem_flood_does_not_diffuse_earlier_stem_envelopes() {
    let mut fixture = Fixture::new();
    let first = fixture.envelope();
    fixture.send_onion(&OnionMessage::Stem(first.clone()));
    fixture.world.run(Duration::from_millis(100));
    let flood: Vec<Envelope> = (0..4_200).map(|_| fixture.envelope_with_life(20)).collect();
    let link = fixture.link;
    for envelope in flood {
        fixture.world.act(fixture.attacker, |attacker, now| {
            (
                (),
                attacker.send_onion(now, link, &OnionMessage::Stem(envelope)),
            )
        });
    }
    fixture.world.run(Duration::from_millis(100));
    let pooled = fixture.world.status(TARGET).pool_envelopes;
    // Of this many embargoes a few end by chance; none is shortened to make room.
    assert!(pooled < 60, "{pooled} were diffused at once");
    let seen = fixture.session().gossiped();
    assert!(seen.iter().all(|(_, hash)| *hash != first.hash()));
    assert!(fixture.session().is_open());
}

#[test]
fn received_envelope_is_gossiped_to_all_except_source() {
    let mut fixture = Fixture::new();
    let spy = fixture.world.add_scripted_peer(PeerBehaviour::relay());
    let link = fixture.world.connect_scripted(spy, TARGET);
    let envelope = fixture.envelope();
    let hash = envelope.hash();
    let bringer = fixture.link;
    fixture.world.act(fixture.attacker, |attacker, now| {
        ((), attacker.send_envelopes(now, bringer, &[envelope]))
    });
    fixture.run(10);
    let received = fixture.world.scripted(spy).session(link).gossiped();
    assert_eq!(
        received
            .iter()
            .filter(|(_, received)| *received == hash)
            .count(),
        1
    );
    assert!(
        fixture.session().gossiped().is_empty(),
        "the sender gets no copy"
    );
}
