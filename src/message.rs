//! The inner message: encryption, and decryption of messages for our keys.
//!
//! The data of an envelope is a [`Plaintext`] under AES-256-GCM with a shared key (28 bytes more)
//! or under [ECIES](crate::ecies) to a public key (113 bytes more; protocol sheet 4.3 and 4.4). The
//! data shows neither the scheme nor the recipient: readers try their keys. Messages of `shh/5`
//! have a codec of their own, [`v5`], and the same keys. As far as this module can ensure it, a
//! failed decryption takes as long as a successful one, because an observer of a machine's timing
//! must not learn which envelopes it can read.
//!
//! `shh/6` has no forward secrecy and, for signed messages, no deniability. Programs for
//! conversations add their own encryption inside.

use core::fmt;

use aes_gcm::aead::{AeadInOut, inout::InOutBuf};
use rand_core::CryptoRng;
use thiserror::Error;
use zeroize::Zeroizing;

pub use self::copy_tag::CopyTag;
pub use self::keys::{ClientPublic, ClientSecret, InvalidKey, SymKey, ZeroKey};
use self::plaintext::ParsedPlaintext;
pub use self::plaintext::{Padding, PayloadTooLong, Plaintext, PlaintextError, max_payload_len};
pub use self::shard::ShardMark;
pub(crate) use self::trial_decryption::TrialDecryption;
use crate::ecies::{self, EciesError};
use crate::envelope::{AesNonce, ProtocolVersion};

mod copy_tag;
mod keys;
mod plaintext;
mod shard;
mod trial_decryption;
pub mod v5;

/// Bytes added by symmetric encryption: the tag, and the nonce after it.
pub const SYMMETRIC_OVERHEAD: usize = TAG_LEN + AesNonce::LEN;
/// Bytes added by encryption to a public key.
pub const ASYMMETRIC_OVERHEAD: usize = ecies::OVERHEAD;

/// Encrypts to all owners of `key`; the result is the data of an envelope.
#[must_use]
pub fn seal_symmetric(rng: &mut impl CryptoRng, key: &SymKey, plaintext: &Plaintext) -> Vec<u8> {
    let (AesNonce(nonce), mut data) = encrypt(rng, key, plaintext.as_bytes());
    data.extend_from_slice(&nonce);
    data
}

/// Encrypts under a nonce that it draws: `ciphertext | tag`, with capacity for the nonce after it.
fn encrypt(rng: &mut impl CryptoRng, key: &SymKey, plaintext: &[u8]) -> (AesNonce, Vec<u8>) {
    let mut nonce = [0; AesNonce::LEN];
    rng.fill_bytes(&mut nonce);
    let mut data = Vec::with_capacity(plaintext.len().saturating_add(SYMMETRIC_OVERHEAD));
    data.extend_from_slice(plaintext);
    #[expect(
        clippy::expect_used,
        reason = "GCM refuses only what is longer than 64 GB, and a plaintext is below 16 MB"
    )]
    let tag = key
        .cipher()
        .encrypt_inout_detached(&nonce.into(), b"", InOutBuf::from(data.as_mut_slice()))
        .expect("length within the limit of GCM");
    data.extend_from_slice(&tag);
    (AesNonce(nonce), data)
}

/// Encrypts to one public key; the result is the data of an envelope.
#[must_use]
pub fn seal_asymmetric(
    rng: &mut impl CryptoRng,
    recipient: &ClientPublic,
    plaintext: &Plaintext,
) -> Vec<u8> {
    ecies::encrypt(rng, recipient.key(), b"", plaintext.as_bytes())
}

/// Decrypts the data of an envelope with a shared key.
///
/// # Errors
///
/// [`DecryptError`] for nearly every envelope, because most are encrypted to other keys.
pub fn decrypt_symmetric(key: &SymKey, data: &[u8]) -> Result<DecryptedMessage, DecryptError> {
    UnverifiedMessage::symmetric(key, data)?.verify()
}

/// Decrypts the data of an envelope with a secret key.
///
/// # Errors
///
/// [`DecryptError`] for nearly every envelope, because most are encrypted to other keys.
pub fn decrypt_asymmetric(
    key: &ClientSecret,
    data: &[u8],
) -> Result<DecryptedMessage, DecryptError> {
    UnverifiedMessage::asymmetric(ProtocolVersion::V6, key, data)?.verify()
}

