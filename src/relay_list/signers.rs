//! Signers of relay lists: their ids, and a set of them with its threshold.
//!
//! A threshold is more than half of the set. Any two quorums then share a signer, so two lists for one
//! epoch prove that at least one signer has signed both.

use core::fmt;
use core::str::FromStr;

use circuits::ids::RelayKey;
use sha2::{Digest, Sha256};

use super::BadRelayList;
use crate::rlp::{RlpReader, RlpWriter};

/// Maximum number of signers.
pub const MAX_SIGNERS: usize = 16;

/// The digest of a signer's public key, by which configurations pin the signer.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct SignerId(pub [u8; 32]);

impl SignerId {
    /// `SHA-256("whisht/1/list-signer" | key)`, where `key` is the secp256k1 key of the signer.
    #[must_use]
    pub fn of(key: &RelayKey) -> Self {
        let hash = Sha256::new()
            .chain_update(b"whisht/1/list-signer")
            .chain_update(key.0);
        Self(hash.finalize().into())
    }
}

impl fmt::Display for SignerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for SignerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignerId({self})")
    }
}

impl FromStr for SignerId {
    type Err = BadSignerId;

    fn from_str(text: &str) -> Result<Self, BadSignerId> {
        let mut id = [0; 32];
        let digits = text.trim();
        hex::decode_to_slice(digits, &mut id).map_err(|_| BadSignerId)?;
        Ok(Self(id))
    }
}

/// A text is not the id of a signer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "expected the id of a signer (64 hexadecimal digits), as `whisht directory keygen` prints it"
)]
pub struct BadSignerId;

/// Signers, and how many of them must sign.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignerSet {
    threshold: usize,
    ids: Vec<SignerId>,
}

impl SignerSet {
    /// A set in which `threshold` of the signers must sign. The order of `ids` does not matter.
    ///
    /// # Errors
    ///
    /// [`BadSignerSet`] names the rule that is broken.
    pub fn new(threshold: usize, mut ids: Vec<SignerId>) -> Result<Self, BadSignerSet> {
        ids.sort_unstable();
        let signers = ids.len();
        if !(1..=MAX_SIGNERS).contains(&signers) {
            return Err(BadSignerSet::Count(signers));
        }
        let twice = ids.windows(2).find_map(|pair| match pair {
            [one, other] if one == other => Some(*one),
            _ => None,
        });
        if let Some(twice) = twice {
            return Err(BadSignerSet::Twice(twice));
        }
        let majority = Self::majority(signers);
        if !(majority..=signers).contains(&threshold) {
            return Err(BadSignerSet::Threshold {
                threshold,
                signers,
                majority,
            });
        }
        Ok(Self { threshold, ids })
    }

    /// The smallest threshold for a number of signers: more than half of them.
    #[must_use]
    pub const fn majority(signers: usize) -> usize {
        (signers / 2).saturating_add(1)
    }

    /// How many signers must sign.
    #[must_use]
    pub const fn threshold(&self) -> usize {
        self.threshold
    }

    /// The signers, in ascending order.
    #[must_use]
    pub fn ids(&self) -> &[SignerId] {
        &self.ids
    }

    /// The number of a signer in the set, from 0.
    pub(super) fn index_of(&self, signer: &SignerId) -> Option<u8> {
        let index = self.ids.binary_search(signer).ok()?;
        u8::try_from(index).ok()
    }

    /// The signer with this number.
    pub(super) fn get(&self, index: u8) -> Option<&SignerId> {
        self.ids.get(usize::from(index))
    }

    /// Reads `[threshold, [id, ..]]`, the ids in strictly ascending order.
    pub(super) fn decode(fields: &mut RlpReader<'_>) -> Result<Self, BadRelayList> {
        let threshold = fields.integer()?;
        let mut items = fields.list()?;
        let mut ids = Vec::new();
        while !items.is_empty() {
            if ids.len() == MAX_SIGNERS {
                return Err(BadSignerSet::Count(MAX_SIGNERS + 1).into());
            }
            ids.push(SignerId(items.array()?));
        }
        let threshold = usize::try_from(threshold).map_err(|_| BadRelayList::Malformed)?;
        Ok(Self::new(threshold, ids)?)
    }

    /// Writes the two fields.
    pub(super) fn encode(&self, out: &mut RlpWriter) {
        out.integer(u64::try_from(self.threshold).unwrap_or(u64::MAX));
        out.list(|out| {
            for SignerId(id) in &self.ids {
                out.bytes(id);
            }
        });
    }
}

/// The reason why signers and a threshold are not a valid set.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadSignerSet {
    /// Too few or too many signers.
    #[error("a set of signers has 1 to {MAX_SIGNERS} members; this one has {0}")]
    Count(usize),
    /// A threshold that two quorums without a common signer could reach, or that none can.
    #[error(
        "of {signers} signers, {majority} to {signers} must sign, and the threshold is {threshold}; with \
         fewer, two halves of the signers could sign two lists"
    )]
    Threshold {
        /// The threshold.
        threshold: usize,
        /// Number of signers.
        signers: usize,
        /// The smallest valid threshold.
        majority: usize,
    },
    /// A signer is named twice.
    #[error("the signer {0} is named twice; name each signer once")]
    Twice(SignerId),
}
