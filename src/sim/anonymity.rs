//! How well mixing hides a sender from an adversary that observes every link.
//!
//! The parts are kept apart, so that an adversary cannot use what it could not see:
//!
//! * `sighting` is the interface: what an observer of every link sees, and what hostile relays and
//!   rendezvous disclose.
//! * `adversary` turns sightings into a probability for every sender.
//! * `trial` makes traffic with its truth, shows the sightings to an adversary, and scores the
//!   probabilities. The type of the truth is private to it.
//!
//! The traffic is a model: Poisson senders, exponential delays, equal links, passive relays. No node
//! runs in it. What the model grants the adversary makes its figures upper bounds for passive
//! adversaries (docs/simulator.md, section "Anonymity").

mod adversary;
mod plot;
mod sighting;
mod trial;

pub use self::adversary::{
    BlindFilter, ForwardFilter, LinkLog, SiblingCandidate, grouped_senders, joint_senders,
    sibling_window,
};
pub use self::plot::{Curve, Plot, PlotError};
pub use self::sighting::{CellPlace, CellSighting, PublicRules, TimedSighting, Transfer};
pub use self::trial::exclusion::{ExclusionReport, ExclusionStudy, RendezvousChoice};
pub use self::trial::group_study::{GroupReport, GroupScore, GroupStudy};
pub use self::trial::joint_study::{JointReport, JointScore, JointStudy};
pub use self::trial::latency::MixLatency;
pub use self::trial::model::{
    ChurnModel, DELAY_CLASSES, Grinding, MixModel, POOL_GOAL, RendezvousTrust, Routes, delay_class,
    layer_floor,
};
pub use self::trial::score::{Interval, Score, ScoreReport};
pub use self::trial::study::{AnonymityReport, LinkedReport, Study, WorldScore};
pub use self::trial::table::{DelayRule, ProtectionRow, TABLE_COLUMNS, table_studies};
pub use self::trial::view::Knowledge;
