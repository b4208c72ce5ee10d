//! Predicts the latency of a message by sampling the distributions that will delay it.
//!
//! A set of shards is complete when its `k`-th shard arrives. This time has no closed formula if
//! lanes differ in length, so the model samples the path several thousand times with a fixed seed.
//! The prediction excludes proof of work. The caller says how long a packet takes over a link:
//! [`DEFAULT_LINK`] for a prediction that holds for every node, a measurement for the patience of one.

mod mixing;

use core::time::Duration;

use circuits::distributions::{exponential, one_in};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

pub use self::mixing::{Meeting, MixingLatency, MixingModel};

/// The parameters of one path.
#[derive(Clone, Debug)]
pub struct PathModel {
    /// Number of relays before the rendezvous, for each lane.
    pub lanes: Vec<usize>,
    /// Number of shards, spread evenly over the lanes.
    pub shards: usize,
    /// Number of shards that rebuild the package.
    pub needed: usize,
    /// Mean time between two shards of one lane.
    pub gap: Duration,
    /// Time of a packet over one link, one way.
    pub link: Duration,
    /// Mean delay at each relay.
    pub delay: Duration,
    /// Mean hold at the rendezvous.
    pub hold: Duration,
    /// Whether the envelope takes a stem before it is flooded.
    pub stem: bool,
}

/// Percentiles of the latency.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Latency {
    /// Half of the samples are not longer.
    pub median: Duration,
    /// 95% of the samples are not longer.
    pub p95: Duration,
    /// 99.9% of the samples are not longer.
    pub p999: Duration,
}

impl PathModel {
    /// Samples the path often enough for stable percentiles.
    #[must_use]
    pub fn latency(&self) -> Latency {
        let mut rng = ChaCha20Rng::from_seed(*b"whisht: the price before paying.");
        let mut times: Vec<Duration> = (0..SAMPLES).map(|_| self.sample(&mut rng)).collect();
        times.sort_unstable();
        let quantile = |per_mille: usize| {
            let rank = SAMPLES.saturating_mul(per_mille) / 1000;
            times
                .get(rank.min(SAMPLES - 1))
                .copied()
                .unwrap_or_default()
        };
        Latency {
            median: quantile(500),
            p95: quantile(950),
            p999: quantile(999),
        }
    }

    /// The time from the first emission until most nodes have the envelope.
    fn sample(&self, rng: &mut ChaCha20Rng) -> Duration {
        let mut arrivals = Vec::with_capacity(self.shards);
        let per_lane = self.shards.checked_div(self.lanes.len()).unwrap_or(0);
        for relays in &self.lanes {
            let mut leaves = Duration::ZERO;
            for _ in 0..per_lane {
                leaves += exponential(rng, self.gap);
                let waits: Duration = (0..*relays).map(|_| exponential(rng, self.delay)).sum();
                let hops = u32::try_from(*relays).unwrap_or(u32::MAX).saturating_add(1);
                let links = self.link.saturating_mul(hops);
                arrivals.push(leaves + waits + links);
            }
        }
        arrivals.sort_unstable();
        let gathered = arrivals
            .get(self.needed.saturating_sub(1))
            .copied()
            .unwrap_or_default();
        let mut total = gathered + exponential(rng, self.hold) + diffusion(self.link);
        if self.stem {
            total += self.link;
            while !one_in(rng, FLUFF_ODDS) {
                total += self.link;
            }
        }
        total
    }
}

/// From the first gossip until most nodes have an envelope, over links of this length.
fn diffusion(link: Duration) -> Duration {
    let longer = link.saturating_sub(DEFAULT_LINK);
    DIFFUSION.saturating_add(longer.saturating_mul(DIFFUSION_TRIPS))
}

const SAMPLES: usize = 4000;

/// One way over one link: the mean of the latency data behind the table of levels.
pub const DEFAULT_LINK: Duration = Duration::from_millis(62);

/// From the first gossip until most nodes have an envelope, at one announcement per 300 ms and peer, and
/// links of [`DEFAULT_LINK`].
const DIFFUSION: Duration = Duration::from_millis(600);

/// Times that an envelope or its announcement crosses a link until most nodes have it: four hops of an
/// announcement, a request and the envelope.
const DIFFUSION_TRIPS: u32 = 12;

/// One node in ten is a diffuser (BIP 156).
const FLUFF_ODDS: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn normal() -> PathModel {
        PathModel {
            lanes: vec![3, 4, 5],
            shards: 3,
            needed: 2,
            gap: Duration::from_millis(250),
            link: DEFAULT_LINK,
            delay: Duration::from_millis(100),
            hold: Duration::from_secs(1),
            stem: true,
        }
    }

    #[test]
    fn normal_level_has_median_of_about_three_seconds() {
        let latency = normal().latency();
        assert!(
            (2_000..4_000).contains(&latency.median.as_millis()),
            "{latency:?}"
        );
        assert!(latency.median < latency.p95 && latency.p95 < latency.p999);
    }

    #[test]
    fn more_shards_increase_latency() {
        let large = PathModel {
            shards: 162,
            needed: 107,
            ..normal()
        };
        assert!(large.latency().median > normal().latency().p95);
    }

    #[test]
    fn slow_links_lengthen_every_part_of_the_path() {
        let slow = PathModel {
            link: Duration::from_millis(1_500),
            ..normal()
        };
        let (fast, slow) = (normal().latency(), slow.latency());
        // Six links, eleven of the stem and twelve of diffusion on average.
        let more = (slow.median - fast.median).as_secs();
        assert!((25..45).contains(&more), "{more} s");
    }

    #[test]
    fn equal_paths_give_equal_percentiles() {
        assert_eq!(normal().latency(), normal().latency());
    }

    #[test]
    fn path_without_lanes_is_gossip_only() {
        let open = PathModel {
            lanes: vec![],
            shards: 0,
            needed: 0,
            gap: Duration::ZERO,
            link: DEFAULT_LINK,
            delay: Duration::ZERO,
            hold: Duration::ZERO,
            stem: false,
        };
        assert_eq!(open.latency().p999, DIFFUSION);
    }
}
