//! The adversary that knows positions: follows the weight of every sender along every link.
//!
//! One pass in order of time gives, for every cell, the probability that each sender sent it. Cells at
//! different positions of their paths are told apart: the adversary knows the position, as in a layered
//! network. A hostile relay discloses which cell became which. An honest rendezvous hides which of the
//! cells that ended there carried the envelope that it inserts.

use std::collections::BTreeMap;

use circuits::time::Instant;

use super::weights::{EmissionGaps, WaitingCells, Weights, normalized};
use crate::sim::anonymity::sighting::{CellPlace, CellSighting, PublicRules, Transfer, index};

/// Weights of the senders of every cell that is under way.
#[derive(Debug)]
pub struct ForwardFilter {
    rules: PublicRules,
    emissions: Vec<EmissionGaps>,
    /// Cells that wait at honest relays, by relay and position.
    pools: BTreeMap<(u32, u32), WaitingCells>,
    /// Cells on links, and at hostile relays.
    followed: BTreeMap<Transfer, Weights>,
    /// Cells that ended at honest rendezvous, by rendezvous.
    held: BTreeMap<u32, HeldCells>,
}

/// The cells that ended at one honest rendezvous, each weighted by the density of its hold.
#[derive(Debug)]
struct HeldCells {
    sum: Vec<f64>,
    updated: Instant,
}

impl ForwardFilter {
    /// An adversary that has seen nothing.
    #[must_use]
    pub fn new(rules: PublicRules) -> Self {
        Self {
            rules,
            emissions: vec![EmissionGaps::default(); index(rules.senders)],
            pools: BTreeMap::new(),
            followed: BTreeMap::new(),
            held: BTreeMap::new(),
        }
    }

    /// Takes the next event. When an envelope appears, at its hostile rendezvous or by an insertion,
    /// gives the probability that each sender sent it; the sum is one.
    pub fn observe(&mut self, at: Instant, event: CellSighting) -> Option<Vec<f64>> {
        match event {
            CellSighting::Online { sender } => {
                self.emissions.get_mut(index(sender))?.online(at);
                None
            }
            CellSighting::Departure {
                transfer,
                from,
                position,
                disclosed,
                ..
            } => {
                let weights = match (from, disclosed) {
                    (CellPlace::Sender(sender), _) => self.emitted(at, sender),
                    (_, Some(earlier)) => self.followed.remove(&earlier),
                    (CellPlace::Relay(relay), None) => {
                        let pool = self.pools.get_mut(&(relay, position?));
                        pool.map(|pool| Weights::All(pool.take(at, self.rules.delay)))
                    }
                    _ => None,
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
            } => self.arrived(at, transfer, to, position),
            CellSighting::Insertion { rendezvous } => {
                let held = self.held.get_mut(&rendezvous)?;
                held.pass_time(at, &self.rules);
                normalized(Weights::All(held.sum.clone()), self.emissions.len())
            }
        }
    }

    fn emitted(&mut self, at: Instant, sender: u32) -> Option<Weights> {
        let emissions = self.emissions.get_mut(index(sender))?;
        let weight = emissions.emitted(at, self.rules.loop_share);
        Some(Weights::One(sender, weight))
    }

    fn arrived(
        &mut self,
        at: Instant,
        transfer: Transfer,
        to: CellPlace,
        position: Option<u32>,
    ) -> Option<Vec<f64>> {
        let senders = self.emissions.len();
        match to {
            // A hostile relay will name this crossing when the cell leaves.
            CellPlace::HostileRelay(_) => None,
            CellPlace::Relay(relay) => {
                let weights = self.followed.remove(&transfer)?;
                let pool = self.pools.entry((relay, position? + 1));
                pool.or_insert_with(|| WaitingCells::new(senders, at)).add(
                    at,
                    &weights,
                    self.rules.loss,
                    self.rules.delay,
                );
                None
            }
            CellPlace::Sender(_) => {
                self.followed.remove(&transfer);
                None
            }
            CellPlace::HostileRendezvous(_) => {
                normalized(self.followed.remove(&transfer)?, senders)
            }
            CellPlace::HonestRendezvous(rendezvous) => {
                let weights = self.followed.remove(&transfer)?;
                let held = self.held.entry(rendezvous);
                let held = held.or_insert_with(|| HeldCells {
                    sum: vec![0.0; senders],
                    updated: at,
                });
                held.pass_time(at, &self.rules);
                held.add(weights);
                None
            }
        }
    }
}

impl HeldCells {
    /// An older cell is less likely to be inserted now: holds are exponential.
    fn pass_time(&mut self, at: Instant, rules: &PublicRules) {
        let passed = at.since(self.updated).as_secs_f64() / rules.hold.as_secs_f64().max(1e-9);
        self.updated = at;
        let kept = (-passed).exp();
        for sum in &mut self.sum {
            *sum *= kept;
        }
    }

    fn add(&mut self, weights: Weights) {
        match weights {
            Weights::One(sender, weight) => {
                if let Some(sum) = self.sum.get_mut(index(sender)) {
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
                    |crossing| Transfer::new(round * 10_000 + u64::from(sender) * 10 + crossing);
                let leaves = at.after(distributions::exponential(&mut rng, delay));
                let (from, to) = (CellPlace::Sender(sender), CellPlace::Relay(0));
                events.push((at, departure(transfer(0), from, 0)));
                events.push((at, arrival(transfer(0), to, 0)));
                events.push((leaves, departure(transfer(1), to, 1)));
                events.push((
                    leaves,
                    arrival(transfer(1), CellPlace::HostileRendezvous(0), 1),
                ));
                at = at.after(period);
            }
        }
        // The sort is stable: an arrival follows its departure.
        events.sort_by_key(|(at, _)| *at);
        let mut filter = ForwardFilter::new(PublicRules {
            senders,
            hops: 1,
            delay,
            hold: delay,
            loop_share: 0.0,
            loss: 0.0,
        });
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
            to_sender: false,
            position: Some(position),
            disclosed: None,
        }
    }

    fn arrival(transfer: Transfer, to: CellPlace, position: u32) -> CellSighting {
        CellSighting::Arrival {
            transfer,
            to,
            position: Some(position),
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
