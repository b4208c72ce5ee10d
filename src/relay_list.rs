//! Relay lists: the relays that m of n signers vouch for (spec M1, clause a; docs/wire/relay-list.md).
//!
//! A list is valid for a range of epochs. Its header names the signers, their threshold and, for a
//! rotation, the signers of later lists; each signature covers the header, and the header covers the
//! relays by a digest. A later list carries the headers of earlier rotations with their signatures, so
//! that a node whose configuration pins the signers of today can follow them. [`RelayList`] is decoded
//! and not trusted, [`VerifiedList`] is signed by the pinned signers or their successors, and
//! [`ListStore`] decides which one is in force in an epoch.
//!
//! This module reads no clock and no file. It never takes signers or a threshold from the list that it
//! judges: the caller pins them.

mod draft;
mod entry;
mod error;
mod header;
mod signatures;
mod signers;
mod store;

use std::sync::Arc;

use circuits::directory::SigningKey;
use circuits::ids::{Epoch, NetworkId, Profile};

pub use draft::ListDraft;
pub use entry::{ListedRelay, MAX_FAMILY_MEMBERS};
pub use error::{BadRelayList, ListMergeError};
pub use header::{ListHeader, ListId, MAX_VALIDITY};
pub use signers::{BadSignerSet, MAX_SIGNERS, SignerId, SignerSet};
pub use store::{HeldList, ListInsertion, ListRefusal, ListStore, MAX_AHEAD};

use self::entry::{decode_relays, encode_relays};
use self::signatures::ListSignatures;
use crate::rlp::{RlpReader, RlpWriter};

/// Bytes of the longest list. 1,024 relays with an onion service each fit.
pub const MAX_LIST_LEN: usize = 131_072;
/// Maximum number of relays in a list.
pub const MAX_LISTED: usize = 1_024;
/// Maximum number of earlier rotations that a list carries.
pub const MAX_ROTATIONS: usize = 8;

/// A header with signatures: the signed part of a list without its relays.
#[derive(Clone, Debug, Eq, PartialEq)]
struct SignedHeader {
    header: ListHeader,
    signatures: ListSignatures,
}

impl SignedHeader {
    fn decode(fields: &mut RlpReader<'_>) -> Result<Self, BadRelayList> {
        Ok(Self {
            header: ListHeader::decode(&mut fields.list()?)?,
            signatures: ListSignatures::decode(&mut fields.list()?)?,
        })
    }

    fn encode(&self, out: &mut RlpWriter) {
        out.encoded(&self.header.encode());
        self.signatures.encode(out);
    }

    /// Checks the signatures against the signers that the header names. The caller checks that these
    /// are the right ones.
    fn verify(&self) -> Result<(), BadRelayList> {
        let Self { header, signatures } = self;
        signatures.verify(header.id(), &header.signers)
    }
}

/// A list as it was decoded or drafted. None of its signatures is verified.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RelayList {
    signed: SignedHeader,
    relays: Vec<ListedRelay>,
    /// The headers of earlier rotations with their signatures, oldest first.
    rotations: Vec<SignedHeader>,
}

impl RelayList {
    /// Decodes a list: `[header, signatures, relays, rotations]`.
    ///
    /// # Errors
    ///
    /// The first rule of the format that `raw` breaks.
    pub fn decode(raw: &[u8]) -> Result<Self, BadRelayList> {
        if raw.len() > MAX_LIST_LEN {
            return Err(BadRelayList::Oversize(raw.len()));
        }
        let mut fields = RlpReader::only_list(raw)?;
        let signed = SignedHeader::decode(&mut fields)?;
        let relays = decode_relays(&mut fields.list()?)?;
        let rotations = decode_rotations(&mut fields.list()?, &signed.header)?;
        fields.finish()?;
        let list = Self {
            signed,
            relays,
            rotations,
        };
        if list.encode() != raw {
            return Err(BadRelayList::NotCanonical);
        }
        list.check_digest()?;
        Ok(list)
    }

