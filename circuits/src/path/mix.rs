//! Mixing paths: one relay of every layer, and a rendezvous that may be any relay.
//!
//! Every cell of a mixing level and every cover cell has a path of its own. The first relay is the
//! mixing guard; the others are drawn from their layers; the rendezvous is drawn before them,
//! uniformly from **all** eligible relays: this node, its guard and its peers included. An exclusion
//! would show the sender to the rendezvous after a few thousand cells (docs/decisions/0016). There is
//! no shorter path and no relaxed rule: if the layers cannot be filled, the draw is refused.
//!
//! The draw of middles repeats until all four fit together, so that it is uniform over all choices
//! that fit. Only if that fails many times, a search in random order decides whether there is one.

use core::fmt;
use std::sync::Arc;

use rand_core::CryptoRng;

use super::LoopEnd;
use super::guard::Guard;
use super::refusal::{PathRefusal, PathRule, RemovedRelays};
use super::relation::{are_related, share_family, share_subnet};
use crate::cell_builder::Hop;
use crate::directory::{EligibleRelay, Snapshot};
use crate::distributions;
use crate::ids::{Epoch, RelayId};
use crate::mixing::Layer;

/// Draws mixing paths from one snapshot. Cheap to clone. `Debug` shows the number of relays, not their ids.
#[derive(Clone)]
pub struct MixPaths {
    snapshot: Snapshot,
    own: RelayId,
    guard: EligibleRelay,
    /// Indices into the relays of the snapshot: the layers after the first, without this node and
    /// without relays that are related to the guard.
    middles: Arc<[Vec<usize>; MIDDLES]>,
}

/// The path of one cell. `Debug` does not show it.
#[derive(Clone, Copy)]
pub struct MixPath {
    /// The relays in the order of their layers; the first is the guard.
    pub relays: [Hop; Layer::COUNT],
    /// The last layer of the cell.
    pub rendezvous: Hop,
    /// Difficulty of tickets for the rendezvous, in bits.
    pub ticket_bits: u8,
}

impl fmt::Debug for MixPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MixPath([redacted])")
    }
}

impl fmt::Debug for MixPaths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let middles = self.middles.each_ref().map(Vec::len);
        f.debug_struct("MixPaths")
            .field("middles", &middles)
            .finish_non_exhaustive()
    }
}

impl MixPaths {
    /// Sorts the relays of a snapshot into layers. `own` is this node, which is the rendezvous of some
    /// of its cells and no other relay of them.
    ///
    /// # Errors
    ///
    /// [`PathRefusal`] if the guard is not in the first layer, or another layer has no relay.
    pub fn new(snapshot: &Snapshot, guard: Guard<'_>, own: RelayId) -> Result<Self, PathRefusal> {
        let guard = guard.relay();
        let mut removed = RemovedRelays {
            known: snapshot.relays().len(),
            guard: 1,
            ..RemovedRelays::default()
        };
        let mut middles: [Vec<usize>; MIDDLES] = Default::default();
        for (place, relay) in snapshot.relays().iter().enumerate() {
            let Some(position) = relay.layer.index().checked_sub(1) else {
                continue;
            };
            if relay.hop.id == own {
                removed.own = 1;
            } else if share_subnet(snapshot.profile(), relay, guard) {
                removed.guard_subnet += 1;
            } else if share_family(relay, guard) {
                removed.guard_family += 1;
            } else if let Some(layer) = middles.get_mut(position) {
                layer.push(place);
            }
        }
        let filled = middles.iter().filter(|layer| !layer.is_empty()).count();
        let has_guard = guard.layer == Layer::FIRST && guard.hop.id != own;
        if !has_guard || filled < MIDDLES {
            return Err(PathRefusal {
                rule: PathRule::Layers,
                needed: Layer::COUNT,
                known: filled.saturating_add(usize::from(has_guard)),
                removed,
            });
        }
        Ok(Self {
            snapshot: snapshot.clone(),
            own,
            guard: guard.clone(),
            middles: Arc::new(middles),
        })
    }

