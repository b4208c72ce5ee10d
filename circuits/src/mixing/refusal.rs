//! Refusals of mixing levels: the rule, the figures of the network, and what is missing.

use core::fmt;

use super::{DelayClass, MixNetwork};
use crate::directory::{ArrivalRate, Layer};

/// A refusal to use a level in the current network.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MixRefusal {
    /// The rule that is not satisfied.
    pub rule: MixRule,
    /// The arrival rate of the network.
    pub rate: ArrivalRate,
    /// The delay class of the epoch.
    pub class: DelayClass,
    /// Number of eligible relays.
    pub relays: usize,
}

/// The rules of [`MixNetwork::check`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum MixRule {
    /// There are enough eligible relays.
    Relays {
        /// The number that the level requires.
        needed: usize,
    },
    /// Every layer has enough eligible relays.
    Layer {
        /// The smallest layer.
        layer: Layer,
        /// The number of its eligible relays.
        relays: usize,
        /// The number that the level requires.
        needed: usize,
    },
    /// Enough cells wait at a relay.
    Pool {
        /// The mean number of cells that the level requires.
        needed: u64,
    },
    /// The directory is at least one day old.
    Young,
}

impl MixRefusal {
    pub(super) fn new(rule: MixRule, network: &MixNetwork) -> Self {
        Self {
            rule,
            rate: network.rate(),
            class: network.class(),
            relays: network.relays().iter().sum(),
        }
    }

    /// Mean number of cells that wait at a relay, rounded down.
    #[must_use]
    pub const fn pool(&self) -> u64 {
        self.class.pool(self.rate)
    }

    /// Number of relays that the network or its smallest layer lacks; 0 if relays are not the reason.
    #[must_use]
    pub const fn missing_relays(&self) -> usize {
        match self.rule {
            MixRule::Relays { needed } => needed.saturating_sub(self.relays),
            MixRule::Layer { relays, needed, .. } => needed.saturating_sub(relays),
            MixRule::Pool { .. } | MixRule::Young => 0,
        }
    }

    /// Number of cells that lack in the pool of a relay; 0 if the pool is not the reason.
    #[must_use]
    pub const fn missing_cells(&self) -> u64 {
        match self.rule {
            MixRule::Pool { needed } => needed.saturating_sub(self.pool()),
            MixRule::Relays { .. } | MixRule::Layer { .. } | MixRule::Young => 0,
        }
    }

    /// About how many senders the network lacks, with its present relays. Every sender emits one cell
    /// in two seconds, and every layer shares all of them.
    #[must_use]
    pub fn missing_senders(&self) -> u64 {
        let MixRule::Pool { needed } = self.rule else {
            return 0;
        };
        let wanted = needed.saturating_mul(1_000_000) / self.class.secs().max(1);
        let missing = wanted.saturating_sub(self.rate.per_million_secs());
        let relays = u64::try_from(self.relays).unwrap_or(u64::MAX);
        let cells = missing.saturating_mul(relays).div_ceil(LAYERS);
        cells.saturating_mul(SECS_PER_CELL).div_ceil(1_000_000)
    }
}

impl fmt::Display for MixRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rule,
            rate,
            class,
            relays: known,
        } = self;
        match rule {
            MixRule::Relays { needed } => write!(
                f,
                "needs at least {needed} eligible relays; there are {known}, so {} are missing",
                self.missing_relays()
            ),
            MixRule::Layer {
                layer,
                relays,
                needed,
            } => write!(
                f,
                "needs at least {needed} eligible relays in each of the {LAYERS} layers; layer {layer} \
                 has {relays}, so {} are missing",
                self.missing_relays()
            ),
            MixRule::Pool { needed } => write!(
                f,
                "needs {needed} cells that wait together at a relay; {} wait there, because {rate} \
                 cells arrive in a second and wait for {class}; about {} more senders are missing",
                self.pool(),
                self.missing_senders()
            ),
            MixRule::Young => f.write_str("needs a directory that is a day old"),
        }
    }
}

impl core::error::Error for MixRefusal {}

/// [`Layer::COUNT`] as a divisor.
const LAYERS: u64 = 5;
/// Mean seconds between two cells of a sender: payload slots and loops together (docs/spec.md M2).
const SECS_PER_CELL: u64 = 2;
