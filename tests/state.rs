//! The user's state under power failures: a node is killed at each of its commit points, and nothing
//! that was announced is lost, announced twice or half there.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

use std::time::Duration;

use circuits::level::Level;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use whisht::envelope::Topic;
use whisht::message::ClientSecret;
use whisht::node::{
    Command, Event, Identity, InboxQuery, ReaderKind, Recipient, Reply, SendRequest,
};

#[path = "support/sim.rs"]
mod sim;

use sim::World;

const RELAY: usize = 0;
const SENDER: usize = 1;
const READER: usize = 2;
const MESSAGES: u8 = 4;

/// The same key at each call, as a keystore returns it at each start.
fn key() -> ClientSecret {
    ClientSecret::generate(&mut ChaCha20Rng::from_seed([9; 32]))
}

fn unlock_reader(world: &mut World) {
    let identity = Identity::KeyPair(key());
    let add = Command::AddIdentity("me".to_owned(), identity);
    world.command(READER, add).unwrap();
}

fn world() -> World {
    let mut world = World::new(Duration::from_millis(5));
    world.add(true, &[]);
    world.add(false, &[RELAY]);
    world.add(false, &[RELAY]);
    world.run(Duration::from_secs(5));
    unlock_reader(&mut world);
    world
}

fn send(world: &mut World, number: u8) {
    let request = SendRequest {
        to: Recipient::Public(key().public(), Topic([1, 2, 3, 4])),
        sign_as: None,
        payload: vec![number; 20].into(),
        level: Some(Level::Open),
        life: Duration::from_secs(3_600),
        reader: ReaderKind::default(),
    };
    world.command(SENDER, Command::Send(request)).unwrap();
}

/// The payloads in the reader's inbox.
fn inbox(world: &mut World) -> Vec<String> {
    let reply = world.command(READER, Command::Inbox(InboxQuery::All));
    let Ok(Reply::Inbox(messages)) = reply else {
        panic!("no inbox: {reply:?}");
    };
    messages
        .into_iter()
        .map(|message| message.payload)
        .collect()
}

/// The payloads that the reader was told of, in all its runs.
fn announced(world: &World) -> Vec<String> {
    let events = world.events(READER).iter();
    let told = events.filter_map(|(_, event)| match event {
        Event::Message(message) => Some(message.payload.clone()),
        _ => None,
    });
    told.collect()
}

fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    list
}

fn all() -> Vec<String> {
    (0..MESSAGES)
        .map(|number| hex::encode([number; 20]))
        .collect()
}

#[test]
fn reader_killed_at_any_commit_point_has_every_message_once() {
    for commits in 0..=u64::from(MESSAGES) {
        let mut world = world();
        world.disk(READER).hang_after(commits);
        for number in 0..MESSAGES {
            send(&mut world, number);
            world.run(Duration::from_secs(3));
        }
        let told = announced(&world);
        assert_eq!(told.len(), usize::try_from(commits).unwrap());
        world.kill(READER);
        world.run(Duration::from_secs(1));
        world.restart(READER);
        unlock_reader(&mut world);
        // What was announced is there before the network can bring it again.
        assert_eq!(inbox(&mut world), told);
        let relay = world.addr(RELAY);
        world.command(READER, Command::AddPeer(relay)).unwrap();
        world.run(Duration::from_secs(30));
        assert_eq!(sorted(inbox(&mut world)), all());
        assert_eq!(sorted(announced(&world)), all(), "killed after {commits}");
    }
}

#[test]
fn message_durable_but_not_announced_at_the_kill_is_in_the_inbox_once() {
    let mut config = whisht::sim::WorldConfig::plain(Duration::from_millis(5));
    config.disk.delay = Duration::from_secs(2);
    let mut world = World::with_config(config);
    world.add(true, &[]);
    world.add(false, &[RELAY]);
    world.add(false, &[RELAY]);
    world.run(Duration::from_secs(30));
    unlock_reader(&mut world);
    let before = world.disk(READER).state_commits();
    send(&mut world, 0);
    let mut waited = 0;
    while world.disk(READER).state_commits() == before {
        world.run(Duration::from_millis(100));
        waited += 1;
        assert!(waited < 200, "the message does not arrive");
    }
    assert!(announced(&world).is_empty(), "the disk has not answered");
    world.kill(READER);
    world.restart(READER);
    unlock_reader(&mut world);
    let relay = world.addr(RELAY);
    world.command(READER, Command::AddPeer(relay)).unwrap();
    world.run(Duration::from_secs(60));
    assert_eq!(inbox(&mut world), [hex::encode([0; 20])]);
}
