//! Scatter: one message becomes `n` shards, each in an envelope of its own, of which any `k` yield it.
//!
//! Each envelope is of the smallest class and fits into one cell, so no relay and no rendezvous ever
//! holds two things that belong together. Only a reader, whose key decrypts the envelopes, collects
//! the shards. The message first passes the all-or-nothing transform ([`circuits::aont`]): fewer than
//! `k` shards yield no part of it.
//!
//! The codec is independent of the encryption around each shard. A [`ScatterProfile`] says how many
//! bytes of a shard that encryption leaves room for; [`ScatterShard::encode`] writes what goes inside.
//! A message is a byte string here, and contains its own signature, padding and tag. The transform and
//! the code authenticate nothing: a sender that knows the key of a reader can send it shards, also of a set
//! of another sender. [`Reassembly`] bounds what such shards cost.

mod class;
mod reassembly;
mod shard;

use core::fmt;

use circuits::aont;
use circuits::dispersal::disperse_package;
use rand_core::CryptoRng;

pub use self::class::{ScatterClass, ScatterProfile};
pub use self::reassembly::{Reassembled, Reassembly, ReassemblyLimits};
pub use self::shard::{ScatterShard, ScatterShardError, SetId};

/// Scatters a message: the shards of one new set, in the order of their indices.
///
/// Two calls give unrelated shards, even for the same message.
///
/// # Errors
///
/// [`MessageTooLong`] if no class holds the message.
pub fn scatter(
    rng: &mut impl CryptoRng,
    profile: ScatterProfile,
    message: &[u8],
) -> Result<Vec<ScatterShard>, MessageTooLong> {
    let too_long = || MessageTooLong {
        len: message.len(),
        max: ScatterClass::LARGEST.capacity(profile),
    };
    let class = ScatterClass::of_message(profile, message.len()).ok_or_else(too_long)?;
    let set = SetId::draw(rng);
    let package = aont::pack(rng, message, class.package_len(profile)).map_err(|_| too_long())?;
    let shards = disperse_package(class.k(), class.n(), &package).map_err(|_| too_long())?;
    let shard = |(index, bytes)| ScatterShard {
        set,
        class,
        index,
        bytes,
    };
    Ok((0..).zip(shards).map(shard).collect())
}

/// The message exceeds the largest class.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MessageTooLong {
    /// Its length in bytes.
    pub len: usize,
    /// The longest message, in bytes.
    pub max: usize,
}

impl fmt::Display for MessageTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { len, max } = self;
        write!(
            f,
            "a message of {len} bytes exceeds the longest that can be scattered: {max} bytes"
        )
    }
}

impl core::error::Error for MessageTooLong {}

#[cfg(test)]
mod tests;
