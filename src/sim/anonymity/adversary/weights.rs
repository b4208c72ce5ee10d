//! Weights of senders: of one cell, of the cells that wait at a relay, and of a sender's emissions.

use core::time::Duration;

use circuits::time::Instant;

use crate::sim::anonymity::sighting::index;

/// A weight for every sender.
#[derive(Debug)]
pub(super) enum Weights {
    /// Only this sender has one.
    One(u32, f64),
    All(Vec<f64>),
}

/// The cells of one position that wait at one relay.
///
/// If relays lose cells, their number is uncertain: it has a mean and a variance, which a filter for
/// point processes updates. Without loss the variance is zero and the filter exact.
#[derive(Debug)]
pub(super) struct WaitingCells {
    /// The weights are these times `scale`: a departure then writes one number, not one a sender.
    sum: Vec<f64>,
    scale: f64,
    count: f64,
    variance: f64,
    updated: Instant,
}

/// When a sender emitted, and what a gap between emissions tells.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct EmissionGaps {
    last: Option<Instant>,
    /// Time, in seconds, for which the last cell may have waited for its emission.
    waited: f64,
}

impl EmissionGaps {
    /// The sender comes online. It cannot have composed a message before.
    pub(super) fn online(&mut self, at: Instant) {
        *self = Self {
            last: Some(at),
            waited: 0.0,
        };
    }

    /// The weight of an emission now: the time for which a message may have waited for it. A message
    /// that is composed at a uniform time takes the next payload cell, so a long gap before a cell is
    /// evidence for it. `loop_share` is the probability that an earlier emission was a loop.
    pub(super) fn emitted(&mut self, at: Instant, loop_share: f64) -> f64 {
        let gap = self.last.map(|last| at.since(last).as_secs_f64());
        self.last = Some(at);
        self.waited = gap.unwrap_or(0.0) + loop_share * self.waited;
        self.waited
    }
}

impl WaitingCells {
    pub(super) fn new(senders: usize, at: Instant) -> Self {
        Self {
            sum: vec![0.0; senders],
            scale: 1.0,
            count: 0.0,
            variance: 0.0,
            updated: at,
        }
    }

    /// A cell arrives. With probability `loss` it never leaves.
    pub(super) fn add(&mut self, at: Instant, weights: &Weights, loss: f64, delay: Duration) {
        self.pass_time(at, delay);
        let kept = 1.0 - loss;
        self.count += kept;
        self.variance += loss * kept;
        self.keep_scale_in_range();
        let kept = kept / self.scale;
        match weights {
            Weights::One(sender, weight) => {
                if let Some(sum) = self.sum.get_mut(index(*sender)) {
                    *sum += weight * kept;
                }
            }
            Weights::All(weights) => {
                for (sum, weight) in self.sum.iter_mut().zip(weights) {
                    *sum += weight * kept;
                }
            }
        }
    }

    /// The mean weights of the cells that wait; one of them leaves.
    pub(super) fn take(&mut self, at: Instant, delay: Duration) -> Vec<f64> {
        self.pass_time(at, delay);
        self.see_departure();
        let share = 1.0 / self.count.max(1.0);
        let own = share * self.scale;
        let mean: Vec<f64> = self.sum.iter().map(|sum| sum * own).collect();
        self.scale *= 1.0 - share;
        self.count = (self.count - 1.0).max(0.0);
        mean
    }

    /// No departure for a while makes fewer waiting cells likely.
    fn pass_time(&mut self, at: Instant, delay: Duration) {
        let passed = at.since(self.updated).as_secs_f64() / delay.as_secs_f64().max(1e-9);
        self.updated = at;
        if self.variance > 0.0 {
            self.become_count((self.count - self.variance * passed).max(0.0));
        }
    }

    /// A departure makes more waiting cells likely.
    fn see_departure(&mut self) {
        if self.variance > 0.0 && self.count > 0.0 {
            let ratio = self.variance / self.count;
            self.become_count(self.count + ratio);
            self.variance = (self.variance - ratio * ratio).max(0.0);
        }
    }

    fn become_count(&mut self, count: f64) {
        if self.count > 0.0 {
            self.scale *= count / self.count;
        }
        self.count = count;
    }

    fn keep_scale_in_range(&mut self) {
        if self.scale < MIN_SCALE {
            for sum in &mut self.sum {
                *sum *= self.scale;
            }
            self.scale = 1.0;
        }
    }
}

/// Weights as probabilities; none if there is no evidence at all.
pub(super) fn normalized(weights: Weights, senders: usize) -> Option<Vec<f64>> {
    let mut weights = match weights {
        Weights::All(weights) => weights,
        Weights::One(sender, weight) => {
            let mut weights = vec![0.0; senders];
            *weights.get_mut(index(sender))? = weight;
            weights
        }
    };
    let sum: f64 = weights.iter().sum();
    if sum <= 0.0 {
        return None;
    }
    for weight in &mut weights {
        *weight /= sum;
    }
    Some(weights)
}

/// Adds the evidence of one more message to the logarithms of the probabilities.
pub(in crate::sim::anonymity) fn log_posterior(evidence: &mut Vec<f64>, probabilities: &[f64]) {
    evidence.resize(probabilities.len(), 0.0);
    for (sum, probability) in evidence.iter_mut().zip(probabilities) {
        *sum += probability.ln();
    }
}

/// Logarithms of weights as probabilities.
pub(in crate::sim::anonymity) fn posterior_of(logarithms: &[f64]) -> Vec<f64> {
    let most = logarithms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if most == f64::NEG_INFINITY {
        let share = 1.0 / f64::from(u32::try_from(logarithms.len()).unwrap_or(u32::MAX)).max(1.0);
        return vec![share; logarithms.len()];
    }
    let weights: Vec<f64> = logarithms.iter().map(|one| (one - most).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

/// Below this the scale is applied to the weights, and begins again at one.
const MIN_SCALE: f64 = 1e-100;
