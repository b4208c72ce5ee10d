//! What a relay says about itself, to the byte (spec F10, docs/wire/directory.md).
//!
//! A descriptor travels and is stored as the bytes its relay signed; they are never written anew.
//! Reading is strict: what is not the one encoding of its content is refused, so that a descriptor
//! has one digest. [`DescriptorDraft`] is content without proof, [`Descriptor`] is bytes that could be
//! read, [`VerifiedDescriptor`] is what the directory keeps; only [`Descriptor::verify`] makes the last.

mod fields;

use core::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use sha3::Keccak256;

use self::fields::DescriptorFields;
use super::endpoint::RelayEndpoint;
use super::puzzle::{self, PuzzleSolution};
use super::signature::{self, BadSigningKey, SIGNATURE_LEN, SigningKey};
use crate::ids::{Epoch, NetworkId, Profile, RelayId, RelayKey};
use crate::keys::OnionPublic;

/// What a descriptor must satisfy on a network.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Requirements {
    /// The network, which signature and puzzle are bound to.
    pub network: NetworkId,
    /// Decides which addresses may be listed.
    pub profile: Profile,
    /// Mean number of Equi-X solutions that a descriptor costs.
    pub effort: u32,
}

impl Requirements {
    /// The requirements of a network at its profile's effort.
    #[must_use]
    pub const fn new(network: NetworkId, profile: Profile) -> Self {
        let effort = match profile {
            Profile::Main => MAIN_EFFORT,
            Profile::Local => 1,
        };
        Self {
            network,
            profile,
            effort,
        }
    }
}

/// The content of a descriptor, but for key, puzzle and signature.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DescriptorDraft {
    /// The epoch that `onion` belongs to.
    pub epoch: Epoch,
    /// Onion key of `epoch`.
    pub onion: [u8; 32],
    /// Onion key of the epoch after it.
    pub onion_next: [u8; 32],
    /// Where to dial: one to three, at most one of each kind, in the order of [`RelayEndpoint`].
    pub endpoints: Vec<RelayEndpoint>,
    /// Relays of the same operator, ascending, at most [`MAX_FAMILY`].
    pub family: Vec<RelayId>,
    /// Base-2 logarithm of the mean number of waiting cells in the last epoch.
    pub load: u8,
    /// Work that this relay asks of a ticket, as a rendezvous: 17 to 24 bits.
    pub ticket_bits: u8,
}

/// A descriptor that could be read. Nothing it says is proven yet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Descriptor {
    fields: DescriptorFields,
    raw: Vec<u8>,
}

impl Descriptor {
    /// Signs a draft.
    ///
    /// The puzzle must have been solved for the same key, epoch and network. The result is not
    /// verified: [`verify`](Self::verify) tells whether others would accept it.
    ///
    /// # Errors
    ///
    /// [`BadDescriptor`] if the draft breaks a rule of the format.
    pub fn sign(
        draft: DescriptorDraft,
        puzzle: PuzzleSolution,
        key: &SigningKey,
        network: NetworkId,
    ) -> Result<Self, BadDescriptor> {
        let mut fields = DescriptorFields {
            key: key.public(),
            draft,
            puzzle,
            signature: [0; SIGNATURE_LEN],
        };
        fields.signature = key
            .sign(digest(network, &fields))
            .map_err(|BadSigningKey| BadDescriptor::Signature)?;
        Self::decode(&fields.encode())
    }

    /// Reads a descriptor.
    ///
    /// # Errors
    ///
    /// Names the first rule of the format that `raw` breaks.
    pub fn decode(raw: &[u8]) -> Result<Self, BadDescriptor> {
        if raw.len() > MAX_DESCRIPTOR_LEN {
            return Err(BadDescriptor::Oversize);
        }
        let fields = DescriptorFields::read(raw)?;
        check_form(&fields.draft)?;
        // The RLP reader forgives more than one spelling of a value; this does not.
        if fields.encode() != raw {
            return Err(BadDescriptor::NotCanonical);
        }
        Ok(Self {
            fields,
            raw: raw.to_vec(),
        })
    }

