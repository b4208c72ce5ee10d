//! The mixing network: layers of relays, and the delay that the traffic of an epoch permits.
//!
//! What hides a cell is the number of cells of the same position that wait together at one relay. The
//! relays are therefore divided into five [layers](Layer), one per position, and each relay states in
//! its descriptor at which rate mixing cells [arrive](ArrivalRate). From the frozen snapshot, every
//! node computes the same [`MixNetwork`]: the [delay class](DelayClass) of all mixing levels and all
//! cover of the epoch, and whether enough cells wait for a level.
//!
//! The rate of the network is the 25th percentile of the stated ones. Relays may lie: fewer than a
//! quarter of them cannot lower it below the lowest honest rate, and cannot raise it above the
//! honest 34th percentile. This module draws no path and never replaces a level by another.

mod delay_class;
mod refusal;

pub use crate::directory::{ArrivalRate, Layer};
pub use delay_class::DelayClass;
pub use refusal::{MixRefusal, MixRule};

use crate::directory::Snapshot;
use crate::ids::Profile;

/// What a mixing level requires of the network on the profile `main`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MixRequirements {
    /// Mean number of cells that wait together at a relay.
    pub pool: u64,
    /// Number of eligible relays.
    pub relays: usize,
    /// Number of eligible relays in the smallest layer: half of the mean. Layers follow from hashes, so
    /// they differ by chance (docs/decisions/0033).
    pub smallest_layer: usize,
    /// Whether the directory must rest on the node's own observations (spec M1, clause c).
    pub settled: bool,
}

/// What the snapshot of an epoch shows of the mixing network.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MixNetwork {
    profile: Profile,
    young: bool,
    rate: ArrivalRate,
    class: DelayClass,
    relays: [usize; Layer::COUNT],
}

impl MixNetwork {
    /// Reads a snapshot.
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut relays = [0_usize; Layer::COUNT];
        for relay in snapshot.relays() {
            if let Some(count) = relays.get_mut(relay.layer.index()) {
                *count = count.saturating_add(1);
            }
        }
        let mut rates: Vec<_> = snapshot
            .relays()
            .iter()
            .map(|relay| relay.arrivals)
            .collect();
        let rate = lower_quartile(&mut rates);
        let class = match snapshot.profile() {
            Profile::Main => DelayClass::for_rate(rate),
            Profile::Local => DelayClass::LOCAL,
        };
        Self {
            profile: snapshot.profile(),
            young: snapshot.is_young(),
            rate,
            class,
            relays,
        }
    }

    /// The delay class of the epoch.
    #[must_use]
    pub const fn class(&self) -> DelayClass {
        self.class
    }

    /// The rate at which mixing cells arrive at a relay: the 25th percentile of the stated rates.
    #[must_use]
    pub const fn rate(&self) -> ArrivalRate {
        self.rate
    }

    /// Mean number of cells that wait at a relay, rounded down.
    #[must_use]
    pub const fn pool(&self) -> u64 {
        self.class.pool(self.rate)
    }

    /// Number of eligible relays in each layer.
    #[must_use]
    pub const fn relays(&self) -> &[usize; Layer::COUNT] {
        &self.relays
    }

    /// The layer with the fewest relays, and their number.
    #[must_use]
    pub fn smallest_layer(&self) -> (Layer, usize) {
        let layers = Layer::ALL.into_iter().zip(self.relays);
        layers
            .min_by_key(|(_, relays)| *relays)
            .unwrap_or((Layer::FIRST, 0))
    }

    /// Checks whether the network can carry a level with these requirements.
    ///
    /// On `local`, where the protection of a few relays is none, one relay in every layer suffices.
    ///
    /// # Errors
    ///
    /// [`MixRefusal`] with the rule and what is missing.
    pub fn check(&self, required: &MixRequirements) -> Result<(), MixRefusal> {
        let MixRequirements {
            pool,
            relays: needed,
            smallest_layer,
            settled,
        } = match self.profile {
            Profile::Main => *required,
            Profile::Local => LOCAL_REQUIREMENTS,
        };
        let refusal = |rule| MixRefusal::new(rule, self);
        if settled && self.young {
            return Err(refusal(MixRule::Young));
        }
        if self.relays.iter().sum::<usize>() < needed {
            return Err(refusal(MixRule::Relays { needed }));
        }
        let (layer, relays) = self.smallest_layer();
        if relays < smallest_layer {
            return Err(refusal(MixRule::Layer {
                layer,
                relays,
                needed: smallest_layer,
            }));
        }
        if self.pool() < pool {
            return Err(refusal(MixRule::Pool { needed: pool }));
        }
        Ok(())
    }
}

/// On `local`, figures of a crowd mean nothing; a path needs a relay for every position.
const LOCAL_REQUIREMENTS: MixRequirements = MixRequirements {
    pool: 0,
    relays: 0,
    smallest_layer: 1,
    settled: false,
};

/// The lower quartile by nearest rank: fewer than a quarter of the rates are below its place.
fn lower_quartile(rates: &mut [ArrivalRate]) -> ArrivalRate {
    let place = rates.len().saturating_sub(1) / 4;
    if rates.is_empty() {
        return ArrivalRate::NONE;
    }
    *rates.select_nth_unstable(place).1
}
