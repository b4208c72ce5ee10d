//! Messages at the levels with cover traffic, through simulated networks: they arrive whole, once, and
//! their stages promise nothing that has not happened.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::time::Duration;

use circuits::level::Level;
use circuits::time::Instant;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use whisht::envelope::Topic;
use whisht::message::{ClientPublic, ClientSecret};
use whisht::node::{
    Command, Connectivity, Cover, Event, Identity, ReaderKind, Recipient, RefusalKind, Reply,
    SendRequest, Stage,
};
use whisht::sim::{Recorder, World, WorldConfig};

/// Relays, then a sender and a reader without the relay role.
const RELAYS: usize = 12;
const SENDER: usize = RELAYS;
const READER: usize = RELAYS + 1;
const NODES: usize = RELAYS + 2;

/// A network in which the relays that `withholds` selects forward cells and hold back what they
/// rebuild: they accept no envelope above 100 bytes.
fn network(withholds: fn(usize) -> bool) -> (World, ClientPublic) {
    let config = WorldConfig {
        fast: true,
        ..WorldConfig::plain(Duration::from_millis(20))
    };
    let mut world = World::new(config, Box::<Recorder>::default());
    for number in 0..NODES {
        let peers: Vec<usize> = [1, 3, 5].map(|step| (number + step) % RELAYS).to_vec();
        let start = Instant::from_micros(u64::try_from(number).unwrap() * 100_000);
        let change = |config: &mut whisht::node::NodeConfig| {
            if number == SENDER || number == 0 {
                config.cover = Cover::Full;
            }
        };
        let relay = number < RELAYS;
        world.add_node(relay, &peers, start, change).unwrap();
    }
    let secret = ClientSecret::generate(&mut ChaCha20Rng::from_seed([9; 32]));
    let public = secret.public();
    let identity = Command::AddIdentity("reader".to_owned(), Identity::KeyPair(secret));
    world.run(Duration::from_secs(60));
    world.command(READER, identity).unwrap();
    for relay in (0..RELAYS).filter(|relay| withholds(*relay)) {
        world.command(relay, Command::SetMaxSize(100)).unwrap();
    }
    (world, public)
}

const fn honest(_: usize) -> bool {
    false
}

fn request(to: ClientPublic, level: Level, payload: Vec<u8>) -> SendRequest {
    SendRequest {
        to: Recipient::Public(to, Topic([1, 2, 3, 4])),
        sign_as: None,
        payload: payload.into(),
        level: Some(level),
        life: Duration::from_secs(600),
        reader: ReaderKind::Whisht,
    }
}

fn send(world: &mut World, from: usize, request: SendRequest) {
    let sent = world.command(from, Command::Send(request));
    assert!(matches!(sent, Ok(Reply::Accepted(_))), "{sent:?}");
}

/// The lengths of the messages in the inbox of the reader, in the order in which they arrived.
fn inbox(world: &World) -> Vec<usize> {
    let events = world.observer::<Recorder>().unwrap().events(READER).iter();
    let lengths = events.filter_map(|(_, event)| match event {
        Event::Message(message) => Some(message.payload.len() / 2),
        _ => None,
    });
    lengths.collect()
}

fn stages(world: &World, at: usize) -> Vec<&Stage> {
    let events = world.observer::<Recorder>().unwrap().events(at).iter();
    let stages = events.filter_map(|(_, event)| match event {
        Event::Outgoing(_, stage) => Some(stage),
        _ => None,
    });
    stages.collect()
}

fn count(world: &World, at: usize, is: fn(&Stage) -> bool) -> usize {
    let stages = stages(world, at).into_iter();
    stages.filter(|stage| is(stage)).count()
}

const fn is_delivered(stage: &Stage) -> bool {
    matches!(stage, Stage::Delivered)
}

const fn is_retry(stage: &Stage) -> bool {
    matches!(stage, Stage::Retrying { .. })
}

#[test]
fn dark_messages_of_1_3_and_18_envelopes_arrive_whole_and_once() {
    let (mut world, to) = network(honest);
    let lengths = [300, 700, 4_500];
    for length in lengths {
        send(
            &mut world,
            SENDER,
            request(to, Level::Dark, vec![7; length]),
        );
    }
    world.run(Duration::from_secs(900));
    let mut arrived = inbox(&world);
    arrived.sort_unstable();
    assert_eq!(arrived, lengths);
    assert_eq!(
        count(&world, SENDER, is_delivered),
        3,
        "{:?}",
        stages(&world, SENDER)
    );
}

#[test]
fn hush_message_of_a_relay_arrives_whichever_relay_is_its_rendezvous() {
    let (mut world, to) = network(honest);
    // Among these there are some whose rendezvous is the sender itself.
    for length in 1..=20 {
        send(&mut world, 0, request(to, Level::Hush, vec![7; length]));
    }
    world.run(Duration::from_secs(600));
    let mut arrived = inbox(&world);
    arrived.sort_unstable();
    assert_eq!(arrived, (1..=20).collect::<Vec<_>>());
}

