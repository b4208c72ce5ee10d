//! Shards that are known to belong together: traced each by itself, and jointly.
//!
//! The shards of a message leave in consecutive payload slots. The study picks consecutive payload
//! cells of a sender and shows their rendezvous to two adversaries: one that multiplies the evidence of
//! each cell, and one that traces all of them back to emissions that follow each other.

use core::time::Duration;
use std::collections::BTreeMap;

use circuits::time::Instant;
use serde::Serialize;

use super::model::MixModel;
use super::score::{Score, ScoreReport};
use super::study::world_seed;
use super::traffic::ModelTraffic;
use super::truth::Truth;
use super::view::Knowledge;
use crate::sim::anonymity::adversary::{LinkLog, joint_senders, log_posterior, posterior_of};
use crate::sim::anonymity::sighting::{CellPlace, CellSighting, Transfer};

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct JointStudy {
    /// The network; its rendezvous are hostile and it loses nothing.
    pub model: MixModel,
    /// What the adversary knows: positions, or loops too.
    pub knowledge: Knowledge,
    /// Shards of a message.
    pub shards: u32,
    /// Messages that are traced in each world.
    pub targets: u32,
    /// The seed of everything random.
    pub seed: u64,
}

/// The success of both adversaries in one world.
#[derive(Clone, Copy, Debug, Default)]
pub struct JointScore {
    product: Score,
    joint: Score,
}

/// The success of both adversaries.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct JointReport {
    /// The adversary that multiplies the evidence of each cell.
    pub product: ScoreReport,
    /// The adversary that also knows that the cells left in consecutive slots, and their order.
    pub joint: ScoreReport,
}

impl JointReport {
    /// The figures of these worlds; none if no message was traced.
    #[must_use]
    pub fn of(worlds: &[JointScore]) -> Option<Self> {
        let product: Vec<Score> = worlds.iter().map(|world| world.product).collect();
        let joint: Vec<Score> = worlds.iter().map(|world| world.joint).collect();
        Some(Self {
            product: ScoreReport::of(&product)?,
            joint: ScoreReport::of(&joint)?,
        })
    }
}

impl JointStudy {
    /// The success of both adversaries in the world with this number.
    #[must_use]
    pub fn world(&self, number: u32) -> JointScore {
        let seed = world_seed(self.seed, number);
        let mut traffic = ModelTraffic::new(self.model, seed);
        let mut log = LinkLog::new(self.knowledge.rules(&self.model));
        let start = Instant::ZERO.after(self.model.settling_time());
        let path = self.model.delay.saturating_mul(self.model.routes.hops());
        // A tenth of the messages that could be traced leave in the window.
        let window = self.window();
        let end = start.after(window).after(path.saturating_mul(6));
        let mut ended: BTreeMap<(u32, u32), Ended> = BTreeMap::new();
        while let Some((at, event, truth)) = traffic.next(end) {
            let Some(event) = self.knowledge.sees(event, truth) else {
                continue;
            };
            log.record((at, event));
            if let CellSighting::Arrival {
                transfer,
                to: CellPlace::HostileRendezvous(_),
                ..
            } = event
                && !truth.is_loop
            {
                let cell = (truth.sender, truth.payload_number);
                ended.insert(
                    cell,
                    Ended {
                        transfer,
                        at,
                        truth,
                    },
                );
            }
        }
        self.score(&log, &ended, start, start.after(window).after(path))
    }

    /// Time in which the traced messages end.
    fn window(&self) -> Duration {
        let per_second = f64::from(self.model.senders) * self.model.payload_rate;
        Duration::from_secs_f64(10.0 * f64::from(self.targets) / per_second)
            .max(Duration::from_secs(30))
    }

    fn score(
        &self,
        log: &LinkLog,
        ended: &BTreeMap<(u32, u32), Ended>,
        start: Instant,
        last: Instant,
    ) -> JointScore {
        let mut score = JointScore::default();
        let span = self
            .model
            .delay
            .saturating_mul(6 * self.model.routes.hops());
        let candidates: Vec<&Ended> = ended
            .values()
            .filter(|first| (start..last).contains(&first.at))
            .collect();
        let wanted = usize::try_from(self.targets).unwrap_or(usize::MAX).max(1);
        let every = (candidates.len() / wanted).max(1);
        for first in candidates.into_iter().step_by(every).take(wanted) {
            let Some(shards) = self.message(first, ended) else {
                continue;
            };
            let earliest = shards.iter().map(|shard| shard.at).min();
            let from = earliest.unwrap_or(start).before(span);
            let transfers: Vec<Transfer> = shards.iter().map(|shard| shard.transfer).collect();
            let sender = usize::try_from(first.truth.sender).unwrap_or(usize::MAX);
            let mut evidence = Vec::new();
            for transfer in &transfers {
                if let Some(single) = joint_senders(log, &[*transfer], from) {
                    log_posterior(&mut evidence, &single);
                }
            }
            if let Some(joint) = joint_senders(log, &transfers, from) {
                let product = posterior_of(&evidence);
                score.product.add(&product, sender, first.truth.waited);
                score.joint.add(&joint, sender, first.truth.waited);
            }
        }
        score
    }

    /// The shards of the message whose first one is given, if all of them ended.
    fn message<'a>(
        &self,
        first: &'a Ended,
        ended: &'a BTreeMap<(u32, u32), Ended>,
    ) -> Option<Vec<&'a Ended>> {
        let Truth {
            sender,
            payload_number,
            ..
        } = first.truth;
        let numbers = payload_number..payload_number.checked_add(self.shards)?;
        numbers.map(|number| ended.get(&(sender, number))).collect()
    }
}

/// A payload cell that reached its rendezvous.
#[derive(Debug)]
struct Ended {
    transfer: Transfer,
    at: Instant,
    truth: Truth,
}

#[cfg(test)]
mod tests {
    use super::super::model::Routes;
    use super::*;

    /// One relay at which `waiting` cells of 60 senders wait for 2 s.
    fn study(waiting: f64, shards: u32) -> JointStudy {
        let senders = 60;
        JointStudy {
            model: MixModel {
                senders,
                relays: 1,
                hostile: 0.0,
                routes: Routes::Layers(1),
                delay: Duration::from_secs(2),
                payload_rate: waiting / 2.0 / f64::from(senders),
                loop_rate: 0.0,
                ..MixModel::reference()
            },
            knowledge: Knowledge::Positions,
            shards,
            targets: 150,
            seed: 1,
        }
    }

    fn report(study: &JointStudy, worlds: u32) -> JointReport {
        let worlds: Vec<_> = (0..worlds).map(|number| study.world(number)).collect();
        JointReport::of(&worlds).unwrap()
    }

    #[test]
    fn single_cell_is_traced_as_by_forward_filter() {
        let JointReport { product, joint } = report(&study(10.0, 1), 3);
        assert!((product.best_guess.mean - joint.best_guess.mean).abs() < 1e-9);
        // The gaps before the cells add to 1/(1 + 10).
        assert!((0.085..0.15).contains(&joint.best_guess.mean), "{joint:?}");
    }

    #[test]
    fn consecutive_slots_tell_more_than_the_product() {
        let JointReport { product, joint } = report(&study(10.0, 3), 4);
        assert!(
            joint.right.mean > product.right.mean + 0.02,
            "{product:?} {joint:?}"
        );
        let gap = joint.calibration;
        assert!(gap.mean.abs() <= 1.5 * gap.plus_minus + 0.02, "{joint:?}");
    }
}
