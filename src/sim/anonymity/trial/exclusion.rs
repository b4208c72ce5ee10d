//! What the choice of rendezvous tells about the sender, when envelopes are known to belong together.
//!
//! A sender that never chooses itself as rendezvous is excluded by every envelope that appears at its
//! relay. The study draws rendezvous for grouped cells and counts the senders that remain possible.

use serde::Serialize;

use super::score::Interval;
use super::study::world_seed;
use crate::sim::anonymity::sighting::index;

/// Relays that a sender never chooses as its rendezvous.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RendezvousChoice {
    /// All relays may be chosen, the own one included: the rule of the levels that mix.
    Any,
    /// Not the own relay.
    NotSelf,
    /// Not the own relay, and not this many others, its guard and its peers.
    NotSelfNorPeers(u32),
}

/// What is measured: every sender is a relay.
#[derive(Clone, Copy, Debug)]
pub struct ExclusionStudy {
    /// Senders, each of which relays.
    pub senders: u32,
    /// Cells that are known to belong together.
    pub cells: u32,
    /// The rule.
    pub choice: RendezvousChoice,
    /// Senders whose cells are drawn.
    pub targets: u32,
    /// The seed of everything random.
    pub seed: u64,
}

/// What remains.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ExclusionReport {
    /// Senders that remain possible.
    pub remaining: Interval,
}

impl ExclusionStudy {
    /// Draws all targets.
    #[must_use]
    pub fn report(&self) -> ExclusionReport {
        let remaining: Vec<f64> = (0..self.targets)
            .map(|number| f64::from(self.remaining(number)))
            .collect();
        ExclusionReport {
            remaining: Interval::of(&remaining),
        }
    }

    /// Senders that could have chosen all rendezvous of one target.
    fn remaining(&self, number: u32) -> u32 {
        let mut rng = world_seed(self.seed, number).small_rng("exclusion", &[]);
        // The target is sender 0, and relays 1, 2, .. are its guard and peers. The observer knows these
        // sets for every sender; here each sender avoids those that follow it in a ring.
        let avoided = match self.choice {
            RendezvousChoice::Any => 0,
            RendezvousChoice::NotSelf => 1,
            RendezvousChoice::NotSelfNorPeers(peers) => peers.saturating_add(1).min(self.senders),
        };
        let mut chosen = vec![false; index(self.senders)];
        for _ in 0..self.cells {
            let choices = self.senders.saturating_sub(avoided);
            let drawn = u32::try_from(rng.below(choices.into())).unwrap_or(0);
            if let Some(chosen) = chosen.get_mut(index(avoided.saturating_add(drawn))) {
                *chosen = true;
            }
        }
        let is_possible = |sender: u32| {
            (0..avoided).all(|step| {
                let relay = (sender + step) % self.senders.max(1);
                !chosen.get(index(relay)).copied().unwrap_or(false)
            })
        };
        let possible = (0..self.senders).filter(|sender| is_possible(*sender));
        u32::try_from(possible.count()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remaining(senders: u32, cells: u32, choice: RendezvousChoice) -> f64 {
        let study = ExclusionStudy {
            senders,
            cells,
            choice,
            targets: 200,
            seed: 1,
        };
        study.report().remaining.mean
    }

    #[test]
    fn any_rendezvous_excludes_no_sender() {
        assert!((remaining(100, 5_000, RendezvousChoice::Any) - 100.0).abs() < 1e-9);
    }

    #[test]
    fn own_relay_is_found_by_exclusion() {
        // Coupon collector: 600 (1 - 1/599)^n others remain after n cells, beside the sender.
        let left = remaining(600, 90, RendezvousChoice::NotSelf);
        assert!((515.0..518.0).contains(&left), "{left}");
        let left = remaining(600, 900, RendezvousChoice::NotSelf);
        assert!((132.0..137.0).contains(&left), "{left}");
        assert!(remaining(100, 3_000, RendezvousChoice::NotSelf) < 1.01);
    }

    #[test]
    fn avoided_peers_speed_the_exclusion() {
        let alone = remaining(600, 300, RendezvousChoice::NotSelf);
        let peers = remaining(600, 300, RendezvousChoice::NotSelfNorPeers(9));
        assert!(peers < 0.1 * alone, "{alone} {peers}");
    }
}
