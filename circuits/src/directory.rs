//! The relay directory: known relays, and which of them paths may use.
//!
//! Each relay publishes a [`Descriptor`], and descriptors are flooded. The code assumes hostile
//! senders: cheap checks run first, tables are bounded, each link has a quota of failed checks, and
//! a relay that signs contradictory descriptors is excluded with proof. A relay becomes eligible
//! through the observations of this node, never through its own claims (spec M1). Paths are drawn
//! from a [`Snapshot`] of the directory, which is frozen for an epoch.
//!
//! The directory opens no connection and reads no clock. The caller floods the descriptors of
//! [`DescriptorInsertion::New`], answers requests with [`Directory::lacking`], and stores
//! [`Directory::export`].
//!
//! ```
//! use circuits::directory::{
//!     Descriptor, DescriptorDraft, DescriptorInsertion, DescriptorSource, Directory,
//!     DirectoryLimits, PuzzleSearch, EndpointKinds, RelayEndpoint, Requirements, SigningKey,
//! };
//! use circuits::ids::{Epoch, NetworkId, Profile};
//! use circuits::keys::OnionSecret;
//! use circuits::mixing::ArrivalRate;
//! use circuits::secret::Secret;
//! use circuits::time::{Instant, Now};
//! use rand_chacha::ChaCha20Rng;
//! use rand_core::SeedableRng;
//!
//! let mut rng = ChaCha20Rng::from_seed([1; 32]);
//! let terms = Requirements::new(NetworkId::new(Profile::Local, "example"), Profile::Local);
//! let epoch = Epoch(40_000);
//!
//! // A relay solves its puzzle in bounded steps and signs its descriptor.
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
//!     dials: EndpointKinds::IP,
//!     family: Vec::new(),
//!     arrivals: ArrivalRate::NONE,
//!     ticket_bits: 17,
//! };
//! let descriptor = Descriptor::sign(draft, puzzle, &key, terms.network)?;
//!
//! // A node inserts the descriptor. On the profile `local`, paths may use the relay at once.
//! let now = Now { mono: Instant::ZERO, unix: epoch.start() };
//! let mut directory = Directory::new(terms, DirectoryLimits::default(), None, now.unix);
//! let inserted = directory.insert(now, DescriptorSource::Own, descriptor.raw())?;
//! assert!(matches!(inserted, DescriptorInsertion::New(_)));
//! assert_eq!(directory.snapshot(now.unix).relays().len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

mod arrival_rate;
mod descriptor;
mod eligibility;
mod endpoint;
mod equivocation;
mod layer;
mod listed;
#[cfg(feature = "sim")]
mod memo;
mod observation;
mod puzzle;
mod signature;
mod snapshot;
mod store;
mod subnet_counts;
mod sync;
mod table;

pub use arrival_rate::ArrivalRate;
pub use descriptor::{
    BadDescriptor, Descriptor, DescriptorDigest, DescriptorDraft, MAX_DESCRIPTOR_LEN, MAX_FAMILY,
    Requirements, TICKET_BITS, VerifiedDescriptor,
};
pub use endpoint::{EndpointKinds, RelayEndpoint, Subnet};
pub use equivocation::EquivocationProof;
pub use layer::Layer;
pub use listed::ListedRelays;
#[cfg(feature = "sim")]
pub use memo::DescriptorMemo;
pub use observation::DescriptorSource;
pub use puzzle::{PuzzleSearch, PuzzleSolution};
pub use signature::{BadSigningKey, SIGNATURE_LEN, SigningKey, signer_of};
pub use snapshot::{EligibleRelay, Snapshot};
pub use sync::{DescriptorRequest, MAX_ANSWER_LEN, MAX_PREFIXES};

use self::equivocation::ExcludedRelays;
use self::table::{RelayTable, main_subnet};
use crate::ids::{Epoch, LinkId, RelayId, RelayKey, ShortId};
use crate::rate_limit::{KeyedLimiter, Quota};
use crate::time::{Now, UnixSecs};

/// Limits of a directory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DirectoryLimits {
    /// Maximum number of relays. Each takes up to 3 KB for descriptors and half as much for
    /// metadata.
    pub relays: usize,
    /// Maximum number of relays in one /16 or /32: enough for a large hoster, too few to outnumber
    /// the rest.
    pub relays_per_subnet: usize,
    /// Maximum number of relays that are reachable through onion services only.
    pub onion_relays: usize,
    /// Maximum number of equivocation proofs that are stored in full.
    pub proofs: usize,
    /// Quota of each link for descriptors that fail the checks.
    pub wasted_checks: Quota,
    /// Quota of each link for descriptor requests.
    pub requests: Quota,
}

