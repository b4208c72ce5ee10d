//! A study: many worlds of one model, and the adversary's success in them.

use core::time::Duration;

use circuits::time::Instant;
use serde::Serialize;

use super::forward_filter::ForwardFilter;
use super::score::{Score, ScoreReport};
use super::traffic::{MixModel, Traffic, Truth, index};
use crate::sim::seed::{SmallRng, WorldSeed};

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct Study {
    /// The network.
    pub model: MixModel,
    /// What the adversary knows beside all links.
    pub knowledge: Knowledge,
    /// Messages that are traced in each world.
    pub targets: u32,
    /// Messages of one sender that the adversary knows to belong together; 1 for single messages.
    pub linked: u32,
    /// The seed of everything random.
    pub seed: u64,
}

/// What the adversary knows beside all links and the positions of cells on their paths.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Knowledge {
    /// Nothing else.
    Positions,
    /// Which cells are loops: an upper bound for every passive adversary.
    Loops,
}

/// The result of a study.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct AnonymityReport {
    /// Worlds that were simulated.
    pub worlds: u32,
    /// The adversary's success.
    #[serde(flatten)]
    pub score: ScoreReport,
}

impl Study {
    /// The adversary's success in the world with this number.
    #[must_use]
    pub fn world(&self, number: u32) -> Score {
        let seed = WorldSeed::from_number(self.seed);
        let seed = WorldSeed(seed.derive("anonymity", &[number.into()]));
        let mut traffic = Traffic::new(self.model, seed);
        let mut adversary = self.adversary(traffic.hostile());
        let mut tracing = Tracing::new(self, seed.small_rng("messages", &[]));
        while let Some((at, event, truth)) = traffic.next(tracing.end) {
            if truth.is_loop && self.knowledge == Knowledge::Loops {
                continue;
            }
            if let Some(probabilities) = adversary.observe(at, event) {
                tracing.add(at, &probabilities, truth);
                if tracing.score.targets() >= self.targets {
                    break;
                }
            }
        }
        tracing.score
    }

    fn adversary(&self, hostile: &[bool]) -> ForwardFilter {
        let MixModel {
            senders,
            payload_rate,
            loop_rate,
            ..
        } = self.model;
        let loop_share = match self.knowledge {
            Knowledge::Positions => loop_rate / (loop_rate + payload_rate),
            Knowledge::Loops => 0.0,
        };
        ForwardFilter::new(senders, hostile, loop_share)
    }
}

impl AnonymityReport {
    /// The figures of these worlds; none if no message was traced.
    #[must_use]
    pub fn of(worlds: &[Score]) -> Option<Self> {
        Some(Self {
            worlds: u32::try_from(worlds.len()).unwrap_or(u32::MAX),
            score: ScoreReport::of(worlds)?,
        })
    }
}

/// The messages that are traced in one world.
struct Tracing {
    score: Score,
    /// Cells that arrive before this left while the pools were still filling.
    start: Instant,
    end: Instant,
    /// Time between two messages of one sender: the traffic that hides the next one is fresh.
    spacing: Duration,
    linked: u32,
    senders: Vec<LinkedMessages>,
    rng: SmallRng,
    /// The weight of a cell that always counts; 3 in 1,000 have more.
    most_weight: f64,
}

/// The evidence on the messages of one sender so far.
#[derive(Clone, Debug)]
struct LinkedMessages {
    count: u32,
    due: Instant,
    /// Logarithms of the products of probabilities, by suspect.
    evidence: Vec<f64>,
}

impl Tracing {
    fn new(study: &Study, rng: SmallRng) -> Self {
        let model = &study.model;
        // A path takes `hops` delays on average; six times that leaves no cell of the start. The
        // gap before a cell is evidence, so every sender must have emitted some.
        let path = model.delay.saturating_mul(model.routes.hops());
        let gaps = Duration::from_secs(10).div_f64(model.payload_rate);
        let start = Instant::ZERO.after(path.saturating_mul(6).saturating_add(gaps));
        let spacing = path.saturating_mul(2);
        let per_sender = f64::from(study.targets) / f64::from(model.senders) + 2.0;
        let rounds = Duration::from_secs(20).div_f64(model.payload_rate);
        let spaced = spacing.saturating_add(rounds).saturating_mul(study.linked);
        Self {
            score: Score::default(),
            start,
            end: start.after(spaced.mul_f64(per_sender)),
            spacing,
            linked: study.linked,
            rng,
            most_weight: 6.0 / model.payload_rate,
            senders: vec![
                LinkedMessages {
                    count: 0,
                    due: start,
                    evidence: Vec::new(),
                };
                index(model.senders)
            ],
        }
    }

    fn add(&mut self, at: Instant, probabilities: &[f64], truth: Truth) {
        if at < self.start || truth.is_loop {
            return;
        }
        let sender = index(truth.sender);
        if self.linked <= 1 {
            self.score.add(probabilities, sender, truth.waited);
            return;
        }
        let Some(messages) = self.senders.get_mut(sender) else {
            return;
        };
        // Cells are messages in proportion to their weight, as in a single trace.
        if at < messages.due || self.rng.unit() * self.most_weight > truth.waited {
            return;
        }
        messages.due = at.after(self.spacing);
        messages.evidence.resize(probabilities.len(), 0.0);
        for (sum, probability) in messages.evidence.iter_mut().zip(probabilities) {
            *sum += probability.ln();
        }
        messages.count += 1;
        if messages.count == self.linked {
            self.score.add(&softmax(&messages.evidence), sender, 1.0);
            messages.count = 0;
            messages.evidence.clear();
        }
    }
}

/// Logarithms of weights as probabilities.
fn softmax(logarithms: &[f64]) -> Vec<f64> {
    let most = logarithms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = logarithms.iter().map(|one| (one - most).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

#[cfg(test)]
mod tests;
