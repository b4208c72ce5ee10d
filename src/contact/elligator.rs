//! Ephemeral X25519 keys whose encoding is 32 uniform bytes.
//!
//! A first message starts with an ephemeral key, a later one with 32 random bytes. An X25519 key on the
//! wire would tell them apart: every key is the coordinate of a point, half of all strings are not. The
//! Elligator 2 map (RFC 9380, 6.7.1) gives each string a point. A key is drawn from the whole group, with a
//! component of low order ("dirty"), because points of the prime-order subgroup alone are an eighth of
//! what random strings map to. The component drops out of every agreement: scalars are multiples of 8.
//!
//! Only this module names the crate of the map. It derives no key; [`outer`](super::outer) does.

use core::fmt;

use curve25519_dalek::EdwardsPoint;
use curve25519_dalek::constants::EIGHT_TORSION;
use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{Zeroize, Zeroizing};

use super::kdf::Key32;

/// A secret X25519 key: that of a generation, or that of a source of letters.
pub struct OuterSecret {
    secret: StaticSecret,
    public: [u8; 32],
}

impl OuterSecret {
    /// Draws a key.
    #[must_use]
    pub fn draw(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(bytes.as_mut_slice());
        Self::from_bytes(&bytes)
    }

    /// The key of these bytes.
    #[must_use]
    pub fn from_bytes(bytes: &Key32) -> Self {
        let secret = StaticSecret::from(**bytes);
        let public = PublicKey::from(&secret).to_bytes();
        Self { secret, public }
    }

    /// The bytes, to store them.
    #[must_use]
    pub fn to_bytes(&self) -> Key32 {
        Zeroizing::new(self.secret.to_bytes())
    }

    /// The public key, of the prime-order subgroup.
    #[must_use]
    pub const fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// X25519 with the point of an ephemeral key; `None` if the result is zero, which only a point of low
    /// order causes.
    #[must_use]
    pub fn agree(&self, point: &EphemeralPoint) -> Option<Key32> {
        agree(&self.secret, &point.0)
    }
}

impl fmt::Debug for OuterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OuterSecret(..)")
    }
}

/// The point that 32 bytes of the wire map to.
#[derive(Clone, Copy)]
pub struct EphemeralPoint([u8; 32]);

impl EphemeralPoint {
    /// Maps bytes of the wire. Every string has a point; the two highest bits do not matter.
    #[must_use]
    pub fn of(wire: &[u8; 32]) -> Self {
        Self(elligator2::from_representative(wire))
    }
}

/// A secret X25519 key for one envelope, and its uniform encoding.
pub struct EphemeralKey {
    secret: StaticSecret,
    wire: [u8; 32],
}

impl EphemeralKey {
    /// Draws a key. Half of the candidates have an encoding; the others are dropped, which says nothing
    /// about the key that is kept.
    #[must_use]
    pub fn draw(rng: &mut impl CryptoRng) -> Self {
        loop {
            let mut drawn = Zeroizing::new([0; 34]);
            rng.fill_bytes(drawn.as_mut_slice());
            let Some((scalar, [torsion, tweak])) = drawn
                .split_first_chunk::<32>()
                .and_then(|(scalar, rest)| Some((scalar, rest.first_chunk::<2>()?)))
            else {
                continue;
            };
            if let Some(key) = Self::candidate(scalar, *torsion, *tweak) {
                return key;
            }
        }
    }

    /// The key of a scalar with the component `torsion mod 8` of low order. `tweak` fills the two highest
    /// bits of the encoding and chooses one of its two forms.
    fn candidate(scalar: &[u8; 32], torsion: u8, tweak: u8) -> Option<Self> {
        let low_order = EIGHT_TORSION.get(usize::from(torsion & 7))?;
        let mut point = EdwardsPoint::mul_base_clamped(*scalar) + low_order;
        let wire = elligator2::to_representative(&point.to_montgomery().to_bytes(), tweak);
        point.zeroize();
        Some(Self {
            secret: StaticSecret::from(*scalar),
            wire: wire?,
        })
    }

    /// What goes on the wire: 32 bytes that are distributed like random ones.
    #[must_use]
    pub const fn wire(&self) -> &[u8; 32] {
        &self.wire
    }

    /// X25519 with a public key; `None` if the result is zero.
    #[must_use]
    pub fn agree(&self, public: &[u8; 32]) -> Option<Key32> {
        agree(&self.secret, public)
    }
}

impl fmt::Debug for EphemeralKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EphemeralKey(..)")
    }
}

fn agree(secret: &StaticSecret, public: &[u8; 32]) -> Option<Key32> {
    let shared = secret.diffie_hellman(&PublicKey::from(*public));
    let is_zero = shared.as_bytes().ct_eq(&[0; 32]);
    (!bool::from(is_zero)).then(|| Zeroizing::new(shared.to_bytes()))
}

#[cfg(test)]
mod tests;
