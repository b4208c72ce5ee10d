//! The adversary that knows which cells belong together: traces each back to every emission.
//!
//! The shards of a message leave in consecutive payload slots of one sender. The adversary therefore
//! traces each cell backward to single emissions, not to senders, and sums over all emissions of a
//! sender that follow each other. Going backward at a relay, a departure adds to the weight that is in
//! the pool; an arrival takes one n-th of it, where n cells wait just after the arrival.
//!
//! The trace assumes that relays lose nothing.

use std::collections::BTreeMap;

use circuits::time::Instant;

use super::weights::EmissionGaps;
use crate::sim::anonymity::sighting::{
    CellPlace, CellSighting, PublicRules, TimedSighting, Transfer, index,
};

/// The record of all links that a backward trace reads.
#[derive(Debug)]
pub struct LinkLog {
    rules: PublicRules,
    events: Vec<(Instant, LoggedEvent)>,
    gaps: Vec<EmissionGaps>,
    /// The number of each pool of one relay and position.
    pools: BTreeMap<(u32, u32), usize>,
    /// Cells that wait, by pool.
    waiting: Vec<f64>,
    /// Where each envelope appeared in the record.
    ends: BTreeMap<Transfer, usize>,
    transfers: usize,
}

#[derive(Clone, Copy, Debug)]
enum LoggedEvent {
    /// A sender emits; the last field is the weight of the gap before.
    Emission(usize, u32, f64),
    /// A cell leaves a pool.
    Departure(usize, usize),
    /// A cell leaves a hostile relay, which names the crossing by which it came.
    Disclosed(usize, usize),
    /// A cell enters a pool, in which this many then wait.
    Arrival(usize, usize, f64),
    /// A cell reaches its rendezvous.
    End,
}

/// The weight of one emission for each of the traced cells.
#[derive(Clone, Debug)]
struct EmissionWeights {
    sender: u32,
    waited: f64,
    cells: Vec<f64>,
}

impl LinkLog {
    /// An empty record.
    #[must_use]
    pub fn new(rules: PublicRules) -> Self {
        Self {
            rules,
            events: Vec::new(),
            gaps: vec![EmissionGaps::default(); index(rules.senders)],
            pools: BTreeMap::new(),
            waiting: Vec::new(),
            ends: BTreeMap::new(),
            transfers: 0,
        }
    }

    /// Writes down one sighting; they come in order of time, with positions.
    pub fn record(&mut self, (at, event): TimedSighting) {
        match event {
            CellSighting::Online { sender } => {
                if let Some(gaps) = self.gaps.get_mut(index(sender)) {
                    gaps.online(at);
                }
            }
            CellSighting::Departure {
                transfer,
                from,
                position,
                disclosed,
                ..
            } => {
                let transfer = self.number(transfer);
                let event = match (from, disclosed) {
                    (CellPlace::Sender(sender), _) => {
                        let gaps = self.gaps.get_mut(index(sender));
                        let waited =
                            gaps.map_or(0.0, |gaps| gaps.emitted(at, self.rules.loop_share));
                        LoggedEvent::Emission(transfer, sender, waited)
                    }
                    (_, Some(earlier)) => {
                        let earlier = self.number(earlier);
                        LoggedEvent::Disclosed(transfer, earlier)
                    }
                    (CellPlace::Relay(relay), None) => {
                        let pool = self.pool(relay, position.unwrap_or(0));
                        self.change_waiting(pool, -1.0);
                        LoggedEvent::Departure(transfer, pool)
                    }
                    _ => return,
                };
                self.events.push((at, event));
            }
            CellSighting::Arrival {
                transfer,
                to,
                position,
            } => match to {
                CellPlace::Relay(relay) => {
                    let number = self.number(transfer);
                    let pool = self.pool(relay, position.unwrap_or(0) + 1);
                    let waiting = self.change_waiting(pool, 1.0);
                    let event = LoggedEvent::Arrival(number, pool, waiting);
                    self.events.push((at, event));
                }
                CellPlace::HostileRendezvous(_) => {
                    self.ends.insert(transfer, self.events.len());
                    self.events.push((at, LoggedEvent::End));
                }
                _ => {}
            },
            CellSighting::Insertion { .. } => {}
        }
    }

    /// A transfer as an index; the record grows with the greatest.
    fn number(&mut self, transfer: Transfer) -> usize {
        let number = usize::try_from(transfer.number()).unwrap_or(0);
        self.transfers = self.transfers.max(number + 1);
        number
    }

