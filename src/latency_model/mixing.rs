//! The latency of a message at a mixing level: waits for payload slots, delays at five relays, holds.
//!
//! A cell that is lost on its way is not repeated. A first attempt succeeds if `needed` of the cells
//! arrive; its percentiles are those of the attempts that succeed, and their share is stated beside
//! them. An attempt that fails is repeated as a new one after its deadline, which is the work of the
//! sender's state machine and not of this model.

use core::time::Duration;

use circuits::distributions::{exponential, one_in};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::{DEFAULT_LINK, FLUFF_ODDS, Latency, diffusion};

/// The parameters of one message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MixingModel {
    /// Cells of this node that leave before the message's first one.
    pub queued: usize,
    /// Cells of the message.
    pub cells: usize,
    /// Cells that have to arrive.
    pub needed: usize,
    /// Mean time between two payload slots.
    pub slot: Duration,
    /// Relays before the rendezvous.
    pub relays: usize,
    /// Mean delay at each relay.
    pub delay: Duration,
    /// Mean hold at the rendezvous.
    pub hold: Duration,
    /// Who holds.
    pub rendezvous: Meeting,
    /// Time of a packet over one link, one way.
    pub link: Duration,
}

/// Where the cells of a message go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Meeting {
    /// Each to its own rendezvous, which holds it (scatter, or a single cell).
    Apart,
    /// All to one rendezvous, which holds the envelope that it rebuilds (converge).
    Together,
}

/// The latency of a first attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MixingLatency {
    /// Percentiles from the end of the proof of work until most nodes have enough envelopes, of the
    /// attempts that succeed.
    pub latency: Latency,
    /// Share of first attempts that succeed, if each hop loses a fiftieth of the cells.
    pub first_attempt: f64,
}

impl MixingModel {
    /// Samples the path often enough for stable percentiles.
    #[must_use]
    pub fn latency(&self) -> MixingLatency {
        let mut rng = ChaCha20Rng::from_seed(*b"whisht: the price of the mixing.");
        let mut times: Vec<Duration> = (0..SAMPLES).filter_map(|_| self.sample(&mut rng)).collect();
        times.sort_unstable();
        let quantile = |per_mille: usize| {
            let rank = times.len().saturating_mul(per_mille) / 1000;
            let last = times.len().saturating_sub(1);
            times.get(rank.min(last)).copied().unwrap_or_default()
        };
        let arrived = u32::try_from(times.len()).unwrap_or(u32::MAX);
        MixingLatency {
            latency: Latency {
                median: quantile(500),
                p95: quantile(950),
                p999: quantile(999),
            },
            first_attempt: f64::from(arrived) / f64::from(SAMPLES),
        }
    }

    /// The time of one attempt; none if too many cells are lost.
    fn sample(&self, rng: &mut ChaCha20Rng) -> Option<Duration> {
        let mut leaves: Duration = (0..self.queued).map(|_| exponential(rng, self.slot)).sum();
        let mut arrivals = Vec::with_capacity(self.cells);
        for _ in 0..self.cells {
            leaves += exponential(rng, self.slot);
            let waits: Duration = (0..self.relays).map(|_| exponential(rng, self.delay)).sum();
            let hops = u32::try_from(self.relays)
                .unwrap_or(u32::MAX)
                .saturating_add(1);
            // Every draw is made, whatever the others are: the percentiles of similar paths stay
            // comparable.
            let lost = (0..hops).filter(|_| one_in(rng, LOSS_ODDS)).count() > 0;
            let after = match self.rendezvous {
                Meeting::Apart => self.settled(rng),
                Meeting::Together => Duration::ZERO,
            };
            if !lost {
                arrivals.push(leaves + waits + self.link.saturating_mul(hops) + after);
            }
        }
        arrivals.sort_unstable();
        let gathered = *arrivals.get(self.needed.checked_sub(1)?)?;
        Some(match self.rendezvous {
            Meeting::Apart => gathered,
            Meeting::Together => gathered + self.settled(rng),
        })
    }

    /// From the arrival at the rendezvous until most nodes have the envelope.
    fn settled(&self, rng: &mut ChaCha20Rng) -> Duration {
        let mut stem = self.link;
        while !one_in(rng, FLUFF_ODDS) {
            stem += self.link;
        }
        exponential(rng, self.hold) + stem + diffusion(self.link)
    }
}

