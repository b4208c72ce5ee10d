//! A scenario: a network of a given size, and messages or cells that cross it.
//!
//! The scenario adds nodes, lets them meet for a while that is not measured, and then sends its
//! messages at random times from random nodes to random nodes. It runs in steps, so a caller can
//! show progress and stop early. Everything that it draws comes from the world's seed.

mod churn;
mod plan;
mod report;
mod synthetic;
mod topology;

use std::time::Duration;

use circuits::level::Level;
use circuits::time::Instant;

pub use self::churn::Churn;
pub use self::report::{SimulationReport, SpyReport, WorldOutcome};

use self::churn::ChurnSource;
use self::plan::{ReaderNode, add_readers, plan};
use self::synthetic::CellSource;
pub(super) use self::topology::{Topology, shuffle};
use super::gossip_meter::GossipMeter;
use super::instruments::Instruments;
use super::measurements::payload;
use super::mining::MiningModel;
use super::network::NetworkModel;
use super::seed::WorldSeed;
use super::spies::SpyLog;
use super::world::{World, WorldConfig};
use crate::envelope::Topic;
use crate::node::{Command, Cover, Recipient, Refusal, RefusalKind, Reply, SendRequest};

/// What to simulate.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Nodes, at least 2.
    pub nodes: usize,
    /// Relays among them; a tenth, but at least twelve, if nothing is said.
    pub relays: Option<usize>,
    /// Whether nodes that are not relays can only dial, and write and read all messages.
    pub clients: bool,
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
    /// How often nodes are down.
    pub churn: Churn,
    /// Probabilities that a node spies, to measure what spies learn. Fast mode alone allows it.
    pub hostile: Vec<f64>,
}

/// A scenario that runs.
pub struct Simulation {
    scenario: Scenario,
    world: World,
    relays: usize,
    /// When the measured time began, once it has.
    begun: Option<Instant>,
    readers: Vec<ReaderNode>,
    /// Messages to send, the next one last: time after the start, sender, reader.
    planned: Vec<(Duration, usize, usize)>,
    cells: Option<CellSource>,
    churn: Option<ChurnSource>,
    sent: usize,
    refused: usize,
}

