//! How far two machines are from each other: the one-way delay between a pair, drawn once.

use core::time::Duration;

use super::super::seed::SmallRng;

/// The distribution of the one-way delay between two machines.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LatencyModel {
    /// Uniform between the smallest and the largest delay.
    Uniform(Duration, Duration),
    /// Half of the round trips between Ethereum nodes, which speak the protocol of our links, as
    /// Gencer, Basu, Eyal, van Renesse and Sirer measured them ("Decentralization in Bitcoin and
    /// Ethereum Networks", Financial Cryptography 2018): 10 % are below 92 ms, 33 % below 125, 50 %
    /// below 152, 67 % below 200, and 90 % below 276; the mean is 171 ms.
    Worldwide,
}

impl LatencyModel {
    /// The delay of a pair, from the pair's own generator.
    pub(super) fn draw(self, rng: &mut SmallRng) -> Duration {
        match self {
            Self::Uniform(min, max) => {
                let range = max.saturating_sub(min);
                let micros = u64::try_from(range.as_micros()).unwrap_or(u64::MAX);
                min + Duration::from_micros(rng.below(micros.saturating_add(1)))
            }
            Self::Worldwide => quantile(rng.unit()),
        }
    }
}

/// The delay that a share `at` of the pairs stays below, between 0 and 1. Straight lines join the
/// published points.
fn quantile(at: f64) -> Duration {
    let (mut below, mut least) = SHORTEST;
    for (share, round_trip) in ROUND_TRIPS {
        if at <= share {
            let along = (at - below) / (share - below);
            let round_trip = least + along * (round_trip - least);
            return Duration::from_secs_f64(round_trip / 2_000.0);
        }
        (below, least) = (share, round_trip);
    }
    Duration::from_secs_f64(least / 2_000.0)
}

/// Share of the pairs, and the round trip in milliseconds that they stay below. The last point is
/// ours: the paper states none above 90 %. With it and [`SHORTEST`] the mean is 174 ms.
const ROUND_TRIPS: [(f64, f64); 6] = [
    (0.10, 92.0),
    (0.33, 125.0),
    (0.50, 152.0),
    (0.67, 200.0),
    (0.90, 276.0),
    (1.00, 400.0),
];
/// The shortest round trip, which is ours too.
const SHORTEST: (f64, f64) = (0.0, 40.0);

#[cfg(test)]
mod tests {
    use super::super::super::seed::WorldSeed;
    use super::*;

    #[test]
    fn published_percentiles_are_those_of_drawn_delays() {
        let mut rng = WorldSeed::from_number(9).small_rng("latency", &[]);
        let mut delays: Vec<Duration> = (0..20_000)
            .map(|_| LatencyModel::Worldwide.draw(&mut rng))
            .collect();
        delays.sort();
        for (rank, round_trip) in [(2_000, 92), (6_600, 125), (10_000, 152), (18_000, 276)] {
            let drawn = 2 * delays[rank];
            let off = drawn.abs_diff(Duration::from_millis(round_trip));
            assert!(off < Duration::from_millis(4), "{rank}: {drawn:?}");
        }
        let mean = 2 * delays.iter().sum::<Duration>() / 20_000;
        let off = mean.abs_diff(Duration::from_millis(171));
        assert!(off < Duration::from_millis(6), "the paper's mean: {mean:?}");
    }
}
