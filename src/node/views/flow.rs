//! What flows through the node, its own traffic included: for its user, and not for metrics.

use serde::{Deserialize, Serialize};

use crate::node::config::Cover;

/// The traffic of all links, and what waits.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub struct FlowView {
    /// Bytes received since the start.
    pub bytes_received: u64,
    /// Bytes sent since the start.
    pub bytes_sent: u64,
    /// One-shot cells received since the start.
    pub cells_received: u64,
    /// One-shot cells sent since the start.
    pub cells_sent: u64,
    /// Number of cells of other nodes that wait in the mix.
    pub mix_waiting: usize,
    /// Whether the link to the mixing guard is up; `None` without a guard.
    #[serde(deserialize_with = "Option::deserialize")]
    pub guard_up: Option<bool>,
    /// Minimum proof of work that is announced to peers.
    pub min_pow: f64,
    /// Predicted traffic of a day, both directions together, in bytes.
    pub bytes_per_day: u64,
    /// Maximum bytes per second in each direction; `None` without a limit.
    #[serde(deserialize_with = "Option::deserialize")]
    pub max_per_second: Option<u64>,
    /// Maximum bytes per day, both directions together; `None` without a limit.
    #[serde(deserialize_with = "Option::deserialize")]
    pub max_per_day: Option<u64>,
    /// Whether the prediction follows from the traffic since the start, and not from the settings alone.
    pub is_measured: bool,
}

/// The traffic of a day that the settings alone cause, in bytes, both directions together. Gossip comes on
/// top; every node receives every envelope, so its size follows from the network and not from the settings.
#[must_use]
pub fn settings_bytes_per_day(cover: Cover, relay: bool) -> u64 {
    let (received, sent) = own_bytes_per_day(cover, relay);
    received.saturating_add(sent)
}

/// Bytes received and sent in a day for cover traffic, and for the cells of others at a relay.
#[must_use]
pub const fn own_bytes_per_day(cover: Cover, relay: bool) -> (u64, u64) {
    // A slot every two seconds, and one cell in ten is a loop that comes back (docs/levels.md).
    let (loops, slots) = match cover {
        Cover::Full => (50, 500),
        Cover::Reduced => (5, 50),
        Cover::Off => (0, 0),
    };
    let of_others = if relay {
        RELAY_BYTES_PER_SEC * 86_400
    } else {
        0
    };
    let received = loops * CELL_FRAME_LEN * 86_400 / 1_000;
    let sent = slots * CELL_FRAME_LEN * 86_400 / 1_000;
    (received + of_others, sent + of_others)
}

/// The prediction for a node that has run for some time, and whether it follows from its traffic.
pub(in crate::node) fn bytes_per_day(settings: u64, bytes: u64, uptime_secs: u64) -> (u64, bool) {
    if uptime_secs < MEASURED_AFTER_SECS {
        return (settings, false);
    }
    let rate = u128::from(bytes).saturating_mul(86_400) / u128::from(uptime_secs.max(1));
    (u64::try_from(rate).unwrap_or(u64::MAX), true)
}

/// Bytes of a cell on a link.
const CELL_FRAME_LEN: u64 = 976;
/// Bytes per second in each direction at a relay of a network where every node relays: 0.5 cells of each node
/// over 6 hops. With a tenth as many relays it is ten times as much.
const RELAY_BYTES_PER_SEC: u64 = 2_928;
/// Time after which the traffic since the start says more than the settings.
const MEASURED_AFTER_SECS: u64 = 3_600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_predict_cover_and_relaying() {
        let client = settings_bytes_per_day(Cover::Full, false);
        assert!((46_000_000..47_000_000).contains(&client), "{client}");
        assert_eq!(settings_bytes_per_day(Cover::Reduced, false), client / 10);
        assert_eq!(settings_bytes_per_day(Cover::Off, false), 0);
        assert!(settings_bytes_per_day(Cover::Full, true) > 10 * client);
    }

    #[test]
    fn traffic_of_an_hour_replaces_the_prediction_of_the_settings() {
        assert_eq!(bytes_per_day(7, 1_000_000, 3_599), (7, false));
        assert_eq!(bytes_per_day(7, 1_000_000, 3_600), (24_000_000, true));
    }
}
