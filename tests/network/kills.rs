//! Sources whose power fails: what was accepted is sent by the next run, and reaches the reader once.

use std::collections::BTreeMap;
use std::time::Duration;

use circuits::level::Level;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use whisht::node::{Command, Event, Recipient, Reply, Stage};

use super::sim::World;
use super::{add_recipient, network, request};

/// How often the reader got each payload.
fn received(world: &World, reader: usize) -> BTreeMap<String, usize> {
    let mut received = BTreeMap::new();
    for (_, event) in world.events(reader) {
        if let Event::Message(message) = event {
            *received.entry(message.payload.clone()).or_default() += 1;
        }
    }
    received
}

fn outbox(world: &mut World, at: usize) -> Vec<Stage> {
    match world.command(at, Command::Outbox) {
        Ok(Reply::Outbox(messages)) => messages.into_iter().map(|message| message.stage).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn killed_source_loses_no_accepted_message_and_the_reader_gets_none_twice() {
    let (mut world, source, reader) = network(8);
    world.run(Duration::from_secs(100));
    let Recipient::Public(key, topic) = add_recipient(&mut world, reader) else {
        panic!("not a public key");
    };
    let mut rng = ChaCha20Rng::from_seed([23; 32]);
    let sent = 8;
    for number in 0..sent {
        let payload = format!("message {number}").into_bytes();
        let send = request(Recipient::Public(key, topic), payload, Level::Normal);
        assert!(matches!(
            world.command(source, send),
            Ok(Reply::Accepted(_))
        ));
        // From the moment of the answer on, over lanes and hold, until after the echo.
        world.run(Duration::from_millis(
            u64::from(rng.next_u32() % 12_000) * number / 4,
        ));
        world.kill(source);
        world.run(Duration::from_secs(2));
        world.restart(source);
        world.run(Duration::from_secs(1));
    }
    let all = |world: &World| received(world, reader).len() == usize::try_from(sent).unwrap();
    assert!(world.run_until(Duration::from_secs(900), all));
    world.run(Duration::from_secs(300));
    let received = received(&world, reader);
    assert!(received.values().all(|copies| *copies == 1), "{received:?}");
    let left = outbox(&mut world, source);
    assert!(
        left.iter().all(|stage| *stage == Stage::Delivered),
        "{left:?}"
    );

    // The disk keeps none that is delivered.
    world.kill(source);
    world.restart(source);
    world.run(Duration::from_secs(1));
    assert!(outbox(&mut world, source).is_empty());
}
