//! secp256k1 signatures in canonical form.
//!
//! If a signature had a second valid form, any node could turn a relay's descriptor into another
//! valid one and forge a proof of equivocation. A valid signature therefore has `s` in the lower
//! half, a recovery number of 0 or 1, and recovers to the relay's key.

use core::fmt;

use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use secp256k1::{Message, SecretKey};
use zeroize::Zeroize;

use crate::ids::RelayKey;
use crate::secret::Secret;

/// The secret half of a relay's link key. It also signs the relay's descriptors.
pub struct SigningKey {
    secret: Secret<32>,
    public: RelayKey,
}

impl SigningKey {
    /// Creates a key from a secp256k1 scalar.
    ///
    /// # Errors
    ///
    /// [`BadSigningKey`] if the scalar is zero or not below the group order.
    pub fn new(secret: Secret<32>) -> Result<Self, BadSigningKey> {
        let mut scalar = scalar(&secret)?;
        let [_, public @ ..] = scalar.public_key().serialize_uncompressed();
        scalar.non_secure_erase();
        Ok(Self {
            secret,
            public: RelayKey(public),
        })
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> RelayKey {
        self.public
    }

    /// Signs a digest: r 32, s 32, recovery number 1. Signing is deterministic (RFC 6979).
    ///
    /// # Errors
    ///
    /// [`BadSigningKey`], which does not occur for a key that [`SigningKey::new`] accepted.
    pub fn sign(&self, digest: [u8; 32]) -> Result<[u8; SIGNATURE_LEN], BadSigningKey> {
        let mut scalar = scalar(&self.secret)?;
        let (recovery, rs) =
            RecoverableSignature::sign_ecdsa_recoverable(Message::from_digest(digest), &scalar)
                .serialize_compact();
        scalar.non_secure_erase();
        let mut signature = [recovery.to_u8(); SIGNATURE_LEN];
        signature
            .iter_mut()
            .zip(rs)
            .for_each(|(to, from)| *to = from);
        Ok(signature)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { secret: _, public } = self;
        f.debug_tuple("SigningKey").field(public).finish()
    }
}

/// The secret is not a secp256k1 scalar.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BadSigningKey;

impl fmt::Display for BadSigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "signing key is not a secp256k1 scalar: it is zero or not below the group order",
        )
    }
}

impl core::error::Error for BadSigningKey {}

/// Whether `signature` is the canonical signature of `key` over `digest`.
pub(super) fn is_signed(digest: [u8; 32], signature: &[u8; SIGNATURE_LEN], key: &RelayKey) -> bool {
    signer_of(digest, signature).is_some_and(|signer| signer == *key)
}

/// The key whose canonical signature over `digest` this is; `None` if it is not canonical, or not a
/// signature. Every canonical signature belongs to some key, so the caller must compare the key.
#[must_use]
pub fn signer_of(digest: [u8; 32], signature: &[u8; SIGNATURE_LEN]) -> Option<RelayKey> {
    let [rs @ .., recovery] = signature;
    let recovery = match recovery {
        0 => RecoveryId::Zero,
        1 => RecoveryId::One,
        _ => return None,
    };
    let (_, s) = rs.split_at(32);
    if s > HALF_ORDER.as_slice() {
        return None;
    }
    let signature = RecoverableSignature::from_compact(rs, recovery).ok()?;
    let signer = signature.recover_ecdsa(Message::from_digest(digest)).ok()?;
    let [_, signer @ ..] = signer.serialize_uncompressed();
    Some(RelayKey(signer))
}

fn scalar(secret: &Secret<32>) -> Result<SecretKey, BadSigningKey> {
    let mut bytes = *secret.expose();
    let scalar = SecretKey::from_secret_bytes(bytes).map_err(|_| BadSigningKey);
    bytes.zeroize();
    scalar
}

/// Length of a signature: r 32, s 32, recovery number 1.
pub const SIGNATURE_LEN: usize = 65;

/// Half of the group order, rounded down: the largest `s` of the lower half (BIP 146).
const HALF_ORDER: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0x5d, 0x57, 0x6e, 0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SigningKey {
        SigningKey::new(Secret::init_with(|bytes| bytes.fill(byte))).unwrap()
    }

    /// The signature with `s` replaced by the order minus `s`, which plain ECDSA accepts.
    fn high_s(signature: &[u8; SIGNATURE_LEN]) -> [u8; SIGNATURE_LEN] {
        let s = SecretKey::from_secret_bytes(signature[32..64].try_into().unwrap()).unwrap();
        let mut other = *signature;
        other[32..64].copy_from_slice(&s.negate().to_secret_bytes());
        other[64] ^= 1;
        other
    }

    #[test]
    fn signature_is_bound_to_key_and_digest() {
        let signature = key(1).sign([9; 32]).unwrap();
        assert!(is_signed([9; 32], &signature, &key(1).public()));
        assert!(!is_signed([8; 32], &signature, &key(1).public()));
        assert!(!is_signed([9; 32], &signature, &key(2).public()));
    }

    #[test]
    fn signature_with_high_s_is_refused() {
        for digest in 0..16 {
            let signature = key(1).sign([digest; 32]).unwrap();
            let high = high_s(&signature);
            let (recovery, rs) = (high[64], &high[..64]);
            let plain =
                RecoverableSignature::from_compact(rs, RecoveryId::from_u8_masked(recovery))
                    .unwrap()
                    .recover_ecdsa(Message::from_digest([digest; 32]))
                    .unwrap();
            assert_eq!(plain.serialize_uncompressed()[1..], key(1).public().0);
            assert!(!is_signed([digest; 32], &high, &key(1).public()));
        }
    }

    #[test]
    fn signature_with_other_recovery_number_is_refused() {
        let signature = key(1).sign([9; 32]).unwrap();
        for recovery in (0..=u8::MAX).filter(|&number| number != signature[64]) {
            let mut other = signature;
            other[64] = recovery;
            assert!(!is_signed([9; 32], &other, &key(1).public()), "{recovery}");
        }
    }

    #[test]
    fn signing_is_deterministic() {
        assert_eq!(key(1).sign([9; 32]), key(1).sign([9; 32]));
    }

    #[test]
    fn signing_key_outside_group_is_refused() {
        for byte in [0, 0xff] {
            let secret = Secret::init_with(|bytes| bytes.fill(byte));
            assert_eq!(SigningKey::new(secret).unwrap_err(), BadSigningKey);
        }
    }

    #[test]
    fn signing_key_debug_shows_no_secret() {
        let shown = format!("{:?}", key(0x5a));
        assert!(shown.starts_with("SigningKey(RelayKey("));
        assert!(!shown.contains("5a5a5a"));
    }
}