    /// The epoch of the onion keys of all hops.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.snapshot.epoch()
    }

    /// The guard, the first relay of every path.
    #[must_use]
    pub const fn guard(&self) -> RelayId {
        self.guard.hop.id
    }

    /// Whether this node is an eligible relay, so that its loops can end at its own id.
    #[must_use]
    pub fn lists_own(&self) -> bool {
        self.snapshot.get(&self.own).is_some()
    }

    /// Draws the path of one cell.
    ///
    /// The rendezvous is uniform over all eligible relays to which a path exists; the middles are
    /// uniform over the choices that fit to it.
    ///
    /// # Errors
    ///
    /// [`PathRefusal`] if no path exists.
    pub fn draw(&self, rng: &mut impl CryptoRng) -> Result<MixPath, PathRefusal> {
        let mut paths = self.draw_converging(1, rng)?;
        paths.pop().ok_or_else(|| self.refusal())
    }

    /// Draws `count` paths, independent but for their common rendezvous.
    ///
    /// # Errors
    ///
    /// [`PathRefusal`] if no path exists.
    pub fn draw_converging(
        &self,
        count: usize,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<MixPath>, PathRefusal> {
        let relays = self.snapshot.relays();
        let mut steps = MAX_STEPS;
        let mut draw = |rng: &mut _, rendezvous: &EligibleRelay| -> Option<Vec<_>> {
            let path = |_| self.draw_to(rendezvous, rng, &mut steps);
            (0..count).map(path).collect()
        };
        if let Some(paths) = distributions::pick(rng, relays).and_then(|one| draw(rng, one)) {
            return Ok(paths);
        }
        let mut others: Vec<_> = relays.iter().collect();
        distributions::shuffle(rng, &mut others);
        for rendezvous in others.into_iter().take(MAX_RENDEZVOUS_TRIES) {
            if let Some(paths) = draw(rng, rendezvous) {
                return Ok(paths);
            }
        }
        Err(self.refusal())
    }

    /// Draws the path of a loop, up to the relay that returns the cell to this node.
    ///
    /// A relay's loop ends at itself, as if it were the rendezvous. A client's returns through its
    /// guard, which takes the first and the last position.
    ///
    /// # Errors
    ///
    /// [`PathRefusal`] if no path exists, or if a relay's own descriptor is not in the snapshot.
    pub fn draw_loop(
        &self,
        end: LoopEnd,
        rng: &mut impl CryptoRng,
    ) -> Result<[Hop; Layer::COUNT], PathRefusal> {
        let mut steps = MAX_STEPS;
        let path = match end {
            LoopEnd::Relay => {
                let own = self.snapshot.get(&self.own);
                own.and_then(|own| self.draw_to(own, rng, &mut steps))
                    .map(|path| path.relays)
            }
            LoopEnd::ThroughGuard => self.draw_through_guard(rng),
        };
        path.ok_or_else(|| self.refusal())
    }

    /// Draws a path to this rendezvous. A search uses up `steps`.
    fn draw_to(
        &self,
        rendezvous: &EligibleRelay,
        rng: &mut impl CryptoRng,
        steps: &mut u32,
    ) -> Option<MixPath> {
        let [second, third, fourth, fifth] = self.draw_middles(rendezvous, rng, steps)?;
        Some(MixPath {
            relays: [&self.guard, second, third, fourth, fifth].map(|relay| relay.hop),
            rendezvous: rendezvous.hop,
            ticket_bits: rendezvous.ticket_bits,
        })
    }

    fn draw_through_guard(&self, rng: &mut impl CryptoRng) -> Option<[Hop; Layer::COUNT]> {
        let mut steps = MAX_STEPS;
        let [second, third, fourth] = self.draw_middles(&self.guard, rng, &mut steps)?;
        let relays = [&self.guard, second, third, fourth, &self.guard];
        Some(relays.map(|relay| relay.hop))
    }

    /// Draws one relay from each of the `N` layers after the first, so that they fit together and to
    /// `last`, which follows them.
    fn draw_middles<const N: usize>(
        &self,
        last: &EligibleRelay,
        rng: &mut impl CryptoRng,
        steps: &mut u32,
    ) -> Option<[&EligibleRelay; N]> {
        for _ in 0..MAX_DRAWS {
            let middles = self.draw_one_of_each(rng)?;
            if self.fit(&middles, last) {
                return Some(middles);
            }
        }
        self.search_middles(last, rng, steps)
    }

    /// Draws one relay from each of the `N` layers after the first.
    fn draw_one_of_each<const N: usize>(
        &self,
        rng: &mut impl CryptoRng,
    ) -> Option<[&EligibleRelay; N]> {
        let mut drawn = [&self.guard; N];
        for (relay, layer) in drawn.iter_mut().zip(self.middles.iter()) {
            let place = distributions::pick(rng, layer)?;
            *relay = self.snapshot.relays().get(*place)?;
        }
        Some(drawn)
    }

    /// Whether these relays fit together, to the guard and to `last`.
    fn fit(&self, middles: &[&EligibleRelay], last: &EligibleRelay) -> bool {
        let mut placed: &[&EligibleRelay] = middles;
        while let Some((relay, before)) = placed.split_last() {
            if !self.fits_after(before, relay, last) {
                return false;
            }
            placed = before;
        }
        middles.last().is_some_and(|fifth| fifth.can_dial(last))
    }

    /// Whether a relay may follow the guard and `before`, on a path to `last`.
    fn fits_after(
        &self,
        before: &[&EligibleRelay],
        relay: &EligibleRelay,
        last: &EligibleRelay,
    ) -> bool {
        let profile = self.snapshot.profile();
        let previous = before.last().copied().unwrap_or(&self.guard);
        previous.can_dial(relay)
            && relay.hop.id != last.hop.id
            && !are_related(profile, relay, last)
            && !before
                .iter()
                .any(|other| are_related(profile, relay, other))
    }

    /// Searches for middles in random order.
    fn search_middles<const N: usize>(
        &self,
        last: &EligibleRelay,
        rng: &mut impl CryptoRng,
        steps: &mut u32,
    ) -> Option<[&EligibleRelay; N]> {
        let mut layers: Vec<Vec<usize>> = self.middles.iter().take(N).cloned().collect();
        for layer in &mut layers {
            distributions::shuffle(rng, layer);
        }
        let mut found = Vec::with_capacity(N);
        let is_found = self.extend(&layers, last, &mut found, steps);
        found.try_into().ok().filter(|_| is_found)
    }

    /// Fills the layers one by one. The recursion depth is at most four.
    fn extend<'a>(
        &'a self,
        layers: &[Vec<usize>],
        last: &EligibleRelay,
        found: &mut Vec<&'a EligibleRelay>,
        steps: &mut u32,
    ) -> bool {
        let Some((layer, later)) = layers.split_first() else {
            return found.last().is_some_and(|fifth| fifth.can_dial(last));
        };
        for place in layer {
            let Some(left) = steps.checked_sub(1) else {
                return false;
            };
            *steps = left;
            let relay = self.snapshot.relays().get(*place);
            let Some(relay) = relay.filter(|relay| self.fits_after(found, relay, last)) else {
                continue;
            };
            found.push(relay);
            if self.extend(later, last, found, steps) {
                return true;
            }
            found.pop();
        }
        false
    }

    fn refusal(&self) -> PathRefusal {
        PathRefusal {
            rule: PathRule::Layers,
            needed: Layer::COUNT,
            known: Layer::COUNT,
            removed: RemovedRelays {
                known: self.snapshot.relays().len(),
                ..RemovedRelays::default()
            },
        }
    }
}

/// Number of middles: all layers but the first.
const MIDDLES: usize = Layer::COUNT - 1;
/// Draws of all middles at once before a search replaces them.
const MAX_DRAWS: usize = 256;
/// Maximum number of rendezvous that are tried.
const MAX_RENDEZVOUS_TRIES: usize = 64;
/// Maximum number of steps of all searches of one draw: a millisecond, whatever the directory is.
const MAX_STEPS: u32 = 20_000;