impl Default for DirectoryLimits {
    fn default() -> Self {
        Self {
            relays: 10_000,
            relays_per_subnet: 64,
            onion_relays: 2_500,
            proofs: 1_024,
            // A failed check takes up to 0.2 ms, so a link can waste a thousandth of a core.
            wasted_checks: Quota::new(64, Duration::from_millis(200)),
            // A new peer requests 256 buckets of two epochs, and later a few buckets at a time.
            requests: Quota::new(1_024, Duration::from_millis(500)),
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

/// Known relays of one network. `Debug` shows their number, not their ids.
pub struct Directory {
    terms: Requirements,
    /// Relays of the pinned list. If present, only these relays are eligible.
    listed: Option<Arc<ListedRelays>>,
    /// Last time at which the directory knew no relay.
    since: UnixSecs,
    epoch: Epoch,
    table: RelayTable,
    exclusions: ExcludedRelays,
    wasted_checks: KeyedLimiter<LinkId>,
    requests: KeyedLimiter<LinkId>,
    /// Descriptors that other nodes of a simulation have verified.
    #[cfg(feature = "sim")]
    memo: Option<DescriptorMemo>,
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

/// Result of inserting a descriptor.
#[derive(Clone, Debug)]
pub enum DescriptorInsertion {
    /// The descriptor contradicts another one. The relay is excluded; the caller floods both.
    Equivocation(EquivocationProof),
    /// The directory has the descriptor already.
    Known,
    /// The directory has it, and this is the first report of a peer in that subnet.
    Reported,
    /// The descriptor is new and was stored. The caller floods it to all peers except its sender.
    New(VerifiedDescriptor),
}

impl Directory {
    /// Creates an empty directory.
    ///
    /// With `listed`, only these relays are eligible, regardless of observations (spec M1,
    /// clause a). The caller has verified the signatures of the list.
    #[must_use]
    pub fn new(
        terms: Requirements,
        limits: DirectoryLimits,
        listed: Option<Arc<ListedRelays>>,
        now: UnixSecs,
    ) -> Self {
        Self {
            terms,
            listed,
            since: now,
            epoch: Epoch::at(now),
            table: RelayTable::new(limits),
            exclusions: ExcludedRelays::new(limits.proofs, limits.relays),
            wasted_checks: KeyedLimiter::new(limits.wasted_checks, MAX_LINKS),
            requests: KeyedLimiter::new(limits.requests, MAX_LINKS),
            #[cfg(feature = "sim")]
            memo: None,
        }
    }

    /// Replaces the pinned list. Without a list, observations decide; with an empty one, no relay is
    /// eligible.
    pub fn set_listed(&mut self, listed: Option<Arc<ListedRelays>>) {
        self.listed = listed;
    }

    /// The pinned list.
    #[must_use]
    pub const fn listed(&self) -> Option<&Arc<ListedRelays>> {
        self.listed.as_ref()
    }

    /// From now on, takes verified descriptors from the other nodes of a simulation.
    #[cfg(feature = "sim")]
    pub fn share(&mut self, memo: DescriptorMemo) {
        self.memo = Some(memo);
    }

    fn verify(&self, descriptor: Descriptor) -> Result<VerifiedDescriptor, BadDescriptor> {
        #[cfg(feature = "sim")]
        if let Some(memo) = &self.memo {
            return memo.verify(descriptor, &self.terms);
        }
        descriptor.verify(&self.terms)
    }

    /// Inserts a received descriptor after verification.
    ///
    /// # Errors
    ///
    /// [`DescriptorRefusal`]; the directory is then unchanged. Only [`DescriptorRefusal::Bad`] is
    /// the sender's fault.
    pub fn insert(
        &mut self,
        now: Now,
        source: DescriptorSource,
        raw: &[u8],
    ) -> Result<DescriptorInsertion, DescriptorRefusal> {
        let descriptor = Descriptor::decode(raw).map_err(DescriptorRefusal::Bad)?;
        let (id, epoch) = (descriptor.key().id(), descriptor.draft().epoch);
        let digest = DescriptorDigest::of(raw);
        if let Some(known) = self.known(now.unix, source, id, epoch, digest)? {
            return Ok(known);
        }
        // A descriptor of a known relay is checked even without room: it may prove equivocation.
        if self.table.get(&id).is_none() {
            let subnet = main_subnet(&descriptor.draft().endpoints);
            self.table.room_for(&id, subnet)?;
        }
        if let DescriptorSource::Peer { link, .. } = source
            && !self.wasted_checks.take(link, now.mono)
        {
            return Err(DescriptorRefusal::OverQuota);
        }
        let verified = self.verify(descriptor).map_err(DescriptorRefusal::Bad)?;
        let inserted = self.admit(now.unix, source, verified)?;
        if let DescriptorSource::Peer { link, .. } = source {
            self.wasted_checks.give_back(&link);
        }
        Ok(inserted)
    }

    /// Inserts a descriptor that was already verified under the same requirements.
    ///
    /// # Errors
    ///
    /// [`DescriptorRefusal`], as for [`insert`](Self::insert), but never [`DescriptorRefusal::Bad`]
    /// or [`DescriptorRefusal::OverQuota`].
    pub fn admit(
        &mut self,
        now: UnixSecs,
        source: DescriptorSource,
        descriptor: VerifiedDescriptor,
    ) -> Result<DescriptorInsertion, DescriptorRefusal> {
        let (id, epoch) = (descriptor.id(), descriptor.epoch());
        if let Some(known) = self.known(now, source, id, epoch, descriptor.digest())? {
            return Ok(known);
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

    /// The checks without cryptography: epoch, exclusion, and whether the same bytes are stored, which makes
    /// this a report.
    fn known(
        &mut self,
        now: UnixSecs,
        source: DescriptorSource,
        id: RelayId,
        epoch: Epoch,
        digest: DescriptorDigest,
    ) -> Result<Option<DescriptorInsertion>, DescriptorRefusal> {
        self.expire(now);
        let accepted = self.accepted_epochs(now);
        if epoch < *accepted.start() {
            return Err(DescriptorRefusal::EpochStale);
        }
        if epoch > *accepted.end() {
            return Err(DescriptorRefusal::EpochFuture);
        }
        if self.exclusions.has_proof_with(&id, digest) {
            return Ok(Some(DescriptorInsertion::Known));
        }
        if self.exclusions.contains(&id) {
            return Err(DescriptorRefusal::Excluded);
        }
        let held = self.table.get(&id).and_then(|record| record.held(epoch));
        let is_held = held.is_some_and(|held| held.descriptor.digest() == digest);
        Ok(
            match is_held && self.table.record_report(now, source, &id, epoch) {
                true => Some(DescriptorInsertion::Reported),
                false => is_held.then_some(DescriptorInsertion::Known),
            },
        )
    }

    /// Whether enough peers have reported another descriptor since the last call, so that a
    /// [snapshot](Self::snapshot) may have more relays.
    pub const fn take_completed_reports(&mut self) -> bool {
        self.table.take_completed()
    }

    /// Epochs whose descriptors are accepted: the previous and the current one, and in the last
    /// hour of an epoch also the next one, because clocks differ.
    #[must_use]
    pub fn accepted_epochs(&self, now: UnixSecs) -> core::ops::RangeInclusive<Epoch> {
        Epoch::at(now).previous()..=Epoch::at(now.after(HOUR))
    }

    /// Drops expired descriptors and exclusions. Every insertion calls this; call it at the start
    /// of an epoch too.
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
        // If a fast clock is set back, the directory must not stay young.
        self.since = self.since.min(now);
    }

    /// Drops the quotas of a link; call it for closed links.
    pub fn forget_link(&mut self, link: LinkId) {
        self.wasted_checks.forget(&link);
        self.requests.forget(&link);
    }

    /// The latest descriptor of a relay, to dial it. `None` if the relay is unknown or if two
    /// relays share the short id.
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

    /// The latest descriptor of every relay, sorted by id.
    pub fn iter(&self) -> impl Iterator<Item = &VerifiedDescriptor> {
        self.table
            .iter()
            .filter_map(|(_, record)| record.latest_first().next())
            .map(|held| &held.descriptor)
    }

    /// Number of known relays.
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

    /// The stored proofs of equivocation.
    pub fn proofs(&self) -> impl Iterator<Item = &EquivocationProof> {
        self.exclusions.proofs()
    }
}

/// Reason why a descriptor was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum DescriptorRefusal {
    /// The descriptor is invalid. An honest peer would not have forwarded it.
    Bad(BadDescriptor),
    /// The link exceeds its quota of failed checks; the descriptor was not checked.
    OverQuota,
    /// The epoch of the descriptor has not begun.
    EpochFuture,
    /// The epoch of the descriptor is over.
    EpochStale,
    /// The relay is excluded for equivocation.
    Excluded,
    /// The relay's subnet has reached its maximum number of relays.
    SubnetFull,
    /// The directory is full, and no newer relay in a fuller subnet can be evicted.
    TableFull,
}

impl fmt::Display for DescriptorRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bad(reason) => fmt::Display::fmt(reason, f),
            Self::OverQuota => f.write_str("link exceeds its quota of invalid descriptors"),
            Self::EpochFuture => f.write_str("epoch of the descriptor has not begun"),
            Self::EpochStale => f.write_str("epoch of the descriptor is over"),
            Self::Excluded => f.write_str("relay is excluded for equivocation"),
            Self::SubnetFull => {
                f.write_str("directory has the maximum number of relays of this subnet")
            }
            Self::TableFull => f.write_str("directory has its maximum number of relays"),
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

/// Time before an epoch at which its descriptors become acceptable and its snapshot is frozen.
const HOUR: u32 = 3_600;
/// Links with a quota of their own: more than a node can have open.
const MAX_LINKS: usize = 4_096;

#[cfg(test)]
mod tests;
