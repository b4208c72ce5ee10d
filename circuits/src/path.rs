//! Path choice: draws the relays through which the shards of an envelope travel.
//!
//! All lanes of an envelope start at the same guard and end at the same rendezvous; their middles
//! differ. The safety rules of a path are arguments of [`PathPicker::new`], not options: a picker
//! always has a guard and the list of this node's peers. If a rule cannot be satisfied, the picker
//! refuses with the rule and the missing number ([`PathRefusal`]); it never returns a weaker path.
//! On the profile `local`, some rules are relaxed if there are too few relays, and the [`PathPlan`]
//! reports them.
//!
//! This module does not know the levels; their rules are numbers here.
//!
//! ```
//! use std::collections::BTreeSet;
//!
//! use circuits::directory::{EligibleRelay, EndpointKinds, Snapshot, Subnet};
//! use circuits::ids::{Epoch, Profile, RelayId};
//! use circuits::keys::OnionSecret;
//! use circuits::mixing::{ArrivalRate, Layer};
//! use circuits::cell_builder::Hop;
//! use circuits::path::{PathExclusions, GuardSeed, Guards, PathPicker, PathRules};
//! use circuits::secret::Secret;
//! use circuits::time::UnixSecs;
//! use rand_chacha::ChaCha20Rng;
//! use rand_core::SeedableRng;
//!
//! let mut rng = ChaCha20Rng::from_seed([1; 32]);
//! let relays = (0..20).map(|number| EligibleRelay {
//!     hop: Hop {
//!         id: RelayId([number; 32]),
//!         onion: *OnionSecret::from_secret(Secret::init_with(|key| key.fill(number))).public(),
//!     },
//!     subnets: vec![Subnet::Ip4([8, number])],
//!     endpoints: EndpointKinds::IP,
//!     dials: EndpointKinds::IP,
//!     family: Vec::new(),
//!     layer: Layer::FIRST,
//!     arrivals: ArrivalRate::NONE,
//!     ticket_bits: 17,
//! });
//! let snapshot = Snapshot::new(Epoch(40_000), Profile::Main, false, relays);
//! let exclusions = PathExclusions {
//!     own: RelayId([99; 32]),
//!     own_subnets: Vec::new(),
//!     peers: BTreeSet::new(),
//! };
//! let mut guards = Guards::new(GuardSeed(Secret::init_with(|seed| seed.fill(7))), exclusions.own);
//!
//! let guard = guards.choose(UnixSecs(1_728_000_000), &snapshot, 86_400)?;
//! let rules = PathRules::new(3, 3)?;
//! let plan = PathPicker::new(&snapshot, rules, guard, &exclusions)?.pick(&mut rng)?;
//! assert_eq!(plan.lanes.len(), 3);
//! assert!(plan.lanes.iter().all(|lane| lane.hops.len() > 3));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use core::fmt;

use rand_core::CryptoRng;

mod circuit;
mod guard;
mod lane_length;
mod mix;
mod plan;
mod refusal;
mod relation;
mod rules;
mod search;
mod second_hops;

pub use guard::{Guard, GuardSeed, Guards};
pub use lane_length::lane_lengths;
pub use mix::{MixPath, MixPaths};
pub use plan::{PathLane, PathPlan};
pub use refusal::{PathRefusal, PathRule, RemovedRelays};
pub use rules::{BadPathRules, MAX_LANES, MAX_RELAYS, PathExclusions, PathRules, RelaxedRules};
pub use second_hops::SecondHops;

use self::relation::{are_related, share_family, share_subnet};
use self::search::{LaneEnds, Search, Sharing};
use crate::cell_builder::Hop;
use crate::directory::{EligibleRelay, Snapshot};
use crate::distributions;
use crate::ids::Profile;

