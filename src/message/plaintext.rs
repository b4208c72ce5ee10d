//! The format inside the encryption.
//!
//! `flags 1 | size field n | payload | padding | [signature 65]` (protocol sheet 4.1). Two bits of
//! the flags give `n`, one marks a signature; the size field is little-endian. The signer's key is
//! not sent; it is recovered from the signature. In `shh/5` the padding precedes the payload, and
//! the size field counts the padding and its own bytes (sheet 9). Both are read here; `shh/5` is
//! written in [`super::v5`].
//!
//! Parsing follows the one parser that is known to be safe. Others cut slices before they compared
//! lengths, so that any sender with a key could crash the process with three bytes.

use core::ops::Range;

use rand_core::CryptoRng;
use secp256k1::Message;
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use sha3::{Digest, Keccak256};
use thiserror::Error;
use zeroize::Zeroizing;

use super::copy_tag::CopyTag;
use super::keys::{ClientPublic, ClientSecret};
use super::shard::ShardMark;
use crate::envelope::ProtocolVersion;

/// A message of `shh/6` ready to be encrypted. Wiped when dropped.
pub struct Plaintext(Zeroizing<Vec<u8>>);

/// The padding of a message, which hides the payload's length.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Padding<'a> {
    /// Random bytes to the next multiple of 256, at least one: geth's default.
    Align,
    /// These bytes, unchanged.
    Given(&'a [u8]),
    /// A tag, then random bytes until the plaintext has this length.
    Tagged(CopyTag, usize),
    /// The mark of a shard, then random bytes until the plaintext has this length.
    Marked(ShardMark, usize),
    /// Random bytes until the plaintext has this length.
    UpTo(usize),
}

impl Padding<'_> {
    /// The bytes that precede the random ones.
    const fn prefix(&self) -> &[u8] {
        match self {
            Self::Tagged(tag, _) => tag.as_bytes(),
            Self::Marked(mark, _) => mark.as_bytes(),
            Self::Align | Self::Given(_) | Self::UpTo(_) => &[],
        }
    }
}

impl Plaintext {
    /// Builds a message, padded and, if there is a signer, signed.
    ///
    /// The recipient can prove the signature to any third party.
    ///
    /// # Errors
    ///
    /// [`PayloadTooLong`] if the payload does not fit.
    pub fn build(
        rng: &mut impl CryptoRng,
        payload: &[u8],
        padding: Padding<'_>,
        signer: Option<&ClientSecret>,
    ) -> Result<Self, PayloadTooLong> {
        let fixed = overhead(payload.len(), signer.is_some());
        let bare = fixed.saturating_add(payload.len());
        let pad_len = match padding {
            Padding::Align => ALIGNMENT - bare % ALIGNMENT,
            Padding::Given(bytes) => bytes.len(),
            Padding::Tagged(_, len) | Padding::Marked(_, len) | Padding::UpTo(len) => {
                let prefix = padding.prefix().len();
                pad_len_up_to(len.saturating_sub(prefix), bare, signer.is_some())?
                    .saturating_add(prefix)
            }
        };
        if payload.len() > MAX_PAYLOAD_LEN {
            return Err(PayloadTooLong {
                max: MAX_PAYLOAD_LEN,
            });
        }

        let [low, middle, high, ..] = payload.len().to_le_bytes();
        let signed = if signer.is_some() { SIGNED } else { 0 };
        let total = bare.saturating_add(pad_len);
        let mut bytes = Zeroizing::new(Vec::with_capacity(total));
        match size_width(payload.len()) {
            1 => bytes.extend_from_slice(&[signed | 1, low]),
            2 => bytes.extend_from_slice(&[signed | 2, low, middle]),
            _ => bytes.extend_from_slice(&[signed | 3, low, middle, high]),
        }
        bytes.extend_from_slice(payload);
        if let Padding::Given(padding) = padding {
            bytes.extend_from_slice(padding);
        } else {
            let start = bytes.len();
            bytes.resize(start.saturating_add(pad_len), 0);
            rng.fill_bytes(bytes.get_mut(start..).unwrap_or_default());
            let pad = bytes.iter_mut().skip(start);
            for (to, from) in pad.zip(padding.prefix()) {
                *to = *from;
            }
        }
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

impl core::fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Plaintext(..)")
    }
}

