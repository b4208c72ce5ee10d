//! Relay descriptors: format, signing and verification (spec F10, docs/wire/directory.md).
//!
//! A descriptor is sent and stored as the bytes that its relay signed; they are never encoded
//! again. Decoding is strict: every content has exactly one encoding, so that a descriptor has one
//! digest. [`DescriptorDraft`] is content without proof, [`Descriptor`] is a decoded descriptor,
//! and [`VerifiedDescriptor`] is what the directory stores. Only [`Descriptor::verify`] creates a
//! [`VerifiedDescriptor`].

mod fields;

use core::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use sha3::Keccak256;

use self::fields::DescriptorFields;
use super::arrival_rate::ArrivalRate;
use super::endpoint::{EndpointKinds, RelayEndpoint};
use super::puzzle::{self, PuzzleSolution};
use super::signature::{self, BadSigningKey, SIGNATURE_LEN, SigningKey};
use crate::ids::{Epoch, NetworkId, Profile, RelayId, RelayKey};
use crate::keys::OnionPublic;

/// Requirements for descriptors on a network.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Requirements {
    /// The network to which signature and puzzle are bound.
    pub network: NetworkId,
    /// The profile, which decides which addresses may be listed.
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

/// The content of a descriptor except key, puzzle and signature.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DescriptorDraft {
    /// The epoch of the key `onion`.
    pub epoch: Epoch,
    /// Onion key of `epoch`.
    pub onion: [u8; 32],
    /// Onion key of the next epoch.
    pub onion_next: [u8; 32],
    /// Addresses to dial: one to three, at most one of each kind, in the order of
    /// [`RelayEndpoint`].
    pub endpoints: Vec<RelayEndpoint>,
    /// The kinds of addresses that the relay can dial: a relay without Tor dials no onion service.
    pub dials: EndpointKinds,
    /// Relays of the same operator, in ascending order, at most [`MAX_FAMILY`].
    pub family: Vec<RelayId>,
    /// Mean arrival rate of mixing cells in the previous epoch.
    pub arrivals: ArrivalRate,
    /// Difficulty of tickets for this relay as a rendezvous: 17 to 24 bits.
    pub ticket_bits: u8,
}

/// A decoded descriptor. None of its claims is verified yet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Descriptor {
    fields: DescriptorFields,
    raw: Vec<u8>,
}

impl Descriptor {
    /// Signs a draft.
    ///
    /// The puzzle must be solved for the same key, epoch and network. The result is not verified:
    /// [`verify`](Self::verify) shows whether other nodes would accept it.
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

    /// Decodes a descriptor.
    ///
    /// # Errors
    ///
    /// The first rule of the format that `raw` breaks.
    pub fn decode(raw: &[u8]) -> Result<Self, BadDescriptor> {
        if raw.len() > MAX_DESCRIPTOR_LEN {
            return Err(BadDescriptor::Oversize);
        }
        let fields = DescriptorFields::read(raw)?;
        check_form(&fields.draft)?;
        // The RLP reader accepts several encodings of a value; a descriptor has only one.
        if fields.encode() != raw {
            return Err(BadDescriptor::NotCanonical);
        }
        Ok(Self {
            fields,
            raw: raw.to_vec(),
        })
    }

    /// Checks all claims that can be verified without other data, cheapest first: addresses,
    /// puzzle, signature, onion keys (spec M12).
    ///
    /// The cost is bounded for every input: at most one Equi-X check, one signature recovery and
    /// two curve checks, together 0.2 ms. The directory checks the epoch and the consistency with
    /// other descriptors of the relay.
    ///
    /// # Errors
    ///
    /// The first rule that the descriptor breaks.
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

    /// The content of the descriptor.
    #[must_use]
    pub const fn draft(&self) -> &DescriptorDraft {
        &self.fields.draft
    }

    /// The bytes as signed.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }
}

