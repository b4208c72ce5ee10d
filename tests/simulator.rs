//! The simulator: equal seeds give equal runs, and fast mode sends what full mode sends.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::BTreeSet;
use std::time::Duration;

use circuits::level::Level;
use circuits::time::Instant;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use whisht::envelope::Topic;
use whisht::message::{ClientPublic, ClientSecret};
use whisht::node::{Command, Event, Identity, Recipient, Reply, SendRequest, Stage};
use whisht::sim::{
    NetworkModel, Recorder, TraceEntry, TrafficKind, TrafficLog, World, WorldConfig, WorldSeed,
};

/// The observers of a world under test.
type Observers = (TrafficLog, Recorder);

/// A world of twelve relays and two clients over a lossy network, after three messages.
fn played(seed: u64, fast: bool) -> World {
    let seed = WorldSeed::from_number(seed);
    let config = WorldConfig {
        fast,
        ..WorldConfig::timed(seed, NetworkModel::internet(), 1_000_000)
    };
    let mut world = World::new(config, Box::new(Observers::default()));
    for number in 0..NODES {
        let peers: Vec<usize> = [1, 3, 5].map(|step| (number + step) % NODES).to_vec();
        let start = Instant::from_micros(u64::try_from(number).unwrap() * 100_000);
        world
            .add_node(number < RELAYS, &peers, start, |_| {})
            .unwrap();
    }
    let to = reader(&mut world, NODES - 1);
    world.run(Duration::from_secs(30));
    let senders = [(0, Level::Open), (4, Level::Swift), (RELAYS, Level::Normal)];
    for (text, (from, level)) in (1..).zip(senders) {
        let sent = world.command(from, Command::Send(message(to, level, text)));
        assert!(matches!(sent, Ok(Reply::Accepted(_))), "{sent:?}");
    }
    world.run(Duration::from_secs(60));
    world
}

fn reader(world: &mut World, at: usize) -> ClientPublic {
    let secret = ClientSecret::generate(&mut ChaCha20Rng::from_seed([9; 32]));
    let public = secret.public();
    let identity = Command::AddIdentity("reader".to_owned(), Identity::KeyPair(secret));
    world.command(at, identity).unwrap();
    public
}

fn message(to: ClientPublic, level: Level, text: u8) -> SendRequest {
    SendRequest {
        to: Recipient::Public(to, Topic([1, 2, 3, 4])),
        sign_as: None,
        payload: vec![text; 700].into(),
        level: Some(level),
        life: Duration::from_secs(600),
        reader: whisht::node::ReaderKind::default(),
    }
}

fn log(world: &World) -> &TrafficLog {
    let (log, _) = world.observer::<Observers>().unwrap();
    log
}

#[test]
fn equal_seeds_give_equal_bytes_at_equal_times() {
    let (one, two) = (played(1, false), played(1, false));
    assert_eq!(log(&one).entries(), log(&two).entries());
    assert_eq!(log(&one).digest(), log(&two).digest());
    assert_ne!(log(&one).digest(), log(&played(2, false)).digest());
}

#[test]
fn fast_mode_sends_what_full_mode_sends() {
    for seed in 1..=3 {
        let (full, fast) = (played(seed, false), played(seed, true));
        let (full_log, fast_log) = (log(&full).entries(), log(&fast).entries());
        let differs = full_log.iter().zip(fast_log).position(|(a, b)| a != b);
        if let Some(at) = differs {
            panic!(
                "{seed}: {:?}\n{:?}",
                &full_log[at..][..3],
                &fast_log[at..][..3]
            );
        }
        assert_eq!(full_log.len(), fast_log.len(), "{seed}");
        assert_ne!(log(&full).digest(), log(&fast).digest(), "other bytes");
    }
}

#[test]
fn messages_arrive_in_both_modes() {
    for fast in [false, true] {
        let world = played(4, fast);
        let (log, recorder) = world.observer::<Observers>().unwrap();
        let arrived = recorder.events(NODES - 1).iter();
        let arrived = arrived.filter_map(|(_, event)| match event {
            Event::Message(message) => Some(&message.payload),
            _ => None,
        });
        // A message that was sent again may arrive twice.
        assert_eq!(arrived.collect::<BTreeSet<_>>().len(), 3, "fast: {fast}");
        let cell =
            |entry: &&TraceEntry| entry.kind == TrafficKind::Bytes && entry.size == CELL_FRAME;
        assert!(
            log.entries().iter().filter(cell).count() > 9,
            "fast: {fast}"
        );
        let delivered = recorder.events(RELAYS).iter();
        let delivered =
            delivered.filter(|(_, event)| matches!(event, Event::Outgoing(_, Stage::Delivered)));
        assert_eq!(delivered.count(), 1, "fast: {fast}");
    }
}

const RELAYS: usize = 12;
const NODES: usize = 14;
/// A cell in its frame.
const CELL_FRAME: usize = 976;
