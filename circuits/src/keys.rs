//! Onion keys: the X25519 key pair of a relay for one epoch, and its lifetime.
//!
//! A public key is checked before a cell is encrypted for it. An origin multiplies its scalars
//! modulo the group order, which agrees with the relay's arithmetic only in the prime-order
//! subgroup of the curve. If the key had a torsion component, the relay would learn the origin's
//! scalar modulo eight. [`OnionPublic`] is the proof of the check.
//!
//! A key is valid from one hour before its epoch until twelve hours after it. Then it is wiped,
//! together with the replay tags of the cells that it decrypted: see [`OnionKeyring`]. The keys of
//! a single layer are derived in `layer`. Nothing here stores a key; [`OnionSecret::expose`] lets
//! the caller encrypt it for storage.

pub(crate) mod element;
mod keyring;
pub(crate) mod layer;

use core::fmt;

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::montgomery::MontgomeryPoint;
use rand_core::CryptoRng;
use subtle::ConstantTimeEq;

use self::element::Element;
pub use self::keyring::{DuplicateKey, HeldKey, OnionKeyring, acceptance};
use crate::secret::Secret;

/// The secret half of a relay's onion key, wiped on drop.
pub struct OnionSecret {
    /// Stored as drawn; clamped at each use, as RFC 7748 requires.
    scalar: Secret<32>,
    public: OnionPublic,
}

impl OnionSecret {
    /// Generates a key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self::from_secret(Secret::init_with(|bytes| rng.fill_bytes(bytes)))
    }

    /// Restores a key that was generated before.
    #[must_use]
    pub fn from_secret(scalar: Secret<32>) -> Self {
        let point = EdwardsPoint::mul_base_clamped(*scalar.expose());
        let bytes = point.to_montgomery().to_bytes();
        Self {
            scalar,
            public: OnionPublic { bytes, point },
        }
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> &OnionPublic {
        &self.public
    }

    /// The secret bytes. Use them only to encrypt the key for storage.
    #[must_use]
    pub const fn expose(&self) -> &Secret<32> {
        &self.scalar
    }

    /// X25519 with the element of a cell; `None` if the result is all zero, which only elements of
    /// low order cause.
    pub(crate) fn agree(&self, element: &Element) -> Option<Secret<32>> {
        let shared = Secret::take(&mut element.x25519(&self.scalar));
        let is_zero = shared.expose().ct_eq(&[0; 32]);
        (!bool::from(is_zero)).then_some(shared)
    }
}

impl fmt::Debug for OnionSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scalar: _, public } = self;
        f.debug_struct("OnionSecret")
            .field("public", public)
            .finish_non_exhaustive()
    }
}

/// The public half of a relay's onion key, checked to lie in the prime-order subgroup.
#[derive(Clone, Copy)]
pub struct OnionPublic {
    bytes: [u8; 32],
    /// The key in Edwards form, with either sign. An origin multiplies it by a secret scalar for
    /// every cell, which is faster in this form than on the Montgomery ladder.
    point: EdwardsPoint,
}

impl OnionPublic {
    /// Checks a received key.
    ///
    /// # Errors
    ///
    /// The reason why the key is refused. Its publisher is at fault: no honest generator creates
    /// such a key.
    pub fn check(bytes: [u8; 32]) -> Result<Self, BadOnionKey> {
        if !is_canonical(&bytes) {
            return Err(BadOnionKey::NotCanonical);
        }
        let point = MontgomeryPoint(bytes)
            .to_edwards(0)
            .ok_or(BadOnionKey::OnTwist)?;
        if point.is_small_order() {
            return Err(BadOnionKey::SmallOrder);
        }
        if !point.is_torsion_free() {
            return Err(BadOnionKey::Torsion);
        }
        Ok(Self { bytes, point })
    }

    /// The u-coordinate, as used in descriptors and key schedules.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// The key as a point with arbitrary sign.
    pub(crate) const fn point(&self) -> &EdwardsPoint {
        &self.point
    }
}

impl PartialEq for OnionPublic {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for OnionPublic {}

impl fmt::Debug for OnionPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.bytes;
        write!(f, "OnionPublic({a:02x}{b:02x}{c:02x}{d:02x}..)")
    }
}

/// Reason why a published onion key is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum BadOnionKey {
    /// The encoding is not below 2^255 - 19: it is a second encoding of another key.
    NotCanonical,
    /// The u-coordinate belongs to the curve's twist.
    OnTwist,
    /// The point has order 1, 2, 4 or 8.
    SmallOrder,
    /// The point has a component of small order.
    Torsion,
}

impl fmt::Display for BadOnionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotCanonical => "onion key is not in canonical form",
            Self::OnTwist => "onion key lies on the twist",
            Self::SmallOrder => "onion key has small order",
            Self::Torsion => "onion key has a torsion component",
        })
    }
}

impl core::error::Error for BadOnionKey {}

/// Whether a little-endian u-coordinate is below 2^255 - 19.
fn is_canonical(bytes: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = bytes;
    let spelt_twice = *high == 0x7f && *low >= 0xed && middle.iter().all(|byte| *byte == 0xff);
    *high <= 0x7f && !spelt_twice
}

#[cfg(test)]
mod tests;
