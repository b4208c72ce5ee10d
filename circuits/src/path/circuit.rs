//! The path of a circuit: the guard, one of the fixed second hops, middles, and the relay where two
//! circuits meet.
//!
//! The rules are those of a lane. A circuit has as many relays as the floor of the rules: a longer one
//! does not hide a stream from an observer of both ends, and costs every relay more.

use rand_core::CryptoRng;

use super::relation::are_related;
use super::search::{LaneEnds, Search, Sharing};
use super::second_hops::SecondHops;
use super::{PathPicker, PathRefusal, PathRule, shuffled};
use crate::cell_builder::Hop;
use crate::directory::EligibleRelay;
use crate::ids::RelayId;

impl PathPicker<'_> {
    /// Draws relays at which this node may meet another one, at most `count`, in random order.
    #[must_use]
    pub fn pick_meeting_relays(&self, count: usize, rng: &mut impl CryptoRng) -> Vec<RelayId> {
        let candidates = shuffled(rng, &self.candidates);
        let ids = candidates.into_iter().map(|relay| relay.hop.id);
        ids.take(count).collect()
    }

    /// Whether this node may meet another one at a relay: one that is eligible, not the guard, not
    /// related to it, and not a peer.
    #[must_use]
    pub fn may_meet_at(&self, relay: &RelayId) -> bool {
        self.candidates.iter().any(|one| one.hop.id == *relay)
    }

    /// Draws the hops of a circuit that ends at `last`.
    ///
    /// # Errors
    ///
    /// [`PathRule::Rendezvous`] if this node may not meet another one there,
    /// [`PathRule::SecondHop`] if no second hop may stand between guard and `last`,
    /// [`PathRule::Middles`] if no middles fit behind one.
    pub fn pick_circuit(
        &self,
        last: &RelayId,
        second_hops: &SecondHops,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<Hop>, PathRefusal> {
        let mut candidates = self.candidates.iter();
        let Some(last) = candidates.find(|relay| relay.hop.id == *last) else {
            return Err(self.refusal(PathRule::Rendezvous, 1, 0));
        };
        let profile = self.snapshot.profile();
        let fits_last = |relay: &&EligibleRelay| {
            relay.hop.id != last.hop.id && !are_related(profile, relay, last)
        };
        let pool: Vec<_> = self.pool.iter().copied().filter(fits_last).collect();
        let is_second = |relay: &&EligibleRelay| {
            second_hops.members().contains(&relay.hop.id) && self.guard.can_dial(relay)
        };
        let seconds: Vec<_> = pool.iter().copied().filter(is_second).collect();
        if seconds.is_empty() {
            return Err(self.refusal(PathRule::SecondHop, 1, 0));
        }
        let middles = usize::from(self.rules.floor()).saturating_sub(2).max(1);
        let pool = shuffled(rng, &pool);
        let mut search = Search::new(profile);
        for second in shuffled(rng, &seconds) {
            let mut rest = pool.clone();
            rest.retain(|relay| {
                relay.hop.id != second.hop.id && !are_related(profile, relay, second)
            });
            let ends = LaneEnds {
                guard: second,
                last: Some(last),
            };
            if let Some(found) = search.fill(&rest, ends, &[middles], Sharing::Nothing) {
                let middles = found.into_iter().flatten();
                let relays = [self.guard, second].into_iter().chain(middles);
                return Ok(relays.chain([*last]).map(|relay| relay.hop).collect());
            }
        }
        Err(self.refusal(PathRule::Middles, middles, search.max_placed()))
    }
}
