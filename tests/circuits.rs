//! Circuits in simulated time: real nodes, real cells. Two clients meet at a relay; relays die, ends stall,
//! cookies repeat, links flood.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

use std::time::Duration;

use circuits::geometry::CELL_LEN;
use circuits::ids::RelayId;
use whisht::node::{CircuitsView, Command};
use whisht::onion_wire::OnionMessage;
use whisht::sim::CircuitNews;

#[path = "support/sim.rs"]
mod sim;

use sim::World;
use sim::scripted_peer::PeerBehaviour;

const RELAYS: usize = 8;
/// The relay where circuits meet. It is the guard of no client: they pin others.
const MEETING: usize = 7;
const COOKIE: [u8; 20] = [5; 20];

/// Relays in a ring with chords, and clients, each with a guard of its own.
fn network(clients: usize) -> World {
    let mut world = World::new(Duration::from_millis(5));
    for relay in 0..RELAYS {
        let peers = [1, 2, 5].iter().filter_map(|back| relay.checked_sub(*back));
        world.add(true, &peers.collect::<Vec<_>>());
    }
    for relay in 0..5 {
        for peer in [RELAYS - 1 - relay, RELAYS - 2 - relay] {
            if peer != relay {
                let peer = world.addr(peer);
                world.command(relay, Command::AddPeer(peer)).unwrap();
            }
        }
    }
    for client in 0..clients {
        let guard = guard(&world, client);
        let peers = [client % 3, 3 + client % 3];
        world.add_with(false, &peers, |config| config.guard = Some(guard));
    }
    world.run(Duration::from_secs(30));
    world
}

/// The guard of a client: one of the first relays.
fn guard(world: &World, client: usize) -> RelayId {
    id(world, guard_of(client))
}

const fn guard_of(client: usize) -> usize {
    client % 5
}

fn id(world: &World, relay: usize) -> RelayId {
    world.addr(relay).key.id()
}

/// The number of a machine that runs a client.
const fn client(number: usize) -> usize {
    RELAYS + number
}

/// A payload that differs for every number.
fn payload(number: u64) -> [u8; 812] {
    let mut payload = [0x5a; 812];
    payload[..8].copy_from_slice(&number.to_be_bytes());
    payload
}

fn circuits(world: &mut World, at: usize) -> CircuitsView {
    world.status(at).circuits
}

/// Opens the circuits of two clients, and sends a first payload from each end.
fn meet(world: &mut World, number: u64, ends: [usize; 2], cookie: [u8; 20]) {
    let meeting = id(world, MEETING);
    for end in ends {
        world.open_circuit(end, number, meeting, cookie);
        assert_eq!(world.send_payloads(end, number, &[payload(0)]), 1);
    }
    world.run(Duration::from_secs(5));
    for end in ends {
        let news = world.take_circuit_news(end);
        let first = CircuitNews::Payload(Box::new(payload(0)));
        assert_eq!(news, [(number, first)], "end {end}");
    }
}

/// Numbered payloads from one end of a circuit to the other.
struct Stream {
    from: usize,
    to: usize,
    number: u64,
    sent: u64,
    arrived: u64,
}

impl Stream {
    const fn new(number: u64, [from, to]: [usize; 2]) -> Self {
        Self {
            from,
            to,
            number,
            sent: 0,
            arrived: 0,
        }
    }

    /// Sends as much as the circuit takes for some time. Returns how many payloads arrived, each once and
    /// in order.
    fn run(&mut self, world: &mut World, seconds: u64) -> u64 {
        let before = self.arrived;
        for _ in 0..seconds * 10 {
            let next: Vec<_> = (self.sent..self.sent + 64).map(payload).collect();
            let taken = world.send_payloads(self.from, self.number, &next);
            self.sent += u64::try_from(taken).unwrap();
            world.run(Duration::from_millis(100));
            for (number, news) in world.take_circuit_news(self.to) {
                assert_eq!(number, self.number);
                match news {
                    CircuitNews::Payload(bytes) => {
                        assert!(*bytes == payload(self.arrived), "payload {}", self.arrived);
                        self.arrived += 1;
                    }
                    CircuitNews::Ready => {}
                    CircuitNews::Ended(why) => panic!("{why}"),
                }
            }
        }
        self.arrived - before
    }
}

fn endings(world: &mut World, at: usize) -> Vec<String> {
    let news = world.take_circuit_news(at).into_iter();
    news.filter_map(|(_, news)| match news {
        CircuitNews::Ended(why) => Some(why),
        _ => None,
    })
    .collect()
}

#[test]
fn two_clients_stream_through_relays_at_the_rate_of_a_circuit() {
    let mut world = network(2);
    let (one, other) = (client(0), client(1));
    meet(&mut world, 1, [one, other], COOKIE);
    assert_eq!(circuits(&mut world, one).own, 1);
    assert!(circuits(&mut world, MEETING).relayed >= 2);
    assert_eq!(circuits(&mut world, MEETING).unpaired, 0);
    // 200 cells a second are 162 KB/s of payloads.
    for ends in [[one, other], [other, one]] {
        let arrived = Stream::new(1, ends).run(&mut world, 5);
        assert!((900..=1_040).contains(&arrived), "{arrived}");
        world.run(Duration::from_secs(1));
        world.take_circuit_news(ends[1]);
    }
    for relay in 0..RELAYS {
        let view = circuits(&mut world, relay);
        assert_eq!(
            (view.queued_cells, view.cells_dropped),
            (0, 0),
            "relay {relay}"
        );
    }
}