/// Parses a decrypted message.
///
/// # Errors
///
/// [`DecryptError`] if the sender knew the key and wrote an invalid message.
pub fn parse(plaintext: &[u8]) -> Result<DecryptedMessage, DecryptError> {
    UnverifiedMessage::parse(ProtocolVersion::V6, plaintext)?.verify()
}

/// A decrypted message.
#[derive(Clone, Eq, PartialEq)]
pub struct DecryptedMessage {
    /// The payload.
    pub payload: Zeroizing<Vec<u8>>,
    /// The padding, which hides the length of the payload.
    pub padding: Vec<u8>,
    /// The public key of the signature, if the message is signed.
    pub signer: Option<ClientPublic>,
    /// The recipient's public key; `None` under a shared key.
    pub recipient: Option<ClientPublic>,
}

impl fmt::Debug for DecryptedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DecryptedMessage([redacted])")
    }
}

/// The reason of a failed decryption. For tests and local logs: it must not leave the machine.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum DecryptError {
    /// The data does not decrypt with this secret key.
    #[error("not encrypted to this key: {0}")]
    Asymmetric(#[from] EciesError),
    /// The data decrypts to an invalid message.
    #[error("{0}")]
    Malformed(#[from] PlaintextError),
    /// The data does not decrypt with this shared key, or was altered.
    #[error("not encrypted under this key, or altered")]
    Symmetric,
    /// The data is too short for symmetric encryption.
    #[error("data is too short to be encrypted under a shared key")]
    TooShort,
}

/// A decrypted message whose signer is not known yet. Recovering the signer costs as much as all
/// other steps together, so a reader with many keys does it once.
pub(crate) struct UnverifiedMessage {
    parsed: ParsedPlaintext,
    recipient: Option<ClientPublic>,
}

impl UnverifiedMessage {
    /// Of an envelope of `shh/6`, with one key.
    fn symmetric(key: &SymKey, data: &[u8]) -> Result<Self, DecryptError> {
        Self::only_try(TrialDecryption::v6(data)?, key)
    }

    /// Of an envelope of `shh/5`, with one key.
    fn symmetric_v5(key: &SymKey, nonce: AesNonce, data: &[u8]) -> Result<Self, DecryptError> {
        Self::only_try(TrialDecryption::v5(nonce, data)?, key)
    }

    fn only_try(mut trials: TrialDecryption<'_>, key: &SymKey) -> Result<Self, DecryptError> {
        let opened = trials.attempt(key);
        trials.finish();
        opened
    }

    pub(crate) fn asymmetric(
        protocol: ProtocolVersion,
        key: &ClientSecret,
        data: &[u8],
    ) -> Result<Self, DecryptError> {
        let plaintext = ecies::decrypt(key.key(), b"", data)?;
        Ok(Self {
            parsed: ParsedPlaintext::new(protocol, plaintext)?,
            recipient: Some(key.public()),
        })
    }

    fn parse(protocol: ProtocolVersion, plaintext: &[u8]) -> Result<Self, DecryptError> {
        Ok(Self {
            parsed: ParsedPlaintext::new(protocol, Zeroizing::new(plaintext.to_vec()))?,
            recipient: None,
        })
    }

    /// Whether [`verify`](Self::verify) has to recover a signer.
    pub(crate) const fn is_signed(&self) -> bool {
        self.parsed.is_signed()
    }

    pub(crate) fn verify(self) -> Result<DecryptedMessage, DecryptError> {
        Ok(DecryptedMessage {
            signer: self.parsed.signer()?,
            payload: Zeroizing::new(self.parsed.payload().to_vec()),
            padding: self.parsed.padding().to_vec(),
            recipient: self.recipient,
        })
    }
}

/// Takes the time of recovering a signer, if there is none to recover.
pub(crate) fn decoy_recovery(data: &[u8]) {
    plaintext::decoy_recovery(data);
}

const TAG_LEN: usize = 16;

#[cfg(test)]
mod tests;
