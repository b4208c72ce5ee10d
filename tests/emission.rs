//! Non-interference: what a user does changes nothing that a node sends to its mixing guard.
//!
//! Two worlds of equal seeds differ in what the user of one client does. An observer of the client's line
//! writes down every cell, dial and close with its microsecond. Both lists are equal: not alike, equal.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may fail loudly, and show its figures"
)]

#[path = "emission/attacks.rs"]
mod attacks;
#[path = "emission/clogging.rs"]
mod clogging;
#[path = "emission/inbound.rs"]
mod inbound;

use std::collections::BTreeSet;
use std::time::Duration;

use circuits::level::Level;
use circuits::time::{Instant, UnixSecs};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use whisht::envelope::Topic;
use whisht::message::ClientSecret;
use whisht::node::{
    Command, Connectivity, Cover, EmissionView, Identity, NodeConfig, ReaderKind, Recipient, Reply,
    SendRequest,
};
use whisht::sim::{TraceEntry, TrafficKind, TrafficLog, World, WorldConfig};

const RELAYS: usize = 10;
/// The client under observation, and another one that receives.
const CLIENT: usize = RELAYS;
const READER: usize = RELAYS + 1;
/// Length of a cell on a link (docs/wire.md).
const CELL_FRAME: usize = 976;

/// What the user of the client does.
#[derive(Clone, Copy, Eq, PartialEq)]
enum User {
    Idle,
    Busy,
}

/// Ten relays and two clients, a quarter of an hour before the end of an epoch.
fn world(relays: Cover) -> World {
    let mut config = WorldConfig::plain(Duration::from_millis(20));
    config.mining.instant = false;
    config.mining.hashes_per_second = 1_000_000;
    config.start = UnixSecs(41_557 * 43_200 - 1_000);
    config.fast = true;
    let mut world = World::new(config, Box::new(TrafficLog::default()));
    for number in 0..RELAYS {
        let peers: Vec<usize> = [1, 3, 4].map(|step| (number + step) % RELAYS).to_vec();
        let start = Instant::from_micros(u64::try_from(number).unwrap() * 100_000);
        let change = |config: &mut NodeConfig| config.cover = relays;
        world.add_node(true, &peers, start, change).unwrap();
    }
    for peers in [PEERS, [0, 1]] {
        let start = Instant::from_micros(2_000_000);
        let change = |config: &mut NodeConfig| config.cover = Cover::Full;
        world.add_node(false, &peers, start, change).unwrap();
    }
    world
}

/// The gossip peers of the client. None of them is its mixing guard.
const PEERS: [usize; 2] = [6, 7];

fn log(world: &World) -> &[TraceEntry] {
    world.observer::<TrafficLog>().unwrap().entries()
}

fn emission(world: &mut World, at: usize) -> EmissionView {
    match world.command(at, Command::Status) {
        Ok(Reply::Status(status)) => status.emission,
        other => panic!("{other:?}"),
    }
}

/// The cells of the client.
fn cells_of(world: &World) -> impl Iterator<Item = &TraceEntry> {
    let own = log(world).iter().filter(|entry| entry.from == CLIENT);
    own.filter(|entry| entry.kind == TrafficKind::Bytes && entry.size == CELL_FRAME)
}

/// The relay that takes the first cell of the client.
fn guard(world: &World) -> usize {
    cells_of(world).next().unwrap().to
}

/// The key of the identity of a node.
fn secret(at: usize) -> ClientSecret {
    let seed = [u8::try_from(at).unwrap(); 32];
    ClientSecret::generate(&mut ChaCha20Rng::from_seed(seed))
}

fn send(world: &mut World, from: usize, to: usize, text: u8) {
    send_at(world, Level::Open, from, to, text);
}

fn send_at(world: &mut World, level: Level, from: usize, to: usize, text: u8) {
    let request = SendRequest {
        to: Recipient::Public(secret(to).public(), Topic([1, 2, 3, 4])),
        sign_as: None,
        payload: vec![text; 300].into(),
        level: Some(level),
        life: Duration::from_secs(600),
        reader: ReaderKind::Whisht,
    };
    let sent = world.command(from, Command::Send(request));
    assert!(matches!(sent, Ok(Reply::Accepted(_))), "{sent:?}");
}