    /// Checks everything that a descriptor says by itself, cheapest first: addresses, puzzle,
    /// signature, onion keys (spec M12).
    ///
    /// Costs at most one Equi-X check, one signature recovery and two curve checks, 0.2 ms
    /// together, whatever was sent. Time, and what else the relay has said, are the
    /// directory's to judge.
    ///
    /// # Errors
    ///
    /// Names the first rule broken.
    pub fn verify(self, terms: &Requirements) -> Result<VerifiedDescriptor, BadDescriptor> {
        let DescriptorFields {
            key,
            draft,
            puzzle,
            signature,
        } = &self.fields;
        if !draft.endpoints.iter().all(|one| one.allowed(terms.profile)) {
            return Err(BadDescriptor::AddressForbidden);
        }
        if !puzzle::is_solved(terms.network, key, draft.epoch, terms.effort, puzzle) {
            return Err(BadDescriptor::Puzzle);
        }
        if !signature::is_signed(digest(terms.network, &self.fields), signature, key) {
            return Err(BadDescriptor::Signature);
        }
        let check = |key| OnionPublic::check(key).map_err(|_| BadDescriptor::OnionKey);
        let (onion, onion_next) = (check(draft.onion)?, check(draft.onion_next)?);
        Ok(VerifiedDescriptor(Arc::new(Verified {
            id: key.id(),
            digest: DescriptorDigest::of(&self.raw),
            onion,
            onion_next,
            descriptor: self,
        })))
    }

    /// The relay's key.
    #[must_use]
    pub const fn key(&self) -> &RelayKey {
        &self.fields.key
    }

    /// What the relay says.
    #[must_use]
    pub const fn draft(&self) -> &DescriptorDraft {
        &self.fields.draft
    }

    /// The bytes, as signed.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }
}

/// Proof that a descriptor was verified; only [`Descriptor::verify`] makes one. Cheap to clone.
#[derive(Clone)]
pub struct VerifiedDescriptor(Arc<Verified>);

struct Verified {
    id: RelayId,
    digest: DescriptorDigest,
    onion: OnionPublic,
    onion_next: OnionPublic,
    descriptor: Descriptor,
}

impl VerifiedDescriptor {
    /// The relay's id.
    #[must_use]
    pub fn id(&self) -> RelayId {
        self.0.id
    }

    /// The relay's link key.
    #[must_use]
    pub fn key(&self) -> &RelayKey {
        self.0.descriptor.key()
    }

    /// The epoch whose onion key it brings, along with the next one's.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.0.descriptor.draft().epoch
    }

    /// The onion key that it gives for `epoch`: its own or the one after.
    #[must_use]
    pub fn onion(&self, epoch: Epoch) -> Option<&OnionPublic> {
        if epoch == self.epoch() {
            Some(&self.0.onion)
        } else if epoch == self.epoch().next() {
            Some(&self.0.onion_next)
        } else {
            None
        }
    }

    /// Where the relay can be dialled.
    #[must_use]
    pub fn endpoints(&self) -> &[RelayEndpoint] {
        &self.0.descriptor.draft().endpoints
    }

    /// The relays it calls its family; only those that say the same of it count.
    #[must_use]
    pub fn declared_family(&self) -> &[RelayId] {
        &self.0.descriptor.draft().family
    }

    /// Base-2 logarithm of the mean number of waiting cells, as the relay says.
    #[must_use]
    pub fn load(&self) -> u8 {
        self.0.descriptor.draft().load
    }

    /// Work that the relay asks of a ticket, in bits.
    #[must_use]
    pub fn ticket_bits(&self) -> u8 {
        self.0.descriptor.draft().ticket_bits
    }

    /// The bytes, as signed, flooded and stored.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        self.0.descriptor.raw()
    }

    /// The digest of the bytes.
    #[must_use]
    pub fn digest(&self) -> DescriptorDigest {
        self.0.digest
    }
}

#[cfg(test)]
impl VerifiedDescriptor {
    /// A descriptor that nobody signed, of a relay whose id is chosen freely: for tests of what
    /// comes after verification. `onion` is the draft's key, for this epoch and the next.
    pub(super) fn unproven(id: RelayId, onion: OnionPublic, draft: DescriptorDraft) -> Self {
        let puzzle = PuzzleSolution {
            nonce: [0; 16],
            solution: [0; 16],
        };
        let fields = DescriptorFields {
            key: RelayKey([0; 64]),
            draft,
            puzzle,
            signature: [0; SIGNATURE_LEN],
        };
        let raw = [&fields.encode(), id.0.as_slice()].concat();
        Self(Arc::new(Verified {
            id,
            digest: DescriptorDigest::of(&raw),
            onion,
            onion_next: onion,
            descriptor: Descriptor { fields, raw },
        }))
    }
}

