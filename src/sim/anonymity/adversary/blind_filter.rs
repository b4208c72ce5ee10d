//! The adversary that must infer positions: a forward filter with a label for each cell.
//!
//! With free routes a relay serves all positions at once, and an observer of its links cannot tell
//! them apart. The label of a cell on a link is the number of links that it has crossed; the last one
//! ends at the rendezvous. The filter keeps, for each cell, the probability of every label and a
//! weight for every label and sender. Cells that end at a relay leave no trace there, so the number of
//! cells that wait is uncertain: a filter for point processes tracks its mean and variance.

use std::collections::BTreeMap;

use circuits::time::Instant;

use super::weights::{EmissionGaps, Weights, normalized};
use crate::sim::anonymity::sighting::{CellPlace, CellSighting, PublicRules, Transfer, index};

/// Labels and weights of the senders of every cell that is under way.
#[derive(Debug)]
pub struct BlindFilter {
    rules: PublicRules,
    emissions: Vec<EmissionGaps>,
    pools: BTreeMap<u32, LabelledPool>,
    followed: BTreeMap<Transfer, LabelledCell>,
}

/// A cell on a link, or at a hostile relay.
#[derive(Debug)]
enum LabelledCell {
    /// It comes from its sender.
    First(u32, f64),
    Inner(LabelRows),
}

/// The probability of each label, and a weight for each label and sender.
#[derive(Clone, Debug)]
struct LabelRows {
    chances: Vec<f64>,
    rows: Vec<Vec<f64>>,
}

/// The cells that wait at one honest relay.
#[derive(Debug)]
struct LabelledPool {
    cells: LabelRows,
    count: f64,
    variance: f64,
    updated: Instant,
}

impl BlindFilter {
    /// An adversary that has seen nothing.
    #[must_use]
    pub fn new(rules: PublicRules) -> Self {
        Self {
            rules,
            emissions: vec![EmissionGaps::default(); index(rules.senders)],
            pools: BTreeMap::new(),
            followed: BTreeMap::new(),
        }
    }

    /// Takes the next event. When a hostile rendezvous discloses an envelope, gives the probability
    /// that each sender sent it; the sum is one.
    pub fn observe(&mut self, at: Instant, event: CellSighting) -> Option<Vec<f64>> {
        match event {
            CellSighting::Online { sender } => {
                self.emissions.get_mut(index(sender))?.online(at);
                None
            }
            CellSighting::Departure {
                transfer,
                from,
                to_sender,
                disclosed,
                ..
            } => {
                let cell = match (from, disclosed) {
                    (CellPlace::Sender(sender), _) => {
                        let emissions = self.emissions.get_mut(index(sender))?;
                        let weight = emissions.emitted(at, self.rules.loop_share);
                        Some(LabelledCell::First(sender, weight))
                    }
                    (_, Some(earlier)) => {
                        let cell = self.followed.remove(&earlier);
                        cell.map(|cell| LabelledCell::Inner(cell.into_rows(&self.rules).passed()))
                    }
                    (CellPlace::Relay(relay), None) => {
                        let pool = self.pools.get_mut(&relay)?;
                        pool.take(at, &self.rules, to_sender)
                            .map(LabelledCell::Inner)
                    }
                    _ => None,
                };
                if let Some(cell) = cell {
                    self.followed.insert(transfer, cell);
                }
                None
            }
            CellSighting::Arrival { transfer, to, .. } => self.arrived(at, transfer, to),
            CellSighting::Insertion { .. } => None,
        }
    }

    fn arrived(&mut self, at: Instant, transfer: Transfer, to: CellPlace) -> Option<Vec<f64>> {
        match to {
            CellPlace::HostileRelay(_) => None,
            CellPlace::Sender(_) => {
                self.followed.remove(&transfer);
                None
            }
            CellPlace::Relay(relay)
            | CellPlace::HonestRendezvous(relay)
            | CellPlace::HostileRendezvous(relay) => {
                let cell = self.followed.remove(&transfer)?.into_rows(&self.rules);
                let ended = matches!(to, CellPlace::HostileRendezvous(_));
                let last = cell.rows.last().filter(|_| ended).cloned();
                // The adversary controls the rendezvous of the cell that it traces. Of all other
                // cells it does not know whether they ended.
                let pool = self.pools.entry(relay);
                let rules = &self.rules;
                pool.or_insert_with(|| LabelledPool::new(rules, at))
                    .add(at, rules, &cell);
                normalized(Weights::All(last?), self.emissions.len())
            }
        }
    }
}