    /// The one encoding of the list.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        RlpWriter::only_list(|out| {
            self.signed.encode(out);
            out.encoded(&encode_relays(&self.relays));
            out.list(|out| {
                for rotation in &self.rotations {
                    out.list(|out| rotation.encode(out));
                }
            });
        })
    }

    fn check_digest(&self) -> Result<(), BadRelayList> {
        let digest = header::relays_digest(&encode_relays(&self.relays));
        if digest != self.signed.header.relays {
            return Err(BadRelayList::RelaysDigest);
        }
        Ok(())
    }

    /// Verifies the list for a network, from the signers that the caller pins.
    ///
    /// The cost is bounded for every input: at most 144 signatures, 15 ms of one core.
    ///
    /// # Errors
    ///
    /// The first rule that the list breaks.
    pub fn verify(
        self,
        network: NetworkId,
        profile: Profile,
        pinned: &SignerSet,
    ) -> Result<VerifiedList, BadRelayList> {
        let header = self.header();
        if header.network != network {
            return Err(BadRelayList::Network);
        }
        let mut followed = self.follow_rotations(pinned)?;
        let trusted = followed.last().map_or(pinned, |(_, next)| next);
        if header.signers.threshold() != trusted.threshold()
            && header.signers.ids() == trusted.ids()
        {
            return Err(BadRelayList::Threshold {
                stated: header.signers.threshold(),
                pinned: trusted.threshold(),
            });
        }
        if header.signers != *trusted {
            return Err(BadRelayList::Signers);
        }
        self.signed.verify()?;
        let mut hints = self.relays.iter().filter_map(|relay| relay.hint);
        if hints.any(|hint| !hint.allowed(profile)) {
            return Err(BadRelayList::AddressForbidden);
        }
        if let Some(next) = &header.next {
            followed.push((header.from, next.clone()));
        }
        Ok(VerifiedList(Arc::new(CheckedList {
            id: header.id(),
            raw: self.encode(),
            rotations: followed,
            list: self,
        })))
    }

    /// Follows the rotations from the pinned signers: for each, the epoch of its list, and the signers of later
    /// lists.
    fn follow_rotations(
        &self,
        pinned: &SignerSet,
    ) -> Result<Vec<(Epoch, SignerSet)>, BadRelayList> {
        let mut followed: Vec<(Epoch, SignerSet)> = Vec::new();
        for rotation in &self.rotations {
            let header = &rotation.header;
            let trusted = followed.last().map_or(pinned, |(_, next)| next);
            // Rotations before the pinned signers cannot be judged, and are not needed.
            if header.network != self.header().network || header.signers != *trusted {
                continue;
            }
            rotation.verify()?;
            followed.extend(header.next.clone().map(|next| (header.from, next)));
        }
        Ok(followed)
    }

    /// What is signed.
    #[must_use]
    pub const fn header(&self) -> &ListHeader {
        &self.signed.header
    }

    /// The relays, in ascending order of their keys.
    #[must_use]
    pub fn relays(&self) -> &[ListedRelay] {
        &self.relays
    }

    /// Number of earlier rotations that the list carries.
    #[must_use]
    pub const fn rotations(&self) -> usize {
        self.rotations.len()
    }

    /// Adds the signature of a signer that the header names.
    ///
    /// # Errors
    ///
    /// [`BadRelayList::NotASigner`] if the header does not name the key.
    pub fn sign(&mut self, key: &SigningKey) -> Result<SignerId, BadRelayList> {
        let SignedHeader { header, signatures } = &mut self.signed;
        signatures.sign(header.id(), &header.signers, key)
    }

    /// Adds the signatures of another copy of the same list.
    ///
    /// # Errors
    ///
    /// [`ListMergeError`] if the other one is another list; this one is then unchanged.
    pub fn merge(&mut self, other: &Self) -> Result<(), ListMergeError> {
        let (own, others) = (self.header().id(), other.header().id());
        if own != others {
            return Err(ListMergeError::Different { own, others });
        }
        if self.rotations != other.rotations {
            return Err(ListMergeError::Rotations);
        }
        self.signed.signatures.merge(&other.signed.signatures);
        Ok(())
    }

    /// The signers whose signatures are valid, and the number of those that are not.
    #[must_use]
    pub fn signed_by(&self) -> (Vec<SignerId>, usize) {
        let SignedHeader { header, signatures } = &self.signed;
        signatures.valid(header.id(), &header.signers)
    }

    /// The rotations that a list after this one carries: those of this list and, if it names other
    /// signers for later lists, its own header.
    fn rotations_after(&self) -> Vec<SignedHeader> {
        let own = self.signed.header.next.is_some();
        let own = own.then(|| self.signed.clone());
        self.rotations.iter().cloned().chain(own).collect()
    }
}

fn decode_rotations(
    items: &mut RlpReader<'_>,
    last: &ListHeader,
) -> Result<Vec<SignedHeader>, BadRelayList> {
    let mut rotations: Vec<SignedHeader> = Vec::new();
    while !items.is_empty() {
        if rotations.len() == MAX_ROTATIONS {
            return Err(BadRelayList::TooManyRotations);
        }
        let mut fields = items.list()?;
        let rotation = SignedHeader::decode(&mut fields)?;
        fields.finish()?;
        let before = rotations.last().map(|before| before.header.from);
        let is_later = before.is_none_or(|before| before < rotation.header.from);
        if !is_later || rotation.header.next.is_none() || rotation.header.from >= last.from {
            return Err(BadRelayList::RotationOrder);
        }
        rotations.push(rotation);
    }
    Ok(rotations)
}

/// A list that is signed by the pinned signers or their successors; only [`RelayList::verify`] creates
/// one. Cheap to clone.
#[derive(Clone, Debug)]
pub struct VerifiedList(Arc<CheckedList>);

#[derive(Debug)]
struct CheckedList {
    id: ListId,
    raw: Vec<u8>,
    /// The rotations from the pinned signers on, its own included: the epoch of the rotating list, and
    /// the signers of later lists.
    rotations: Vec<(Epoch, SignerSet)>,
    list: RelayList,
}

impl VerifiedList {
    /// The digest of the header, which tells lists apart. Copies with other signatures share it.
    #[must_use]
    pub fn id(&self) -> ListId {
        self.0.id
    }

    /// The bytes as received.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.0.raw
    }

    /// What is signed.
    #[must_use]
    pub fn header(&self) -> &ListHeader {
        self.0.list.header()
    }

    /// The relays, in ascending order of their keys.
    #[must_use]
    pub fn relays(&self) -> &[ListedRelay] {
        self.0.list.relays()
    }

    /// Number of signers whose signatures the list carries.
    #[must_use]
    pub fn signatures(&self) -> usize {
        self.0.list.signed.signatures.len()
    }

    fn rotations(&self) -> &[(Epoch, SignerSet)] {
        &self.0.rotations
    }
}

#[cfg(test)]
mod tests;
