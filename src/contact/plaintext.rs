//! What stands inside the outer encryption of a first message or a step: a body, a shard, or nothing.
//!
//! `type 1 | ..` fills the size class of its envelope with zeros. Type 0 is a whole body: `len 4 | body`.
//! Type 1 is a shard of a [`scatter`](crate::scatter) set, whose message is a plaintext of type 0 or 3
//! without its zeros. Type 2 is a dummy. Type 3 is a body that resynchronises a chain:
//! `len 4 | index 4 | body`. Nothing here encrypts.

use core::fmt;

use circuits::bytes::{ByteReader, Truncated};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::envelope::{SizeClass, TtlClass};
use crate::scatter::{MessageTooLong, ScatterProfile, ScatterShard, ScatterShardError, scatter};

use super::outer::SEAL_OVERHEAD;

/// A body, as it is before it is padded or scattered.
#[derive(Eq, PartialEq)]
pub struct SealedBody {
    /// The sender's next index, if the body came through a resync slot.
    pub resync: Option<u32>,
    /// The body: that of a first message, or a message of Olm.
    pub body: Zeroizing<Vec<u8>>,
}

impl SealedBody {
    /// Encodes the body with its type, without zeros behind.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let len = u32::try_from(self.body.len())
            .unwrap_or(u32::MAX)
            .to_be_bytes();
        let encoded = match self.resync {
            None => [&[WHOLE], &len[..], &self.body].concat(),
            Some(index) => [&[RESYNC], &len[..], &index.to_be_bytes(), &self.body].concat(),
        };
        Zeroizing::new(encoded)
    }

    /// Length of the encoding of a body of `len` bytes.
    #[must_use]
    pub const fn encoded_len(len: usize, is_resync: bool) -> usize {
        len.saturating_add(if is_resync { 9 } else { 5 })
    }

    /// Decodes the message of a set of shards: an encoding without zeros.
    ///
    /// # Errors
    ///
    /// [`BadPlaintext`] if it is not of type 0 or 3, or if bytes are missing or left.
    pub fn decode_exact(bytes: &[u8]) -> Result<Self, BadPlaintext> {
        let (body, rest) = Self::read(bytes)?;
        rest.is_empty().then_some(body).ok_or(BadPlaintext::Length)
    }

    fn read(bytes: &[u8]) -> Result<(Self, &[u8]), BadPlaintext> {
        let mut fields = ByteReader::new(bytes);
        let kind = fields.u8()?;
        let len = usize::try_from(fields.u32()?).map_err(|_| BadPlaintext::Length)?;
        let resync = match kind {
            WHOLE => None,
            RESYNC => Some(fields.u32()?),
            _ => return Err(BadPlaintext::Type),
        };
        let body = Zeroizing::new(fields.take(len)?.to_vec());
        Ok((Self { resync, body }, fields.rest()))
    }
}

impl fmt::Debug for SealedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedBody(..)")
    }
}

/// The plaintext of one envelope.
#[derive(Debug, Eq, PartialEq)]
pub enum OuterPlaintext {
    /// A whole body.
    Body(SealedBody),
    /// One shard of a body.
    Shard(ScatterShard),
    /// Nothing.
    Dummy,
}

impl OuterPlaintext {
    /// Decodes a plaintext.
    ///
    /// # Errors
    ///
    /// [`BadPlaintext`] names the rule that the bytes break. Their sender is at fault.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadPlaintext> {
        let (kind, rest) = bytes.split_first().ok_or(BadPlaintext::Length)?;
        match *kind {
            WHOLE | RESYNC => {
                let (body, zeros) = SealedBody::read(bytes)?;
                check_zeros(zeros)?;
                Ok(Self::Body(body))
            }
            SHARD => {
                let (shard, zeros) = rest
                    .split_at_checked(SHARD_LEN)
                    .ok_or(BadPlaintext::Length)?;
                if zeros.len() > MAX_SHARD_ZEROS {
                    return Err(BadPlaintext::Length);
                }
                check_zeros(zeros)?;
                let shard = ScatterShard::decode(ScatterProfile::Conversation, shard)?;
                Ok(Self::Shard(shard))
            }
            DUMMY => Ok(Self::Dummy),
            _ => Err(BadPlaintext::Type),
        }
    }
}