#[test]
fn long_hush_message_for_another_program_converges() {
    let (mut world, to) = network(honest);
    let request = SendRequest {
        reader: ReaderKind::AnyClient,
        ..request(to, Level::Hush, vec![7; 3_000])
    };
    send(&mut world, SENDER, request);
    world.run(Duration::from_secs(300));
    assert_eq!(inbox(&world), [3_000]);
    let cells = |stage: &&Stage| matches!(stage, Stage::Dispatched { cells: 12, of: 12 });
    assert!(stages(&world, SENDER).iter().any(cells));
}

#[test]
fn attack_by_a_third_of_the_rendezvous_that_withhold_does_not_stop_a_dark_message() {
    let (mut world, to) = network(|number| number % 3 == 1);
    let lengths = [700, 1_100, 4_500];
    for length in lengths {
        send(
            &mut world,
            SENDER,
            request(to, Level::Dark, vec![7; length]),
        );
    }
    world.run(Duration::from_secs(2_400));
    let mut arrived = inbox(&world);
    arrived.sort_unstable();
    assert_eq!(arrived, lengths, "{:?}", stages(&world, SENDER));
    assert_eq!(count(&world, SENDER, is_delivered), 3);
}

#[test]
fn thirty_messages_at_once_do_not_flood_the_guard() {
    let (mut world, to) = network(honest);
    for length in 1..=30 {
        send(
            &mut world,
            SENDER,
            request(to, Level::Hush, vec![7; length]),
        );
    }
    world.run(Duration::from_secs(600));
    assert_eq!(inbox(&world).len(), 30);
    assert_eq!(count(&world, SENDER, is_retry), 0, "no cell was lost");
    assert_eq!(count(&world, SENDER, is_delivered), 30);
}

#[test]
fn message_of_a_client_that_stops_in_mid_queue_is_never_called_sent() {
    let (mut world, to) = network(honest);
    send(&mut world, SENDER, request(to, Level::Dark, vec![7; 4_500]));
    world.run(Duration::from_secs(10));
    world.kill(SENDER);
    let ever_left = |stage: &&Stage| matches!(stage, Stage::Departing { left, .. } if *left > 0);
    let shown = stages(&world, SENDER);
    assert!(shown.iter().any(ever_left), "{shown:?}");
    let all_departing = shown
        .iter()
        .all(|stage| matches!(stage, Stage::Departing { left, cells, .. } if left < cells));
    assert!(all_departing, "{shown:?}");
    world.restart(SENDER).unwrap();
    // The message is sent again from its beginning: what had left is not counted.
    let Ok(Reply::Outbox(list)) = world.command(SENDER, Command::Outbox) else {
        panic!("no outbox");
    };
    let [message] = &list[..] else {
        panic!("the message is lost: {list:?}");
    };
    assert!(
        matches!(
            message.stage,
            Stage::Waiting { .. }
                | Stage::Sealing { .. }
                | Stage::Searching { .. }
                | Stage::Departing { left: 0, .. }
        ),
        "{message:?}"
    );
}

#[test]
fn cells_stay_queued_while_offline_and_leave_afterwards() {
    let (mut world, to) = network(honest);
    send(&mut world, SENDER, request(to, Level::Dark, vec![7; 4_500]));
    world.run(Duration::from_secs(5));
    world.set_connectivity(SENDER, Connectivity::down("Tor is not ready"));
    world.run(Duration::from_secs(20));
    world.set_connectivity(SENDER, Connectivity::Up);
    world.run(Duration::from_secs(600));
    assert_eq!(inbox(&world), [4_500]);
    assert_eq!(count(&world, SENDER, is_delivered), 1);
}

#[test]
fn nineteenth_shard_waits_ten_minutes() {
    let (mut world, to) = network(honest);
    // 24 of 36 shards are needed; 18 leave at once, the others ten minutes later.
    send(&mut world, SENDER, request(to, Level::Dark, vec![7; 9_000]));
    world.run(Duration::from_secs(550));
    let left = |world: &World| {
        let stages = stages(world, SENDER);
        let left = stages.iter().filter_map(|stage| match stage {
            Stage::Departing { left, .. } => Some(*left),
            Stage::Dispatched { cells, .. } => Some(*cells),
            _ => None,
        });
        left.max()
    };
    assert_eq!(left(&world), Some(18));
    assert!(inbox(&world).is_empty());
    world.run(Duration::from_secs(400));
    assert!(left(&world) >= Some(24));
    assert_eq!(inbox(&world), [9_000]);
}

#[test]
fn node_without_cover_refuses_the_levels_that_hide_in_it() {
    let (mut world, to) = network(honest);
    for level in [Level::Hush, Level::Dark, Level::Bulletin] {
        let sent = Command::Send(request(to, level, vec![7; 100]));
        let refused = world.command(READER, sent).unwrap_err();
        assert_eq!(refused.kind, RefusalKind::Policy);
        assert!(refused.cause.contains("this node sends none"), "{refused}");
    }
}
