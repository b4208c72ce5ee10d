//! Backtracking search that assigns relays to the lanes of an envelope, so that no two relays of a
//! lane are related and each relay can dial the next one.
//!
//! The search takes relays in the order of a shuffled list, so that the first result is drawn
//! uniformly from all possible results. If no relay fits, the search backtracks. In a small network
//! it tries every assignment. In a large one it stops after a fixed number of steps, so that no
//! directory can make it run for long.

use super::relation::are_related;
use crate::directory::{EligibleRelay, EndpointKinds};
use crate::ids::{Profile, RelayId};

/// What the lanes of one envelope may share besides guard and rendezvous.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Sharing {
    Nothing,
    Middles,
}

/// A search with a limited number of steps over all its calls.
#[derive(Debug)]
pub(super) struct Search {
    profile: Profile,
    /// Whether each relay of a lane must be able to dial the next one.
    heeds_dialling: bool,
    steps: usize,
    max_placed: usize,
}

impl Search {
    pub(super) const fn new(profile: Profile) -> Self {
        Self {
            profile,
            heeds_dialling: true,
            steps: MAX_STEPS,
            max_placed: 0,
        }
    }

    /// A search that lets every relay dial every other: what fails without it but not with it fails
    /// for the rule on dialling.
    pub(super) const fn ignoring_dialling(profile: Profile) -> Self {
        let mut search = Self::new(profile);
        search.heeds_dialling = false;
        search
    }

    /// The largest number of middles that were assigned at the same time.
    pub(super) const fn max_placed(&self) -> usize {
        self.max_placed
    }

    /// Fills lanes with the given numbers of middles; `None` if the search finds no assignment
    /// within its steps.
    pub(super) fn fill<'a>(
        &mut self,
        pool: &[&'a EligibleRelay],
        ends: LaneEnds<'a>,
        middles: &[usize],
        sharing: Sharing,
    ) -> Option<Vec<Vec<&'a EligibleRelay>>> {
        match sharing {
            Sharing::Nothing => self.fill_disjoint(pool, ends, middles),
            Sharing::Middles => self.fill_sharing(pool, ends, middles),
        }
    }

    fn fill_disjoint<'a>(
        &mut self,
        pool: &[&'a EligibleRelay],
        ends: LaneEnds<'a>,
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
            ends,
            must_dial: self.heeds_dialling && !all_can_dial(pool, ends),
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

    /// Fills the lanes one by one, preferring relays that are in few lanes.
    fn fill_sharing<'a>(
        &mut self,
        pool: &[&'a EligibleRelay],
        ends: LaneEnds<'a>,
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
            lanes.extend(self.fill_disjoint(&pool, ends, &[*count])?);
        }
        Some(lanes)
    }
}

/// The relays before and after the middles of every lane.
#[derive(Clone, Copy)]
pub(super) struct LaneEnds<'a> {
    pub(super) guard: &'a EligibleRelay,
    /// `None` if the lane ends at this node.
    pub(super) last: Option<&'a EligibleRelay>,
}

/// Whether each of these relays can dial each other, so that their order does not matter. The kinds
/// of addresses are few, so that this costs no more than one pass.
fn all_can_dial(pool: &[&EligibleRelay], ends: LaneEnds<'_>) -> bool {
    let relays = || pool.iter().copied().chain([ends.guard]).chain(ends.last);
    let common = |dials: EndpointKinds, relay: &EligibleRelay| dials.and(relay.dials);
    let dials = relays().fold(EndpointKinds::ALL, common);
    relays().all(|relay| dials.meets(relay.endpoints))
}

/// One state of the search.
struct Assignment<'p, 'a> {
    profile: Profile,
    pool: &'p [&'a EligibleRelay],
    ends: LaneEnds<'a>,
    /// Whether some relay cannot dial some other, so that the order of a lane matters.
    must_dial: bool,
    taken: Vec<bool>,
    lanes: Vec<Vec<&'a EligibleRelay>>,
    steps: usize,
    max_placed: usize,
}

impl<'a> Assignment<'_, 'a> {
    /// Fills the next lane and all later ones.
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

    /// Assigns `count` more relays to the current lane, from index `from` of the pool on, and then
    /// fills the later lanes. The recursion depth is at most the number of middles.
    fn assign(&mut self, count: usize, from: usize, later: &[usize]) -> bool {
        let Some(left) = count.checked_sub(1) else {
            return self.can_end() && self.assign_lanes(later);
        };
        for (place, relay) in self.pool.iter().enumerate().skip(from) {
            if self.taken.get(place) != Some(&false) || !self.fits(relay) {
                continue;
            }
            self.place(place, relay);
            // Where the order matters, an earlier relay of the list may follow.
            let next = if self.must_dial {
                0
            } else {
                place.saturating_add(1)
            };
            if self.assign(left, next, later) {
                return true;
            }
            self.unplace(place);
            if self.steps == 0 {
                return false;
            }
        }
        false
    }

    /// Whether a relay is related to no relay of the current lane, and the last of them can dial it.
    /// Each call is one step.
    fn fits(&mut self, relay: &EligibleRelay) -> bool {
        self.steps = self.steps.saturating_sub(1);
        self.lanes.last().is_some_and(|lane| {
            let is_related = |other: &&EligibleRelay| are_related(self.profile, relay, other);
            let before = lane.last().copied().unwrap_or(self.ends.guard);
            (!self.must_dial || before.can_dial(relay)) && !lane.iter().any(is_related)
        })
    }

    /// Whether the last relay of the current lane can dial the end.
    fn can_end(&self) -> bool {
        let lane = self.lanes.last();
        let before = lane.and_then(|lane| lane.last().copied());
        let before = before.unwrap_or(self.ends.guard);
        !self.must_dial || self.ends.last.is_none_or(|last| before.can_dial(last))
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

/// Maximum number of steps of one search: about ten milliseconds.
const MAX_STEPS: usize = 500_000;
/// Maximum number of steps of one call, so that impossible lengths leave steps for shorter ones.
const MAX_STEPS_PER_CALL: usize = 50_000;