/// Messages come and go, the guard is lost and comes back, the machine is offline for a while, and an
/// epoch ends.
fn played(user: User) -> World {
    let mut world = world(Cover::Off);
    for at in [CLIENT, READER] {
        let identity = Identity::KeyPair(secret(at));
        let added = Command::AddIdentity("own".to_owned(), identity);
        world.command(at, added).unwrap();
    }
    world.run(Duration::from_secs(60));
    let guard = guard(&world);
    assert!(
        !PEERS.contains(&guard),
        "the guard is a gossip peer: choose others"
    );
    for minute in 0_u8..24 {
        match minute {
            5 => world.kill(guard),
            7 => world.restart(guard).unwrap(),
            10 => world.set_connectivity(CLIENT, Connectivity::down("no route")),
            12 => world.set_connectivity(CLIENT, Connectivity::Up),
            _ => {}
        }
        if user == User::Busy {
            act(&mut world, minute);
        }
        world.run(Duration::from_secs(60));
    }
    world
}

/// What the user does in one minute.
fn act(world: &mut World, minute: u8) {
    // 100 cells and more, of messages, of scattered shards and of dummies.
    if minute.is_multiple_of(4) {
        assert_eq!(world.queue_cells(CLIENT, minute.into(), 20), 20);
    }
    if minute % 8 == 1 {
        world.queue_cells(CLIENT, (minute - 1).into(), 0);
    }
    if minute % 7 == 2 {
        send(world, CLIENT, READER, minute);
        send(world, READER, CLIENT, minute);
    }
    for query in [Command::Status, Command::Outbox, Command::Relays] {
        world.command(CLIENT, query).unwrap();
    }
}

/// The cells of the client to this relay, and all its dials and closes.
fn outbound(world: &World, guard: usize) -> Vec<TraceEntry> {
    let own = log(world).iter().filter(|entry| entry.from == CLIENT);
    let of_stream = |entry: &&TraceEntry| match entry.kind {
        TrafficKind::Bytes => entry.to == guard && entry.size >= CELL_FRAME,
        TrafficKind::Dial | TrafficKind::Close => true,
        TrafficKind::Datagram | TrafficKind::Notice => false,
    };
    own.filter(of_stream).copied().collect()
}

#[test]
fn user_that_sends_changes_no_cell_no_dial_and_no_close() {
    let (mut idle, mut busy) = (played(User::Idle), played(User::Busy));
    let guard = guard(&idle);
    let (quiet, loud) = (outbound(&idle, guard), outbound(&busy, guard));
    let cells = cells_of(&idle).count();
    assert!(cells > 500, "{cells} cells in 22 minutes");
    let view = emission(&mut busy, CLIENT);
    assert_eq!(emission(&mut idle, CLIENT).sent, view.sent);
    assert!(view.guard_down > 30, "{view:?}");
    assert!(view.loops_returned > 30, "{view:?}");
    let first = quiet
        .iter()
        .zip(&loud)
        .position(|(one, other)| one != other);
    assert_eq!(first.map(|at| (quiet[at], loud[at])), None);
    assert_eq!(quiet.len(), loud.len());
    // No other relay takes the place of the guard, and what it missed is not made up for.
    let to: BTreeSet<usize> = cells_of(&busy).map(|entry| entry.to).collect();
    assert_eq!(to, BTreeSet::from([guard]));
    // Cells that leave at one instant are one entry.
    let bytes = log(&busy)
        .iter()
        .filter(|entry| entry.from == CLIENT && entry.to == guard);
    let times: Vec<Instant> = bytes
        .flat_map(|entry| core::iter::repeat_n(entry.at, entry.size / CELL_FRAME))
        .collect();
    let in_ten_seconds = times.iter().map(|from| {
        let until = from.after(Duration::from_secs(10));
        times
            .iter()
            .filter(|at| *at >= from && **at < until)
            .count()
    });
    assert!(in_ten_seconds.max() < Some(20), "5 on average");
    // The user did something: the bytes to the other peers differ.
    assert_ne!(log(&idle).len(), log(&busy).len());
}

#[test]
fn loops_of_relays_and_clients_come_back() {
    let mut world = world(Cover::Full);
    world.run(Duration::from_secs(240));
    for node in [0, 5, CLIENT, READER] {
        let view = emission(&mut world, node);
        assert!(view.sent > 60, "{node}: {view:?}");
        assert!(view.loops_returned > 2, "{node}: {view:?}");
        assert_eq!(view.loops_lost, 0, "{node}: {view:?}");
        assert!(view.alarm.is_none(), "{node}: {view:?}");
    }
}
