//! Nodes whose clocks are wrong, and peers that lie about the time.

use std::time::Duration;

use circuits::level::Level;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use whisht::envelope::Topic;
use whisht::message::ClientSecret;
use whisht::node::{Event, Recipient, Stage};

use crate::{
    World, add_recipient, deliver, deliver_to, network, network_with_clocks, request, stages,
};

/// The source of a network of twelve relays, and the reader.
const SOURCE: usize = 12;
const READER: usize = 13;

/// The recipient that [`add_recipient`] makes.
fn recipient() -> Recipient {
    let secret = ClientSecret::generate(&mut ChaCha20Rng::from_seed([9; 32]));
    Recipient::Public(secret.public(), Topic([1, 2, 3, 4]))
}

/// Delivers messages at `normal`, one after the other.
fn deliver_many(world: &mut World, count: u8) {
    add_recipient(world, READER);
    for number in 0..count {
        let (to, body) = (recipient(), [number]);
        assert!(
            deliver_to(world, SOURCE, READER, to, &body, Level::Normal),
            "{number}"
        );
    }
}

#[test]
fn sender_with_wrong_clock_is_refused_until_the_clock_is_set() {
    for (ahead, direction) in [
        (-7_200, "2 h behind"),
        (86_400, "ahead of"),
        (600, "ahead of"),
        (-600, "10 min behind"),
    ] {
        let mut world = network_with_clocks(12, &[(SOURCE, ahead)]);
        let clock = world.status(SOURCE).clock.expect("named peers show it");
        assert!(clock.refuses, "{ahead}: {clock:?}");
        assert_eq!(clock.behind_secs.signum(), -ahead.signum());
        let reported =
            |(_, event): &(_, Event)| matches!(event, Event::Clock(view) if view.refuses);
        assert!(world.events(SOURCE).iter().any(reported), "{ahead}");
        for level in [Level::Open, Level::Swift, Level::Normal] {
            let command = request(recipient(), b"late".to_vec(), level);
            let refused = world.command(SOURCE, command).unwrap_err().to_string();
            let expected = refused.contains(direction) && refused.contains("timedatectl");
            assert!(expected, "{ahead}: {refused}");
        }
        assert!(stages(&world, SOURCE).is_empty(), "nothing is sent");

        world.set_clock_ahead(SOURCE, 0);
        world.run(Duration::from_secs(1));
        assert!(deliver(&mut world, SOURCE, READER, b"in time", Level::Open));
    }
}

#[test]
fn sender_three_minutes_ahead_is_warned_and_its_messages_arrive() {
    let mut world = network_with_clocks(12, &[(SOURCE, 180)]);
    let clock = world.status(SOURCE).clock.unwrap();
    assert!(clock.is_off() && !clock.refuses, "{clock:?}");
    deliver_many(&mut world, 4);
}

#[test]
fn slow_relays_do_not_advertise_and_no_message_is_lost() {
    let slow = [2, 9];
    let mut world = network_with_clocks(12, &slow.map(|relay| (relay, -600)));
    for relay in slow {
        let status = world.status(relay);
        assert!(
            status.listed.starts_with("no: the clock"),
            "{}",
            status.listed
        );
    }
    assert_eq!(world.status(SOURCE).eligible_relays, 12 - slow.len());
    assert_eq!(world.status(SOURCE).clock.unwrap().behind_secs, 0);
    deliver_many(&mut world, 10);
    let stages = stages(&world, SOURCE);
    let failed = |stage: &&Stage| matches!(stage, Stage::Failed { .. });
    assert_eq!(stages.iter().filter(failed).count(), 0, "{stages:?}");
    let retried = |stage: &&Stage| matches!(stage, Stage::Retrying { .. });
    let retries = stages.iter().filter(retried).count();
    assert!(retries <= 2, "{retries} retries");
}

#[test]
fn one_lying_peer_changes_nothing() {
    for ahead in [-86_400, -600, 600, 86_400] {
        // The source has named the relays 0, 3 and 6.
        let mut world = network_with_clocks(12, &[(3, ahead)]);
        let clock = world.status(SOURCE).clock.unwrap();
        assert_eq!((clock.behind_secs, clock.refuses), (0, false), "{ahead}");
        assert!(deliver(&mut world, SOURCE, READER, b"true", Level::Open));
    }
}

#[test]
fn peers_that_the_user_did_not_name_cannot_stop_a_node() {
    let (mut world, source, reader) = network(12);
    for _ in 0..6 {
        let liar = world.add(false, &[source]);
        world.set_clock_ahead(liar, 86_400);
    }
    world.run(Duration::from_secs(10));
    let status = world.status(source);
    assert!(status.peers >= 9, "{}", status.peers);
    let clock = status.clock.unwrap();
    assert_eq!((clock.behind_secs, clock.witnesses), (0, 3));
    assert!(deliver(&mut world, source, reader, b"true", Level::Open));
}
