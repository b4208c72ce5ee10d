//! The encoding of one shard: what stands inside the encryption of an envelope.
//!
//! `set 8 | k 1 | index 1 | zeros 3 | shard`. The length of the shard is that of its profile, so
//! there is no field for it. Nothing outside the encryption shows that an envelope carries a shard.

use core::fmt;

use circuits::bytes::{ByteReader, Truncated};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{ScatterClass, ScatterProfile};

/// Random identifier of a set, the same in all its shards.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SetId(pub [u8; 8]);

impl SetId {
    /// Draws the identifier of a new set.
    #[must_use]
    pub fn draw(rng: &mut impl CryptoRng) -> Self {
        let mut id = [0; 8];
        rng.fill_bytes(&mut id);
        Self(id)
    }
}

impl fmt::Debug for SetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SetId(..)")
    }
}

/// One shard of a scattered message.
#[derive(Clone, Eq, PartialEq)]
pub struct ScatterShard {
    /// Its set.
    pub set: SetId,
    /// The shape of the set.
    pub class: ScatterClass,
    /// Its index, below the `n` of the class.
    pub index: u8,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl ScatterShard {
    /// Length of what precedes the shard, in bytes.
    pub const HEADER_LEN: usize = 8 + 1 + 1 + RESERVED.len();

    /// Length of an encoded shard, in bytes.
    #[must_use]
    pub const fn encoded_len(profile: ScatterProfile) -> usize {
        Self::HEADER_LEN.saturating_add(profile.shard_len())
    }

    /// Encodes the shard.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut body = Vec::with_capacity(Self::HEADER_LEN.saturating_add(self.bytes.len()));
        body.extend_from_slice(&self.set.0);
        body.extend_from_slice(&[self.class.k(), self.index]);
        body.extend_from_slice(&RESERVED);
        body.extend_from_slice(&self.bytes);
        Zeroizing::new(body)
    }

    /// Decodes a shard of a profile.
    ///
    /// # Errors
    ///
    /// The first rule that the body breaks. Its sender is at fault.
    pub fn decode(profile: ScatterProfile, body: &[u8]) -> Result<Self, ScatterShardError> {
        if body.len() != Self::encoded_len(profile) {
            return Err(ScatterShardError::Length);
        }
        let mut fields = ByteReader::new(body);
        let set = SetId(fields.array()?);
        let class = ScatterClass::of_needed(fields.u8()?).ok_or(ScatterShardError::UnknownClass)?;
        let index = fields.u8()?;
        if index >= class.n() {
            return Err(ScatterShardError::IndexOutOfRange);
        }
        if fields.array()? != RESERVED {
            return Err(ScatterShardError::Reserved);
        }
        Ok(Self {
            set,
            class,
            index,
            bytes: fields.rest().to_vec(),
        })
    }
}

impl fmt::Debug for ScatterShard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScatterShard")
            .field("class", &self.class)
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

/// Reason why bytes are not a shard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ScatterShardError {
    /// The index is not below `n`.
    IndexOutOfRange,
    /// The length is not that of a shard of this profile.
    Length,
    /// A reserved byte is not zero.
    Reserved,
    /// No class needs this number of shards.
    UnknownClass,
}

impl From<Truncated> for ScatterShardError {
    fn from(_: Truncated) -> Self {
        Self::Length
    }
}

impl fmt::Display for ScatterShardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IndexOutOfRange => "shard index is not below the number of shards",
            Self::Length => "shard does not have the length of its profile",
            Self::Reserved => "reserved byte of a shard is not zero",
            Self::UnknownClass => "no class needs this number of shards",
        })
    }
}

impl core::error::Error for ScatterShardError {}

/// Must be zero; a later version may use them.
const RESERVED: [u8; 3] = [0; 3];
