//! What lies inside the encryption.
//!
//! `flags 1 | size field n | payload | padding | [signature 65]` (protocol sheet 4.1). Flags: two
//! bits give `n`, one says whether there is a signature; the size field is little-endian. The
//! signer's key is not sent, it is recovered from the signature. In `shh/5` the padding stands
//! before the payload, and the size is that of the padding, its own bytes counted (sheet 9); both
//! are read here, and `shh/5` is written in [`super::v5`].
//!
//! Reading follows the one parser that is known to be safe: others cut out slices before they
//! compared lengths, and anybody who knew a key could stop their process with three bytes.

use core::ops::Range;

use rand_core::CryptoRng;
use secp256k1::Message;
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use sha3::{Digest, Keccak256};
use thiserror::Error;
use zeroize::Zeroizing;

use super::keys::{ClientPublic, ClientSecret};
use crate::envelope::ProtocolVersion;

/// A message of `shh/6` ready to be encrypted. Wiped when dropped.
pub struct Plaintext(Zeroizing<Vec<u8>>);

/// How a message is brought to a length that does not show its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Padding<'a> {
    /// Random bytes to the next multiple of 256, never none: what geth does by itself.
    Align,
    /// These bytes, as they are.
    Given(&'a [u8]),
    /// Random bytes until the plaintext has this length.
    UpTo(usize),
}

impl Plaintext {
    /// Lays out a message, padded and, if there is a signer, signed.
    ///
    /// A signature convinces everybody whom the recipient shows it to.
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
            Padding::UpTo(len) => len.checked_sub(bare).ok_or_else(|| PayloadTooLong {
                max: max_payload_len(len, signer.is_some()).unwrap_or(0),
            })?,
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
        }
        if let Some(signer) = signer {
            let signature = sign(&bytes, signer);
            bytes.extend_from_slice(&signature);
        }
        Ok(Self(bytes))
    }

    /// The bytes to be encrypted.
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

/// The longest payload of a plaintext of `len` bytes, if there can be any.
#[must_use]
pub fn max_payload_len(len: usize, signed: bool) -> Option<usize> {
    // The widest size field that its own payload needs leaves the answer; a narrower one may fit
    // where the wider just does not.
    (1..=3_usize).rev().find_map(|width| {
        let room = len.checked_sub(1 + width + if signed { SIGNATURE_LEN } else { 0 })?;
        let widest = (1_usize << (8 * width)) - 1;
        let payload = room.min(widest);
        (size_width(payload) == width).then_some(payload)
    })
}

/// A decrypted, well-formed message of either form whose signature has not been looked at.
pub(super) struct ParsedPlaintext {
    bytes: Zeroizing<Vec<u8>>,
    payload: Range<usize>,
    padding: Range<usize>,
    signed: bool,
}

impl ParsedPlaintext {
    /// Finds the parts of a plaintext.
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

    /// Who signed, if anybody did.
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

/// Does the work of recovering a signer, for the time it takes.
pub(super) fn decoy_recovery(body: &[u8]) {
    core::hint::black_box(recover(body, &DECOY_SIGNATURE));
}

/// Why decrypted bytes are no message.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum PlaintextError {
    /// No key belongs to the signature.
    #[error("message has a signature that nobody can have made")]
    BadSignature,
    /// Not even flags.
    #[error("message is empty")]
    Empty,
    /// The padding of `shh/5` is longer than what there is.
    #[error("message is shorter than the size of its padding says")]
    NoRoomForPadding,
    /// The size field says more than there is.
    #[error("message is shorter than its size field says")]
    NoRoomForPayload,
    /// The signature flag is set on fewer bytes than a signature has.
    #[error("message is too short for its signature")]
    NoRoomForSignature,
    /// The size field itself is cut.
    #[error("message is too short for its size field")]
    NoRoomForSize,
    /// The padding of `shh/5` is shorter than its own size field, which it contains.
    #[error("message has padding shorter than the size that it begins with")]
    PaddingWithoutItsSize,
}

/// The payload does not fit.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("the payload is too long: at most {max} bytes fit")]
pub struct PayloadTooLong {
    /// The longest payload that would.
    pub max: usize,
}

/// Everything but payload and padding.
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
    // EIP-627 says 27 or 28; no program has ever accepted that.
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
/// What automatic padding fills up to a multiple of.
pub(super) const ALIGNMENT: usize = 256;
/// What three bytes of size can say.
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
