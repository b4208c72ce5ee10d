//! The adversary: follows the weight of every sender along every link.
//!
//! Delays are exponential, so every matching of the cells that enter and leave a relay is equally
//! likely: `exp(-(out - in) / D)` has the same product over all of them. Each cell that leaves is
//! therefore uniform over the cells that wait, and one pass in order of time gives the exact
//! posterior. Cells at different positions of their paths
//! are told apart, because the model grants the position. A hostile relay discloses which cell became
//! which. The module reads link events only: it must not learn what a cell is.

use std::collections::BTreeMap;

use circuits::time::Instant;

use super::traffic::{CellPlace, CellSighting, Transfer, index};

/// Weights of the senders of every cell that is under way.
#[derive(Debug)]
pub struct ForwardFilter {
    /// The relays that disclose, by number.
    hostile: Vec<bool>,
    emissions: Vec<Emissions>,
    /// The probability that one emission of a sender is a loop, as far as the adversary knows.
    loop_share: f64,
    /// Cells that wait at honest relays, by relay and position.
    pools: BTreeMap<(u32, u32), WaitingCells>,
    /// Cells on links, and at hostile relays.
    followed: BTreeMap<Transfer, Weights>,
}

/// What is remembered of one sender's stream.
#[derive(Clone, Copy, Debug, Default)]
struct Emissions {
    last: Option<Instant>,
    /// Time, in seconds, for which the last cell may have waited for its emission.
    waited: f64,
}

/// A weight for every sender.
#[derive(Debug)]
enum Weights {
    /// Only this sender has one.
    One(u32, f64),
    All(Vec<f64>),
}

/// The cells at one position that wait at one relay.
#[derive(Debug)]
struct WaitingCells {
    sum: Vec<f64>,
    count: f64,
}

impl ForwardFilter {
    /// An adversary that has seen nothing of this many senders.
    ///
    /// `hostile` says for each relay whether it discloses. `loop_share` is the share of loops among
    /// the emissions that the adversary sees; zero if it recognises loops.
    #[must_use]
    pub fn new(senders: u32, hostile: &[bool], loop_share: f64) -> Self {
        Self {
            hostile: hostile.to_vec(),
            emissions: vec![Emissions::default(); index(senders)],
            loop_share,
            pools: BTreeMap::new(),
            followed: BTreeMap::new(),
        }
    }

    /// Takes the next event. When a cell reaches its rendezvous, gives the probability that each
    /// sender sent it; the sum is one.
    pub fn observe(&mut self, at: Instant, event: CellSighting) -> Option<Vec<f64>> {
        match event {
            CellSighting::Departure {
                transfer,
                from,
                position,
                disclosed,
            } => {
                let weights = match (from, disclosed) {
                    (CellPlace::Sender(sender), _) => self.emitted(at, sender),
                    (_, Some(earlier)) => self.followed.remove(&earlier),
                    (CellPlace::Relay(relay), None) => self
                        .pools
                        .get_mut(&(relay, position))
                        .map(|pool| Weights::All(pool.take())),
                    (CellPlace::Rendezvous(_), None) => None,
                };
                if let Some(weights) = weights {
                    self.followed.insert(transfer, weights);
                }
                None
            }
            CellSighting::Arrival {
                transfer,
                to,
                position,
            } => self.arrived(transfer, to, position),
        }
    }

    /// The weight of an emission: the time for which a message may have waited for it. A message
    /// that is composed at a uniform time takes the next payload cell, so a long gap before a cell is
    /// evidence for it.
    fn emitted(&mut self, at: Instant, sender: u32) -> Option<Weights> {
        let emissions = self.emissions.get_mut(index(sender))?;
        let gap = emissions.last.map(|last| at.since(last).as_secs_f64());
        emissions.last = Some(at);
        emissions.waited = gap.unwrap_or(0.0) + self.loop_share * emissions.waited;
        Some(Weights::One(sender, emissions.waited))
    }

    fn arrived(&mut self, transfer: Transfer, to: CellPlace, position: u32) -> Option<Vec<f64>> {
        let senders = self.emissions.len();
        match to {
            CellPlace::Relay(relay) if self.is_hostile(relay) => None,
            CellPlace::Relay(relay) => {
                let weights = self.followed.remove(&transfer)?;
                let pool = self.pools.entry((relay, position + 1));
                pool.or_insert_with(|| WaitingCells::new(senders))
                    .add(&weights);
                None
            }
            CellPlace::Sender(_) => {
                self.followed.remove(&transfer);
                None
            }
            CellPlace::Rendezvous(_) => normalized(self.followed.remove(&transfer)?, senders),
        }
    }

