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
    if class != Class::whole() {
        shards.resize_with(usize::from(class.n()), || Box::new([0; SHARD_LEN]));
        let parity = shards.iter_mut().skip(data.len());
        let mut parity: Vec<_> = parity.map(|shard| shard.as_mut_slice()).collect();
        fill_parity(class.k(), class.n(), data, &mut parity)?;
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
    let shards = shards
        .iter()
        .map(|(index, shard)| (*index, shard.as_slice()));
    let shards: Vec<_> = shards.collect();
    let package = rebuild_package(class.k(), class.n(), SHARD_LEN, &shards)?;
    let envelope = aont::unpack(package).map_err(|NotWhole| RebuildError::NotWhole)?;
    if class.suits(envelope.len()) {
        Ok(envelope)
    } else {
        Err(RebuildError::WrongClass)
    }
}

/// Cuts a package into `k` shards of equal length, and adds the parity shards up to `n`. The shape
/// must be one of [`SHAPES`].
///
/// # Errors
///
/// [`WrongClass`] if there is no such shape, or if the package does not divide into `k` shards.
pub fn disperse_package(k: u8, n: u8, package: &[u8]) -> Result<Vec<Vec<u8>>, WrongClass> {
    let data = usize::from(k);
    let len = package.len().checked_div(data).ok_or(WrongClass)?;
    if len == 0 || len.saturating_mul(data) != package.len() {
        return Err(WrongClass);
    }
    let mut shards: Vec<Vec<u8>> = package.chunks_exact(len).map(<[u8]>::to_vec).collect();
    shards.resize_with(usize::from(n), || vec![0; len]);
    let (data, parity) = shards.split_at_mut_checked(data).ok_or(WrongClass)?;
    fill_parity(k, n, data, parity)?;
    Ok(shards)
}

/// Rebuilds a package of `k` shards of `len` bytes from the first `k` of the given shards, each with
/// its index. The result is one possible package; only the caller can tell whether it is intact.
///
/// # Errors
///
/// [`RebuildError`] if there are too few shards, or if an index or a length is invalid.
pub fn rebuild_package(
    k: u8,
    n: u8,
    len: usize,
    shards: &[(u8, &[u8])],
) -> Result<Vec<u8>, RebuildError> {
    let data = usize::from(k);
    let shards = shards.get(..data).ok_or(RebuildError::TooFewShards)?;

    let mut package = vec![0; usize::from(n).saturating_mul(len)];
    let slots = package.chunks_exact_mut(len.max(1));
    let mut slots: Vec<_> = slots.map(|slot| (slot, false)).collect();
    for (index, shard) in shards {
        let (slot, present) = slots
            .get_mut(usize::from(*index))
            .ok_or(RebuildError::IndexOutOfRange)?;
        if *present {
            return Err(RebuildError::DuplicateIndex);
        }
        if shard.len() != slot.len() {
            return Err(RebuildError::WrongClass);
        }
        slot.copy_from_slice(shard);
        *present = true;
    }
    let complete = slots.iter().take(data).all(|(_, present)| *present);
    if !complete {
        codec(k, n)
            .ok_or(RebuildError::WrongClass)?
            .reconstruct_data(&mut slots)
            .map_err(|_| RebuildError::TooFewShards)?;
    }
    package.truncate(data.saturating_mul(len));
    Ok(package)
}

/// Computes the parity shards of these data shards.
fn fill_parity(
    k: u8,
    n: u8,
    data: &[impl AsRef<[u8]>],
    parity: &mut [impl AsRef<[u8]> + AsMut<[u8]>],
) -> Result<(), WrongClass> {
    let codec = codec(k, n).ok_or(WrongClass)?;
    // The call fails only for other counts or lengths than those of the codec.
    codec.encode_sep(data, parity).map_err(|_| WrongClass)
}

/// The codec of a shape, created at first use and then cached; `None` for another shape.
///
/// Creating a codec inverts a `k` by `k` matrix, which for larger shapes costs more than the
/// coding itself. Each codec also caches at most 254 decoding matrices: nine megabytes if all
/// shapes are in use.
fn codec(k: u8, n: u8) -> Option<&'static ReedSolomon> {
    static CODECS: [OnceLock<Option<ReedSolomon>>; SHAPES.len()] =
        [const { OnceLock::new() }; SHAPES.len()];

    let row = SHAPES.iter().position(|shape| *shape == (k, n))?;
    CODECS
        .get(row)?
        .get_or_init(|| ReedSolomon::new(k.into(), n.saturating_sub(k).into()).ok())
        .as_ref()
}

/// Every pair of `k` and `n` with a code: those of [`Class`], and those of scattered messages.
pub const SHAPES: [(u8, u8); 12] = [
    (2, 3),
    (3, 5),
    (4, 6),
    (6, 9),
    (8, 12),
    (12, 18),
    (16, 24),
    (24, 36),
    (32, 48),
    (48, 72),
    (64, 96),
    (107, 162),
];

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
