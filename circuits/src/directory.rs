//! The relays a node knows, and which of them it may trust with a path.
//!
//! Relays describe themselves ([`Descriptor`]); descriptors are flooded, so everything here is
//! written for a sender who lies: checks run cheapest first, tables are bounded, each link's
//! useless work is rationed, and a relay that tells two stories is excluded with proof. What a
//! relay says of itself never makes it eligible; what this node has seen of it does (spec M1).
//! Paths are not drawn from the directory but from a [`Snapshot`] of it, frozen for an epoch.
//!
//! The directory opens no connection and reads no clock. Its caller floods what
//! [`DescriptorInsertion::New`] names, answers requests with [`Directory::lacking`], and stores
//! [`Directory::export`].
//!
//! ```
//! use circuits::directory::{
//!     Descriptor, DescriptorDraft, DescriptorInsertion, DescriptorSource, Directory,
//!     DirectoryLimits, PuzzleSearch, RelayEndpoint, Requirements, SigningKey,
//! };
//! use circuits::ids::{Epoch, NetworkId, Profile};
//! use circuits::keys::OnionSecret;
//! use circuits::secret::Secret;
//! use circuits::time::{Instant, Now};
//! use rand_chacha::ChaCha20Rng;
//! use rand_core::SeedableRng;
//!
//! let mut rng = ChaCha20Rng::from_seed([1; 32]);
//! let terms = Requirements::new(NetworkId::new(Profile::Local, "example"), Profile::Local);
//! let epoch = Epoch(40_000);
//!
//! // A relay solves its puzzle, in steps, and signs.
//! let key = SigningKey::new(Secret::init_with(|key| key.fill(1)))?;
//! let mut search = PuzzleSearch::new(terms.network, key.public(), epoch, terms.effort, &mut rng);
//! let puzzle = loop {
//!     if let Some(puzzle) = search.step() {
//!         break puzzle;
//!     }
//! };
//! let draft = DescriptorDraft {
//!     epoch,
//!     onion: *OnionSecret::generate(&mut rng).public().as_bytes(),
//!     onion_next: *OnionSecret::generate(&mut rng).public().as_bytes(),
//!     endpoints: vec![RelayEndpoint::Ip4([127, 0, 0, 1].into(), 20_819)],
//!     family: Vec::new(),
//!     load: 0,
//!     ticket_bits: 17,
//! };
//! let descriptor = Descriptor::sign(draft, puzzle, &key, terms.network)?;
//!
//! // A node takes it in; on the profile `local` paths may use it at once.
//! let now = Now { mono: Instant::ZERO, unix: epoch.start() };
//! let mut directory = Directory::new(terms, DirectoryLimits::default(), None, now.unix);
//! let inserted = directory.insert(now, DescriptorSource::Own, descriptor.raw())?;
//! assert!(matches!(inserted, DescriptorInsertion::New(_)));
//! assert_eq!(directory.snapshot(now.unix).relays().len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use core::fmt;
use std::collections::BTreeSet;

mod descriptor;
mod eligibility;
mod endpoint;
mod equivocation;
mod observation;
mod puzzle;
mod rate_limit;
mod signature;
mod snapshot;
mod store;
mod subnet_counts;
mod sync;
mod table;

pub use descriptor::{
    BadDescriptor, Descriptor, DescriptorDigest, DescriptorDraft, MAX_DESCRIPTOR_LEN, MAX_FAMILY,
    Requirements, TICKET_BITS, VerifiedDescriptor,
};
pub use endpoint::{RelayEndpoint, Subnet};
pub use equivocation::EquivocationProof;
pub use observation::DescriptorSource;
pub use puzzle::{PuzzleSearch, PuzzleSolution};
pub use rate_limit::LinkQuota;
pub use signature::{BadSigningKey, SigningKey};
pub use snapshot::{EligibleRelay, Snapshot};
pub use sync::{DescriptorRequest, MAX_ANSWER_LEN, MAX_PREFIXES};

use self::equivocation::ExcludedRelays;
use self::rate_limit::LinkRateLimiter;
use self::table::{RelayTable, main_subnet};
use crate::ids::{Epoch, LinkId, RelayId, RelayKey, ShortId};
use crate::time::{Now, UnixSecs};

/// Bounds of a directory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DirectoryLimits {
    /// Relays altogether. Each takes up to 3 KB of descriptors and half as much around them.
    pub relays: usize,
    /// Relays of one /16 or /32: enough for a large hoster, too few to outnumber the rest.
    pub relays_per_subnet: usize,
    /// Relays that are reachable through onion services only.
    pub onion_relays: usize,
    /// Proofs of equivocation kept in full.
    pub proofs: usize,
    /// Descriptors that a link may send in vain.
    pub wasted_checks: LinkQuota,
    /// Requests for descriptors that a link may make.
    pub requests: LinkQuota,
}

