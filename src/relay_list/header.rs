//! The header of a relay list: everything that is signed.

use core::fmt;

use circuits::ids::{Epoch, NetworkId};
use sha3::{Digest, Keccak256};

use super::{BadRelayList, SignerSet};
use crate::rlp::{RlpReader, RlpWriter};

/// Maximum number of epochs for which a list is valid: 31 days.
pub const MAX_VALIDITY: u32 = 62;

/// What the signers sign.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ListHeader {
    /// The network of the relays.
    pub network: NetworkId,
    /// The first epoch in which the list is valid. No two lists share it.
    pub from: Epoch,
    /// The first epoch in which the list is not valid any more.
    pub until: Epoch,
    /// The signers of this list.
    pub signers: SignerSet,
    /// The signers of later lists, if they change.
    pub next: Option<SignerSet>,
    /// Keccak-256 of the encoded relays.
    pub relays: [u8; 32],
}

impl ListHeader {
    /// Keccak-256("whisht/1/relay-list" | header), which is what the signers sign.
    #[must_use]
    pub fn id(&self) -> ListId {
        let hash = Keccak256::new()
            .chain_update(b"whisht/1/relay-list")
            .chain_update(self.encode());
        ListId(hash.finalize().into())
    }

    /// Whether the list is valid in an epoch.
    #[must_use]
    pub fn is_valid_in(&self, epoch: Epoch) -> bool {
        (self.from..self.until).contains(&epoch)
    }

    pub(super) fn decode(fields: &mut RlpReader<'_>) -> Result<Self, BadRelayList> {
        if fields.integer()? != u64::from(VERSION) {
            return Err(BadRelayList::Version);
        }
        let header = Self {
            network: NetworkId(fields.array()?),
            from: epoch(fields)?,
            until: epoch(fields)?,
            signers: signers(&mut fields.list()?)?.ok_or(BadRelayList::Malformed)?,
            next: signers(&mut fields.list()?)?,
            relays: fields.array()?,
        };
        if !fields.is_empty() {
            return Err(BadRelayList::Malformed);
        }
        header.check()?;
        Ok(header)
    }

    /// Checks the rules that concern the header alone.
    pub(super) fn check(&self) -> Result<(), BadRelayList> {
        let epochs = self.until.0.checked_sub(self.from.0);
        if epochs.is_none_or(|epochs| !(1..=MAX_VALIDITY).contains(&epochs)) {
            return Err(BadRelayList::Validity);
        }
        if self.next.as_ref() == Some(&self.signers) {
            // A rotation to the same signers would take up one of the places for rotations.
            return Err(BadRelayList::NotCanonical);
        }
        Ok(())
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        RlpWriter::only_list(|out| {
            out.integer(VERSION).bytes(&self.network.0);
            out.integer(self.from.0).integer(self.until.0);
            out.list(|out| self.signers.encode(out));
            out.list(|out| {
                if let Some(next) = &self.next {
                    next.encode(out);
                }
            });
            out.bytes(&self.relays);
        })
    }
}

fn epoch(fields: &mut RlpReader<'_>) -> Result<Epoch, BadRelayList> {
    let epoch = u32::try_from(fields.integer()?).map_err(|_| BadRelayList::Malformed)?;
    Ok(Epoch(epoch))
}

/// A set of signers; `None` for an empty list.
fn signers(fields: &mut RlpReader<'_>) -> Result<Option<SignerSet>, BadRelayList> {
    if fields.is_empty() {
        return Ok(None);
    }
    let signers = SignerSet::decode(fields)?;
    if !fields.is_empty() {
        return Err(BadRelayList::Malformed);
    }
    Ok(Some(signers))
}

/// Keccak-256 of the encoded relays.
pub(super) fn relays_digest(encoded: &[u8]) -> [u8; 32] {
    Keccak256::digest(encoded).into()
}

/// The digest of a header, which names its list.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct ListId(pub [u8; 32]);

impl fmt::Display for ListId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ListId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ListId({self})")
    }
}

const VERSION: u8 = 1;
