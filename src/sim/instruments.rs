//! The observers of a scenario, as one.

use circuits::time::Instant;

use super::gossip_meter::GossipMeter;
use super::measurements::Measurements;
use super::observer::{Observation, Observer};
use super::spies::SpyLog;

/// What a scenario observes. Frames can be read in fast mode alone.
#[derive(Default)]
pub(super) struct Instruments {
    pub(super) measurements: Measurements,
    pub(super) spies: Option<SpyLog>,
    pub(super) gossip: Option<GossipMeter>,
}

impl Instruments {
    /// Begins to count traffic; earlier traffic set the network up.
    pub(super) const fn start(&mut self) {
        self.measurements.start();
        if let Some(gossip) = &mut self.gossip {
            gossip.start();
        }
    }
}

impl Observer for Instruments {
    fn observe(&mut self, at: Instant, node: usize, what: &Observation<'_>) {
        self.measurements.observe(at, node, what);
        if let Some(spies) = &mut self.spies {
            spies.observe(at, node, what);
        }
        if let Some(gossip) = &mut self.gossip {
            gossip.observe(at, node, what);
        }
    }
}
