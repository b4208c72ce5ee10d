//! Where an envelope enters the network: a Dandelion++ stem (Fanti et al., 2018).
//!
//! An envelope first travels a line of relays, the stem, and is flooded only where the stem ends, so
//! that neither the flood nor the end of it points at the beginning. Routes are fixed for a stem
//! epoch of ten minutes: each inbound link, and this node itself, is mapped to one of two outbound
//! peers, and whether this node ends foreign stems is decided once per epoch. Deciding anew for each
//! envelope would let an observer average over many.
//!
//! A node's own envelopes, and those that it held as a rendezvous, take the mapping like everybody's
//! and are never flooded by the node itself. A stem hides little against many spies (about f of
//! messages are still traced); it is the last step of an insertion, not anonymity.
//!
//! [`Embargo`] is the answer to a stem that leads into a black hole. Three things are the caller's to
//! see to: that stem envelopes are absent from every answer and inventory until gossip brings them;
//! that one already known is routed like one that is not, for a node that treated them differently
//! could be asked which it has; and that one which comes over the same link again goes no further,
//! since fixed routes can form a circle.

use core::fmt;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use rand_core::CryptoRng;
use sha2::{Digest, Sha256};

use crate::distributions;
use crate::ids::LinkId;
use crate::secret::Secret;
use crate::time::Instant;

/// Routes of this node's stem epoch.
pub struct StemRouter {
    /// Outbound `onion/1` peers.
    candidates: BTreeSet<LinkId>,
    successors: [Option<LinkId>; 2],
    /// Decides which successor serves whom; drawn anew each epoch.
    seed: Secret<32>,
    diffuser: bool,
    ends: Instant,
}

impl StemRouter {
    /// A stem without peers, whose first epoch ends at a random time within ten minutes, so that
    /// nodes do not change their routes together.
    #[must_use]
    pub fn new(rng: &mut impl CryptoRng, now: Instant) -> Self {
        let phase = distributions::below(rng, EPOCH_MILLIS);
        let mut stem = Self {
            candidates: BTreeSet::new(),
            successors: [None; 2],
            seed: Secret::init_with(|_| ()),
            diffuser: false,
            ends: now,
        };
        stem.begin_epoch(rng);
        stem.ends = now.after(Duration::from_millis(phase.into()));
        stem
    }

    /// Tells which peers may be successors: those with `onion/1` whom this node dialled.
    ///
    /// A successor that is gone is replaced at once. One that is still there stays until the epoch
    /// ends, whoever else arrives: peers that could come and displace it would choose the route.
    pub fn set_successor_candidates(&mut self, rng: &mut impl CryptoRng, links: &[LinkId]) {
        self.candidates = links.iter().copied().collect();
        for successor in &mut self.successors {
            if successor.is_some_and(|link| !self.candidates.contains(&link)) {
                *successor = None;
            }
        }
        self.fill(rng);
    }

    /// Whether there are two successors, as own envelopes require. Without, `swift` is refused and
    /// the node does not offer itself as a rendezvous.
    #[must_use]
    pub const fn can_stem(&self) -> bool {
        matches!(self.successors, [Some(_), Some(_)])
    }

    /// Where an envelope on the stem goes from here.
    pub fn route(
        &mut self,
        rng: &mut impl CryptoRng,
        now: Instant,
        origin: StemOrigin,
    ) -> StemRoute {
        if now >= self.ends {
            self.begin_epoch(rng);
            self.ends = end_after(self.ends, now);
        }
        let [first, second] = self.successors;
        let [mapped, other] = if self.maps_to_first(origin) {
            [first, second]
        } else {
            [second, first]
        };
        match origin {
            StemOrigin::Own => match (mapped, other) {
                (Some(link), Some(_)) => StemRoute::To(link),
                _ => StemRoute::NoSuccessors,
            },
            StemOrigin::From(_) if self.diffuser => StemRoute::Fluff,
            StemOrigin::From(sender) => [mapped, other]
                .into_iter()
                .flatten()
                .find(|link| *link != sender)
                .map_or(StemRoute::Fluff, StemRoute::To),
        }
    }

    /// Draws everything anew.
    fn begin_epoch(&mut self, rng: &mut impl CryptoRng) {
        self.seed = Secret::init_with(|seed| rng.fill_bytes(seed));
        self.diffuser = distributions::one_in(rng, DIFFUSER_ODDS);
        self.successors = [None; 2];
        self.fill(rng);
    }

    /// Gives every vacant place to a random candidate that has none.
    fn fill(&mut self, rng: &mut impl CryptoRng) {
        for place in 0..self.successors.len() {
            let free: Vec<_> = self
                .candidates
                .iter()
                .filter(|link| !self.successors.contains(&Some(**link)))
                .copied()
                .collect();
            if let Some(successor @ None) = self.successors.get_mut(place) {
                *successor = distributions::pick(rng, &free).copied();
            }
        }
    }

