//! Peers that speak `shh/5` only, and attacks by them on others.

use std::iter;
use std::time::Duration;

use circuits::ids::LinkId;
use circuits::level::Level;
use circuits::time::UnixSecs;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use whisht::envelope::{EncryptionHint, Envelope, Topic, Ttl, UnminedEnvelope};
use whisht::envelope_builder::{
    self,
    v5::{OutgoingMessageV5, draft},
};
use whisht::gossip::packet::v5::code;
use whisht::message::{ClientSecret, Padding};
use whisht::node::{Command, Event, Identity, Recipient, SendRequest, Stage};
use zeroize::Zeroizing;

use crate::fixture::{Fixture, TARGET};
use crate::sim::scripted_peer::PeerBehaviour;

/// A reader with a constant key.
fn reader() -> ClientSecret {
    ClientSecret::generate(&mut ChaCha20Rng::from_seed([9; 32]))
}

/// A message of `shh/5` to the reader, with the minimum work of the fixture's nodes.
fn shh5_envelope(now: UnixSecs, text: &[u8]) -> Envelope {
    let mut rng = ChaCha20Rng::from_seed([8; 32]);
    let message = OutgoingMessageV5 {
        topic: Topic([1, 2, 3, 4]),
        recipient: envelope_builder::EncryptionKey::Asymmetric(&reader().public()),
        signer: None,
        payload: text,
        padding: Padding::Align,
        ttl: Ttl(600),
        pow_target: 0.002,
        work_time: 1,
    };
    let draft = draft(&mut rng, now, &message).unwrap();
    let mut search = draft.pow_job().unwrap().search(&mut rng);
    let nonce = iter::repeat_with(|| search.step(8_192)).find_map(|found| found);
    draft.unmined.with_nonce(nonce.unwrap())
}

/// Connects a second peer of `shh/5` to the target.
fn add_shh5_peer(fixture: &mut Fixture) -> (usize, LinkId) {
    let other = fixture.world.add_scripted_peer(PeerBehaviour::shh5_only());
    let link = fixture.world.connect_scripted(other, TARGET);
    (other, link)
}

fn send_envelope(fixture: &mut Fixture, envelope: &Envelope) {
    let link = fixture.link;
    fixture.world.act(fixture.attacker, |attacker, now| {
        ((), attacker.send_envelope_v5(now, link, envelope))
    });
}

#[test]
fn shh5_envelopes_are_forwarded_between_shh5_peers_only() {
    let mut fixture = Fixture::with(PeerBehaviour::shh5_only());
    let (other, other_link) = add_shh5_peer(&mut fixture);
    let new = fixture.world.add_scripted_peer(PeerBehaviour::relay());
    let new_link = fixture.world.connect_scripted(new, TARGET);
    let identity = Identity::KeyPair(reader());
    let add = Command::AddIdentity("me".to_owned(), identity);
    fixture.world.command(TARGET, add).unwrap();

    let now = fixture.world.clock().unix;
    let (message, answer) = (
        shh5_envelope(now, b"there"),
        shh5_envelope(now, b"and back"),
    );
    send_envelope(&mut fixture, &message);
    fixture.world.act(other, |attacker, now| {
        ((), attacker.send_envelope_v5(now, other_link, &answer))
    });
    let modern = fixture.envelope();
    fixture.world.act(new, |attacker, now| {
        ((), attacker.send_envelopes(now, new_link, &[modern]))
    });
    fixture.run(30);

    assert_eq!(fixture.session().gossiped_v5(), [answer.hash()]);
    let received = fixture.world.scripted(other).session(other_link);
    assert_eq!(received.gossiped_v5(), [message.hash()]);
    for link in [
        fixture.session(),
        received,
        fixture.world.scripted(new).session(new_link),
    ] {
        assert!(link.is_open() && link.gossiped().is_empty());
    }
    // The target's user reads them, and they reach no other node.
    let events = fixture.world.events(TARGET).iter();
    let read = events.filter(|(_, event)| matches!(event, Event::Message(_)));
    assert_eq!(read.count(), 2);
    assert_eq!(fixture.world.status(TARGET).pool_envelopes, 3);
    assert_eq!(fixture.world.status(1).pool_envelopes, 1);
}