impl LabelledCell {
    fn into_rows(self, rules: &PublicRules) -> LabelRows {
        match self {
            Self::Inner(rows) => rows,
            Self::First(sender, weight) => {
                let mut rows = LabelRows::empty(rules);
                if let Some(chance) = rows.chances.first_mut() {
                    *chance = 1.0;
                }
                let row = rows.rows.first_mut();
                if let Some(own) = row.and_then(|row| row.get_mut(index(sender))) {
                    *own = weight;
                }
                rows
            }
        }
    }
}

impl LabelRows {
    fn empty(rules: &PublicRules) -> Self {
        let labels = index(rules.hops) + 1;
        Self {
            chances: vec![0.0; labels],
            rows: vec![vec![0.0; index(rules.senders)]; labels],
        }
    }

    /// The rows of a cell that a relay passed on: it did not end there, and crosses one link more.
    fn passed(mut self) -> Self {
        self.chances.pop();
        let sum: f64 = self.chances.iter().sum();
        self.chances.insert(0, 0.0);
        if sum > 0.0 {
            self.scale(1.0 / sum);
        }
        if let Some(mut last) = self.rows.pop() {
            last.fill(0.0);
            self.rows.insert(0, last);
        }
        self
    }

    fn scale(&mut self, factor: f64) {
        for chance in &mut self.chances {
            *chance *= factor;
        }
        for row in &mut self.rows {
            for weight in row {
                *weight *= factor;
            }
        }
    }
}

impl LabelledPool {
    fn new(rules: &PublicRules, at: Instant) -> Self {
        Self {
            cells: LabelRows::empty(rules),
            count: 0.0,
            variance: 0.0,
            updated: at,
        }
    }

    fn add(&mut self, at: Instant, rules: &PublicRules, cell: &LabelRows) {
        self.pass_time(at, rules);
        let ends = cell.chances.last().copied().unwrap_or(0.0);
        self.count += 1.0 - ends;
        self.variance += ends * (1.0 - ends);
        // A cell with the last label ends here.
        let passing = cell.chances.len().saturating_sub(1);
        let chances = self.cells.chances.iter_mut().zip(&cell.chances);
        for (sum, chance) in chances.take(passing) {
            *sum += chance;
        }
        for (sum, row) in self.cells.rows.iter_mut().zip(&cell.rows).take(passing) {
            for (sum, weight) in sum.iter_mut().zip(row) {
                *sum += weight;
            }
        }
    }

    /// One of the waiting cells leaves.
    fn take(&mut self, at: Instant, rules: &PublicRules, to_sender: bool) -> Option<LabelRows> {
        self.pass_time(at, rules);
        if self.variance > 0.0 && self.count > 0.0 {
            let ratio = self.variance / self.count;
            self.become_count(self.count + ratio);
            self.variance = (self.variance - ratio * ratio).max(0.0);
        }
        if to_sender {
            // A loop on its last link: one of the cells with the last label that passes.
            self.remove_last_passing();
            return None;
        }
        let share = 1.0 / self.count.max(1.0);
        let mut cell = self.cells.clone();
        cell.scale(share);
        self.cells.scale(1.0 - share);
        self.count = (self.count - 1.0).max(0.0);
        Some(cell.passed())
    }

    fn remove_last_passing(&mut self) {
        let label = self.cells.chances.len().saturating_sub(2);
        let Some(chance) = self.cells.chances.get_mut(label) else {
            return;
        };
        let kept = (1.0 - 1.0 / chance.max(1.0)).max(0.0);
        let removed = *chance * (1.0 - kept);
        *chance *= kept;
        for weight in self.cells.rows.get_mut(label).into_iter().flatten() {
            *weight *= kept;
        }
        self.count = (self.count - removed).max(0.0);
    }

    fn pass_time(&mut self, at: Instant, rules: &PublicRules) {
        let passed = at.since(self.updated).as_secs_f64() / rules.delay.as_secs_f64().max(1e-9);
        self.updated = at;
        if self.variance > 0.0 {
            self.become_count((self.count - self.variance * passed).max(0.0));
        }
    }

    fn become_count(&mut self, count: f64) {
        if self.count > 0.0 {
            self.cells.scale(count / self.count);
        }
        self.count = count;
    }
}