impl Default for DirectoryLimits {
    fn default() -> Self {
        Self {
            relays: 10_000,
            relays_per_subnet: 64,
            onion_relays: 2_500,
            proofs: 1_024,
            // A failed check takes up to 0.2 ms: a link can waste a thousandth of a core.
            wasted_checks: LinkQuota {
                burst: 64,
                every_micros: 200_000,
            },
            // A new neighbour asks for 256 buckets of two epochs, then now and then.
            requests: LinkQuota {
                burst: 1_024,
                every_micros: 500_000,
            },
        }
    }
}

impl DirectoryLimits {
    const fn of(&self, subnet: Subnet) -> usize {
        match subnet {
            Subnet::Onion => self.onion_relays,
            Subnet::Ip4(_) | Subnet::Ip6(_) => self.relays_per_subnet,
        }
    }
}

/// The relays known on one network. `Debug` shows how many, not which.
pub struct Directory {
    terms: Requirements,
    /// The relays that a pinned list names; where there is one, only they are eligible.
    listed: Option<BTreeSet<RelayId>>,
    /// When the directory last knew of no relay at all.
    since: UnixSecs,
    epoch: Epoch,
    table: RelayTable,
    exclusions: ExcludedRelays,
    wasted_checks: LinkRateLimiter,
    requests: LinkRateLimiter,
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory")
            .field("relays", &self.len())
            .field("excluded", &self.excluded())
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

/// What became of a descriptor.
#[derive(Clone, Debug)]
pub enum DescriptorInsertion {
    /// It contradicts another: flood both, the relay is excluded.
    Equivocation(EquivocationProof),
    /// It is held already.
    Known,
    /// It is new and was kept: flood it to everybody but its sender.
    New(VerifiedDescriptor),
}

impl Directory {
    /// An empty directory.
    ///
    /// With `listed`, only these relays are eligible and no observation makes another so (spec M1,
    /// clause a); the caller has verified the signatures under the list.
    #[must_use]
    pub fn new(
        terms: Requirements,
        limits: DirectoryLimits,
        listed: Option<BTreeSet<RelayId>>,
        now: UnixSecs,
    ) -> Self {
        Self {
            terms,
            listed,
            since: now,
            epoch: Epoch::at(now),
            table: RelayTable::new(limits),
            exclusions: ExcludedRelays::new(limits.proofs, limits.relays),
            wasted_checks: LinkRateLimiter::new(limits.wasted_checks),
            requests: LinkRateLimiter::new(limits.requests),
        }
    }

    /// Takes in a descriptor as it came.
    ///
    /// # Errors
    ///
    /// [`DescriptorRefusal`]; the directory is unchanged then, and only
    /// [`DescriptorRefusal::Bad`] is the sender's fault.
    pub fn insert(
        &mut self,
        now: Now,
        source: DescriptorSource,
        raw: &[u8],
    ) -> Result<DescriptorInsertion, DescriptorRefusal> {
        let descriptor = Descriptor::decode(raw).map_err(DescriptorRefusal::Bad)?;
        let (id, epoch) = (descriptor.key().id(), descriptor.draft().epoch);
        let digest = DescriptorDigest::of(raw);
        if self.is_known(now.unix, source, id, epoch, digest)? {
            return Ok(DescriptorInsertion::Known);
        }
        // A relay that we know is checked whatever there is room for: it may contradict itself.
        if self.table.get(&id).is_none() {
            let subnet = main_subnet(&descriptor.draft().endpoints);
            self.table.room_for(&id, subnet)?;
        }
        if let DescriptorSource::Peer { link, .. } = source
            && !self.wasted_checks.take(now.mono, link)
        {
            return Err(DescriptorRefusal::OverQuota);
        }
        let verified = descriptor
            .verify(&self.terms)
            .map_err(DescriptorRefusal::Bad)?;
        let inserted = self.admit(now.unix, source, verified)?;
        if let DescriptorSource::Peer { link, .. } = source {
            self.wasted_checks.give_back(link);
        }
        Ok(inserted)
    }

    /// Takes in a descriptor that was verified before, under the same requirements.
    ///
    /// # Errors
    ///
    /// [`DescriptorRefusal`], as for [`insert`](Self::insert), but never
    /// [`DescriptorRefusal::Bad`] or [`DescriptorRefusal::OverQuota`].
    pub fn admit(
        &mut self,
        now: UnixSecs,
        source: DescriptorSource,
        descriptor: VerifiedDescriptor,
    ) -> Result<DescriptorInsertion, DescriptorRefusal> {
        let (id, epoch) = (descriptor.id(), descriptor.epoch());
        if self.is_known(now, source, id, epoch, descriptor.digest())? {
            return Ok(DescriptorInsertion::Known);
        }
        let record = self.table.get(&id);
        let proof = record.and_then(|record| {
            record
                .latest_first()
                .find_map(|held| EquivocationProof::between(&held.descriptor, &descriptor))
        });
        if let Some(proof) = proof {
            self.table.remove(&id);
            self.exclusions.add(proof.clone());
            return Ok(DescriptorInsertion::Equivocation(proof));
        }
        let subnet = main_subnet(descriptor.endpoints());
        if let Some(newest) = self.table.room_for(&id, subnet)? {
            self.table.remove(&newest);
        }
        self.table.keep(now, source, descriptor.clone());
        Ok(DescriptorInsertion::New(descriptor))
    }