impl Simulation {
    /// Adds the nodes and plans the messages. No time passes.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if there are fewer than two nodes that send and read, or if spies are asked for
    /// outside fast mode.
    pub fn new(scenario: Scenario) -> Result<Self, Refusal> {
        check(&scenario)?;
        let seed = WorldSeed::from_number(scenario.seed);
        let mut world = World::new(
            world_config(seed, &scenario),
            Box::new(instruments(&scenario)),
        );
        let topology = Topology::draw(&seed, scenario.nodes, scenario.relays, scenario.clients);
        topology.build(&mut world, |config| {
            config.danger_reveal_paths = !scenario.hostile.is_empty();
            if scenario.level.is_mixing() {
                config.cover = Cover::Full;
            }
        })?;
        let users = if scenario.clients {
            topology.clients()
        } else {
            (0..scenario.nodes).collect()
        };
        let mut rng = seed.small_rng("messages", &[]);
        let readers = add_readers(&mut world, scenario.messages, &users, &seed, &mut rng)?;
        let planned = plan(&scenario, &readers, &users, &mut rng);
        let relays = topology.relays();
        let is_relay: Vec<bool> = (0..scenario.nodes)
            .map(|node| relays.binary_search(&node).is_ok())
            .collect();
        let rate = scenario.synthetic_cells;
        Ok(Self {
            world,
            relays: relays.len(),
            cells: CellSource::new(&seed, scenario.nodes, relays, rate),
            churn: ChurnSource::new(&seed, &scenario.churn, &is_relay),
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
        if let Some(churn) = &mut self.churn {
            churn.start(&mut self.world, now);
        }
        if let Some(instruments) = self.instruments() {
            instruments.start();
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
            self.run_to(begun.after(due))?;
            self.send(from, reader)?;
        }
        self.run_to(begun.after(time))
    }

    /// Lets time pass, in which nodes send synthetic cells, fail and come back.
    fn run_to(&mut self, until: Instant) -> Result<(), Refusal> {
        loop {
            let cell = self.cells.as_ref().map(CellSource::due);
            let change = self.churn.as_ref().and_then(ChurnSource::due);
            let Some(due) = [cell, change].into_iter().flatten().min() else {
                break;
            };
            if due > until {
                break;
            }
            self.world.run_to(due);
            if let Some(cells) = self.cells.as_mut().filter(|cells| cells.due() <= due) {
                cells.emit(&mut self.world);
            }
            if let Some(churn) = self.churn.as_mut().filter(|_| change == Some(due)) {
                churn.change(&mut self.world)?;
            }
        }
        self.world.run_to(until);
        Ok(())
    }

    /// The measured time so far.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        let now = self.world.clock().mono;
        self.begun.map_or(Duration::ZERO, |begun| now.since(begun))
    }

    /// The time to simulate.
    #[must_use]
    pub const fn time(&self) -> Duration {
        self.scenario.time
    }

    fn send(&mut self, from: usize, reader: usize) -> Result<(), Refusal> {
        let Some(ReaderNode { public, .. }) = self.readers.get(reader) else {
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
        if !self.world.is_running(from) {
            self.refused += 1;
            return Ok(());
        }
        match self.world.command(from, Command::Send(request)) {
            Ok(reply) => {
                self.sent += 1;
                if let (Some(instruments), Reply::Accepted(id)) = (self.instruments(), reply) {
                    instruments.measurements.sent(now, number, (from, id));
                    if let Some(spies) = &mut instruments.spies {
                        spies.sent(from, id);
                    }
                }
            }
            Err(refusal) if self.sent + self.refused == 0 => return Err(refusal),
            Err(_) => self.refused += 1,
        }
        Ok(())
    }

    fn instruments(&mut self) -> Option<&mut Instruments> {
        self.world.observer_mut()
    }
}

fn check(scenario: &Scenario) -> Result<(), Refusal> {
    let refuse = |cause: String, remedy: &str| {
        Err(Refusal {
            kind: RefusalKind::Usage,
            cause,
            remedy: remedy.to_owned(),
        })
    };
    let relays = scenario.relays.unwrap_or(0);
    let users = if scenario.clients {
        scenario.nodes.saturating_sub(relays)
    } else {
        scenario.nodes
    };
    match users {
        0 | 1 => refuse(
            format!("a network of {users} nodes has no message"),
            "simulate at least 2 nodes",
        ),
        _ if scenario.clients && relays < 2 => refuse(
            format!("clients dial relays, and there are {relays}"),
            "simulate at least 2 relays",
        ),
        _ if !scenario.fast && !scenario.hostile.is_empty() => refuse(
            "spies read frames, which are ciphertext outside fast mode".to_owned(),
            "simulate in fast mode",
        ),
        _ if !scenario.fast && scenario.network.cell_loss > 0.0 => refuse(
            "cells cannot be recognised, and lost, outside fast mode".to_owned(),
            "simulate in fast mode",
        ),
        _ => Ok(()),
    }
}

fn instruments(scenario: &Scenario) -> Instruments {
    Instruments {
        spies: (!scenario.hostile.is_empty()).then(SpyLog::default),
        gossip: (scenario.fast && scenario.messages > 0).then(GossipMeter::default),
        ..Instruments::default()
    }
}

fn world_config(seed: WorldSeed, scenario: &Scenario) -> WorldConfig {
    let rate = MiningModel::CORE_HASHES_PER_SECOND;
    WorldConfig {
        fast: scenario.fast,
        ..WorldConfig::timed(seed, scenario.network, rate)
    }
}

/// Time in which nodes start, connect and learn the relays.
const WARM_UP: Duration = Duration::from_secs(40);
/// Life of a message.
const MESSAGE_LIFE: Duration = Duration::from_secs(600);
/// The topic of all messages.
const TOPIC: Topic = Topic([0x73, 0x69, 0x6d, 0x75]);