/// Draws paths from one snapshot by one set of rules. `Debug` shows the number of relays, not their
/// ids.
pub struct PathPicker<'a> {
    snapshot: &'a Snapshot,
    rules: PathRules,
    guard: &'a EligibleRelay,
    exclusions: &'a PathExclusions,
    /// Relays that may share a lane with the guard: not related to it, and not this node.
    pool: Vec<&'a EligibleRelay>,
    /// Relays that may be the rendezvous.
    candidates: Vec<&'a EligibleRelay>,
    removed: RemovedRelays,
    allows_peer_rendezvous: bool,
}

impl fmt::Debug for PathPicker<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PathPicker")
            .field("rules", &self.rules)
            .field("removed", &self.removed)
            .finish_non_exhaustive()
    }
}

/// The end of a loop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LoopEnd {
    /// At this node as a relay, reached from any other relay: its own key is the last layer.
    Relay,
    /// At this node as a client, reached through its guard, the only relay with a link to it.
    ThroughGuard,
}

impl<'a> PathPicker<'a> {
    /// Applies the rules that concern single relays.
    ///
    /// # Errors
    ///
    /// [`PathRefusal`] if no choice from the snapshot can satisfy the rules.
    pub fn new(
        snapshot: &'a Snapshot,
        rules: PathRules,
        guard: Guard<'a>,
        exclusions: &'a PathExclusions,
    ) -> Result<Self, PathRefusal> {
        let guard = guard.relay();
        let mut removed = RemovedRelays {
            known: snapshot.relays().len(),
            ..RemovedRelays::default()
        };
        let mut pool = Vec::with_capacity(removed.known);
        for relay in snapshot.relays() {
            let count = if relay.hop.id == exclusions.own {
                &mut removed.own
            } else if relay.hop.id == guard.hop.id {
                &mut removed.guard
            } else if share_subnet(snapshot.profile(), relay, guard) {
                &mut removed.guard_subnet
            } else if share_family(relay, guard) {
                &mut removed.guard_family
            } else {
                pool.push(relay);
                continue;
            };
            *count += 1;
        }
        let mut picker = Self {
            snapshot,
            rules,
            guard,
            exclusions,
            pool,
            candidates: Vec::new(),
            removed,
            allows_peer_rendezvous: false,
        };
        picker.check_snapshot()?;
        picker.find_rendezvous_candidates()?;
        Ok(picker)
    }

    /// Number of relays that each rule removed.
    #[must_use]
    pub const fn removed(&self) -> &RemovedRelays {
        &self.removed
    }

    /// Draws the paths of one envelope: a random rendezvous, and lanes that share only the guard
    /// and the rendezvous.
    ///
    /// # Errors
    ///
    /// [`PathRefusal`] if no choice of relays satisfies the rules.
    pub fn pick(&self, rng: &mut impl CryptoRng) -> Result<PathPlan, PathRefusal> {
        let lanes = usize::from(self.rules.lanes());
        let candidates = shuffled(rng, &self.candidates);
        let mut search = Search::new(self.snapshot.profile());
        for sharing in self.sharings() {
            for rendezvous in candidates.iter().take(MAX_TRIES) {
                if let Some(plan) = self.draw(rng, &mut search, rendezvous, lanes, *sharing) {
                    return Ok(plan);
                }
            }
        }
        Err(self.too_few_middles(rng, lanes, &search))
    }