impl fmt::Debug for VerifiedDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedDescriptor")
            .field("id", &self.id())
            .field("epoch", &self.epoch())
            .finish_non_exhaustive()
    }
}

/// SHA-256 of a descriptor's bytes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct DescriptorDigest(pub [u8; 32]);

impl DescriptorDigest {
    /// Digests the bytes of a descriptor.
    #[must_use]
    pub fn of(raw: &[u8]) -> Self {
        Self(Sha256::digest(raw).into())
    }

    /// The first eight bytes, by which peers tell each other what they hold.
    #[must_use]
    pub const fn prefix(&self) -> [u8; 8] {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        [a, b, c, d, e, f, g, h]
    }
}

/// Why bytes are no valid descriptor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum BadDescriptor {
    /// It lists an address that nodes of this profile must not dial.
    AddressForbidden,
    /// Endpoints are not in ascending order of kind, or two are of one kind.
    EndpointOrder,
    /// Family ids are not in strictly ascending order.
    FamilyOrder,
    /// Not the list of fields that a descriptor is.
    Malformed,
    /// It lists no endpoint.
    NoEndpoint,
    /// Readable, but not the one encoding of its content.
    NotCanonical,
    /// An onion key is not canonical, off the curve, or of the wrong order.
    OnionKey,
    /// Longer than [`MAX_DESCRIPTOR_LEN`].
    Oversize,
    /// The puzzle is not solved, or not for this relay, epoch, network and effort.
    Puzzle,
    /// Not signed by the relay for this network, or not in the one allowed form.
    Signature,
    /// It asks for fewer or more ticket bits than the network allows.
    TicketBits,
    /// Not version 1.
    Version,
}

impl fmt::Display for BadDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AddressForbidden => "descriptor lists an address that must not be dialled",
            Self::EndpointOrder => "descriptor's endpoints are out of order",
            Self::FamilyOrder => "descriptor's family is out of order",
            Self::Malformed => "descriptor is malformed",
            Self::NoEndpoint => "descriptor lists no endpoint",
            Self::NotCanonical => "descriptor is not in canonical form",
            Self::OnionKey => "descriptor's onion key is unusable",
            Self::Oversize => "descriptor is too long",
            Self::Puzzle => "descriptor's puzzle is not solved",
            Self::Signature => "descriptor's signature is wrong",
            Self::TicketBits => "descriptor's ticket bits are out of range",
            Self::Version => "descriptor is of another version",
        })
    }
}

impl core::error::Error for BadDescriptor {}

/// The rules that concern one field alone.
fn check_form(draft: &DescriptorDraft) -> Result<(), BadDescriptor> {
    let DescriptorDraft {
        endpoints,
        family,
        ticket_bits,
        ..
    } = draft;
    if endpoints.is_empty() {
        return Err(BadDescriptor::NoEndpoint);
    }
    if !endpoints.is_sorted_by(|a, b| a.kind() < b.kind()) {
        return Err(BadDescriptor::EndpointOrder);
    }
    if !family.is_sorted_by(|a, b| a < b) {
        return Err(BadDescriptor::FamilyOrder);
    }
    if !TICKET_BITS.contains(ticket_bits) {
        return Err(BadDescriptor::TicketBits);
    }
    Ok(())
}

/// Keccak-256("whisht/1/descriptor" | network id | the fields before the signature).
fn digest(network: NetworkId, fields: &DescriptorFields) -> [u8; 32] {
    Keccak256::new()
        .chain_update(b"whisht/1/descriptor")
        .chain_update(network.0)
        .chain_update(fields.encode_unsigned())
        .finalize()
        .into()
}

/// Bytes of a descriptor at the most.
pub const MAX_DESCRIPTOR_LEN: usize = 1_024;
/// Family members that a relay can name.
pub const MAX_FAMILY: usize = 16;
/// Work that a relay may ask of a ticket, in bits (spec M13).
pub const TICKET_BITS: core::ops::RangeInclusive<u8> = 17..=24;

/// Mean number of Equi-X solutions on the main network: minutes of one core every twelve hours.
const MAIN_EFFORT: u32 = 1 << 16;
