//! Insertion of envelopes into the network by Dandelion++ stems (Fanti et al., 2018).
//!
//! An envelope first travels along a line of relays, the stem. The node at the end of the stem
//! floods it, so that neither the flood nor its origin points at the sender. Routes are fixed for a
//! stem epoch of ten minutes: the router maps each inbound link, and this node itself, to one of
//! two outbound peers, and decides once per epoch whether this node ends the stems of others. A new
//! decision for each envelope would let an observer average over many envelopes.
//!
//! The node's own envelopes, and those that it held as a rendezvous, use the same mapping, and the
//! node never floods them itself. A stem hides little against many spies (a fraction of about f of
//! all messages is still traced): it is the last step of an insertion, not the source of anonymity.
//!
//! [`Embargo`] handles stems that end in a black hole. An envelope whose embargo ends goes over the
//! other successor first ([`StemRouter::reroute`]), with a new embargo. If only the sender did so,
//! two successors that collude would know the sender; therefore every node does so. A node whose
//! successors both failed floods the envelope, unless it is its sender.
//!
//! The caller must ensure three rules:
//!
//! * Stem envelopes are absent from every answer and inventory until gossip delivers them.
//! * A known envelope is routed like an unknown one. Otherwise a peer could probe which envelopes
//!   the node has.
//! * An envelope that arrives over the same link a second time is not forwarded, because fixed
//!   routes can form a loop.

use core::fmt;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use rand_core::CryptoRng;
use sha2::{Digest, Sha256};

use crate::distributions;
use crate::ids::LinkId;
use crate::secret::Secret;
use crate::time::Instant;

/// Routes of this node in the current stem epoch.
pub struct StemRouter {
    /// Outbound `onion/1` peers.
    candidates: BTreeSet<LinkId>,
    successors: [Option<LinkId>; 2],
    /// Decides which successor serves which origin; redrawn each epoch.
    seed: Secret<32>,
    diffuser: bool,
    ends: Instant,
}

impl StemRouter {
    /// A router without peers. Its first epoch ends at a random time within ten minutes, so that
    /// nodes do not change their routes at the same time.
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

    /// Sets the peers that may be successors: peers with `onion/1` that this node dialled.
    ///
    /// A successor that disconnected is replaced at once. A successor that remains connected stays
    /// until the epoch ends. If new peers could displace it, they would choose the route.
    pub fn set_successor_candidates(&mut self, rng: &mut impl CryptoRng, links: &[LinkId]) {
        self.candidates = links.iter().copied().collect();
        for successor in &mut self.successors {
            if successor.is_some_and(|link| !self.candidates.contains(&link)) {
                *successor = None;
            }
        }
        self.fill(rng);
    }

    /// Whether there are two successors, as own envelopes require. Without them, the node refuses
    /// `swift` and does not offer itself as a rendezvous.
    #[must_use]
    pub const fn can_stem(&self) -> bool {
        matches!(self.successors, [Some(_), Some(_)])
    }

    /// The next hop of an envelope on the stem.
    pub fn route(
        &mut self,
        rng: &mut impl CryptoRng,
        now: Instant,
        origin: StemOrigin,
    ) -> StemRoute {
        let [mapped, other] = self.successors_of(rng, now, origin);
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

    /// The next hop of an envelope whose embargo has ended: a successor that is not in `tried`.
    /// Links to which the envelope was sent and links that delivered it are in `tried`, so no peer
    /// receives it twice.
    pub fn reroute(
        &mut self,
        rng: &mut impl CryptoRng,
        now: Instant,
        origin: StemOrigin,
        tried: &BTreeSet<LinkId>,
    ) -> StemRoute {
        let successors = self.successors_of(rng, now, origin).into_iter().flatten();
        let untried = successors.into_iter().find(|link| !tried.contains(link));
        match (origin, untried) {
            (StemOrigin::From(_), _) if self.diffuser => StemRoute::Fluff,
            (_, Some(link)) => StemRoute::To(link),
            (StemOrigin::From(_), None) => StemRoute::Fluff,
            (StemOrigin::Own, None) => StemRoute::NoSuccessors,
        }
    }

    /// Both successors in the current epoch, that of the origin first.
    fn successors_of(
        &mut self,
        rng: &mut impl CryptoRng,
        now: Instant,
        origin: StemOrigin,
    ) -> [Option<LinkId>; 2] {
        if now >= self.ends {
            self.begin_epoch(rng);
            self.ends = end_after(self.ends, now);
        }
        let [first, second] = self.successors;
        if self.maps_to_first(origin) {
            [first, second]
        } else {
            [second, first]
        }
    }

    /// Redraws the seed, the diffuser role and both successors.
    fn begin_epoch(&mut self, rng: &mut impl CryptoRng) {
        self.seed = Secret::init_with(|seed| rng.fill_bytes(seed));
        self.diffuser = distributions::one_in(rng, DIFFUSER_ODDS);
        self.successors = [None; 2];
        self.fill(rng);
    }

    /// Fills each vacant successor slot with a random candidate that is not yet a successor.
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

    /// A pseudorandom bit per origin and epoch. Derived from the seed, so it needs no memory per
    /// link.
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
    /// Shows neither the routes nor whether this node ends stems: logs outlive the epoch.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StemRouter")
            .field("can_stem", &self.can_stem())
            .finish_non_exhaustive()
    }
}