impl Default for MixingModel {
    /// One cell at the widest law: a young network, nothing queued.
    fn default() -> Self {
        Self {
            queued: 0,
            cells: 1,
            needed: 1,
            slot: Duration::from_millis(2_200),
            relays: 5,
            delay: Duration::from_secs(20),
            hold: Duration::from_secs(10),
            rendezvous: Meeting::Apart,
            link: DEFAULT_LINK,
        }
    }
}

/// A hop loses one cell in fifty: a relay that stops, a link that breaks.
const LOSS_ODDS: u32 = 50;

const SAMPLES: u32 = 4000;

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(time: Duration) -> u64 {
        time.as_secs()
    }

    #[test]
    fn one_cell_takes_slot_five_delays_and_hold() {
        let model = MixingModel {
            delay: Duration::from_secs(3),
            ..MixingModel::default()
        };
        let MixingLatency {
            latency,
            first_attempt,
        } = model.latency();
        // Mean 2.2 + 5 * 3 + 10 + about 1.6; the median of such a sum lies below its mean.
        assert!((23..30).contains(&seconds(latency.median)), "{latency:?}");
        assert!((44..62).contains(&seconds(latency.p95)), "{latency:?}");
        // .98^6 = .886.
        assert!((first_attempt - 0.886).abs() < 0.02, "{first_attempt}");
    }

    #[test]
    fn scattered_message_takes_the_time_of_the_independent_model() {
        // 2 of 3, 4 of 6 and 12 of 18 shards at 15 s per hop: 92, 104 and 127 s at the median.
        for (needed, cells, median) in [(2, 3, 92), (4, 6, 104), (12, 18, 127)] {
            let model = MixingModel {
                cells,
                needed,
                delay: Duration::from_secs(15),
                ..MixingModel::default()
            };
            let own = seconds(model.latency().latency.median);
            assert!(own.abs_diff(median) <= 6, "{needed}/{cells}: {own} s");
        }
    }

    #[test]
    fn queue_delays_every_cell_by_its_slots() {
        let alone = MixingModel::default().latency().latency.median;
        let behind = MixingModel {
            queued: 100,
            ..MixingModel::default()
        };
        let more = seconds(behind.latency().latency.median - alone);
        assert!((205..235).contains(&more), "{more} s");
    }

    #[test]
    fn redundancy_saves_attempts_from_loss() {
        let single = MixingModel::default().latency().first_attempt;
        let spread = MixingModel {
            cells: 18,
            needed: 12,
            ..MixingModel::default()
        };
        assert!(spread.latency().first_attempt > 0.98 && single < 0.91);
    }

    #[test]
    fn converging_cells_are_held_once() {
        let path = |rendezvous| MixingModel {
            cells: 3,
            needed: 3,
            hold: Duration::from_secs(100),
            rendezvous,
            ..MixingModel::default()
        };
        let apart = path(Meeting::Apart).latency().latency.median;
        let together = path(Meeting::Together).latency().latency.median;
        assert!(together + Duration::from_secs(40) < apart);
    }

    #[test]
    fn message_that_needs_more_cells_than_it_has_never_arrives() {
        let impossible = MixingModel {
            needed: 2,
            ..MixingModel::default()
        };
        assert!(impossible.latency().first_attempt == 0.0);
    }

    /// The row of docs/levels.md for a delay.
    fn row(delay: u64) -> String {
        let delay = Duration::from_secs(delay);
        let cell = |hold: u64, needed: usize, cells: usize| {
            let model = MixingModel {
                needed,
                cells,
                delay,
                hold: Duration::from_secs(hold),
                ..MixingModel::default()
            };
            let MixingLatency {
                latency,
                first_attempt,
            } = model.latency();
            format!(
                "{:.0} / {:.0} ({:.0} %)",
                latency.median.as_secs_f64(),
                latency.p95.as_secs_f64(),
                first_attempt * 100.0
            )
        };
        format!(
            "| {} s | {} | {} | {} | {} |\n",
            delay.as_secs(),
            cell(5, 1, 1),
            cell(10, 1, 1),
            cell(10, 2, 3),
            cell(10, 12, 18)
        )
    }

    #[test]
    fn levels_page_has_the_latencies_of_the_model() {
        let page = include_str!("../../docs/levels.md");
        let rows: String = [1, 2, 3, 5, 8, 12, 20].into_iter().map(row).collect();
        assert!(page.contains(&rows), "docs/levels.md lacks:\n{rows}");
    }
}
