//! Scattered messages: what joint assignment finds without keys, and what the keys add.
//!
//! Messages of several shards, and dummies, take payload slots as in a node: the next ones of their
//! sender. Three adversaries look at each message: one that sees a single envelope, one that weighs all
//! envelopes around it as siblings, and one to whom the recipient's keys show which belong together.

use core::time::Duration;
use std::collections::BTreeMap;

use circuits::time::Instant;
use serde::Serialize;

use super::model::MixModel;
use super::score::{Interval, Score, ScoreReport};
use super::study::world_seed;
use super::traffic::ModelTraffic;
use super::truth::Truth;
use super::view::Knowledge;
use crate::sim::anonymity::adversary::{
    ForwardFilter, SiblingCandidate, grouped_senders, log_posterior, posterior_of, sibling_window,
};
use crate::sim::anonymity::sighting::{CellPlace, CellSighting, index};
use crate::sim::seed::SmallRng;

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct GroupStudy {
    /// The network.
    pub model: MixModel,
    /// What the adversary knows: positions, or loops too.
    pub knowledge: Knowledge,
    /// Shards of a message.
    pub shards: u32,
    /// Share of the senders that send messages.
    pub users: f64,
    /// Messages that each of them sends in an hour, beside the traced ones.
    pub messages_per_hour: f64,
    /// Mean time between two dummies of a sender; none without dummies.
    pub dummies: Option<Duration>,
    /// Messages that are traced in each world.
    pub targets: u32,
    /// The seed of everything random.
    pub seed: u64,
}

/// The success of the adversaries in one world.
#[derive(Clone, Copy, Debug, Default)]
pub struct GroupScore {
    single: Score,
    grouped: Score,
    keys: Score,
    candidates: f64,
    targets: f64,
}

/// The success of the adversaries.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct GroupReport {
    /// The adversary that looks at one envelope.
    pub single: ScoreReport,
    /// The adversary without keys that weighs all candidates as siblings.
    pub grouped: ScoreReport,
    /// The adversary with the recipient's keys.
    pub keys: ScoreReport,
    /// Envelopes around a traced one that could be its siblings, its siblings included.
    pub candidates: Interval,
}

impl GroupReport {
    /// The figures of these worlds; none if no message was traced.
    #[must_use]
    pub fn of(worlds: &[GroupScore]) -> Option<Self> {
        let scores =
            |of: fn(&GroupScore) -> Score| -> Vec<Score> { worlds.iter().map(of).collect() };
        let traced = worlds.iter().filter(|world| world.targets > 0.0);
        let candidates: Vec<f64> = traced
            .map(|world| world.candidates / world.targets)
            .collect();
        Some(Self {
            single: ScoreReport::of(&scores(|world| world.single))?,
            grouped: ScoreReport::of(&scores(|world| world.grouped))?,
            keys: ScoreReport::of(&scores(|world| world.keys))?,
            candidates: Interval::of(&candidates),
        })
    }
}

impl GroupStudy {
    /// The success of the adversaries in the world with this number.
    #[must_use]
    pub fn world(&self, number: u32) -> GroupScore {
        let seed = world_seed(self.seed, number);
        let mut traffic = ModelTraffic::new(self.model, seed);
        let rules = self.knowledge.rules(&self.model);
        let mut filter = ForwardFilter::new(rules);
        let mut composing = Composing::new(self, seed.small_rng("messages", &[]));
        let mut appeared = Vec::new();
        while let Some((at, event, truth)) = traffic.next(composing.end) {
            composing.advance(at);
            if let CellSighting::Departure {
                from: CellPlace::Sender(_),
                ..
            } = event
                && !truth.is_loop
            {
                composing.payload_left(truth);
            }
            let Some(event) = self.knowledge.sees(event, truth) else {
                continue;
            };
            if let Some(probabilities) = filter.observe(at, event)
                && let Some(message) = composing.carried(truth)
            {
                let candidate = SiblingCandidate { at, probabilities };
                let sender = truth.sender;
                appeared.push(Appeared {
                    candidate,
                    message,
                    sender,
                });
            }
        }
        self.score(&appeared)
    }

    fn score(&self, appeared: &[Appeared]) -> GroupScore {
        let rules = self.knowledge.rules(&self.model);
        let window = sibling_window(&rules);
        let mut messages: BTreeMap<u32, Vec<&Appeared>> = BTreeMap::new();
        for one in appeared {
            if let Carried::Traced(message) = one.message {
                messages.entry(message).or_default().push(one);
            }
        }
        let mut score = GroupScore::default();
        for shards in messages.values() {
            let (Some(first), true) = (shards.first(), shards.len() == index(self.shards)) else {
                continue;
            };
            let at = first.candidate.at;
            let (from, to) = (at.before(window), at.after(window));
            let others: Vec<&SiblingCandidate> = appeared
                .iter()
                .filter(|other| !core::ptr::eq(*other, *first))
                .map(|other| &other.candidate)
                .filter(|other| (from..to).contains(&other.at))
                .collect();
            let sender = index(first.sender);
            score.candidates += f64::from(u32::try_from(others.len()).unwrap_or(u32::MAX));
            score.targets += 1.0;
            let grouped = grouped_senders(&rules, &first.candidate, others, self.shards);
            score
                .single
                .add(&first.candidate.probabilities, sender, 1.0);
            score.grouped.add(&grouped, sender, 1.0);
            let mut evidence = Vec::new();
            for shard in shards {
                log_posterior(&mut evidence, &shard.candidate.probabilities);
            }
            score.keys.add(&posterior_of(&evidence), sender, 1.0);
        }
        score
    }
}