/// End of the epoch that contains `now`. The phase stays the same over any number of idle epochs.
fn end_after(ended: Instant, now: Instant) -> Instant {
    let late = now.since(ended).as_micros() % EPOCH.as_micros();
    let late = u64::try_from(late).map_or(Duration::ZERO, Duration::from_micros);
    now.after(EPOCH.saturating_sub(late))
}

/// Origin of an envelope on the stem, from this node's point of view.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StemOrigin {
    /// A peer sent the envelope on the stem. This includes an own envelope that returns.
    From(LinkId),
    /// This node: its own envelope, or one that it rebuilt and held as a rendezvous.
    Own,
}

/// Next hop of an envelope on the stem.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StemRoute {
    /// The stem ends here: the envelope enters the pool as if gossip had delivered it.
    Fluff,
    /// The envelope is own and there are fewer than two successors: the envelope must wait.
    /// Flooding it from here would reveal its origin.
    NoSuccessors,
    /// Forward to this peer on the stem.
    To(LinkId),
}

/// Envelopes on the stem that gossip has not delivered yet.
///
/// Every node of a stem draws its own timeout. The node whose timeout expires first sends the
/// envelope over its other successor, or floods it. A black hole on the stem therefore costs a
/// minute or two and does not reveal which node sent the envelope.
///
/// The caller bounds the number of watched envelopes. No watch is cut short to make room for
/// another: otherwise a peer that fills the table would make this node flood its own envelopes.
#[derive(Default)]
pub struct Embargo {
    by_hash: BTreeMap<[u8; 32], Instant>,
    by_due: BTreeSet<(Instant, [u8; 32])>,
}

impl Embargo {
    /// Starts to watch an envelope. A watched envelope keeps its timeout: otherwise a peer that
    /// repeats the envelope could shorten or prolong it.
    pub fn watch(&mut self, rng: &mut impl CryptoRng, now: Instant, hash: [u8; 32]) {
        if self.by_hash.contains_key(&hash) {
            return;
        }
        let due = now.after(distributions::exponential(rng, EMBARGO_MEAN));
        self.by_hash.insert(hash, due);
        self.by_due.insert((due, hash));
    }

    /// Ends the watch because gossip has delivered the envelope or this node has flooded it.
    /// Returns false if the envelope was not watched.
    pub fn seen(&mut self, hash: &[u8; 32]) -> bool {
        let Some(due) = self.by_hash.remove(hash) else {
            return false;
        };
        self.by_due.remove(&(due, *hash))
    }

    /// An envelope whose timeout has expired, and which is not watched any more. The caller passes
    /// it on and watches it again, or floods it. Call until it returns `None`.
    pub fn pop_due(&mut self, now: Instant) -> Option<[u8; 32]> {
        if self.next_due()? > now {
            return None;
        }
        self.pop_first()
    }

    /// Time of the next timeout.
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
    /// Does not show the hashes: pool queries must not reveal them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embargo")
            .field("watched", &self.by_hash.len())
            .finish_non_exhaustive()
    }
}

/// Label of the local mapping; never sent on the wire.
const LABEL: &[u8] = b"whisht/1/stem-map";

/// One node in ten ends the stems of others (as in BIP-156).
const DIFFUSER_ODDS: u32 = 10;

const EPOCH_MILLIS: u32 = 600_000;
const EPOCH: Duration = Duration::from_secs(600);

/// Mean embargo timeout of each node.
const EMBARGO_MEAN: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
