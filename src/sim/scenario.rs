//! A scenario: a network of a given size, and messages or cells that cross it.
//!
//! The scenario adds nodes, lets them meet for a while that is not measured, and then sends its
//! messages at random times from random nodes to random nodes. It runs in steps, so a caller can
//! show progress and stop early. Everything that it draws comes from the world's seed.

mod synthetic;
mod topology;

use std::time::Duration;

use circuits::level::Level;
use circuits::time::{Instant, UnixSecs};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde::Serialize;

use self::synthetic::CellSource;
use self::topology::Topology;
use super::disk::DiskModel;
use super::measurements::{LatencyReport, Measurements, TrafficReport, payload};
use super::mining::MiningModel;
use super::network::NetworkModel;
use super::seed::{SmallRng, WorldSeed};
use super::world::{World, WorldConfig};
use crate::envelope::Topic;
use crate::message::{ClientPublic, ClientSecret};
use crate::node::{Command, Identity, Recipient, Refusal, RefusalKind, Reply, SendRequest};

/// What to simulate.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Nodes, at least 2.
    pub nodes: usize,
    /// Relays among them; a tenth, but at least twelve, if nothing is said.
    pub relays: Option<usize>,
    /// Time to simulate after the network has been set up.
    pub time: Duration,
    /// Level of the messages.
    pub level: Level,
    /// Messages to send.
    pub messages: usize,
    /// Seed of the world.
    pub seed: u64,
    /// Synthetic cells that each node sends per second; none if zero.
    pub synthetic_cells: f64,
    /// Whether nodes compute with stand-ins.
    pub fast: bool,
    /// The links.
    pub network: NetworkModel,
}

/// A scenario that runs.
pub struct Simulation {
    scenario: Scenario,
    world: World,
    relays: usize,
    /// When the measured time began, once it has.
    begun: Option<Instant>,
    readers: Vec<Reader>,
    /// Messages to send, the next one last: time after the start, sender, reader.
    planned: Vec<(Duration, usize, usize)>,
    cells: Option<CellSource>,
    sent: usize,
    refused: usize,
}

/// A node with an identity.
struct Reader {
    node: usize,
    public: ClientPublic,
}

impl Simulation {
    /// Adds the nodes and plans the messages. No time passes.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if there are fewer than two nodes.
    pub fn new(scenario: Scenario) -> Result<Self, Refusal> {
        if scenario.nodes < 2 {
            return Err(Refusal {
                kind: RefusalKind::Usage,
                cause: format!("a network of {} nodes has no message", scenario.nodes),
                remedy: "simulate at least 2 nodes".to_owned(),
            });
        }
        let seed = WorldSeed::from_number(scenario.seed);
        let mut world = World::new(
            world_config(seed, &scenario),
            Box::new(Measurements::default()),
        );
        let topology = Topology::draw(&seed, scenario.nodes, scenario.relays);
        topology.build(&mut world)?;
        let mut rng = seed.small_rng("messages", &[]);
        let readers = add_readers(&mut world, &scenario, &seed, &mut rng)?;
        let planned = plan(&scenario, &readers, &mut rng);
        let relays = topology.relays();
        let rate = scenario.synthetic_cells;
        Ok(Self {
            world,
            relays: relays.len(),
            cells: CellSource::new(&seed, scenario.nodes, relays, rate),
            begun: None,
            readers,
            planned,
            sent: 0,
            refused: 0,
            scenario,
        })
    }

    /// Lets the nodes start and connect while `go_on` returns true. Nothing of it is measured.
    pub fn warm_up(&mut self, mut go_on: impl FnMut() -> bool) {
        let end = self.world.clock().mono.after(WARM_UP);
        while self.world.clock().mono < end && go_on() {
            self.world.run(WARM_UP / 100);
        }
        let now = self.world.clock().mono;
        self.begun = Some(now);
        if let Some(cells) = &mut self.cells {
            cells.start(now);
        }
        if let Some(measurements) = self.measurements() {
            measurements.start();
        }
    }