#[test]
fn envelope_in_packet_of_other_version_ends_link() {
    let mut fixture = Fixture::with(PeerBehaviour::shh5_only());
    let modern = fixture.envelope();
    send_envelope(&mut fixture, &modern);
    fixture.run(2);
    assert!(!fixture.session().is_open());
    assert_eq!(fixture.world.status(TARGET).pool_envelopes, 0);

    let mut fixture = Fixture::new();
    let message = shh5_envelope(fixture.world.clock().unix, b"x");
    let link = fixture.link;
    fixture.world.act(fixture.attacker, |attacker, now| {
        ((), attacker.send_envelopes(now, link, &[message]))
    });
    fixture.run(2);
    assert!(!fixture.session().is_open());
    assert_eq!(fixture.world.status(TARGET).pool_envelopes, 0);
}

#[test]
fn shh6_message_is_delivered_without_counting_shh5_peers() {
    let mut fixture = Fixture::with(PeerBehaviour::shh5_only());
    let sender = fixture.world.add(false, &[TARGET]);
    let old: Vec<(usize, LinkId)> = (0..3)
        .map(|_| {
            let old = fixture.world.add_scripted_peer(PeerBehaviour::shh5_only());
            (old, fixture.world.connect_scripted(old, sender))
        })
        .collect();
    fixture.run(5);
    let request = SendRequest {
        to: Recipient::Public(reader().public(), Topic([1, 2, 3, 4])),
        sign_as: None,
        payload: Zeroizing::new(b"hello".to_vec()),
        level: Some(Level::Open),
        life: Duration::from_secs(600),
        reader: whisht::node::ReaderKind::default(),
    };
    fixture
        .world
        .command(sender, Command::Send(request))
        .unwrap();
    fixture.run(30);
    let mut events = fixture.world.events(sender).iter();
    let ended = |event: &Event| {
        matches!(
            event,
            Event::Outgoing(_, Stage::Delivered | Stage::HandedOver { .. })
        )
    };
    assert!(events.any(|(_, event)| ended(event)));
    for (attacker, link) in old {
        let link = fixture.world.scripted(attacker).session(link);
        assert!(link.is_open() && link.gossiped_v5().is_empty());
    }
}

#[test]
fn direct_envelope_of_other_version_is_refused() {
    let mut fixture = Fixture::with(PeerBehaviour::shh5_only());
    let old = fixture.world.addr(fixture.attacker).key;
    let modern = fixture.envelope();
    let handed = Command::SendDirect(old, modern);
    let refused = fixture.world.command(TARGET, handed).unwrap_err();
    assert!(refused.cause.contains("speaks shh/5"));
    let message = shh5_envelope(fixture.world.clock().unix, b"by hand");
    let handed = Command::SendDirect(old, message.clone());
    fixture.world.command(TARGET, handed).unwrap();
    fixture.run(2);
    let packets = fixture.session().received.iter();
    let direct: Vec<_> = packets
        .filter(|received| received.code == u16::from(code::P2P_MESSAGE))
        .map(|received| received.payload.as_slice())
        .collect();
    assert_eq!(direct, [message.as_rlp()]);
}

#[test]
fn shh5_low_pow_flood_does_not_block_valid_envelope() {
    let mut fixture = Fixture::with(PeerBehaviour::shh5_only());
    let now = fixture.world.clock().unix;
    let envelope_without_pow = |number: u64| {
        let unmined = UnminedEnvelope {
            expiry: now.after(86_400),
            ttl: Ttl(86_400),
            topic: Topic([1, 2, 3, 4]),
            hint: EncryptionHint::Asymmetric,
            data: vec![7; 600],
        };
        unmined.with_nonce(number)
    };
    for number in 0..2_000 {
        send_envelope(&mut fixture, &envelope_without_pow(number));
    }
    let message = shh5_envelope(now, b"paid");
    send_envelope(&mut fixture, &message);
    fixture.run(5);
    assert!(
        fixture.session().is_open(),
        "shh/5 does not announce our minimum"
    );
    assert!(fixture.world.status(TARGET).pool_envelopes <= 3);
    let (other, link) = add_shh5_peer(&mut fixture);
    fixture.run(5);
    let received = fixture.world.scripted(other).session(link).gossiped_v5();
    assert!(received.contains(&message.hash()));
}