/// The longest payload of a plaintext of `len` bytes; `None` if even an empty one does not fit.
#[must_use]
pub fn max_payload_len(len: usize, signed: bool) -> Option<usize> {
    // The widest size field that its own payload requires gives the answer; a narrower one may fit
    // where the wider one narrowly does not.
    (1..=3_usize).rev().find_map(|width| {
        let room = len.checked_sub(1 + width + if signed { SIGNATURE_LEN } else { 0 })?;
        let widest = (1_usize << (8 * width)) - 1;
        let payload = room.min(widest);
        (size_width(payload) == width).then_some(payload)
    })
}

/// A decrypted, well-formed message of either form, before its signature is checked.
pub(super) struct ParsedPlaintext {
    bytes: Zeroizing<Vec<u8>>,
    payload: Range<usize>,
    padding: Range<usize>,
    signed: bool,
}

impl ParsedPlaintext {
    /// Splits a plaintext into its parts.
    pub(super) fn new(
        protocol: ProtocolVersion,
        bytes: Zeroizing<Vec<u8>>,
    ) -> Result<Self, PlaintextError> {
        let &flags = bytes.first().ok_or(PlaintextError::Empty)?;
        let signed = flags & SIGNED != 0;
        let mut end = bytes.len();
        if signed {
            end = end
                .checked_sub(SIGNATURE_LEN)
                .filter(|&end| end > 1)
                .ok_or(PlaintextError::NoRoomForSignature)?;
        }
        let width = usize::from(flags & SIZE_WIDTH);
        let start = 1_usize.saturating_add(width);
        let size = bytes
            .get(1..start)
            .filter(|_| start <= end)
            .ok_or(PlaintextError::NoRoomForSize)?;
        let len = size
            .iter()
            .rev()
            .fold(0_usize, |len, &byte| len << 8 | usize::from(byte));
        let (payload, padding) = match protocol {
            ProtocolVersion::V5 => {
                let payload = match width {
                    0 => start,
                    _ if len < width => return Err(PlaintextError::PaddingWithoutItsSize),
                    _ => len.saturating_add(1),
                };
                if payload > end {
                    return Err(PlaintextError::NoRoomForPadding);
                }
                (payload..end, start..payload)
            }
            ProtocolVersion::V6 => {
                let payload_end = start.saturating_add(len);
                if payload_end > end {
                    return Err(PlaintextError::NoRoomForPayload);
                }
                (start..payload_end, payload_end..end)
            }
        };
        Ok(Self {
            bytes,
            payload,
            padding,
            signed,
        })
    }

    pub(super) fn payload(&self) -> &[u8] {
        self.bytes.get(self.payload.clone()).unwrap_or_default()
    }

    pub(super) fn padding(&self) -> &[u8] {
        self.bytes.get(self.padding.clone()).unwrap_or_default()
    }

    pub(super) const fn is_signed(&self) -> bool {
        self.signed
    }

    /// The signer, if the message is signed.
    pub(super) fn signer(&self) -> Result<Option<ClientPublic>, PlaintextError> {
        if !self.signed {
            return Ok(None);
        }
        self.bytes
            .split_last_chunk::<SIGNATURE_LEN>()
            .and_then(|(body, signature)| recover(body, signature))
            .map(Some)
            .ok_or(PlaintextError::BadSignature)
    }
}

/// Does the work of recovering a signer, to take equal time.
pub(super) fn decoy_recovery(body: &[u8]) {
    core::hint::black_box(recover(body, &DECOY_SIGNATURE));
}