    /// The checks that cost nothing: time, exclusion, and whether we hold these very bytes.
    fn is_known(
        &mut self,
        now: UnixSecs,
        source: DescriptorSource,
        id: RelayId,
        epoch: Epoch,
        digest: DescriptorDigest,
    ) -> Result<bool, DescriptorRefusal> {
        self.expire(now);
        let accepted = self.accepted_epochs(now);
        if epoch < *accepted.start() {
            return Err(DescriptorRefusal::EpochStale);
        }
        if epoch > *accepted.end() {
            return Err(DescriptorRefusal::EpochFuture);
        }
        if self.exclusions.proves_with(&id, digest) {
            return Ok(true);
        }
        if self.exclusions.contains(&id) {
            return Err(DescriptorRefusal::Excluded);
        }
        let held = self.table.get(&id).and_then(|record| record.held(epoch));
        let is_held = held.is_some_and(|held| held.descriptor.digest() == digest);
        if is_held {
            self.table.record_report(now, source, &id, epoch);
        }
        Ok(is_held)
    }

    /// The epochs whose descriptors are accepted now: the previous, the present, and within the
    /// last hour the next (clocks differ).
    #[must_use]
    pub fn accepted_epochs(&self, now: UnixSecs) -> core::ops::RangeInclusive<Epoch> {
        Epoch::at(now).previous()..=Epoch::at(now.after(HOUR))
    }

    /// Drops what has run out. Called by every insertion; worth calling at the start of an epoch.
    pub fn expire(&mut self, now: UnixSecs) {
        let epoch = Epoch::at(now);
        let last = core::mem::replace(&mut self.epoch, epoch);
        if epoch > last {
            self.table.advance_to(epoch);
            self.exclusions.expire(epoch);
            if self.table.is_blank() {
                self.since = now;
            }
        }
        // A clock that was ahead and is set back must not leave us young for ever.
        self.since = self.since.min(now);
    }

    /// Forgets a link's allowances; for links that are closed.
    pub fn forget_link(&mut self, link: LinkId) {
        self.wasted_checks.forget(link);
        self.requests.forget(link);
    }

    /// The latest descriptor of a relay, to dial it. None if unknown, or if two relays share the
    /// short id.
    #[must_use]
    pub fn lookup(&self, short: ShortId) -> Option<&VerifiedDescriptor> {
        let latest = self.table.by_short_id(short)?.latest_first().next()?;
        Some(&latest.descriptor)
    }

    /// The latest descriptor of the relay with this key.
    #[must_use]
    pub fn find(&self, key: &RelayKey) -> Option<&VerifiedDescriptor> {
        let latest = self.table.get(&key.id())?.latest_first().next()?;
        Some(&latest.descriptor)
    }

    /// The latest descriptor of every relay, ascending by id.
    pub fn iter(&self) -> impl Iterator<Item = &VerifiedDescriptor> {
        self.table
            .iter()
            .filter_map(|(_, record)| record.latest_first().next())
            .map(|held| &held.descriptor)
    }

    /// Number of relays known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether no relay is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of relays excluded for equivocation.
    #[must_use]
    pub fn excluded(&self) -> usize {
        self.exclusions.len()
    }

    /// The proofs of equivocation that are kept.
    pub fn proofs(&self) -> impl Iterator<Item = &EquivocationProof> {
        self.exclusions.proofs()
    }
}

/// Why a descriptor was not taken in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum DescriptorRefusal {
    /// It is not valid. An honest neighbour would not have passed it on.
    Bad(BadDescriptor),
    /// The link has sent too much that was useless; nothing was checked.
    OverQuota,
    /// Its epoch has not begun.
    EpochFuture,
    /// Its epoch is over.
    EpochStale,
    /// Its relay equivocates.
    Excluded,
    /// There are as many relays of its subnet as may be.
    SubnetFull,
    /// There is no room, and nobody newer in a fuller subnet to make some.
    TableFull,
}

impl DescriptorRefusal {
    /// Whether the neighbour that sent it has broken a rule. The other reasons can befall an
    /// honest one.
    #[must_use]
    pub const fn blames_sender(&self) -> bool {
        matches!(self, Self::Bad(_))
    }
}

impl fmt::Display for DescriptorRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bad(reason) => fmt::Display::fmt(reason, f),
            Self::OverQuota => f.write_str("link has sent too many useless descriptors"),
            Self::EpochFuture => f.write_str("descriptor's epoch has not begun"),
            Self::EpochStale => f.write_str("descriptor's epoch is over"),
            Self::Excluded => f.write_str("descriptor's relay is excluded for equivocation"),
            Self::SubnetFull => f.write_str("too many relays of the descriptor's subnet"),
            Self::TableFull => f.write_str("directory is full"),
        }
    }
}

impl core::error::Error for DescriptorRefusal {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Bad(reason) => Some(reason),
            _ => None,
        }
    }
}

/// How long before its epoch a descriptor is accepted, and a snapshot is frozen.
const HOUR: u32 = 3_600;

#[cfg(test)]
mod tests;