    /// A coin per origin and epoch that needs no memory, however many links come and go.
    fn maps_to_first(&self, origin: StemOrigin) -> bool {
        let hash = Sha256::new()
            .chain_update(LABEL)
            .chain_update(self.seed.expose());
        let [first, ..]: [u8; 32] = match origin {
            StemOrigin::Own => hash.chain_update([0]),
            StemOrigin::From(LinkId(link)) => {
                hash.chain_update([1]).chain_update(link.to_be_bytes())
            }
        }
        .finalize()
        .into();
        first & 1 == 0
    }
}

impl fmt::Debug for StemRouter {
    /// Does not show routes, nor whether this node ends stems: logs outlive the epoch.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StemRouter")
            .field("can_stem", &self.can_stem())
            .finish_non_exhaustive()
    }
}

/// The end of the epoch that `now` falls into: the phase is kept over any number of idle epochs.
fn end_after(ended: Instant, now: Instant) -> Instant {
    let late = now.since(ended).as_micros() % EPOCH.as_micros();
    let late = u64::try_from(late).map_or(Duration::ZERO, Duration::from_micros);
    now.after(EPOCH.saturating_sub(late))
}

/// Who brought an envelope onto this node's stem.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StemOrigin {
    /// A neighbour sent it on the stem. That includes one that comes back to its originator.
    From(LinkId),
    /// This node: its own envelope, or one that it rebuilt and held as a rendezvous.
    Own,
}

/// Where an envelope on the stem goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StemRoute {
    /// The stem ends here: into the pool, as if gossip had brought it.
    Fluff,
    /// Own, and fewer than two successors: it has to wait. Flooding it from here would name its
    /// origin.
    NoSuccessors,
    /// On to this peer, on the stem.
    To(LinkId),
}

/// Envelopes on the stem that gossip has yet to bring back.
///
/// Every node of a stem draws a time of its own. Whoever's runs out first floods the envelope, so
/// that one black hole on the way costs a minute or two and does not say who has been waiting.
pub struct Embargo {
    capacity: usize,
    by_hash: BTreeMap<[u8; 32], Instant>,
    by_due: BTreeSet<(Instant, [u8; 32])>,
}

impl Embargo {
    /// Watches at most `capacity` envelopes at a time.
    #[must_use]
    pub const fn new(capacity: usize) -> Self {
        Self {
            capacity,
            by_hash: BTreeMap::new(),
            by_due: BTreeSet::new(),
        }
    }

    /// Watches an envelope from now on. One that is watched already keeps its time: otherwise
    /// whoever repeats it could shorten or prolong the wait.
    ///
    /// Returns a hash whose time is cut short because there are too many: it is to be flooded now.
    #[must_use = "the envelope with this hash is watched no longer and has to be flooded"]
    pub fn watch(
        &mut self,
        rng: &mut impl CryptoRng,
        now: Instant,
        hash: [u8; 32],
    ) -> Option<[u8; 32]> {
        if self.by_hash.contains_key(&hash) {
            return None;
        }
        let due = now.after(distributions::exponential(rng, EMBARGO_MEAN));
        self.by_hash.insert(hash, due);
        self.by_due.insert((due, hash));
        if self.by_hash.len() > self.capacity {
            self.pop_first()
        } else {
            None
        }
    }

    /// Gossip has brought an envelope, or this node has flooded it; false if it was not watched.
    pub fn seen(&mut self, hash: &[u8; 32]) -> bool {
        let Some(due) = self.by_hash.remove(hash) else {
            return false;
        };
        self.by_due.remove(&(due, *hash))
    }

    /// An envelope whose time is up: it is to be flooded now. Call until there is none.
    pub fn pop_due(&mut self, now: Instant) -> Option<[u8; 32]> {
        if self.next_due()? > now {
            return None;
        }
        self.pop_first()
    }

    /// When the next time is up.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.by_due.first().map(|(due, _)| *due)
    }

    fn pop_first(&mut self) -> Option<[u8; 32]> {
        let (_, hash) = self.by_due.pop_first()?;
        self.by_hash.remove(&hash);
        Some(hash)
    }
}

impl fmt::Debug for Embargo {
    /// Does not show the hashes: they are what pool queries must not reveal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embargo")
            .field("watched", &self.by_hash.len())
            .finish_non_exhaustive()
    }
}

/// Label of the local mapping; never on the wire.
const LABEL: &[u8] = b"whisht/1/stem-map";

/// One node in ten ends foreign stems (BIP-156 uses the same).
const DIFFUSER_ODDS: u32 = 10;

const EPOCH_MILLIS: u32 = 600_000;
const EPOCH: Duration = Duration::from_secs(600);

/// Mean of every node's own embargo.
const EMBARGO_MEAN: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
