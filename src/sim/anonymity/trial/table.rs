//! The table from which a node tells its user what a network like its own hides.
//!
//! A row is a network that the levels accept, with the delay class that its load selects, and the
//! success of the strongest passive adversary there. The module lists networks; a study measures each.

use core::time::Duration;

use serde::Serialize;

use super::model::{MixModel, Routes, layer_floor};
use super::network::DrawnNetwork;
use super::study::{LinkedReport, Study, world_seed};
use super::view::Knowledge;

/// What the rule of the delay class gives for a network: medians over drawn networks, because layers
/// and first relays are random.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct DelayRule {
    /// The delay class in seconds.
    pub delay_seconds: u32,
    /// The 25th percentile of the relays' arrival rates, in cells a second.
    pub arrival_rate: f64,
    /// Cells that wait at such a relay: rate times delay.
    pub pool: f64,
}

impl DelayRule {
    /// The rule for the networks of a model.
    #[must_use]
    pub fn of(model: &MixModel, seed: u64) -> Self {
        let mut drawn: Vec<(f64, u32)> = (0..DRAWN_NETWORKS)
            .map(|number| {
                let network = DrawnNetwork::new(model, world_seed(seed, number));
                (network.quarter_rate(model), network.delay_class(model))
            })
            .collect();
        drawn.sort_by(|one, other| one.0.total_cmp(&other.0));
        let middle = drawn.get(drawn.len() / 2).copied();
        let (arrival_rate, delay_seconds) = middle.unwrap_or((0.0, 20));
        Self {
            delay_seconds,
            arrival_rate,
            pool: arrival_rate * f64::from(delay_seconds),
        }
    }

    /// Whether `dark` accepts the network, of this many relays.
    #[must_use]
    pub fn allows_dark(&self, relays: u32) -> bool {
        self.pool >= DARK_POOL && layer_floor(relays, LAYERS) >= 10
    }

    /// Whether `hush` accepts the network, of this many relays.
    #[must_use]
    pub fn allows_hush(&self, relays: u32) -> bool {
        self.pool >= HUSH_POOL && layer_floor(relays, LAYERS) >= 5
    }
}

/// One row of the table.
#[derive(Clone, Debug, Serialize)]
pub struct ProtectionRow {
    /// Honest senders, always online.
    pub senders: u32,
    /// Relays, hostile ones included.
    pub relays: u32,
    /// The rule of the delay class.
    #[serde(flatten)]
    pub rule: DelayRule,
    /// Whether `dark` accepts the network; `hush` accepts all of the table.
    pub dark: bool,
    /// Share of hostile relays.
    pub hostile: f64,
    /// What the adversary knows.
    pub knowledge: Knowledge,
    /// Worlds that were simulated.
    pub worlds: u32,
    /// The adversary's success.
    #[serde(flatten)]
    pub success: LinkedReport,
}

/// The studies of the table: single messages of every network that `hush` accepts, then linked ones.
#[must_use]
pub fn table_studies(seed: u64, targets: u32) -> Vec<(DelayRule, Study)> {
    let (mut studies, mut linked_studies) = (Vec::new(), Vec::new());
    for (senders, relays) in TABLE_NETWORKS {
        for hostile in TABLE_HOSTILE {
            let model = MixModel {
                senders: *senders,
                relays: *relays,
                hostile: *hostile,
                routes: Routes::Layers(LAYERS),
                ..MixModel::reference()
            };
            let rule = DelayRule::of(&model, seed);
            if !rule.allows_hush(*relays) {
                continue;
            }
            let model = MixModel {
                delay: Duration::from_secs(rule.delay_seconds.into()),
                ..model
            };
            let study = Study {
                model,
                knowledge: Knowledge::Loops,
                targets,
                linked: 1,
                seed,
            };
            let linked = Study {
                linked: 30,
                targets: *senders,
                ..study
            };
            studies.push((rule, study));
            linked_studies.push((rule, linked));
        }
    }
    studies.append(&mut linked_studies);
    studies
}

