//! How long the mixing of one cell takes: the wait for a slot, the delays and the hold.

use core::time::Duration;

use serde::Serialize;

use super::model::MixModel;
use super::study::world_seed;

/// Percentiles of the time from a message's composition to its insertion, for one cell that is not
/// lost: a payload slot, a delay at each relay and the hold. The flood through gossip comes on top.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MixLatency {
    /// Median in seconds.
    pub p50_seconds: f64,
    /// 95th percentile in seconds.
    pub p95_seconds: f64,
}

impl MixLatency {
    /// Draws the times of many cells.
    #[must_use]
    pub fn of(model: &MixModel, seed: u64) -> Self {
        let mut rng = world_seed(seed, 0).small_rng("mix latency", &[]);
        let mut drawn: Vec<Duration> = (0..DRAWN_CELLS)
            .map(|_| {
                let slot = Duration::from_secs(1).div_f64(model.payload_rate);
                let mut time = slot.mul_f64(rng.exponential());
                for _ in 0..model.routes.hops() {
                    time += LINK_LATENCY + model.delay.mul_f64(rng.exponential());
                }
                time + LINK_LATENCY + model.hold.mul_f64(rng.exponential())
            })
            .collect();
        drawn.sort_unstable();
        let percentile = |part: usize| {
            let place = drawn.len().saturating_mul(part) / 100;
            drawn.get(place).map_or(0.0, Duration::as_secs_f64)
        };
        Self {
            p50_seconds: percentile(50),
            p95_seconds: percentile(95),
        }
    }
}

/// One-way latency of every link (docs/simulator.md, section "Anonymity").
pub(super) const LINK_LATENCY: Duration = Duration::from_millis(62);
const DRAWN_CELLS: u32 = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_grows_with_the_delay_class() {
        let model = MixModel::reference();
        // 2.2 s + 5 x 3 s + 10 s on average.
        let fast = MixLatency::of(&model, 1);
        assert!((20.0..27.5).contains(&fast.p50_seconds), "{fast:?}");
        let model = MixModel {
            delay: Duration::from_secs(20),
            ..model
        };
        let slow = MixLatency::of(&model, 1);
        assert!((95.0..115.0).contains(&slow.p50_seconds), "{slow:?}");
        assert!(slow.p95_seconds > slow.p50_seconds * 1.5);
    }
}
