//! Retries, confirmations and pacing of hidden messages over slow and lossy links.

use std::collections::BTreeMap;
use std::time::Duration;

use circuits::level::Level;
use whisht::node::{ClientId, Event, MessageId, Recipient, Reply, Stage};
use whisht::sim::WorldConfig;

use super::sim::World;
use super::{add_recipient, network_over, request};

/// What became of the messages of one source.
#[derive(Debug, Default, Eq, PartialEq)]
struct Outcome {
    /// Envelopes made.
    copies: usize,
    delivered: usize,
    failed: usize,
    /// Messages in the reader's inbox, copies included.
    received: usize,
}

/// Sends messages at `normal`, one per interval, and waits for the end of all.
fn send_over(latency: Duration, messages: usize, interval: Duration) -> Outcome {
    let (mut world, source, reader) = network_over(World::new(latency), 12);
    world.run(Duration::from_secs(100));
    send_all(&mut world, source, reader, messages, interval)
}

fn send_all(
    world: &mut World,
    source: usize,
    reader: usize,
    messages: usize,
    interval: Duration,
) -> Outcome {
    let Recipient::Public(key, topic) = add_recipient(world, reader) else {
        panic!("not a public key");
    };
    for number in 0..messages {
        let payload = format!("message {number}").into_bytes();
        // A client of its own for each: one client may not have that many in flight.
        let client = ClientId(u64::try_from(number).unwrap() + 1);
        let reply = world.command_of(
            client,
            source,
            request(Recipient::Public(key, topic), payload, Level::Normal),
        );
        assert!(matches!(reply, Ok(Reply::Accepted(_))), "{reply:?}");
        world.run(interval);
    }
    let ended = |world: &World| last_stages(world, source).values().all(has_ended);
    world.run_until(Duration::from_secs(3_600), ended);
    // Copies on their way arrive.
    world.run(Duration::from_secs(120));
    outcome(world, source, reader)
}

fn has_ended(stage: &Stage) -> bool {
    matches!(stage, Stage::Delivered | Stage::Failed { .. })
}

fn last_stages(world: &World, source: usize) -> BTreeMap<MessageId, Stage> {
    let events = world.events(source).iter();
    let stages = events.filter_map(|(_, event)| match event {
        Event::Outgoing(id, stage) => Some((*id, stage.clone())),
        _ => None,
    });
    stages.collect()
}

fn outcome(world: &World, source: usize, reader: usize) -> Outcome {
    let mut outcome = Outcome::default();
    for (_, event) in world.events(source) {
        match event {
            Event::Outgoing(_, Stage::Sealed { .. }) => outcome.copies += 1,
            Event::Outgoing(_, Stage::Delivered) => outcome.delivered += 1,
            Event::Outgoing(_, Stage::Failed { .. }) => outcome.failed += 1,
            _ => {}
        }
    }
    let messages = world.events(reader).iter();
    outcome.received = messages
        .filter(|(_, event)| matches!(event, Event::Message(_)))
        .count();
    outcome
}

#[test]
fn slow_links_cause_neither_needless_attempts_nor_false_failures() {
    for millis in [62, 750, 1_200] {
        let outcome = send_over(Duration::from_millis(millis), 20, Duration::from_secs(3));
        println!("{millis} ms one way: {outcome:?}");
        assert!(outcome.copies <= 21, "{millis} ms: {outcome:?}");
        let ends = (outcome.delivered, outcome.failed, outcome.received);
        assert_eq!(ends, (20, 0, 20), "{millis} ms");
    }
}

#[test]
fn burst_of_messages_keeps_below_the_rate_of_the_guard() {
    let outcome = send_over(Duration::from_millis(62), 60, Duration::ZERO);
    println!("60 messages at once: {outcome:?}");
    let ends = (outcome.copies, outcome.delivered, outcome.received);
    assert_eq!(ends, (60, 60, 60));
}

#[test]
fn lossy_links_deliver_every_message_to_the_reader_once() {
    let mut config = WorldConfig::plain(Duration::from_millis(62));
    config.network.loss = 0.05;
    let (mut world, source, reader) = network_over(World::with_config(config), 12);
    world.run(Duration::from_secs(100));
    let outcome = send_all(&mut world, source, reader, 20, Duration::from_secs(3));
    println!("5 % loss: {outcome:?}");
    assert_eq!((outcome.failed, outcome.received), (0, 20), "{outcome:?}");
}
