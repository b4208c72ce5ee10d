//! Direct messages of trusted and untrusted peers (protocol sheet 5.4).

use circuits::ids::LinkId;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use whisht::envelope::{Envelope, Topic};
use whisht::envelope_builder::{EncryptionKey, Life, OutgoingMessage, draft};
use whisht::gossip::packet::{code, outgoing};
use whisht::link::Capability;
use whisht::message::ClientSecret;
use whisht::node::{Command, Identity};

use crate::fixture::{Fixture, TARGET};

/// An envelope for the target's user without work, which gossip refuses.
fn envelope_without_pow(fixture: &mut Fixture) -> Envelope {
    let secret = ClientSecret::generate(&mut ChaCha20Rng::from_seed([9; 32]));
    let message = OutgoingMessage {
        topic: Topic([1, 2, 3, 4]),
        recipient: EncryptionKey::Asymmetric(&secret.public()),
        signer: None,
        payload: b"mail",
        life: Life::at_least(std::time::Duration::from_secs(600)),
        tag: whisht::message::CopyTag::draw(&mut ChaCha20Rng::from_seed([7; 32])),
        pow_minimum: 0.002,
    };
    let unix = fixture.world.clock().unix;
    let mut rng = ChaCha20Rng::from_seed([8; 32]);
    let envelope = draft(&mut rng, unix, &message)
        .unwrap()
        .unmined
        .with_nonce(7);
    let identity = Identity::KeyPair(secret);
    fixture
        .world
        .command(TARGET, Command::AddIdentity("me".to_owned(), identity))
        .unwrap();
    envelope
}

fn send_direct(fixture: &mut Fixture, link: LinkId, payload: Vec<u8>) {
    let what = (Capability::SHH_6, u16::from(code::P2P_MESSAGE));
    fixture.world.act(fixture.attacker, |attacker, now| {
        ((), attacker.send_raw(now, link, what, payload))
    });
    fixture.run(2);
}

#[test]
fn direct_envelope_requires_trusted_peer_and_skips_pool() {
    let mut fixture = Fixture::new();
    let envelope = envelope_without_pow(&mut fixture);
    let (link, payload) = (fixture.link, outgoing::p2p_message(&envelope));
    send_direct(&mut fixture, link, payload.clone());
    assert_eq!(fixture.messages(), 0);
    let attacker = fixture.world.addr(fixture.attacker).key;
    fixture
        .world
        .command(TARGET, Command::TrustPeer(attacker))
        .unwrap();
    send_direct(&mut fixture, link, payload);
    assert_eq!(fixture.messages(), 1);
    assert_eq!(fixture.world.status(TARGET).pool_envelopes, 0);
}

#[test]
fn trust_ends_with_connection() {
    let mut fixture = Fixture::new();
    let envelope = envelope_without_pow(&mut fixture);
    let attacker = fixture.world.addr(fixture.attacker).key;
    fixture
        .world
        .command(TARGET, Command::TrustPeer(attacker))
        .unwrap();
    // The newer of two links to one key stays, and it is not trusted.
    let link = fixture.world.connect_scripted(fixture.attacker, TARGET);
    send_direct(&mut fixture, link, outgoing::p2p_message(&envelope));
    assert!(
        fixture
            .world
            .scripted(fixture.attacker)
            .session(link)
            .is_open()
    );
    assert_eq!(fixture.messages(), 0);
}

#[test]
fn configured_trusted_peer_is_trusted_on_every_connection() {
    let mut fixture = Fixture::new();
    let attacker = fixture.world.addr(fixture.attacker);
    let reader = fixture
        .world
        .add_with(false, &[], |config| config.trusted_peers = vec![attacker]);
    fixture.run(5);
    let trusted = |fixture: &mut Fixture| {
        let Ok(whisht::node::Reply::Peers(peers)) = fixture.world.command(reader, Command::Peers)
        else {
            panic!("no list of peers");
        };
        peers.iter().filter(|peer| peer.trusted).count()
    };
    assert_eq!(trusted(&mut fixture), 1);
    let _line = fixture.world.connect_scripted(fixture.attacker, reader);
    assert_eq!(trusted(&mut fixture), 1, "a new connection is trusted too");
}

#[test]
fn direct_envelope_is_sent_only_to_its_peer() {
    let mut fixture = Fixture::new();
    let envelope = envelope_without_pow(&mut fixture);
    let attacker = fixture.world.addr(fixture.attacker).key;
    let command = Command::SendDirect(attacker, envelope.clone());
    fixture.world.command(TARGET, command).unwrap();
    fixture.run(30);
    let handed = fixture
        .session()
        .received
        .iter()
        .filter(|received| received.code == u16::from(code::P2P_MESSAGE))
        .map(|received| received.payload.clone())
        .collect::<Vec<_>>();
    assert_eq!(handed, [outgoing::p2p_message(&envelope)]);
    assert!(fixture.session().gossiped().is_empty());
    assert_eq!(fixture.world.status(TARGET).pool_envelopes, 0);
    let other_peer = fixture.world.addr(1).key;
    let unlisted = circuits::ids::RelayKey([3; 64]);
    let to = |key| Command::SendDirect(key, envelope.clone());
    assert!(fixture.world.command(TARGET, to(other_peer)).is_ok());
    assert!(fixture.world.command(TARGET, to(unlisted)).is_err());
}
