//! What a path choice yields: the relays of each lane of one envelope. `Debug` names none of them.

use core::fmt;

use super::RelaxedRules;
use crate::cell_builder::Hop;

/// The paths of one envelope. `Debug` does not show them.
#[derive(Clone)]
pub struct PathPlan {
    /// The first relay of every lane.
    pub guard: Hop,
    /// The last layer of every lane.
    pub rendezvous: Hop,
    /// Difficulty of tickets for the rendezvous, in bits.
    pub ticket_bits: u8,
    /// The lanes.
    pub lanes: Vec<PathLane>,
    /// Rules that were relaxed, on `local` only.
    pub relaxed: RelaxedRules,
}

impl fmt::Debug for PathPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            guard: _,
            rendezvous: _,
            ticket_bits,
            lanes,
            relaxed,
        } = self;
        f.debug_struct("PathPlan")
            .field("ticket_bits", ticket_bits)
            .field("lanes", &lanes.len())
            .field("relaxed", relaxed)
            .finish_non_exhaustive()
    }
}

/// One path: the guard, the middles, the rendezvous. `Debug` does not show it.
#[derive(Clone)]
pub struct PathLane {
    /// The hops in order.
    pub hops: Vec<Hop>,
}

impl fmt::Debug for PathLane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PathLane([redacted])")
    }
}
