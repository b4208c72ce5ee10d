//! The cover traffic of the node, and what its loops show.

use serde::{Deserialize, Serialize};

/// The emission stream.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct EmissionView {
    /// How much cover traffic is sent: `full`, `reduced` or `off`.
    pub cover: String,
    /// Number of cells of this node that left since the start, cover and messages together.
    pub sent: u64,
    /// Number of slots that passed since the start while the link to the guard was down.
    pub guard_down: u64,
    /// Number of slots without a cell since the start, because no guard was chosen or no route existed.
    pub no_route: u64,
    /// Number of cells that wait for a slot.
    pub queued: usize,
    /// Number of loops that came back.
    pub loops_returned: u32,
    /// Number of loops that did not come back in time.
    pub loops_lost: u32,
    /// The relay whose loops differ most from those of other relays, if one differs by more than three
    /// standard deviations.
    #[serde(deserialize_with = "Option::deserialize")]
    pub alarm: Option<LoopAlarmView>,
}

/// A relay that drops or delays more loops than chance explains.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct LoopAlarmView {
    /// The first half of the relay's id, hexadecimal.
    pub relay: String,
    /// `drops` or `delays`.
    pub fault: String,
    /// Number of loops through the relay.
    pub probes: u32,
    /// How many of them were lost.
    pub lost: u32,
    /// The difference in standard deviations.
    pub sigmas: f64,
}