    /// Runs until `time` of the measured time has passed, or its end.
    ///
    /// # Errors
    ///
    /// The refusal of the first message, if a rule of its level refuses it: so would every other.
    pub fn advance(&mut self, time: Duration) -> Result<(), Refusal> {
        let begun = self.begun.unwrap_or_else(|| self.world.clock().mono);
        let time = time.min(self.scenario.time);
        while let Some((due, from, reader)) = self.planned.last().copied()
            && due <= time
        {
            self.planned.pop();
            self.run_to(begun.after(due));
            self.send(from, reader)?;
        }
        self.run_to(begun.after(time));
        Ok(())
    }

    /// Lets time pass, in which nodes send synthetic cells.
    fn run_to(&mut self, until: Instant) {
        while let Some(cells) = self.cells.as_mut().filter(|cells| cells.due() <= until) {
            self.world.run_to(cells.due());
            cells.emit(&mut self.world);
        }
        self.world.run_to(until);
    }

    /// The measured time so far.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        let now = self.world.clock().mono;
        self.begun.map_or(Duration::ZERO, |begun| now.since(begun))
    }

    /// The figures so far.
    pub fn report(&mut self) -> SimulationReport {
        let elapsed = self.elapsed();
        let (mut cells, mut cells_dropped) = (0, 0);
        for node in 0..self.world.len() {
            if let Ok(Reply::Status(status)) = self.world.command(node, Command::Status) {
                cells += status.cells_forwarded;
                cells_dropped += status.cells_dropped;
            }
        }
        let (sent, nodes) = (self.sent, self.scenario.nodes);
        let (traffic, latency, delivered) = match self.measurements() {
            Some(seen) => (seen.traffic(), seen.latency(), seen.delivered()),
            None => (Measurements::default().traffic(), None, 0),
        };
        SimulationReport {
            nodes,
            relays: self.relays,
            level: self.scenario.level.word(),
            seed: self.scenario.seed,
            fast: self.scenario.fast,
            synthetic_cells: self.cells.as_ref().map_or(0, CellSource::sent),
            simulated_seconds: elapsed.as_secs_f64(),
            sent,
            refused: self.refused,
            delivered,
            latency,
            bytes_per_node: share(traffic.bytes, nodes).unwrap_or(0),
            bytes_per_message: share(traffic.bytes, sent),
            cells,
            cells_dropped,
            traffic,
        }
    }

    fn send(&mut self, from: usize, reader: usize) -> Result<(), Refusal> {
        let Some(Reader { public, .. }) = self.readers.get(reader) else {
            return Ok(());
        };
        let number = u64::try_from(self.sent + self.refused).unwrap_or(u64::MAX);
        let request = SendRequest {
            to: Recipient::Public(*public, TOPIC),
            sign_as: None,
            payload: payload(number).into(),
            level: Some(self.scenario.level),
            life: MESSAGE_LIFE,
            reader: crate::node::ReaderKind::default(),
        };
        let now = self.world.clock().mono;
        match self.world.command(from, Command::Send(request)) {
            Ok(_) => {
                self.sent += 1;
                if let Some(measurements) = self.measurements() {
                    measurements.sent(now, number);
                }
            }
            Err(refusal) if self.sent + self.refused == 0 => return Err(refusal),
            Err(_) => self.refused += 1,
        }
        Ok(())
    }

    fn measurements(&mut self) -> Option<&mut Measurements> {
        self.world.observer_mut()
    }
}

fn world_config(seed: WorldSeed, scenario: &Scenario) -> WorldConfig {
    WorldConfig {
        seed,
        network: scenario.network,
        disk: DiskModel {
            delay: DISK_DELAY,
            discards: true,
        },
        mining: MiningModel {
            hashes_per_second: HASHES_PER_SECOND,
            instant: false,
        },
        start: START,
        fast: scenario.fast,
    }
}

