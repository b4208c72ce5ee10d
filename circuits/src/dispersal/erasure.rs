//! From envelope to pieces and back.

use core::fmt;
use std::sync::OnceLock;

use rand_core::CryptoRng;
use reed_solomon_erasure::galois_8::ReedSolomon;

use super::Class;
use crate::aont::{self, NotWhole};
use crate::geometry::SHARD_LEN;

/// Turns an envelope into the pieces of one set, in the order of their indices.
///
/// Two calls give pieces that share nothing, even for the same envelope.
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
        // Refuses counts and lengths that differ from the codec's; these are its own.
        codec
            .encode_sep(data, &mut parity)
            .map_err(|_| WrongClass)?;
    }
    Ok(shards)
}

/// Rebuilds the envelope from the first `k` of the given pieces, each with its index.
///
/// One decode, whatever comes of it: pieces that disagree are not told apart.
///
/// # Errors
///
/// [`RebuildError`] if the pieces are too few, are no set, or do not make a whole package.
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

/// The codec of a class, built at first use and kept; none for a package that travels whole.
///
/// Building one inverts a `k` by `k` matrix, which for the larger classes costs more than coding
/// does. Each keeps at most 254 decoding matrices besides: five megabytes if all classes are in use.
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

/// The envelope does not belong into the class.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WrongClass;

impl fmt::Display for WrongClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("envelope does not belong into this class")
    }
}

impl core::error::Error for WrongClass {}

/// Why pieces did not make an envelope.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum RebuildError {
    /// Two pieces carry the same index.
    DuplicateIndex,
    /// An index is not below `n`.
    IndexOutOfRange,
    /// A piece was altered or is of another set: the package's zero bytes are not zero.
    NotWhole,
    /// Fewer than `k` pieces.
    TooFewShards,
    /// The envelope should have travelled in another class.
    WrongClass,
}

impl fmt::Display for RebuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DuplicateIndex => "two pieces carry the same index",
            Self::IndexOutOfRange => "index is not below the number of shards",
            Self::NotWhole => "pieces do not make a whole package",
            Self::TooFewShards => "fewer pieces than the class requires",
            Self::WrongClass => "envelope should have travelled in another class",
        })
    }
}

impl core::error::Error for RebuildError {}