/// A verified descriptor; only [`Descriptor::verify`] creates one. Cheap to clone.
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
    /// Whether another holder shares this copy.
    #[cfg(feature = "sim")]
    pub(super) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

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

    /// The epoch of the onion key; the descriptor also carries the key of the next epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.0.descriptor.draft().epoch
    }

    /// The onion key for `epoch`, if `epoch` is the epoch of the descriptor or the next one.
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

    /// Addresses at which the relay can be dialled.
    #[must_use]
    pub fn endpoints(&self) -> &[RelayEndpoint] {
        &self.0.descriptor.draft().endpoints
    }

    /// The kinds of addresses that the relay can dial.
    #[must_use]
    pub fn dials(&self) -> EndpointKinds {
        self.0.descriptor.draft().dials
    }

    /// Relays that this relay names as its family. A family relation counts only if it is mutual.
    #[must_use]
    pub fn declared_family(&self) -> &[RelayId] {
        &self.0.descriptor.draft().family
    }

    /// Mean arrival rate of mixing cells in the epoch before, as stated by the relay.
    #[must_use]
    pub fn arrivals(&self) -> ArrivalRate {
        self.0.descriptor.draft().arrivals
    }

    /// Difficulty of tickets for this relay, in bits.
    #[must_use]
    pub fn ticket_bits(&self) -> u8 {
        self.0.descriptor.draft().ticket_bits
    }

    /// The bytes as signed, flooded and stored.
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
    /// An unsigned descriptor of a relay with an arbitrary id, for tests of the code after
    /// verification. `onion` is the key of this epoch and of the next one.
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

    /// The first eight bytes, with which peers list the descriptors that they have.
    #[must_use]
    pub const fn prefix(&self) -> [u8; 8] {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        [a, b, c, d, e, f, g, h]
    }
}

/// Reason why bytes are not a valid descriptor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum BadDescriptor {
    /// Its arrival rate is above the scale.
    ArrivalRate,
    /// It lists an address that nodes of this profile must not dial.
    AddressForbidden,
    /// The kinds of addresses that the relay can dial are none, or unknown ones.
    Dials,
    /// The endpoints are not in ascending order of kind, or two have the same kind.
    EndpointOrder,
    /// The family ids are not in strictly ascending order.
    FamilyOrder,
    /// It is not a list of the fields of a descriptor.
    Malformed,
    /// It lists no endpoint.
    NoEndpoint,
    /// It is readable, but not the canonical encoding of its content.
    NotCanonical,
    /// An onion key is not canonical, not on the curve, or of the wrong order.
    OnionKey,
    /// It is longer than [`MAX_DESCRIPTOR_LEN`].
    Oversize,
    /// The puzzle is not solved for this relay, epoch, network and effort.
    Puzzle,
    /// The relay did not sign it for this network, or the signature is not in canonical form.
    Signature,
    /// Its ticket bits are outside the range of the network.
    TicketBits,
    /// The version is not 1.
    Version,
}

impl fmt::Display for BadDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ArrivalRate => "arrival rate of the descriptor is not on the scale of 0 to 96",
            Self::AddressForbidden => "descriptor lists an address that must not be dialled",
            Self::Dials => "descriptor dials no known kind of address; expected 1 to 7",
            Self::EndpointOrder => "endpoints of the descriptor are not in ascending order of kind",
            Self::FamilyOrder => "family of the descriptor is not in strictly ascending order",
            Self::Malformed => "descriptor is malformed",
            Self::NoEndpoint => "descriptor lists no endpoint",
            Self::NotCanonical => "descriptor is not in canonical form",
            Self::OnionKey => "onion key of the descriptor is invalid",
            Self::Oversize => "descriptor has more than 1,024 bytes",
            Self::Puzzle => "puzzle of the descriptor is not solved",
            Self::Signature => "signature of the descriptor is invalid",
            Self::TicketBits => "ticket bits of the descriptor are outside 17 to 24",
            Self::Version => "descriptor has an unknown version; expected version 1",
        })
    }
}

impl core::error::Error for BadDescriptor {}

/// Checks the rules that concern a single field.
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

/// Maximum length of a descriptor, in bytes.
pub const MAX_DESCRIPTOR_LEN: usize = 1_024;
/// Maximum number of family members that a relay can name.
pub const MAX_FAMILY: usize = 16;
/// Ticket difficulty that a relay may require, in bits (spec M13).
pub const TICKET_BITS: core::ops::RangeInclusive<u8> = 17..=24;

/// Mean number of Equi-X solutions on the main network: minutes of one core every twelve hours.
const MAIN_EFFORT: u32 = 1 << 16;
