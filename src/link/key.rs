//! The secp256k1 key that names a node on the network.
//!
//! The secret half exists once on the heap, is wiped on drop and cannot be copied or printed. The
//! key identifies a relay, not a person: client identities are other keys in other files.

use circuits::arithmetic::Arithmetic;
use circuits::ids::RelayKey;
use circuits::secret::Secret;
use rand_core::CryptoRng;
use secp256k1::{PublicKey, SecretKey};
use thiserror::Error;
use zeroize::Zeroize;

use crate::ecies;

/// A node's secret link key.
///
/// ```compile_fail
/// # use whisht::link::LinkKey;
/// let key = LinkKey::from_bytes(&mut [7; 32]).unwrap();
/// let _copy = key.clone();
/// ```
///
/// ```compile_fail
/// # use whisht::link::LinkKey;
/// println!("{:?}", LinkKey::from_bytes(&mut [7; 32]).unwrap());
/// ```
pub struct LinkKey {
    secret: WipedKey,
    public: RelayKey,
    arithmetic: Arithmetic,
}

impl LinkKey {
    /// Draws a new key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self::new(WipedKey::generate(rng))
    }

    /// Takes over a stored key and wipes the source.
    ///
    /// # Errors
    ///
    /// [`InvalidLinkKey`] if the bytes are zero or not below the order of the curve.
    pub fn from_bytes(source: &mut [u8; 32]) -> Result<Self, InvalidLinkKey> {
        let key = SecretKey::from_secret_bytes(*source);
        source.zeroize();
        key.map(WipedKey::take)
            .map(Self::new)
            .map_err(|_| InvalidLinkKey)
    }

    /// The secret bytes, for storage.
    #[must_use]
    pub fn to_bytes(&self) -> Secret<32> {
        Secret::init_with(|bytes| bytes.copy_from_slice(self.expose().as_secret_bytes()))
    }

    /// The public half, as in an enode URL.
    #[must_use]
    pub const fn public(&self) -> RelayKey {
        self.public
    }

    /// The arithmetic of the node that has this key: of its links and of its cells.
    #[must_use]
    pub const fn arithmetic(&self) -> Arithmetic {
        self.arithmetic
    }

    /// The key of a simulated node that computes with this arithmetic.
    #[cfg(feature = "sim")]
    #[must_use]
    pub(crate) fn with_arithmetic(self, arithmetic: Arithmetic) -> Self {
        Self { arithmetic, ..self }
    }

    /// The key in the library's own type. The caller must not let it be copied.
    #[must_use]
    pub const fn expose(&self) -> &SecretKey {
        self.secret.expose()
    }

    fn new(secret: WipedKey) -> Self {
        let public = to_relay_key(&secret.public());
        Self {
            secret,
            public,
            arithmetic: Arithmetic::REAL,
        }
    }
}

/// The bytes are not a secret key of secp256k1.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("not a secp256k1 secret key")]
pub struct InvalidLinkKey;

/// A secret key that is wiped on drop, unlike the library's own type.
pub(super) struct WipedKey(Box<SecretKey>);

impl WipedKey {
    pub(super) fn generate(rng: &mut impl CryptoRng) -> Self {
        Self::take(ecies::random_key(rng))
    }

    pub(super) fn take(mut key: SecretKey) -> Self {
        let boxed = Box::new(key);
        key.non_secure_erase();
        Self(boxed)
    }

    pub(super) const fn expose(&self) -> &SecretKey {
        &self.0
    }

    pub(super) fn public(&self) -> PublicKey {
        self.0.public_key()
    }
}

impl Drop for WipedKey {
    fn drop(&mut self) {
        self.0.non_secure_erase();
    }
}

/// The 64 bytes that devp2p calls a node's identity.
pub(crate) fn to_relay_key(key: &PublicKey) -> RelayKey {
    let [_, xy @ ..] = key.serialize_uncompressed();
    RelayKey(xy)
}

/// Whether an identity is a point of the curve, so that a secret half can exist.
pub(crate) fn is_on_curve(key: &RelayKey) -> bool {
    to_point(key).is_some()
}

/// The point of an identity; `None` if there is none.
pub(super) fn to_point(key: &RelayKey) -> Option<PublicKey> {
    let mut bytes = [0x04; 65];
    let [_, xy @ ..] = &mut bytes;
    *xy = key.0;
    PublicKey::from_byte_array_uncompressed(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_bytes_wipes_source() {
        let mut source = [3; 32];
        let key = LinkKey::from_bytes(&mut source).unwrap();
        assert_eq!(source, [0; 32]);
        assert_eq!(key.to_bytes().expose(), &[3; 32]);
        assert_eq!(to_point(&key.public()), Some(key.expose().public_key()));
    }

    #[test]
    fn zero_and_curve_order_are_refused() {
        assert!(LinkKey::from_bytes(&mut [0; 32]).is_err());
        assert!(LinkKey::from_bytes(&mut [0xff; 32]).is_err());
        assert!(to_point(&RelayKey([0; 64])).is_none());
        assert!(to_point(&RelayKey([0xff; 64])).is_none());
    }
}