/// The columns of the table, in order.
pub const TABLE_COLUMNS: [&str; 24] = [
    "senders",
    "relays",
    "delay_seconds",
    "arrival_rate",
    "pool",
    "dark",
    "hostile",
    "knowledge",
    "linked",
    "worlds",
    "targets",
    "best_guess",
    "best_guess_ci",
    "right",
    "right_ci",
    "entropy_bits",
    "entropy_bits_ci",
    "above_tenth",
    "above_tenth_ci",
    "above_half",
    "above_half_ci",
    "unluckiest_tenth",
    "calibration",
    "calibration_ci",
];

impl ProtectionRow {
    /// The values of [`TABLE_COLUMNS`].
    #[must_use]
    pub fn values(&self) -> [String; 24] {
        let LinkedReport { linked, score, .. } = self.success;
        let share = |value: f64| format!("{value:.5}");
        let knowledge = match self.knowledge {
            Knowledge::Links => "links",
            Knowledge::Positions => "positions",
            Knowledge::Loops => "loops",
        };
        [
            self.senders.to_string(),
            self.relays.to_string(),
            self.rule.delay_seconds.to_string(),
            format!("{:.3}", self.rule.arrival_rate),
            format!("{:.1}", self.rule.pool),
            self.dark.to_string(),
            self.hostile.to_string(),
            knowledge.to_owned(),
            linked.to_string(),
            self.worlds.to_string(),
            score.targets.to_string(),
            share(score.best_guess.mean),
            share(score.best_guess.plus_minus),
            share(score.right.mean),
            share(score.right.plus_minus),
            format!("{:.3}", score.entropy_bits.mean),
            format!("{:.3}", score.entropy_bits.plus_minus),
            share(score.above_tenth.mean),
            share(score.above_tenth.plus_minus),
            share(score.above_half.mean),
            share(score.above_half.plus_minus),
            self.success
                .unluckiest_tenth
                .map_or_else(|| "-".to_owned(), |unlucky| share(unlucky.mean)),
            format!("{:.3}", score.calibration.mean),
            format!("{:.3}", score.calibration.plus_minus),
        ]
    }
}

/// Senders and relays of the networks of the table.
const TABLE_NETWORKS: &[(u32, u32)] = &[
    (30, 25),
    (100, 25),
    (100, 30),
    (100, 60),
    (100, 100),
    (300, 30),
    (300, 60),
    (300, 150),
    (300, 300),
    (600, 30),
    (600, 60),
    (600, 150),
    (600, 300),
    (600, 600),
    (600, 750),
    (1_000, 60),
    (1_000, 100),
    (1_000, 300),
    (1_000, 1_000),
];
/// Shares of hostile relays of the table.
const TABLE_HOSTILE: &[f64] = &[0.1, 0.2, 0.3];
/// Relays of a path at the levels that mix.
const LAYERS: u32 = 5;
/// Waiting cells below which `dark` is refused.
const DARK_POOL: f64 = 36.0;
/// Waiting cells below which `hush` is refused.
const HUSH_POOL: f64 = 20.0;
/// Networks whose median gives the delay class.
const DRAWN_NETWORKS: u32 = 41;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_selects_delays_of_known_networks() {
        let delay = |senders, relays| {
            let model = MixModel {
                senders,
                relays,
                ..MixModel::reference()
            };
            DelayRule::of(&model, 1)
        };
        let reference = delay(600, 60);
        assert_eq!(reference.delay_seconds, 3);
        assert!(reference.allows_dark(60));
        let all_relay = delay(600, 600);
        assert_eq!(all_relay.delay_seconds, 20);
        assert!(all_relay.allows_dark(600));
        assert!(!delay(100, 600).allows_hush(600));
    }

    #[test]
    fn every_row_of_the_table_is_a_network_that_hush_accepts() {
        let studies = table_studies(1, 10);
        assert!(studies.len() > 60);
        for (rule, study) in studies {
            assert!(study.model.check().is_ok());
            assert!(rule.pool >= HUSH_POOL, "{rule:?}");
        }
    }
}
