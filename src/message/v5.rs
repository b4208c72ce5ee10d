//! Messages of `shh/5`, as go-ethereum 1.7 writes them (protocol sheet 9).
//!
//! `flags 1 | [size n | padding] | payload | [signature 65]`. Two bits of the flags give `n`. The
//! size is little-endian and counts its own bytes and the padding; if `n` is zero, both are absent.
//! Under a shared key the nonce of the cipher is a field of the envelope instead of the end of its
//! data; to a public key the data equals that of `shh/6`. Keys, signatures and the rules of parsing
//! are the same: see `message::plaintext`.
//!
//! This node sends nothing in this form by itself; the codec serves programs that talk to old
//! peers.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::plaintext::{ALIGNMENT, MAX_PAYLOAD_LEN, SIGNATURE_LEN, SIGNED, sign};
use super::{
    ClientPublic, ClientSecret, DecryptError, DecryptedMessage, Padding, PayloadTooLong, SymKey,
    UnverifiedMessage,
};
use crate::ecies;
use crate::envelope::{AesNonce, EncryptionHint, ProtocolVersion};

/// A message ready to be encrypted. Wiped when dropped.
pub struct PlaintextV5(Zeroizing<Vec<u8>>);

impl PlaintextV5 {
    /// Builds a message, padded and, if there is a signer, signed. [`Padding::Align`] is
    /// go-ethereum's default: no padding if the message fills a multiple of 256 bytes.
    ///
    /// The recipient can prove the signature to any third party.
    ///
    /// # Errors
    ///
    /// [`PayloadTooLong`] if the payload does not fit; beside padding of more than 16 MB none does.
    pub fn build(
        rng: &mut impl CryptoRng,
        payload: &[u8],
        padding: Padding<'_>,
        signer: Option<&ClientSecret>,
    ) -> Result<Self, PayloadTooLong> {
        let fixed = 1 + signer.map_or(0, |_| SIGNATURE_LEN);
        let bare = fixed.saturating_add(payload.len());
        let block = match padding {
            Padding::Align => bare.next_multiple_of(ALIGNMENT).saturating_sub(bare),
            Padding::Given(bytes) => block_around(bytes.len()),
            // Messages of ours, which have tags, are never of this form.
            Padding::UpTo(len) | Padding::Tagged(_, len) | Padding::Marked(_, len) => {
                len.checked_sub(bare).ok_or_else(|| PayloadTooLong {
                    max: len.saturating_sub(fixed),
                })?
            }
        };
        if block > MAX_PADDING_BLOCK {
            return Err(PayloadTooLong { max: 0 });
        }
        if payload.len() > MAX_PAYLOAD_LEN {
            return Err(PayloadTooLong {
                max: MAX_PAYLOAD_LEN,
            });
        }

        let [low, middle, high, ..] = block.to_le_bytes();
        let signed = if signer.is_some() { SIGNED } else { 0 };
        let mut bytes = Zeroizing::new(Vec::with_capacity(bare.saturating_add(block)));
        match size_width(block) {
            0 => bytes.push(signed),
            1 => bytes.extend_from_slice(&[signed | 1, low]),
            2 => bytes.extend_from_slice(&[signed | 2, low, middle]),
            _ => bytes.extend_from_slice(&[signed | 3, low, middle, high]),
        }
        if let Padding::Given(padding) = padding {
            bytes.extend_from_slice(padding);
        } else {
            let start = bytes.len();
            bytes.resize(block.saturating_add(1), 0);
            rng.fill_bytes(bytes.get_mut(start..).unwrap_or_default());
        }
        bytes.extend_from_slice(payload);
        if let Some(signer) = signer {
            let signature = sign(&bytes, signer);
            bytes.extend_from_slice(&signature);
        }
        Ok(Self(bytes))
    }

    /// The bytes to encrypt.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl core::fmt::Debug for PlaintextV5 {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("PlaintextV5(..)")
    }
}

/// Encrypts to all owners of `key`; the result is two fields of an envelope.
#[must_use]
pub fn seal_symmetric(
    rng: &mut impl CryptoRng,
    key: &SymKey,
    plaintext: &PlaintextV5,
) -> (EncryptionHint, Vec<u8>) {
    let (nonce, data) = super::encrypt(rng, key, plaintext.as_bytes());
    (EncryptionHint::Symmetric(nonce), data)
}

/// Encrypts to one public key; the result is two fields of an envelope.
#[must_use]
pub fn seal_asymmetric(
    rng: &mut impl CryptoRng,
    recipient: &ClientPublic,
    plaintext: &PlaintextV5,
) -> (EncryptionHint, Vec<u8>) {
    let data = ecies::encrypt(rng, recipient.key(), b"", plaintext.as_bytes());
    (EncryptionHint::Asymmetric, data)
}

/// Decrypts the data of an envelope with a shared key.
///
/// # Errors
///
/// [`DecryptError`] for nearly every envelope, because most are encrypted to other keys.
pub fn decrypt_symmetric(
    key: &SymKey,
    nonce: AesNonce,
    data: &[u8],
) -> Result<DecryptedMessage, DecryptError> {
    UnverifiedMessage::symmetric_v5(key, nonce, data)?.verify()
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
    UnverifiedMessage::asymmetric(ProtocolVersion::V5, key, data)?.verify()
}

/// Parses a decrypted message.
///
/// # Errors
///
/// [`DecryptError`] if the sender knew the key and wrote an invalid message.
pub fn parse(plaintext: &[u8]) -> Result<DecryptedMessage, DecryptError> {
    UnverifiedMessage::parse(ProtocolVersion::V5, plaintext)?.verify()
}

/// Length of a padding block for this many bytes, with its size field of minimal width.
fn block_around(padding: usize) -> usize {
    if padding == 0 {
        return 0;
    }
    let block = |width| padding.saturating_add(width);
    (1..=3)
        .map(|width| (width, block(width)))
        .find(|&(width, block)| size_width(block) == width)
        .map_or(usize::MAX, |(_, block)| block)
}

/// Width of the size field of a padding block; zero if there is no block.
const fn size_width(block: usize) -> usize {
    match block {
        0 => 0,
        1..0x100 => 1,
        0x100..0x1_0000 => 2,
        _ => 3,
    }
}

/// Maximum of a three-byte size field.
const MAX_PADDING_BLOCK: usize = (1 << 24) - 1;

#[cfg(test)]
mod tests;
