//! Encoding of an envelope into shards, and decoding of shards.

use core::fmt;
use std::sync::OnceLock;

use rand_core::CryptoRng;
use reed_solomon_erasure::galois_8::ReedSolomon;

use super::Class;
use crate::aont::{self, NotWhole};
use crate::geometry::SHARD_LEN;

/// Encodes an envelope into the shards of one set, ordered by index.
///
/// Two calls give unrelated shards, even for the same envelope.
///
/// # Errors
///
/// [`WrongClass`] if the envelope does not [suit](Class::suits) the class.
pub fn disperse(
    rng: &mut impl CryptoRng,
    class: Class,
    envelope: &[u8],
) -> Result<Vec<Box<[u8; SHARD_LEN]>>, WrongClass> {
    if !class.suits(envelope.len()) {
        return Err(WrongClass);
    }
    let package = aont::pack(rng, envelope, class.package_len()).map_err(|_| WrongClass)?;
    let (data, _) = package.as_chunks::<SHARD_LEN>();
    let mut shards: Vec<_> = data.iter().map(|shard| Box::new(*shard)).collect();
    if let Some(codec) = codec(class) {
        shards.resize_with(usize::from(class.n()), || Box::new([0; SHARD_LEN]));
        let parity = shards.iter_mut().skip(data.len());
        let mut parity: Vec<_> = parity.map(|shard| shard.as_mut_slice()).collect();
        // The call fails only for other counts or lengths than those of the codec.
        codec
            .encode_sep(data, &mut parity)
            .map_err(|_| WrongClass)?;
    }
    Ok(shards)
}

/// Rebuilds the envelope from the first `k` of the given shards, each with its index.
///
/// The shards are decoded once. If they disagree, the wrong shard is not identified.
///
/// # Errors
///
/// [`RebuildError`] if there are too few shards, if an index is invalid, or if the shards do not
/// form an intact package.
pub fn rebuild(class: Class, shards: &[(u8, &[u8; SHARD_LEN])]) -> Result<Vec<u8>, RebuildError> {
    let k = usize::from(class.k());
    let shards = shards.get(..k).ok_or(RebuildError::TooFewShards)?;

    let mut package = vec![0; usize::from(class.n()).saturating_mul(SHARD_LEN)];
    let (slots, _) = package.as_chunks_mut::<SHARD_LEN>();
    let mut slots: Vec<_> = slots
        .iter_mut()
        .map(|slot| (slot.as_mut_slice(), false))
        .collect();
    for (index, shard) in shards {
        let (slot, present) = slots
            .get_mut(usize::from(*index))
            .ok_or(RebuildError::IndexOutOfRange)?;
        if *present {
            return Err(RebuildError::DuplicateIndex);
        }
        slot.copy_from_slice(*shard);
        *present = true;
    }
    let complete = slots.iter().take(k).all(|(_, present)| *present);
    if let (false, Some(codec)) = (complete, codec(class)) {
        codec
            .reconstruct_data(&mut slots)
            .map_err(|_| RebuildError::TooFewShards)?;
    }
    package.truncate(class.package_len());

    let envelope = aont::unpack(package).map_err(|NotWhole| RebuildError::NotWhole)?;
    if class.suits(envelope.len()) {
        Ok(envelope)
    } else {
        Err(RebuildError::WrongClass)
    }
}

/// The codec of a class, created at first use and then cached; `None` for the single-cell class.
///
/// Creating a codec inverts a `k` by `k` matrix, which for larger classes costs more than the
/// coding itself. Each codec also caches at most 254 decoding matrices: five megabytes if all
/// classes are in use.
fn codec(class: Class) -> Option<&'static ReedSolomon> {
    static CODECS: [OnceLock<Option<ReedSolomon>>; Class::ALL.len()] =
        [const { OnceLock::new() }; Class::ALL.len()];

    let row = Class::ALL.iter().position(|row| *row == class)?;
    let data = usize::from(class.k());
    let parity = usize::from(class.n()).saturating_sub(data);
    CODECS
        .get(row)?
        .get_or_init(|| ReedSolomon::new(data, parity).ok())
        .as_ref()
}

/// The envelope does not belong to the class.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WrongClass;

impl fmt::Display for WrongClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("length of the envelope does not belong to this class")
    }
}

impl core::error::Error for WrongClass {}

/// Reason why shards do not yield an envelope.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum RebuildError {
    /// Two shards have the same index.
    DuplicateIndex,
    /// An index is not below `n`.
    IndexOutOfRange,
    /// A shard was altered or belongs to another set: the package's zero bytes are not zero.
    NotWhole,
    /// There are fewer than `k` shards.
    TooFewShards,
    /// The length of the envelope belongs to another class.
    WrongClass,
}

impl fmt::Display for RebuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DuplicateIndex => "two shards have the same index",
            Self::IndexOutOfRange => "shard index is not below the number of shards",
            Self::NotWhole => "shards do not form an intact package",
            Self::TooFewShards => "fewer shards than the class requires",
            Self::WrongClass => "length of the envelope belongs to another class",
        })
    }
}

impl core::error::Error for RebuildError {}