    /// Draws one single-lane plan for each of `shards` shards that travel separately, each to a
    /// different rendezvous. The plans may share middles.
    ///
    /// # Errors
    ///
    /// [`PathRefusal`] if no choice of relays satisfies the rules.
    pub fn pick_scattered(
        &self,
        shards: usize,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<PathPlan>, PathRefusal> {
        if self.candidates.len() < shards {
            return Err(self.refusal(PathRule::Rendezvous, shards, self.candidates.len()));
        }
        let candidates = shuffled(rng, &self.candidates);
        let mut search = Search::new(self.snapshot.profile());
        let mut plans = Vec::with_capacity(shards);
        let mut failures = 0;
        for rendezvous in candidates {
            if plans.len() == shards || failures == MAX_TRIES {
                break;
            }
            match self.draw(rng, &mut search, rendezvous, 1, Sharing::Nothing) {
                Some(plan) => plans.push(plan),
                None => failures += 1,
            }
        }
        match plans.len() {
            found if found == shards => Ok(plans),
            0 => Err(self.too_few_middles(rng, 1, &search)),
            found => Err(self.refusal(PathRule::Rendezvous, shards, found)),
        }
    }

    /// Draws the hops of a loop, up to the relay that returns the cell to this node.
    ///
    /// A loop has as many relays as the floor of the rules: first the guard, then others. For a
    /// client, the last relay is the guard again.
    ///
    /// # Errors
    ///
    /// [`PathRefusal`] if no choice of relays satisfies the rules.
    pub fn pick_loop(
        &self,
        end: LoopEnd,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<Hop>, PathRefusal> {
        let ends = match end {
            LoopEnd::Relay => 1,
            LoopEnd::ThroughGuard => 2,
        };
        let middles = usize::from(self.rules.floor()).saturating_sub(ends);
        let pool = shuffled(rng, &self.pool);
        let mut search = Search::new(self.snapshot.profile());
        let ends = LaneEnds {
            guard: self.guard,
            last: (end == LoopEnd::ThroughGuard).then_some(self.guard),
        };
        let Some(found) = search.fill(&pool, ends, &[middles], Sharing::Nothing) else {
            return Err(self.refusal(PathRule::Middles, middles, search.max_placed()));
        };
        let mut hops = vec![self.guard.hop];
        hops.extend(found.iter().flatten().map(|relay| relay.hop));
        if end == LoopEnd::ThroughGuard {
            hops.push(self.guard.hop);
        }
        Ok(hops)
    }

    /// What lanes may share, strictest rule first.
    fn sharings(&self) -> &'static [Sharing] {
        match self.snapshot.profile() {
            Profile::Main => &[Sharing::Nothing],
            Profile::Local => &[Sharing::Nothing, Sharing::Middles],
        }
    }

    /// Checks the rules that concern the snapshot as a whole.
    fn check_snapshot(&self) -> Result<(), PathRefusal> {
        let others = self.removed.known.saturating_sub(self.removed.own);
        let mut lanes = 1;
        if self.snapshot.profile() == Profile::Main {
            lanes = usize::from(self.rules.lanes());
            if self.snapshot.is_young() && self.rules.requires_settled() {
                return Err(self.refusal(PathRule::Young, 0, 0));
            }
            if others < self.rules.min_relays() {
                return Err(self.refusal(PathRule::Relays, self.rules.min_relays(), others));
            }
            let subnets = self.snapshot.subnets();
            if subnets < self.rules.min_subnets() {
                return Err(self.refusal(PathRule::Subnets, self.rules.min_subnets(), subnets));
            }
        }
        let middles = usize::from(self.rules.floor()).saturating_sub(1);
        let needed = middles.saturating_mul(lanes).saturating_add(2);
        if others < needed {
            return Err(self.refusal(PathRule::Relays, needed, others));
        }
        Ok(())
    }

    /// Finds the relays that may be the rendezvous: not a peer and not in this node's own subnet.
    fn find_rendezvous_candidates(&mut self) -> Result<(), PathRefusal> {
        let is_main = self.snapshot.profile() == Profile::Main;
        let mut peers = Vec::new();
        for relay in &self.pool {
            let is_ours = |subnet| self.exclusions.own_subnets.contains(subnet);
            if is_main && relay.subnets.iter().any(is_ours) {
                self.removed.own_subnet += 1;
            } else if self.exclusions.peers.contains(&relay.hop.id) {
                peers.push(*relay);
            } else {
                self.candidates.push(relay);
            }
        }
        self.removed.peers = peers.len();
        if self.candidates.is_empty() && !is_main {
            self.allows_peer_rendezvous = true;
            self.candidates = peers;
        }
        if self.candidates.is_empty() {
            return Err(self.refusal(PathRule::Rendezvous, 1, 0));
        }
        Ok(())
    }

    /// Draws lanes to one rendezvous, if possible.
    fn draw(
        &self,
        rng: &mut impl CryptoRng,
        search: &mut Search,
        rendezvous: &'a EligibleRelay,
        lanes: usize,
        sharing: Sharing,
    ) -> Option<PathPlan> {
        let profile = self.snapshot.profile();
        let mut pool = self.pool.clone();
        pool.retain(|relay| {
            relay.hop.id != rendezvous.hop.id && !are_related(profile, relay, rendezvous)
        });
        let pool = shuffled(rng, &pool);
        let ends = LaneEnds {
            guard: self.guard,
            last: Some(rendezvous),
        };
        let room = match sharing {
            Sharing::Nothing => pool.len(),
            Sharing::Middles => pool.len().saturating_mul(lanes),
        };
        let floor = self.rules.floor();
        let longest = u8::try_from(pool.len()).map_or(u8::MAX, |relays| relays.saturating_add(1));
        let ceiling = self.rules.ceiling().min(longest);
        let drawn = lane_lengths(rng, floor, ceiling, lanes, room);
        let mut one_longer = vec![floor; lanes];
        if let [.., _, last] = one_longer.as_mut_slice() {
            *last = floor.saturating_add(1).min(ceiling);
        }
        let middles = [drawn, one_longer, vec![floor; lanes]]
            .iter()
            .find_map(|lengths| {
                let middles: Vec<_> = lengths
                    .iter()
                    .map(|length| usize::from(*length).saturating_sub(1))
                    .collect();
                search.fill(&pool, ends, &middles, sharing)
            })?;
        Some(self.plan(rendezvous, &middles, sharing))
    }

    fn plan(
        &self,
        rendezvous: &EligibleRelay,
        middles: &[Vec<&EligibleRelay>],
        sharing: Sharing,
    ) -> PathPlan {
        let lanes = middles
            .iter()
            .map(|middles| {
                let mut hops = vec![self.guard.hop];
                hops.extend(middles.iter().map(|relay| relay.hop));
                hops.push(rendezvous.hop);
                PathLane { hops }
            })
            .collect();
        PathPlan {
            guard: self.guard.hop,
            rendezvous: rendezvous.hop,
            ticket_bits: rendezvous.ticket_bits,
            lanes,
            relaxed: RelaxedRules {
                disjointness: sharing == Sharing::Middles,
                peers: self.allows_peer_rendezvous,
                ..RelaxedRules::default()
            },
        }
    }

    /// The refusal of a search that filled no lanes. If lanes exist whose relays cannot all dial the
    /// next one, the rule on dialling is what fails.
    fn too_few_middles(
        &self,
        rng: &mut impl CryptoRng,
        lanes: usize,
        search: &Search,
    ) -> PathRefusal {
        let middles = usize::from(self.rules.floor()).saturating_sub(1);
        let needed = middles.saturating_mul(lanes);
        let mut relaxed = Search::ignoring_dialling(self.snapshot.profile());
        let mut candidates = self.candidates.iter().take(MAX_TRIES);
        let fails_for_dialling = candidates.any(|rendezvous| {
            let sharings = self.sharings().iter();
            let mut draws =
                sharings.map(|sharing| self.draw(rng, &mut relaxed, rendezvous, lanes, *sharing));
            draws.any(|plan| plan.is_some())
        });
        let rule = if fails_for_dialling {
            PathRule::Dialling
        } else {
            PathRule::Middles
        };
        self.refusal(rule, needed, search.max_placed())
    }

    fn refusal(&self, rule: PathRule, needed: usize, known: usize) -> PathRefusal {
        PathRefusal {
            rule,
            needed,
            known,
            removed: self.removed,
        }
    }
}

/// The same relays in uniformly random order.
fn shuffled<'a>(rng: &mut impl CryptoRng, relays: &[&'a EligibleRelay]) -> Vec<&'a EligibleRelay> {
    let mut relays = relays.to_vec();
    distributions::shuffle(rng, &mut relays);
    relays
}

/// Maximum number of rendezvous candidates to try: all in a small network, enough in a large one.
const MAX_TRIES: usize = 64;
