//! Two nodes behind routers that refuse inbound connections: a common peer carries their messages
//! by ordinary gossip.

use std::time::Duration;

use circuits::level::Level;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use whisht::envelope::Topic;
use whisht::message::{ClientPublic, ClientSecret};
use whisht::node::{Command, Event, Identity, Recipient, Reply, SendRequest};

use crate::sim::World;

/// Gives a node a key; returns the public key to write to.
fn acquaint(world: &mut World, at: usize) -> ClientPublic {
    let seed = [u8::try_from(at).unwrap(); 32];
    let secret = ClientSecret::generate(&mut ChaCha20Rng::from_seed(seed));
    let public = secret.public();
    let identity = Command::AddIdentity("me".to_owned(), Identity::KeyPair(secret));
    world.command(at, identity).unwrap();
    public
}

fn says(world: &mut World, from: usize, to: (usize, ClientPublic), text: &str) -> bool {
    let request = SendRequest {
        to: Recipient::Public(to.1, Topic([1, 2, 3, 4])),
        sign_as: None,
        payload: text.as_bytes().to_vec().into(),
        level: Some(Level::Open),
        life: Duration::from_secs(600),
        reader: whisht::node::ReaderKind::default(),
    };
    let sent = world.command(from, Command::Send(request)).unwrap();
    assert!(matches!(sent, Reply::Accepted(_)));
    let heard = hex::encode(text);
    let hears = |world: &World| {
        let mut events = world.events(to.0).iter();
        events
            .any(|(_, event)| matches!(event, Event::Message(message) if message.payload == heard))
    };
    world.run_until(Duration::from_secs(120), hears)
}

#[test]
fn nodes_behind_nat_exchange_messages_through_common_peer() {
    let mut world = World::new(Duration::from_millis(20));
    let common = world.add(false, &[]);
    let alice = world.add(false, &[common]);
    let bob = world.add(false, &[common, alice]);
    world.put_behind_nat(alice);
    world.put_behind_nat(bob);
    let bobs = world.addr(bob);
    world.command(alice, Command::AddPeer(bobs)).unwrap();
    let to_alice = (alice, acquaint(&mut world, alice));
    let to_bob = (bob, acquaint(&mut world, bob));
    world.run(Duration::from_secs(30));
    // Each names the other, and reaches the common peer only.
    for at in [alice, bob] {
        assert_eq!(world.status(at).peers, 1, "{at}");
    }
    assert!(says(&mut world, alice, to_bob, "the hedge, at nine"));
    assert!(says(&mut world, bob, to_alice, "at ten"));
    // Without the common peer no message arrives.
    world.kill(common);
    world.run(Duration::from_secs(5));
    for at in [alice, bob] {
        assert_eq!(world.status(at).peers, 0, "{at}");
    }
}
