//! What a neighbour hands over past gossip, trusted and not (protocol sheet 5.4).

use circuits::ids::LinkId;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use whisht::envelope::{Envelope, Topic};
use whisht::envelope_builder::{EncryptionKey, Life, OutgoingMessage, draft};
use whisht::gossip::packet::{code, outgoing};
use whisht::link::Capability;
use whisht::message::ClientSecret;
use whisht::node::{Command, Identity};

use crate::scene::{Scene, TARGET};

/// An envelope for the target's user without any work, which no gossip would carry.
fn unpaid(scene: &mut Scene) -> Envelope {
    let secret = ClientSecret::generate(&mut ChaCha20Rng::from_seed([9; 32]));
    let letter = OutgoingMessage {
        topic: Topic([1, 2, 3, 4]),
        recipient: EncryptionKey::Asymmetric(&secret.public()),
        signer: None,
        payload: b"mail",
        life: Life::at_least(std::time::Duration::from_secs(600)),
        pow_minimum: 0.002,
    };
    let unix = scene.world.clock().unix;
    let mut rng = ChaCha20Rng::from_seed([8; 32]);
    let envelope = draft(&mut rng, unix, &letter)
        .unwrap()
        .unmined
        .with_nonce(7);
    let identity = Identity::KeyPair(secret);
    scene
        .world
        .command(TARGET, Command::AddIdentity("me".to_owned(), identity))
        .unwrap();
    envelope
}

fn hand_over(scene: &mut Scene, link: LinkId, payload: Vec<u8>) {
    let what = (Capability::SHH_6, u16::from(code::P2P_MESSAGE));
    scene.world.act(scene.attacker, |attacker, now| {
        ((), attacker.send_raw(now, link, what, payload))
    });
    scene.run(2);
}

#[test]
fn what_a_stranger_hands_over_is_not_looked_at_and_a_trusted_peers_mail_reaches_the_user_alone() {
    let mut scene = Scene::new();
    let envelope = unpaid(&mut scene);
    let (link, payload) = (scene.link, outgoing::p2p_message(&envelope));
    hand_over(&mut scene, link, payload.clone());
    assert_eq!(scene.messages(), 0);
    let attacker = scene.world.addr(scene.attacker).key;
    scene
        .world
        .command(TARGET, Command::TrustPeer(attacker))
        .unwrap();
    hand_over(&mut scene, link, payload);
    assert_eq!(scene.messages(), 1);
    assert_eq!(scene.world.status(TARGET).pool_envelopes, 0);
}

#[test]
fn trust_does_not_outlive_the_connection() {
    let mut scene = Scene::new();
    let envelope = unpaid(&mut scene);
    let attacker = scene.world.addr(scene.attacker).key;
    scene
        .world
        .command(TARGET, Command::TrustPeer(attacker))
        .unwrap();
    // The younger of two links to one key stays, and it is not trusted.
    let link = scene.world.connect_scripted(scene.attacker, TARGET);
    hand_over(&mut scene, link, outgoing::p2p_message(&envelope));
    assert!(scene.world.scripted(scene.attacker).session(link).is_open());
    assert_eq!(scene.messages(), 0);
}

#[test]
fn a_peer_that_the_configuration_trusts_is_trusted_at_every_connection() {
    let mut scene = Scene::new();
    let attacker = scene.world.addr(scene.attacker);
    let reader = scene
        .world
        .add_with(false, &[], |config| config.trusted_peers = vec![attacker]);
    scene.run(5);
    let trusted = |scene: &mut Scene| {
        let Ok(whisht::node::Reply::Peers(peers)) = scene.world.command(reader, Command::Peers)
        else {
            panic!("no list of peers");
        };
        peers.iter().filter(|peer| peer.trusted).count()
    };
    assert_eq!(trusted(&mut scene), 1);
    let _line = scene.world.connect_scripted(scene.attacker, reader);
    assert_eq!(trusted(&mut scene), 1, "a new connection is trusted too");
}

#[test]
fn an_envelope_handed_to_one_peer_goes_to_nobody_else() {
    let mut scene = Scene::new();
    let envelope = unpaid(&mut scene);
    let attacker = scene.world.addr(scene.attacker).key;
    let command = Command::HandOver(attacker, envelope.clone());
    scene.world.command(TARGET, command).unwrap();
    scene.run(30);
    let handed = scene
        .session()
        .received
        .iter()
        .filter(|received| received.code == u16::from(code::P2P_MESSAGE))
        .map(|received| received.payload.clone())
        .collect::<Vec<_>>();
    assert_eq!(handed, [outgoing::p2p_message(&envelope)]);
    assert!(scene.session().gossiped().is_empty());
    assert_eq!(scene.world.status(TARGET).pool_envelopes, 0);
    let nobody = scene.world.addr(1).key;
    let stranger = circuits::ids::RelayKey([3; 64]);
    let to = |key| Command::HandOver(key, envelope.clone());
    assert!(scene.world.command(TARGET, to(nobody)).is_ok());
    assert!(scene.world.command(TARGET, to(stranger)).is_err());
}