/// The reason why decrypted bytes are not a message.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum PlaintextError {
    /// The signature recovers no key.
    #[error("message has an invalid signature")]
    BadSignature,
    /// The flags are missing.
    #[error("message is empty")]
    Empty,
    /// The padding of `shh/5` exceeds the plaintext.
    #[error("message is shorter than its padding")]
    NoRoomForPadding,
    /// The size field exceeds the plaintext.
    #[error("message is shorter than its size field states")]
    NoRoomForPayload,
    /// The signature flag is set on fewer bytes than a signature has.
    #[error("message is too short for its signature")]
    NoRoomForSignature,
    /// The size field is cut.
    #[error("message is too short for its size field")]
    NoRoomForSize,
    /// The padding of `shh/5` is shorter than its own size field, which it contains.
    #[error("message has padding shorter than its own size field")]
    PaddingWithoutItsSize,
}

/// The payload does not fit.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("the payload is too long: at most {max} bytes fit")]
pub struct PayloadTooLong {
    /// The longest payload that fits, in bytes.
    pub max: usize,
}

/// Padding that fills a plaintext of `bare` bytes up to `len`.
fn pad_len_up_to(len: usize, bare: usize, signed: bool) -> Result<usize, PayloadTooLong> {
    len.checked_sub(bare).ok_or_else(|| PayloadTooLong {
        max: max_payload_len(len, signed).unwrap_or(0),
    })
}

/// All bytes but payload and padding.
const fn overhead(payload_len: usize, signed: bool) -> usize {
    1 + size_width(payload_len) + if signed { SIGNATURE_LEN } else { 0 }
}

const fn size_width(payload_len: usize) -> usize {
    match payload_len {
        0..0x100 => 1,
        0x100..0x1_0000 => 2,
        _ => 3,
    }
}

pub(super) fn sign(body: &[u8], signer: &ClientSecret) -> [u8; SIGNATURE_LEN] {
    let digest = Message::from_digest(Keccak256::digest(body).into());
    let (id, compact) =
        RecoverableSignature::sign_ecdsa_recoverable(digest, signer.key()).serialize_compact();
    let mut signature = [id.to_u8(); SIGNATURE_LEN];
    for (to, from) in signature.iter_mut().zip(compact) {
        *to = from;
    }
    signature
}

fn recover(body: &[u8], signature: &[u8; SIGNATURE_LEN]) -> Option<ClientPublic> {
    let digest = Message::from_digest(Keccak256::digest(body).into());
    let (&id, compact) = signature.split_last()?;
    // EIP-627 says 27 or 28; no program accepts that.
    if id > 3 {
        return None;
    }
    RecoverableSignature::from_compact(compact, RecoveryId::from_u8_masked(id))
        .and_then(|signature| signature.recover_ecdsa(digest))
        .map(ClientPublic::from_key)
        .ok()
}

/// Bits of the flags that give the width of the size field.
const SIZE_WIDTH: u8 = 0b011;
/// Bit of the flags that announces a signature.
pub(super) const SIGNED: u8 = 0b100;
/// `r 32 | s 32 | recovery id 1`.
pub(super) const SIGNATURE_LEN: usize = 65;
/// Automatic padding fills up to a multiple of this many bytes.
pub(super) const ALIGNMENT: usize = 256;
/// Maximum of a three-byte size field.
pub(super) const MAX_PAYLOAD_LEN: usize = (1 << 24) - 1;
/// `r` is the x coordinate of the curve's generator, `s` is one: valid over every body.
const DECOY_SIGNATURE: [u8; SIGNATURE_LEN] = [
    0x79, 0xbe, 0x66, 0x7e, 0xf9, 0xdc, 0xbb, 0xac, 0x55, 0xa0, 0x62, 0x95, 0xce, 0x87, 0x0b, 0x07,
    0x02, 0x9b, 0xfc, 0xdb, 0x2d, 0xce, 0x28, 0xd9, 0x59, 0xf2, 0x81, 0x5b, 0x16, 0xf8, 0x17, 0x98,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
    0,
];

#[cfg(test)]
mod tests;
