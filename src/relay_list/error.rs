//! Reasons why a relay list is refused.

use super::{
    BadSignerSet, ListId, MAX_FAMILY_MEMBERS, MAX_LIST_LEN, MAX_LISTED, MAX_ROTATIONS, MAX_VALIDITY,
};
use crate::rlp::RlpError;

/// The reason why bytes are not a valid relay list.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadRelayList {
    /// A hint is an address that nodes must not dial.
    #[error("the relay list names an address that nodes of this profile must not dial")]
    AddressForbidden,
    /// The family of a relay has too many members.
    #[error("a family of the relay list has more than {MAX_FAMILY_MEMBERS} members")]
    FamilyTooLarge,
    /// It is not a list of the fields of a relay list.
    #[error("the relay list is malformed: its fields are not those of a list")]
    Malformed,
    /// It is for another network.
    #[error("the relay list is for another network")]
    Network,
    /// It lists no relay.
    #[error("the relay list names no relay")]
    NoRelay,
    /// It is readable, but not the canonical encoding of its content.
    #[error("the relay list is not in canonical form")]
    NotCanonical,
    /// It is another list than the peer announced.
    #[error("the relay list is not the one that the peer announced")]
    NotAnnounced,
    /// The key that is to sign it is not among its signers.
    #[error("the relay list does not name this key among its signers")]
    NotASigner,
    /// It has too many bytes.
    #[error("the relay list has {0} bytes, and the limit is {MAX_LIST_LEN}")]
    Oversize(usize),
    /// The relays are not those that were signed.
    #[error("the relays of the list are not those that its header names by their digest")]
    RelaysDigest,
    /// Two relays have one key, or the keys are not in ascending order.
    #[error("the relays of the list are not in strictly ascending order of their keys")]
    RelayOrder,
    /// The rotations are not in ascending order, are not before the list, or name no successor.
    #[error("the rotations of the relay list are not in ascending order before the list")]
    RotationOrder,
    /// A signature is not by the signer that it names.
    #[error("signature {0} of the relay list is not by the signer that it names")]
    Signature(u8),
    /// The numbers of the signers are not in strictly ascending order: one signer would count twice.
    #[error(
        "the signatures of the relay list are not in strictly ascending order of their signers"
    )]
    SignatureOrder,
    /// It names other signers than the pinned ones, and no valid rotation leads to them.
    #[error(
        "the relay list names other signers than the pinned ones, and no rotation that they signed leads \
         to them"
    )]
    Signers,
    /// The set of signers is not valid.
    #[error(transparent)]
    SignerSet(#[from] BadSignerSet),
    /// It states another threshold than the pinned one.
    #[error("the relay list states a threshold of {stated}, and the pinned one is {pinned}")]
    Threshold {
        /// What the list states.
        stated: usize,
        /// What the caller pins.
        pinned: usize,
    },
    /// Fewer signers than the threshold have signed.
    #[error("the relay list has the signatures of {signed} of its signers, and needs {threshold}")]
    TooFewSignatures {
        /// Number of signatures.
        signed: usize,
        /// The threshold.
        threshold: usize,
    },
    /// More relays than a list may name.
    #[error("the relay list names more than {MAX_LISTED} relays")]
    TooManyRelays,
    /// More rotations than a list may carry.
    #[error("the relay list carries more than {MAX_ROTATIONS} rotations; pin the signers of today")]
    TooManyRotations,
    /// The range of epochs is empty or too long.
    #[error("the relay list is valid for no epoch, or for more than {MAX_VALIDITY} epochs")]
    Validity,
    /// The version is not 1.
    #[error("the relay list has an unknown version; expected version 1")]
    Version,
}

impl From<RlpError> for BadRelayList {
    fn from(_: RlpError) -> Self {
        Self::Malformed
    }
}

/// The reason why two copies of a list cannot be merged.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ListMergeError {
    /// They are two lists.
    #[error("these are two lists, {own} and {others}; merge copies of one list")]
    Different {
        /// This one.
        own: ListId,
        /// The other one.
        others: ListId,
    },
    /// They carry other rotations.
    #[error("the two copies carry other rotations; draft both after the same previous list")]
    Rotations,
}