/// The smallest class whose envelopes hold an encoded body of `len` bytes; `None` if it needs shards.
#[must_use]
pub fn class_of_encoded(len: usize, ttl: TtlClass) -> Option<SizeClass> {
    let mut classes = SizeClass::ALL.into_iter();
    classes.find(|class| plaintext_len(*class, ttl) >= len)
}

/// Length of the plaintext that makes an envelope of a class.
#[must_use]
pub fn plaintext_len(class: SizeClass, ttl: TtlClass) -> usize {
    class.data_len(ttl).saturating_sub(SEAL_OVERHEAD)
}

/// Fills an encoded body with zeros up to the plaintext of a class.
///
/// # Errors
///
/// [`BadPlaintext::Length`] if the body is longer.
pub fn fill(
    encoded: &[u8],
    class: SizeClass,
    ttl: TtlClass,
) -> Result<Zeroizing<Vec<u8>>, BadPlaintext> {
    let len = plaintext_len(class, ttl);
    if encoded.len() > len {
        return Err(BadPlaintext::Length);
    }
    let mut plaintext = Zeroizing::new(Vec::with_capacity(len));
    plaintext.extend_from_slice(encoded);
    plaintext.resize(len, 0);
    Ok(plaintext)
}

/// Scatters an encoded body: the shards of one new set.
///
/// # Errors
///
/// [`MessageTooLong`] if no class of shards holds the body.
pub fn scatter_encoded(
    rng: &mut impl CryptoRng,
    encoded: &[u8],
) -> Result<Vec<ScatterShard>, MessageTooLong> {
    scatter(rng, ScatterProfile::Conversation, encoded)
}

/// The plaintext of the envelope of one shard, of the smallest class.
#[must_use]
pub fn shard_plaintext(shard: &ScatterShard, ttl: TtlClass) -> Zeroizing<Vec<u8>> {
    let mut plaintext = Zeroizing::new(vec![SHARD]);
    plaintext.extend_from_slice(&shard.encode());
    plaintext.resize(plaintext_len(SizeClass::SMALLEST, ttl), 0);
    plaintext
}

fn check_zeros(bytes: &[u8]) -> Result<(), BadPlaintext> {
    let is_zero = bytes.iter().all(|byte| *byte == 0);
    is_zero.then_some(()).ok_or(BadPlaintext::Zeros)
}

/// Reason why bytes are not a plaintext.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadPlaintext {
    /// Bytes are missing or left.
    #[error("the plaintext does not have the length that it states")]
    Length,
    /// The shard breaks a rule of shards.
    #[error("the shard in the plaintext is not valid: {0}")]
    Shard(ScatterShardError),
    /// The type is unknown, or not allowed here.
    #[error("the plaintext has an unknown type")]
    Type,
    /// A byte of the filling is not zero.
    #[error("a byte behind the plaintext is not zero")]
    Zeros,
}

impl From<Truncated> for BadPlaintext {
    fn from(_: Truncated) -> Self {
        Self::Length
    }
}

impl From<ScatterShardError> for BadPlaintext {
    fn from(error: ScatterShardError) -> Self {
        Self::Shard(error)
    }
}

const WHOLE: u8 = 0;
const SHARD: u8 = 1;
const DUMMY: u8 = 2;
const RESYNC: u8 = 3;

/// Length of an encoded shard.
const SHARD_LEN: usize = ScatterShard::encoded_len(ScatterProfile::Conversation);
/// The data of the smallest class has one byte more with a lifetime below 65,536 s.
const MAX_SHARD_ZEROS: usize = 1;

#[cfg(test)]
mod tests;