/// An envelope that appeared, with the truth about it.
#[derive(Debug)]
struct Appeared {
    candidate: SiblingCandidate,
    message: Carried,
    sender: u32,
}

/// What a payload cell carries if it is not cover.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Carried {
    Traced(u32),
    Other,
}

/// The users, who compose messages, and the nodes, which compose dummies.
struct Composing {
    rng: SmallRng,
    /// What waits for the next payload slots, by sender.
    queued: BTreeMap<u32, Vec<Carried>>,
    /// What left, by sender and number of the payload cell.
    left: BTreeMap<(u32, u32), Carried>,
    next_traced: Instant,
    next_other: Instant,
    next_dummy: Instant,
    traced: u32,
    spacing: Duration,
    senders: u32,
    users: u32,
    shards: u32,
    others_every: Option<Duration>,
    dummies_every: Option<Duration>,
    end: Instant,
}

impl Composing {
    fn new(study: &GroupStudy, rng: SmallRng) -> Self {
        let model = &study.model;
        let start = Instant::ZERO.after(model.settling_time());
        // Traced messages are rare: they must not be the candidates of each other.
        let window = sibling_window(&study.knowledge.rules(model));
        let spacing = window.saturating_mul(2);
        let senders = f64::from(model.senders);
        let users = (senders * study.users).round().max(1.0);
        let mean = |rate: f64| (rate > 0.0).then(|| Duration::from_secs_f64(1.0 / rate));
        let path = model.delay.saturating_mul(model.routes.hops() * 6);
        let last = start.after(spacing.saturating_mul(study.targets));
        Self {
            rng,
            queued: BTreeMap::new(),
            left: BTreeMap::new(),
            next_traced: start.after(window),
            next_other: Instant::ZERO,
            next_dummy: Instant::ZERO,
            traced: 0,
            spacing,
            senders: model.senders,
            users: (0..model.senders)
                .take_while(|user| f64::from(*user) < users)
                .last()
                .map_or(1, |last| last + 1),
            shards: study.shards,
            others_every: mean(users * study.messages_per_hour / 3_600.0),
            dummies_every: study.dummies.map(|mean| mean.div_f64(senders)),
            end: last
                .after(window)
                .after(path)
                .after(model.hold.saturating_mul(6)),
        }
    }

    /// Composes everything that is due.
    fn advance(&mut self, now: Instant) {
        if now >= self.next_traced {
            self.traced += 1;
            self.compose(self.users, self.shards, Carried::Traced(self.traced));
            self.next_traced = self.next_traced.after(self.spacing);
        }
        while let Some(mean) = self.others_every.filter(|_| now >= self.next_other) {
            self.compose(self.users, self.shards, Carried::Other);
            let wait = mean.mul_f64(self.rng.exponential());
            self.next_other = self.next_other.after(wait);
        }
        while let Some(mean) = self.dummies_every.filter(|_| now >= self.next_dummy) {
            self.compose(self.senders, 1, Carried::Other);
            let wait = mean.mul_f64(self.rng.exponential());
            self.next_dummy = self.next_dummy.after(wait);
        }
    }

    /// A message of one of the first `among` senders.
    fn compose(&mut self, among: u32, shards: u32, what: Carried) {
        let sender = u32::try_from(self.rng.below(among.into())).unwrap_or(0);
        let queue = self.queued.entry(sender).or_default();
        queue.extend((0..shards).map(|_| what));
    }

    fn payload_left(&mut self, truth: Truth) {
        if let Some(queue) = self.queued.get_mut(&truth.sender)
            && !queue.is_empty()
        {
            let what = queue.remove(0);
            self.left.insert((truth.sender, truth.payload_number), what);
        }
    }

    /// What a cell that appears carries.
    fn carried(&self, truth: Truth) -> Option<Carried> {
        if truth.is_loop {
            return None;
        }
        let cell = (truth.sender, truth.payload_number);
        self.left.get(&cell).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn study(dummies: Option<Duration>) -> GroupStudy {
        GroupStudy {
            model: MixModel {
                senders: 60,
                relays: 10,
                delay: Duration::from_secs(1),
                hold: Duration::from_secs(2),
                ..MixModel::reference()
            },
            knowledge: Knowledge::Positions,
            shards: 3,
            users: 0.04,
            messages_per_hour: 1.0,
            dummies,
            targets: 40,
            seed: 1,
        }
    }

    fn report(study: &GroupStudy) -> GroupReport {
        let worlds: Vec<_> = (0..3).map(|number| study.world(number)).collect();
        GroupReport::of(&worlds).unwrap()
    }

    #[test]
    fn dummies_make_assignment_of_siblings_worthless() {
        let without = report(&study(None));
        // Only the siblings are candidates.
        assert!(without.candidates.mean < 4.0, "{without:?}");
        assert!(
            without.grouped.best_guess.mean > 1.2 * without.single.best_guess.mean,
            "{without:?}"
        );
        let with = report(&study(Some(Duration::from_secs(60))));
        assert!(with.candidates.mean > 10.0, "{with:?}");
        let gain = with.grouped.best_guess.mean / with.single.best_guess.mean;
        let gain_without = without.grouped.best_guess.mean / without.single.best_guess.mean;
        assert!(gain < gain_without, "{with:?} {without:?}");
        assert!(with.keys.best_guess.mean > with.single.best_guess.mean);
    }
}
