//! The keys that decrypt and sign messages.
//!
//! They belong to people, not to nodes: a node's link key is another type and must not be used
//! here. Secrets are wiped when dropped and print nothing. Public keys identify a person, and print
//! nothing either.

use core::fmt;

use aes_gcm::{Aes256Gcm, KeyInit};
use circuits::secret::Secret;
use rand_core::CryptoRng;
use secp256k1::{PublicKey, SecretKey};
use sha2::Sha256;
use sha3::{Digest, Keccak256};
use subtle::ConstantTimeEq;
use thiserror::Error;

use crate::ecies;

/// A symmetric key, ready for use.
pub struct SymKey {
    bytes: Secret<32>,
    cipher: Box<Aes256Gcm>,
}

impl SymKey {
    /// Takes over a key.
    ///
    /// # Errors
    ///
    /// [`ZeroKey`]: all programs refuse the key of zeros, which is a key that was never filled.
    pub fn new(bytes: Secret<32>) -> Result<Self, ZeroKey> {
        if bytes.expose().ct_eq(&[0; 32]).into() {
            return Err(ZeroKey);
        }
        let cipher = Box::new(Aes256Gcm::new(bytes.expose().into()));
        Ok(Self { bytes, cipher })
    }

    /// Draws a key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        loop {
            if let Ok(key) = Self::new(Secret::init_with(|bytes| rng.fill_bytes(bytes))) {
                return key;
            }
        }
    }

    /// The key that all programs derive from this password.
    ///
    /// PBKDF2-HMAC-SHA-256 with 65,356 rounds (go-ethereum's number, a misprint of 65,536) and no
    /// salt, so one attack on passwords covers all keys at once. The derivation takes a noticeable
    /// fraction of a second.
    ///
    /// # Errors
    ///
    /// [`ZeroKey`]; no such password is known.
    pub fn from_password(password: &str) -> Result<Self, ZeroKey> {
        Self::new(Secret::init_with(|bytes| {
            pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), b"", PBKDF2_ROUNDS, bytes);
        }))
    }

    /// The key bytes, for the key store. The caller must not log them.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        self.bytes.expose()
    }

    pub(super) const fn cipher(&self) -> &Aes256Gcm {
        &self.cipher
    }

    /// An identifier of the key that does not reveal it.
    pub(crate) fn digest(&self) -> [u8; 32] {
        Keccak256::digest(self.expose()).into()
    }
}

impl fmt::Debug for SymKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SymKey(..)")
    }
}

/// The key consists of zeros.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("the symmetric key is all zeros; it was probably never filled")]
pub struct ZeroKey;

/// A person's secret key: decrypts messages to its [`ClientPublic`], and signs.
pub struct ClientSecret {
    key: Box<SecretKey>,
    public: ClientPublic,
}

impl ClientSecret {
    /// Reads a key from its 32 bytes.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] for zero and for numbers at or above the order of the curve.
    pub fn from_bytes(bytes: &Secret<32>) -> Result<Self, InvalidKey> {
        SecretKey::from_secret_bytes(*bytes.expose())
            .map(Self::from_key)
            .map_err(|_| InvalidKey)
    }

    /// Draws a key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self::from_key(ecies::random_key(rng))
    }

    /// The matching public key.
    #[must_use]
    pub const fn public(&self) -> ClientPublic {
        self.public
    }

    /// The key bytes, for the key store. The caller must not log them.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        self.key.as_secret_bytes()
    }

    pub(super) const fn key(&self) -> &SecretKey {
        &self.key
    }

    fn from_key(key: SecretKey) -> Self {
        let public = ClientPublic(key.public_key());
        Self {
            key: Box::new(key),
            public,
        }
    }
}

impl Drop for ClientSecret {
    fn drop(&mut self) {
        self.key.non_secure_erase();
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret(..)")
    }
}

/// A person's public key.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ClientPublic(PublicKey);

impl ClientPublic {
    /// Reads a key in uncompressed form, the only one that Whisper uses: `04 | x | y`.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] for another form, and for bytes that are not a point of the curve.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidKey> {
        let bytes: [u8; 65] = bytes.try_into().map_err(|_| InvalidKey)?;
        if bytes.first() != Some(&0x04) {
            return Err(InvalidKey);
        }
        PublicKey::from_byte_array_uncompressed(bytes)
            .map(Self)
            .map_err(|_| InvalidKey)
    }

    /// `04 | x | y`.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 65] {
        self.0.serialize_uncompressed()
    }

    pub(super) const fn from_key(key: PublicKey) -> Self {
        Self(key)
    }

    pub(super) const fn key(&self) -> &PublicKey {
        &self.0
    }
}

impl fmt::Debug for ClientPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientPublic([redacted])")
    }
}

/// The bytes are not a key of secp256k1.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("not a secp256k1 key")]
pub struct InvalidKey;

const PBKDF2_ROUNDS: u32 = 65_356;

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    fn secret(byte: u8) -> Secret<32> {
        Secret::init_with(|bytes| bytes.fill(byte))
    }

    #[test]
    fn zero_symmetric_key_is_refused() {
        assert!(SymKey::new(secret(0)).is_err());
        assert!(SymKey::new(secret(1)).is_ok());
    }

    #[test]
    fn invalid_curve_keys_are_refused() {
        assert!(ClientSecret::from_bytes(&secret(0)).is_err());
        assert!(ClientSecret::from_bytes(&secret(0xff)).is_err());
        assert!(ClientPublic::from_bytes(&[4; 65]).is_err());
        assert!(ClientPublic::from_bytes(&[4; 64]).is_err());
    }

    #[test]
    fn public_key_has_one_encoding() {
        let key = ClientSecret::generate(&mut ChaCha20Rng::seed_from_u64(1)).public();
        let mut bytes = key.to_bytes();
        assert_eq!(ClientPublic::from_bytes(&bytes), Ok(key));
        for protocol in [0x02, 0x03, 0x06, 0x07] {
            bytes[0] = protocol;
            assert_eq!(ClientPublic::from_bytes(&bytes), Err(InvalidKey));
        }
    }

    #[test]
    fn keys_are_redacted_in_debug() {
        let secret_key = ClientSecret::from_bytes(&secret(0xab)).unwrap();
        let printed = format!(
            "{:?} {secret_key:?} {:?}",
            SymKey::new(secret(0xab)).unwrap(),
            secret_key.public()
        );
        assert_eq!(
            printed,
            "SymKey(..) ClientSecret(..) ClientPublic([redacted])"
        );
    }
}
