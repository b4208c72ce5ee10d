//! Seats relays in the lanes of an envelope so that no two of a lane are related.
//!
//! Relays are taken in the order of a shuffled list, so what is found first is drawn uniformly
//! from what fits. When a seat stays empty the search goes back and tries others; in a small
//! network it sees every arrangement, in a large one it stops after a fixed number of steps, so
//! that no directory can make it run for long.

use super::are_related;
use crate::directory::EligibleRelay;
use crate::ids::{Profile, RelayId};

/// What the lanes of one envelope may have in common besides guard and rendezvous.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Sharing {
    Nothing,
    Middles,
}

/// A search with a bounded number of steps, over all its calls.
#[derive(Debug)]
pub(super) struct Search {
    profile: Profile,
    steps: usize,
    max_placed: usize,
}

impl Search {
    pub(super) const fn new(profile: Profile) -> Self {
        Self {
            profile,
            steps: MAX_STEPS,
            max_placed: 0,
        }
    }

    /// The largest number of middles that stood at once in any try.
    pub(super) const fn max_placed(&self) -> usize {
        self.max_placed
    }

    /// Fills lanes with the given numbers of middles; `None` if none or not soon enough found.
    pub(super) fn fill<'a>(
        &mut self,
        pool: &[&'a EligibleRelay],
        middles: &[usize],
        sharing: Sharing,
    ) -> Option<Vec<Vec<&'a EligibleRelay>>> {
        match sharing {
            Sharing::Nothing => self.fill_disjoint(pool, middles),
            Sharing::Middles => self.fill_sharing(pool, middles),
        }
    }

    fn fill_disjoint<'a>(
        &mut self,
        pool: &[&'a EligibleRelay],
        middles: &[usize],
    ) -> Option<Vec<Vec<&'a EligibleRelay>>> {
        if middles.iter().sum::<usize>() > pool.len() {
            self.max_placed = self.max_placed.max(pool.len());
            return None;
        }
        let steps = self.steps.min(MAX_STEPS_PER_CALL);
        let mut assignment = Assignment {
            profile: self.profile,
            pool,
            taken: vec![false; pool.len()],
            lanes: Vec::with_capacity(middles.len()),
            steps,
            max_placed: 0,
        };
        let is_full = assignment.assign_lanes(middles);
        self.steps = self
            .steps
            .saturating_sub(steps.saturating_sub(assignment.steps));
        self.max_placed = self.max_placed.max(assignment.max_placed);
        is_full.then_some(assignment.lanes)
    }

    /// Fills the lanes one by one, preferring relays that stand in few lanes yet.
    fn fill_sharing<'a>(
        &mut self,
        pool: &[&'a EligibleRelay],
        middles: &[usize],
    ) -> Option<Vec<Vec<&'a EligibleRelay>>> {
        let mut lanes: Vec<Vec<&EligibleRelay>> = Vec::with_capacity(middles.len());
        for count in middles {
            let mut pool = pool.to_vec();
            let uses = |id: RelayId| {
                let all = lanes.iter().flatten();
                all.filter(|relay| relay.hop.id == id).count()
            };
            pool.sort_by_key(|relay| uses(relay.hop.id));
            lanes.extend(self.fill_disjoint(&pool, &[*count])?);
        }
        Some(lanes)
    }
}

/// One state of the search.
struct Assignment<'p, 'a> {
    profile: Profile,
    pool: &'p [&'a EligibleRelay],
    taken: Vec<bool>,
    lanes: Vec<Vec<&'a EligibleRelay>>,
    steps: usize,
    max_placed: usize,
}

impl<'a> Assignment<'_, 'a> {
    /// Opens the next lane and seats it and all after it.
    fn assign_lanes(&mut self, middles: &[usize]) -> bool {
        let Some((count, later)) = middles.split_first() else {
            return true;
        };
        self.lanes.push(Vec::with_capacity(*count));
        if self.assign(*count, 0, later) {
            return true;
        }
        self.lanes.pop();
        false
    }

    /// Seats `count` more relays in the lane that is open, from place `from` of the pool on, then
    /// the lanes after it. Never deeper than there are seats.
    fn assign(&mut self, count: usize, from: usize, later: &[usize]) -> bool {
        let Some(left) = count.checked_sub(1) else {
            return self.assign_lanes(later);
        };
        for (place, relay) in self.pool.iter().enumerate().skip(from) {
            if self.taken.get(place) != Some(&false) || !self.fits(relay) {
                continue;
            }
            self.place(place, relay);
            if self.assign(left, place.saturating_add(1), later) {
                return true;
            }
            self.unplace(place);
            if self.steps == 0 {
                return false;
            }
        }
        false
    }

    /// Whether a relay is related to nobody in the open lane. Each look is a step.
    fn fits(&mut self, relay: &EligibleRelay) -> bool {
        self.steps = self.steps.saturating_sub(1);
        self.lanes.last().is_some_and(|lane| {
            let is_related = |other: &&EligibleRelay| are_related(self.profile, relay, other);
            !lane.iter().any(is_related)
        })
    }

    fn place(&mut self, place: usize, relay: &'a EligibleRelay) {
        self.mark(place, true);
        if let Some(lane) = self.lanes.last_mut() {
            lane.push(relay);
        }
        let placed = self.lanes.iter().map(Vec::len).sum();
        self.max_placed = self.max_placed.max(placed);
    }

    fn unplace(&mut self, place: usize) {
        self.mark(place, false);
        if let Some(lane) = self.lanes.last_mut() {
            lane.pop();
        }
    }

    fn mark(&mut self, place: usize, taken: bool) {
        if let Some(mark) = self.taken.get_mut(place) {
            *mark = taken;
        }
    }
}

/// Steps of one search: some ten milliseconds.
const MAX_STEPS: usize = 500_000;
/// Steps of one call, so that lengths which cannot be had leave time for shorter ones.
const MAX_STEPS_PER_CALL: usize = 50_000;