    fn is_hostile(&self, relay: u32) -> bool {
        self.hostile.get(index(relay)).copied().unwrap_or(false)
    }
}

impl WaitingCells {
    fn new(senders: usize) -> Self {
        Self {
            sum: vec![0.0; senders],
            count: 0.0,
        }
    }

    fn add(&mut self, weights: &Weights) {
        self.count += 1.0;
        match weights {
            Weights::One(sender, weight) => {
                if let Some(sum) = self.sum.get_mut(index(*sender)) {
                    *sum += weight;
                }
            }
            Weights::All(weights) => {
                for (sum, weight) in self.sum.iter_mut().zip(weights) {
                    *sum += weight;
                }
            }
        }
    }

    /// The mean weights of the cells that wait; one of them leaves.
    fn take(&mut self) -> Vec<f64> {
        let share = 1.0 / self.count.max(1.0);
        let mean: Vec<f64> = self.sum.iter().map(|sum| sum * share).collect();
        for sum in &mut self.sum {
            *sum *= 1.0 - share;
        }
        self.count = (self.count - 1.0).max(0.0);
        mean
    }
}

/// Weights as probabilities; none if there is no evidence at all.
fn normalized(weights: Weights, senders: usize) -> Option<Vec<f64>> {
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

#[cfg(test)]
mod tests {
    use circuits::distributions;
    use core::time::Duration;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    /// The mean best guess at one relay, which `rho` cells wait at on average. Every sender emits at
    /// a constant period, so the gaps before the cells tell nothing.
    fn best_guess_at_one_mix(rho: f64) -> f64 {
        let mut rng = ChaCha20Rng::from_seed([8; 32]);
        let (senders, delay) = (400, Duration::from_secs(2));
        let period = delay.mul_f64(f64::from(senders) / rho);
        let mut events = Vec::new();
        for sender in 0..senders {
            let mut at = Instant::ZERO.after(distributions::jitter(&mut rng, period));
            for round in 0..12_u64 {
                let transfer =
                    |crossing| Transfer(round * 10_000 + u64::from(sender) * 10 + crossing);
                let leaves = at.after(distributions::exponential(&mut rng, delay));
                let (from, to) = (CellPlace::Sender(sender), CellPlace::Relay(0));
                events.push((at, departure(transfer(0), from, 0)));
                events.push((at, arrival(transfer(0), to, 0)));
                events.push((leaves, departure(transfer(1), to, 1)));
                events.push((leaves, arrival(transfer(1), CellPlace::Rendezvous(0), 1)));
                at = at.after(period);
            }
        }
        // The sort is stable: an arrival follows its departure.
        events.sort_by_key(|(at, _)| *at);
        let mut filter = ForwardFilter::new(senders, &[false], 0.0);
        let start = Instant::ZERO.after(period.saturating_mul(3));
        let end = Instant::ZERO.after(period.saturating_mul(11));
        let mut best = Vec::new();
        for (at, event) in events {
            if let Some(probabilities) = filter.observe(at, event)
                && (start..end).contains(&at)
            {
                best.push(probabilities.into_iter().fold(0.0, f64::max));
            }
        }
        best.iter().sum::<f64>() / f64::from(u32::try_from(best.len()).unwrap())
    }

    fn departure(transfer: Transfer, from: CellPlace, position: u32) -> CellSighting {
        CellSighting::Departure {
            transfer,
            from,
            position,
            disclosed: None,
        }
    }

    fn arrival(transfer: Transfer, to: CellPlace, position: u32) -> CellSighting {
        CellSighting::Arrival {
            transfer,
            to,
            position,
        }
    }

    #[test]
    fn best_guess_among_rho_waiting_cells_is_one_in_rho_and_one() {
        for (rho, expected) in [(10.0, 1.0 / 11.0), (2.0, 1.0 / 3.0)] {
            let best = best_guess_at_one_mix(rho);
            assert!((best - expected).abs() < 0.06 * expected, "{rho}: {best}");
        }
    }
}
