//! A guard that answers and forwards nothing (docs/decisions/0014).

use std::time::Duration;

use circuits::level::Level;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use whisht::envelope::Topic;
use whisht::message::ClientSecret;
use whisht::node::{Event, Recipient, RelayLabel, Stage, Trace};

use super::sim::World;
use super::{add_recipient, deliver_to, network, request, stages};

/// Relays enough that three attempts rarely have a relay in common besides the guard.
const RELAYS: usize = 28;

/// The guard of each attempt of a source, in order.
fn guards(world: &World, source: usize) -> Vec<RelayLabel> {
    let events = world.events(source).iter();
    let attempts = events.filter_map(|(_, event)| match event {
        Event::Trace(Trace::Lanes { lanes }) => Some(lanes),
        _ => None,
    });
    attempts.map(|lanes| lanes[0][0]).collect()
}

/// Sends a message at `normal` to no one in particular, while foreign envelopes arrive, and waits for
/// its end. Returns whether it was delivered.
fn send_among_others(world: &mut World, source: usize, reader: usize, number: u8) -> bool {
    let to = || {
        let secret = ClientSecret::generate(&mut ChaCha20Rng::from_seed([9; 32]));
        Recipient::Public(secret.public(), Topic([1, 2, 3, 4]))
    };
    let before = stages(world, source).len();
    let message = request(to(), vec![number; 40], Level::Normal);
    world.command(source, message).unwrap();
    let end = |world: &World| {
        let stages = stages(world, source);
        let mut new = stages.into_iter().skip(before);
        new.find(|stage| matches!(stage, Stage::Delivered | Stage::Failed { .. }))
    };
    for foreign in 0..40 {
        let traffic = request(to(), vec![number, foreign], Level::Open);
        world.command(reader, traffic).unwrap();
        if world.run_until(Duration::from_secs(30), |world| end(world).is_some()) {
            break;
        }
    }
    matches!(end(world), Some(Stage::Delivered))
}

#[test]
fn guard_that_swallows_cells_is_set_aside_and_the_backup_delivers() {
    let (mut world, source, reader) = network(RELAYS);
    world.run(Duration::from_secs(100));
    let to = add_recipient(&mut world, reader);
    assert!(deliver_to(
        &mut world,
        source,
        reader,
        to,
        b"before",
        Level::Normal
    ));
    world.run(Duration::from_secs(60));
    let guard = guards(&world, source)[0];
    let is_guard = |relay: &usize| RelayLabel(world.addr(*relay).key.id().short()) == guard;
    let number = (0..RELAYS).find(is_guard).unwrap();

    // A relay forwards no cell whose replay tag is not durable: it answers, gossips and swallows.
    world.disk(number).hang();
    let mut failed = 0;
    while !send_among_others(&mut world, source, reader, failed) {
        failed += 1;
        assert!(failed <= 3, "the guard is never left");
    }
    let guards = guards(&world, source);
    let first_of_backup = guards.iter().position(|other| *other != guard).unwrap();
    println!("{failed} messages failed; the backup was used from attempt {first_of_backup} on");
    assert!(failed >= 1, "the guard was left before a message failed");
    // One attempt before the guard's disk hung, and three after.
    assert!(first_of_backup >= 4, "{guards:?}");
    assert!(
        guards
            .iter()
            .skip(first_of_backup)
            .all(|other| *other != guard)
    );
}
