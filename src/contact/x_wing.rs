//! X-Wing: key encapsulation that holds while either X25519 or ML-KEM-768 does.
//!
//! Only this module names its crate, which follows draft-connolly-cfrg-xwing-kem. Keys are stored as seeds
//! of 32 bytes. Decapsulation refuses ciphertexts whose X25519 part contributes nothing.

use core::fmt;

use rand_core::CryptoRng;
use x_wing::kem::{Encapsulate, KeyExport, TryDecapsulate};
use x_wing::{Ciphertext, DecapsulationKeyRejectNonContrib, Decapsulator, EncapsulationKey};
use zeroize::{Zeroize, Zeroizing};

use super::kdf::Key32;

/// Length of a public key, in bytes.
pub const X_WING_PUBLIC_LEN: usize = x_wing::ENCAPSULATION_KEY_SIZE;
/// Length of a ciphertext, in bytes.
pub const X_WING_CIPHERTEXT_LEN: usize = x_wing::CIPHERTEXT_SIZE;

/// The ciphertext of one encapsulation.
pub type XWingCiphertext = Box<[u8; X_WING_CIPHERTEXT_LEN]>;

/// A public key that decodes.
#[derive(Clone, Eq, PartialEq)]
pub struct XWingPublic(Box<[u8; X_WING_PUBLIC_LEN]>);

impl XWingPublic {
    /// Checks a received key.
    ///
    /// # Errors
    ///
    /// [`BadXWingKey`] if a coefficient of the ML-KEM part is not reduced.
    pub fn decode(bytes: &[u8; X_WING_PUBLIC_LEN]) -> Result<Self, BadXWingKey> {
        let _key = EncapsulationKey::try_from(bytes.as_slice()).map_err(|_| BadXWingKey)?;
        Ok(Self(Box::new(*bytes)))
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; X_WING_PUBLIC_LEN] {
        &self.0
    }

    /// Makes a shared secret, and the ciphertext that gives it to the owner of the key.
    ///
    /// # Errors
    ///
    /// [`BadXWingKey`] never, as [`decode`](Self::decode) has checked the key.
    pub fn encapsulate(
        &self,
        rng: &mut impl CryptoRng,
    ) -> Result<(XWingCiphertext, Key32), BadXWingKey> {
        let key = EncapsulationKey::try_from(self.0.as_slice()).map_err(|_| BadXWingKey)?;
        let (ciphertext, mut shared) = key.encapsulate_with_rng(rng);
        let secret = Zeroizing::new(shared.into());
        shared.zeroize();
        Ok((Box::new(ciphertext.into()), secret))
    }
}

impl fmt::Debug for XWingPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("XWingPublic(..)")
    }
}

/// A secret key, as its seed.
pub struct XWingSecret(Key32);

impl XWingSecret {
    /// Draws a key.
    #[must_use]
    pub fn draw(rng: &mut impl CryptoRng) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut_slice());
        Self(seed)
    }

    /// The key of a seed.
    #[must_use]
    pub const fn from_seed(seed: Key32) -> Self {
        Self(seed)
    }

    /// The seed, to store it.
    #[must_use]
    pub const fn seed(&self) -> &Key32 {
        &self.0
    }

    /// The public key. Takes a third of a millisecond.
    #[must_use]
    pub fn public(&self) -> XWingPublic {
        let key = DecapsulationKeyRejectNonContrib::from(*self.0);
        XWingPublic(Box::new(key.encapsulation_key().to_bytes().into()))
    }

    /// The shared secret of a ciphertext; `None` if its X25519 part is of low order. A ciphertext that was
    /// made for another key or altered gives another secret. Takes a third of a millisecond.
    #[must_use]
    pub fn decapsulate(&self, ciphertext: &[u8; X_WING_CIPHERTEXT_LEN]) -> Option<Key32> {
        let key = DecapsulationKeyRejectNonContrib::from(*self.0);
        let mut shared = key.try_decapsulate(&Ciphertext::from(*ciphertext)).ok()?;
        let secret = Zeroizing::new(shared.into());
        shared.zeroize();
        Some(secret)
    }
}

impl fmt::Debug for XWingSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("XWingSecret(..)")
    }
}

/// The bytes are not an X-Wing public key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not an X-Wing public key: a coefficient is not reduced")]
pub struct BadXWingKey;

#[cfg(test)]
mod tests;