#[test]
fn closed_circuit_ends_at_all_nodes_within_seconds() {
    let mut world = network(2);
    let (one, other) = (client(0), client(1));
    meet(&mut world, 1, [one, other], COOKIE);
    world.close_circuit(one, 1);
    world.run(Duration::from_secs(5));
    assert_eq!(endings(&mut world, other).len(), 1);
    assert!(endings(&mut world, one).is_empty(), "its owner closed it");
    for at in 0..world.len() {
        let view = circuits(&mut world, at);
        assert_eq!((view.own, view.relayed), (0, 0), "node {at}");
    }
}

#[test]
fn death_of_a_relay_in_mid_stream_ends_the_circuit_at_both_ends() {
    for dies in [MEETING, guard_of(0)] {
        let mut world = network(2);
        let (one, other) = (client(0), client(1));
        meet(&mut world, 1, [one, other], COOKIE);
        assert!(Stream::new(1, [one, other]).run(&mut world, 3) > 400);
        world.kill(dies);
        world.run(Duration::from_secs(5));
        for end in [one, other] {
            assert_eq!(endings(&mut world, end).len(), 1, "end {end} after {dies}");
        }
        for at in (0..world.len()).filter(|at| *at != dies) {
            let view = circuits(&mut world, at);
            assert_eq!((view.own, view.relayed), (0, 0), "node {at}");
        }
    }
}

#[test]
fn attack_with_a_third_cookie_ends_all_three_circuits() {
    let mut world = network(3);
    let (one, other, third) = (client(0), client(1), client(2));
    meet(&mut world, 1, [one, other], COOKIE);
    let meeting = id(&world, MEETING);
    world.open_circuit(third, 1, meeting, COOKIE);
    world.run(Duration::from_secs(5));
    for end in [one, other] {
        assert_eq!(endings(&mut world, end).len(), 1, "end {end}");
    }
    assert_eq!(circuits(&mut world, MEETING).relayed, 0);
    // The third learns by silence, or by the end of its circuit.
    world.run(Duration::from_secs(200));
    assert_eq!(endings(&mut world, third).len(), 1);
}

/// The circuits have no other half: their ends send and nothing reads. Their cells are bounded, and the
/// circuits end by themselves.
#[test]
fn attack_with_64_stalled_circuits_costs_bounded_memory_and_delays_no_other() {
    let mut world = network(10);
    let (one, other) = (client(8), client(9));
    meet(&mut world, 1, [one, other], COOKIE);
    let meeting = id(&world, MEETING);
    for stalled in 0..8_u8 {
        for number in 0..8_u8 {
            let cookie = [50 + stalled * 8 + number; 20];
            let end = client(usize::from(stalled));
            world.open_circuit(end, number.into(), meeting, cookie);
        }
    }
    world.run(Duration::from_secs(3));
    let mut most = 0;
    for _ in 0..4 {
        for stalled in 0..8 {
            for number in 0..8 {
                let flood: Vec<_> = (0..64).map(payload).collect();
                world.send_payloads(client(stalled), number, &flood);
            }
        }
        world.run(Duration::from_millis(250));
        most = most.max(circuits(&mut world, MEETING).queued_cells);
    }
    assert!(most > 0, "some wait for their other half");
    assert!(most <= 64 * 32, "{most}");
    let arrived = Stream::new(1, [one, other]).run(&mut world, 10);
    assert!(arrived > 1_800, "{arrived}");
    world.run(Duration::from_secs(200));
    assert_eq!(circuits(&mut world, MEETING).relayed, 0);
    assert_eq!(circuits(&mut world, MEETING).queued_cells, 0);
}

#[test]
fn attack_with_a_flood_on_one_link_delays_no_stream_of_another() {
    let mut world = network(2);
    let (one, other) = (client(0), client(1));
    meet(&mut world, 1, [one, other], COOKIE);
    let attacker = world.add_scripted_peer(PeerBehaviour::relay());
    let link = world.connect_scripted(attacker, MEETING);
    let mut stream = Stream::new(1, [one, other]);
    let mut arrived = 0;
    for second in 0..4 {
        for number in 0..2_500_u32 {
            let mut cell = Box::new([7; CELL_LEN]);
            cell[..4].copy_from_slice(&(1 + second * 2_500 + number).to_be_bytes());
            let message = OnionMessage::CircuitCell(cell);
            world.act(attacker, |peer, now| {
                ((), peer.send_onion(now, link, &message))
            });
        }
        arrived += stream.run(&mut world, 1);
    }
    assert!(arrived > 600, "{arrived}");
    let view = circuits(&mut world, MEETING);
    assert!(view.cells_dropped > 1_000, "{view:?}");
    assert_eq!(view.queued_cells, 0);
}

#[test]
fn circuit_without_a_known_rendezvous_or_guard_is_refused_with_the_reason() {
    let mut world = network(1);
    world.open_circuit(client(0), 1, RelayId([9; 32]), COOKIE);
    world.run(Duration::from_secs(1));
    assert_eq!(endings(&mut world, client(0)).len(), 1);
    world.kill(guard_of(0));
    world.run(Duration::from_secs(2));
    let meeting = id(&world, MEETING);
    world.open_circuit(client(0), 2, meeting, COOKIE);
    world.run(Duration::from_secs(1));
    let endings = endings(&mut world, client(0));
    assert!(endings[0].contains("guard"), "{endings:?}");
}
