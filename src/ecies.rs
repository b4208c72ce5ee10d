//! ECIES as devp2p and Whisper use it: secp256k1, AES-128-CTR, HMAC-SHA-256.
//!
//! Two protocols share this scheme: the RLPx handshake, which binds its size prefix as *shared MAC
//! data*, and messages to a public key, which bind nothing. A ciphertext is
//! `ephemeral key 65 | iv 16 | AES-128-CTR | tag 32` (protocol sheet 1.2; the KDF is one round of
//! NIST SP 800-56A concatenation).
//!
//! All lengths are checked before any byte is used: implementations that cut out the IV without a
//! length check have crashed on short, validly tagged bodies. The tag is compared in constant time.
//! The scheme does not authenticate the sender; any holder of the public key can encrypt.

use aes::Aes128;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use hmac::{Hmac, KeyInit, Mac};
use rand_core::CryptoRng;
use secp256k1::{PublicKey, SecretKey, ecdh};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

/// Bytes that encryption adds to a plaintext.
pub const OVERHEAD: usize = KEY_LEN + IV_LEN + TAG_LEN;

/// Encrypts `plaintext` to `recipient`.
///
/// `shared_mac` enters the tag but is not part of the output: both sides must know it. It is the
/// size prefix in EIP-8 handshake packets and empty otherwise.
#[must_use]
pub fn encrypt(
    rng: &mut impl CryptoRng,
    recipient: &PublicKey,
    shared_mac: &[u8],
    plaintext: &[u8],
) -> Vec<u8> {
    let mut ephemeral = random_key(rng);
    let mut iv = [0; IV_LEN];
    rng.fill_bytes(&mut iv);

    let keys = EciesKeys::derive(recipient, &ephemeral);
    let mut out = Vec::with_capacity(OVERHEAD.saturating_add(plaintext.len()));
    out.extend_from_slice(&ephemeral.public_key().serialize_uncompressed());
    ephemeral.non_secure_erase();
    out.extend_from_slice(&iv);
    out.extend_from_slice(plaintext);
    if let Some(body) = out.get_mut(KEY_LEN + IV_LEN..) {
        keys.apply_stream(&iv, body);
    }
    let sealed = out.get(KEY_LEN..).unwrap_or_default();
    let tag = keys.mac(sealed, shared_mac).finalize().into_bytes();
    out.extend_from_slice(&tag);
    out
}

/// Decrypts a ciphertext of [`encrypt`] with the recipient's secret key.
///
/// # Errors
///
/// [`EciesError`] names the check that failed first. The difference is for local logs: an answer on
/// the wire must be the same for all of them.
pub fn decrypt(
    recipient: &SecretKey,
    shared_mac: &[u8],
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, EciesError> {
    let (head, sealed) = ciphertext
        .split_first_chunk::<KEY_LEN>()
        .ok_or(EciesError::TooShort)?;
    let (sealed, tag) = sealed
        .split_last_chunk::<TAG_LEN>()
        .ok_or(EciesError::TooShort)?;
    let (iv, body) = sealed
        .split_first_chunk::<IV_LEN>()
        .ok_or(EciesError::TooShort)?;
    // libsecp256k1 would also accept the hybrid forms 06 and 07.
    if head.first() != Some(&UNCOMPRESSED) {
        return Err(EciesError::NotUncompressed);
    }
    let ephemeral =
        PublicKey::from_byte_array_uncompressed(*head).map_err(|_| EciesError::NotOnCurve)?;

    let keys = EciesKeys::derive(&ephemeral, recipient);
    // Decrypted before the tag is verified, so that a forged ciphertext costs as much time as a
    // valid one; the plaintext is dropped if the tag is wrong.
    let mut plaintext = Zeroizing::new(body.to_vec());
    keys.apply_stream(iv, &mut plaintext);
    keys.mac(sealed, shared_mac)
        .verify_slice(tag)
        .map_err(|_| EciesError::WrongTag)?;
    Ok(plaintext)
}

/// Draws a secret key; one draw fails with probability 2^-128.
pub fn random_key(rng: &mut impl CryptoRng) -> SecretKey {
    let mut bytes = Zeroizing::new([0; 32]);
    loop {
        rng.fill_bytes(bytes.as_mut());
        if let Ok(key) = SecretKey::from_secret_bytes(*bytes) {
            return key;
        }
    }
}

/// The X coordinate of the Diffie-Hellman point, which devp2p uses unhashed.
#[must_use]
pub fn agree(theirs: &PublicKey, ours: &SecretKey) -> Zeroizing<[u8; 32]> {
    let mut point = ecdh::shared_secret_point(theirs, ours);
    let mut x = Zeroizing::new([0; 32]);
    for (to, from) in x.iter_mut().zip(&point) {
        *to = *from;
    }
    point.zeroize();
    x
}

/// Why a ciphertext was refused.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum EciesError {
    /// The ephemeral key is not a point of the curve.
    #[error("the ephemeral key is not on the curve")]
    NotOnCurve,
    /// The first byte is not that of an uncompressed point.
    #[error("the ephemeral key is not in uncompressed form")]
    NotUncompressed,
    /// Shorter than key, IV and tag.
    #[error("the ciphertext is shorter than {OVERHEAD} bytes")]
    TooShort,
    /// Altered, truncated, or encrypted to another key.
    #[error("the ciphertext is not for this key, or was altered")]
    WrongTag,
}

/// The two keys of one ciphertext.
struct EciesKeys {
    cipher: Zeroizing<[u8; 16]>,
    mac: Zeroizing<[u8; 32]>,
}

impl EciesKeys {
    fn derive(theirs: &PublicKey, ours: &SecretKey) -> Self {
        let secret = agree(theirs, ours);
        let mut okm: [u8; 32] = Sha256::new()
            .chain_update(1_u32.to_be_bytes())
            .chain_update(secret.as_ref())
            .finalize()
            .into();
        let (cipher, mac) = okm.split_at(16);
        let mut keys = Self {
            cipher: Zeroizing::new([0; 16]),
            mac: Zeroizing::new(Sha256::digest(mac).into()),
        };
        for (to, from) in keys.cipher.iter_mut().zip(cipher) {
            *to = *from;
        }
        okm.zeroize();
        keys
    }

    fn apply_stream(&self, iv: &[u8; IV_LEN], body: &mut [u8]) {
        Ctr128BE::<Aes128>::new((&*self.cipher).into(), iv.into()).apply_keystream(body);
    }

    /// The running tag over `iv | ciphertext | shared_mac`.
    fn mac(&self, sealed: &[u8], shared_mac: &[u8]) -> Hmac<Sha256> {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(self.mac.as_ref()).expect("any length");
        mac.chain_update(sealed).chain_update(shared_mac)
    }
}

const KEY_LEN: usize = 65;
const IV_LEN: usize = 16;
const TAG_LEN: usize = 32;
/// First byte of an uncompressed point (SEC 1, 2.3.3).
const UNCOMPRESSED: u8 = 0x04;

#[cfg(test)]
mod tests;