    fn pool(&mut self, relay: u32, position: u32) -> usize {
        let next = self.waiting.len();
        let pool = *self.pools.entry((relay, position)).or_insert(next);
        if pool == next {
            self.waiting.push(0.0);
        }
        pool
    }

    fn change_waiting(&mut self, pool: usize, by: f64) -> f64 {
        self.waiting.get_mut(pool).map_or(0.0, |waiting| {
            *waiting = (*waiting + by).max(0.0);
            *waiting
        })
    }

    /// The weight of every emission, by transfer, as the origin of the cell that ended with
    /// `transfer`. Weights of emissions before `from` are left out.
    fn trace(&self, transfer: Transfer, from: Instant) -> Vec<f64> {
        let mut crossing = vec![0.0; self.transfers];
        let mut pooled = vec![0.0; self.waiting.len()];
        let Some(end) = self.ends.get(&transfer) else {
            return crossing;
        };
        let number = usize::try_from(transfer.number()).unwrap_or(0);
        set(&mut crossing, number, 1.0);
        for (at, event) in self.events.iter().take(*end).rev() {
            if *at < from {
                break;
            }
            match *event {
                LoggedEvent::Departure(transfer, pool) => {
                    let weight = crossing.get(transfer).copied().unwrap_or(0.0);
                    add(&mut pooled, pool, weight);
                }
                LoggedEvent::Arrival(transfer, pool, waiting) => {
                    let weight = pooled.get(pool).copied().unwrap_or(0.0);
                    let own = weight / waiting.max(1.0);
                    add(&mut crossing, transfer, own);
                    set(&mut pooled, pool, weight - own);
                }
                LoggedEvent::Disclosed(transfer, earlier) => {
                    let weight = crossing.get(transfer).copied().unwrap_or(0.0);
                    add(&mut crossing, earlier, weight);
                }
                LoggedEvent::Emission(..) | LoggedEvent::End => {}
            }
        }
        crossing
    }

    /// The emissions since `from`, in order of time, with their weights for each cell.
    fn emissions(&self, cells: &[Transfer], from: Instant) -> Vec<EmissionWeights> {
        let traces: Vec<Vec<f64>> = cells.iter().map(|cell| self.trace(*cell, from)).collect();
        let mut emissions = Vec::new();
        for (at, event) in &self.events {
            if let LoggedEvent::Emission(transfer, sender, waited) = *event
                && *at >= from
            {
                let weight = |trace: &Vec<f64>| trace.get(transfer).copied().unwrap_or(0.0);
                let cells: Vec<f64> = traces.iter().map(weight).collect();
                emissions.push(EmissionWeights {
                    sender,
                    waited,
                    cells,
                });
            }
        }
        emissions
    }
}

/// The probability that each sender sent the message whose shards, in the order in which they left,
/// ended with these transfers. Emissions before `from` are not considered.
#[must_use]
pub fn joint_senders(log: &LinkLog, shards: &[Transfer], from: Instant) -> Option<Vec<f64>> {
    let senders = index(log.rules.senders);
    let last = shards.len().checked_sub(1)?;
    let mut likelihood = vec![0.0; senders];
    // started[s][j]: the weight that the shards up to j have left sender s, and only loops since.
    let mut started = vec![vec![0.0; shards.len()]; senders];
    for emission in log.emissions(shards, from) {
        let sender = index(emission.sender);
        let (Some(total), Some(started)) = (likelihood.get_mut(sender), started.get_mut(sender))
        else {
            continue;
        };
        for (shard, weight) in emission.cells.iter().enumerate().rev() {
            let before = match shard.checked_sub(1) {
                Some(before) => started.get(before).copied().unwrap_or(0.0),
                // The message took the first payload slot after it was composed.
                None => emission.waited,
            };
            if shard == last {
                *total += weight * before;
            } else if let Some(own) = started.get_mut(shard) {
                *own = log.rules.loop_share * *own + weight * before;
            }
        }
    }
    let sum: f64 = likelihood.iter().sum();
    (sum > 0.0).then(|| likelihood.iter().map(|one| one / sum).collect())
}

fn add(list: &mut [f64], at: usize, weight: f64) {
    if let Some(own) = list.get_mut(at) {
        *own += weight;
    }
}

fn set(list: &mut [f64], at: usize, weight: f64) {
    if let Some(own) = list.get_mut(at) {
        *own = weight;
    }
}
