//! A simulator: many nodes in one process, in simulated time.
//!
//! The simulator is a shell of the node, of equal rank to `shell`: a discrete-event loop in place of
//! tokio. A [`World`] holds nodes and other programs, moves bytes between them by a
//! [network model](NetworkModel), answers their disk writes and searches after simulated time, and
//! streams every event to an [`Observer`]. Equal seeds give equal runs, byte for byte.
//!
//! The module is pure: no clock, no thread, no socket, no file. It changes no rule of a node.
//! docs/simulator.md describes its use.

pub mod anonymity;
mod archive;
mod cover;
mod disk;
mod event_queue;
mod files;
mod frames;
mod gossip_meter;
mod instruments;
mod machine;
mod measurements;
mod mining;
mod network;
mod observer;
mod plain_cell;
mod receiver;
mod scenario;
mod seed;
mod spies;
mod world;

pub use self::archive::SimArchive;
pub use self::cover::{CoverReport, CoverSimulation, CoverStudy};
pub use self::disk::{DiskModel, SimDisk};
pub use self::files::SimFiles;
pub use self::gossip_meter::{GossipFigures, GossipReport};
pub use self::machine::Actor;
pub use self::measurements::{LatencyReport, Measurements, TrafficReport};
pub use self::mining::MiningModel;
pub use self::network::{LatencyModel, NetworkModel};
pub use self::observer::{Observation, Observer, Recorder, TraceEntry, TrafficKind, TrafficLog};
pub use self::plain_cell::{CellName, PlainCell};
pub use self::receiver::{Advantage, ReceiverReport, ReceiverStudy};
pub use self::scenario::{Churn, Scenario, Simulation, SimulationReport, SpyReport, WorldOutcome};
pub use self::seed::WorldSeed;
pub use self::spies::SpyFigures;
pub use self::world::{Interference, World, WorldConfig};
pub use crate::node::simulation::CircuitNews;