/// Gives identities to as many random nodes as there are messages.
fn add_readers(
    world: &mut World,
    scenario: &Scenario,
    seed: &WorldSeed,
    rng: &mut SmallRng,
) -> Result<Vec<Reader>, Refusal> {
    let mut nodes: Vec<usize> = (0..scenario.nodes).collect();
    topology::shuffle(&mut nodes, rng);
    let mut readers = Vec::new();
    for node in nodes.into_iter().take(scenario.messages) {
        let number = u64::try_from(node).unwrap_or(u64::MAX);
        let mut rng = ChaCha20Rng::from_seed(seed.derive("identity", &[number]));
        let secret = ClientSecret::generate(&mut rng);
        let public = secret.public();
        let identity = Identity::KeyPair(secret);
        world.command(node, Command::AddIdentity("reader".to_owned(), identity))?;
        readers.push(Reader { node, public });
    }
    Ok(readers)
}

/// The messages, latest first. The last ones have time to arrive before the end.
fn plan(
    scenario: &Scenario,
    readers: &[Reader],
    rng: &mut SmallRng,
) -> Vec<(Duration, usize, usize)> {
    let tail = (scenario.time / 2).min(ARRIVAL_TIME);
    let window = scenario.time.saturating_sub(tail);
    let mut planned: Vec<_> = (0..scenario.messages)
        .map(|message| {
            let reader = message % readers.len().max(1);
            let to = readers.get(reader).map(|reader| reader.node);
            let mut from = topology::below(rng, scenario.nodes);
            if to == Some(from) {
                from = (from + 1) % scenario.nodes;
            }
            (window.mul_f64(rng.unit()), from, reader)
        })
        .collect();
    planned.sort_by(|one, other| other.cmp(one));
    planned
}

/// What a simulation measured.
#[derive(Clone, Debug, Serialize)]
pub struct SimulationReport {
    /// Nodes.
    pub nodes: usize,
    /// Relays among them.
    pub relays: usize,
    /// Level of the messages.
    pub level: &'static str,
    /// Seed of the world.
    pub seed: u64,
    /// Whether nodes computed with stand-ins.
    pub fast: bool,
    /// Synthetic cells that were sent.
    pub synthetic_cells: u64,
    /// Measured time.
    pub simulated_seconds: f64,
    /// Messages that a node accepted.
    pub sent: usize,
    /// Messages that a node refused.
    pub refused: usize,
    /// Messages that arrived.
    pub delivered: usize,
    /// Their latency; none if none arrived.
    pub latency: Option<LatencyReport>,
    /// Mean number of bytes that a node sent.
    pub bytes_per_node: u64,
    /// Bytes on all links, divided by the messages; none without messages.
    pub bytes_per_message: Option<u64>,
    /// Cells that relays forwarded since they started.
    pub cells: u64,
    /// Cells that nodes dropped since they started.
    pub cells_dropped: u64,
    /// Further figures.
    #[serde(flatten)]
    pub traffic: TrafficReport,
}

fn share(total: u64, parts: usize) -> Option<u64> {
    total.checked_div(u64::try_from(parts).ok()?)
}

/// Time in which nodes start, connect and learn the relays.
const WARM_UP: Duration = Duration::from_secs(40);
/// Time that the last message has to arrive.
const ARRIVAL_TIME: Duration = Duration::from_secs(60);
/// Life of a message.
const MESSAGE_LIFE: Duration = Duration::from_secs(600);
/// Time until a record is durable: one write to a solid-state disk.
const DISK_DELAY: Duration = Duration::from_millis(2);
/// One core, as docs/benchmarks.md measured it with AVX2.
const HASHES_PER_SECOND: u32 = 8_000_000;
/// A Saturday in 2026, in the middle of an epoch.
const START: UnixSecs = UnixSecs(1_795_240_000);
/// The topic of all messages.
const TOPIC: Topic = Topic([0x73, 0x69, 0x6d, 0x75]);
