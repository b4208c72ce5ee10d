//! An envelope whose lanes are chosen, and what users see of them.

use circuits::dispersal::{Class, Cookie};
use circuits::ids::Epoch;
use circuits::path::{PathPlan, RelaxedRules};

use super::relaxed_words;
use crate::envelope::Envelope;
use crate::node::event::Stage;

/// An envelope with lanes.
pub(in crate::node::send) struct PlannedEnvelope {
    pub(in crate::node::send) envelope: Envelope,
    pub(in crate::node::send) epoch: Epoch,
    pub(in crate::node::send) plan: PathPlan,
    pub(in crate::node::send) class: Class,
    pub(in crate::node::send) cookie: Cookie,
    pub(in crate::node::send) outline: PlanOutline,
}

/// What users see of the lanes.
#[derive(Clone)]
pub(in crate::node::send) struct PlanOutline {
    /// Number of relays before the rendezvous, per lane.
    lanes: Vec<usize>,
    k: u8,
    n: u8,
    relaxed: RelaxedRules,
}

impl PlannedEnvelope {
    /// Plans an envelope's shards.
    pub(in crate::node::send) fn new(
        envelope: Envelope,
        epoch: Epoch,
        plan: PathPlan,
        class: Class,
        cookie: Cookie,
    ) -> Self {
        let relays = |lane: &circuits::path::PathLane| lane.hops.len().saturating_sub(1);
        let outline = PlanOutline {
            lanes: plan.lanes.iter().map(relays).collect(),
            k: class.k(),
            n: class.n(),
            relaxed: plan.relaxed,
        };
        Self {
            envelope,
            epoch,
            plan,
            class,
            cookie,
            outline,
        }
    }
}

impl PlanOutline {
    /// Number of relays before the rendezvous, per lane.
    pub(in crate::node::send) fn lanes(&self) -> &[usize] {
        &self.lanes
    }

    /// The plan as a stage of the message.
    pub(super) fn stage(&self) -> Stage {
        Stage::Planned {
            lanes: self.lanes.clone(),
            k: self.k,
            n: self.n,
            lifted: relaxed_words(self.relaxed),
        }
    }
}
