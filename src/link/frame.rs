//! RLPx frames: one message each, encrypted and authenticated.
//!
//! ```text
//! header 16, encrypted | MAC 16 | body, encrypted, padded to 16 | MAC 16
//! header: length of code and payload 3 | c2 80 80 | zeros
//! ```
//!
//! One AES-256-CTR keystream per direction runs through headers and bodies; two Keccak-256 states,
//! seeded by the handshake, absorb everything that was sent and so bind each frame to its place in
//! the stream: nothing can be replayed, dropped or reordered (protocol sheet 1.5).
//!
//! [`Sealer`] and [`Opener`] are separate types, so that no direction can be mistaken for the
//! other. This module knows nothing of what messages mean and does not compress.

use aes::Aes256;
use aes::cipher::{BlockCipherEncrypt, KeyInit, KeyIvInit, StreamCipher};
use ctr::Ctr128BE;
use sha3::{Digest, Keccak256};
use subtle::ConstantTimeEq;

use super::fault::PeerFault;
use super::secrets::SessionSecrets;

/// Writes frames.
pub struct Sealer {
    cipher: Ctr128BE<Aes256>,
    mac: RunningMac,
}

impl Sealer {
    pub(super) fn new(secrets: &SessionSecrets, seed: Keccak256) -> Self {
        Self {
            cipher: keystream(secrets),
            mac: RunningMac::new(secrets, seed),
        }
    }

    /// Appends the frame of one message to `wire`.
    ///
    /// # Errors
    ///
    /// [`FrameTooLong`] if code and payload exceed 16,777,215 bytes; nothing is written then.
    pub fn seal(
        &mut self,
        code: u16,
        payload: &[u8],
        wire: &mut Vec<u8>,
    ) -> Result<(), FrameTooLong> {
        let (code, code_len) = encode_code(code);
        let code = code.get(..code_len).unwrap_or_default();
        let len = code_len.saturating_add(payload.len());
        let padding = len.next_multiple_of(BLOCK).saturating_sub(len);
        let size = u32::try_from(len).map_err(|_| FrameTooLong)?;
        let [0, high, middle, low] = size.to_be_bytes() else {
            return Err(FrameTooLong);
        };

        let mut header = [0; BLOCK];
        for (to, from) in header.iter_mut().zip([high, middle, low, 0xc2, 0x80, 0x80]) {
            *to = from;
        }
        self.cipher.apply_keystream(&mut header);
        wire.reserve(wire_len(len));
        wire.extend_from_slice(&header);
        wire.extend_from_slice(&self.mac.step(&header));

        let start = wire.len();
        wire.extend_from_slice(code);
        wire.extend_from_slice(payload);
        wire.extend(std::iter::repeat_n(0, padding));
        let body = wire.get_mut(start..).unwrap_or_default();
        self.cipher.apply_keystream(body);
        let mac = self.mac.absorb_body(body);
        wire.extend_from_slice(&mac);
        Ok(())
    }
}

/// Reads frames, in two steps: the header, which says how much follows, and the body.
pub struct Opener {
    cipher: Ctr128BE<Aes256>,
    mac: RunningMac,
}

impl Opener {
    pub(super) fn new(secrets: &SessionSecrets, seed: Keccak256) -> Self {
        Self {
            cipher: keystream(secrets),
            mac: RunningMac::new(secrets, seed),
        }
    }

    /// Checks and decrypts a header with its MAC.
    ///
    /// # Errors
    ///
    /// [`PeerFault::HeaderMac`] or [`PeerFault::FrameEmpty`]. The stream is lost either way.
    pub fn open_header(&mut self, sealed: &[u8; HEADER_LEN]) -> Result<FrameSize, PeerFault> {
        let (header, mac) = sealed.split_at(BLOCK);
        let mut header: [u8; BLOCK] = header.try_into().map_err(|_| PeerFault::HeaderMac)?;
        let wanted = self.mac.step(&header);
        if !bool::from(wanted.ct_eq(mac)) {
            return Err(PeerFault::HeaderMac);
        }
        self.cipher.apply_keystream(&mut header);
        let [high, middle, low, ..] = header;
        let size = u32::from_be_bytes([0, high, middle, low]);
        match usize::try_from(size) {
            Ok(0) => Err(PeerFault::FrameEmpty),
            Ok(len) => Ok(FrameSize(len)),
            Err(_) => Err(PeerFault::FrameTooLong),
        }
    }

    /// Checks and decrypts, in place, the body that a header announced, with its padding and MAC;
    /// returns message code and payload.
    ///
    /// # Errors
    ///
    /// [`PeerFault::BodyMac`], also for a body that is not [`FrameSize::sealed_len`] bytes long, or
    /// [`PeerFault::CodeMalformed`]. The stream is lost either way.
    pub fn open_body<'a>(
        &mut self,
        size: FrameSize,
        sealed: &'a mut [u8],
    ) -> Result<(u16, &'a [u8]), PeerFault> {
        if sealed.len() != size.sealed_len() {
            return Err(PeerFault::BodyMac);
        }
        let (body, mac) = sealed
            .split_last_chunk_mut::<MAC_LEN>()
            .ok_or(PeerFault::BodyMac)?;
        let wanted = self.mac.absorb_body(body);
        if !bool::from(wanted.ct_eq(&*mac)) {
            return Err(PeerFault::BodyMac);
        }
        self.cipher.apply_keystream(body);
        let content = body.get(..size.0).ok_or(PeerFault::BodyMac)?;
        decode_code(content).ok_or(PeerFault::CodeMalformed)
    }
}

/// An [`Opener`] that knows which part of a frame comes next.
pub(super) struct FrameReader {
    opener: Opener,
    /// Set between a header and its body.
    body: Option<FrameSize>,
}

impl FrameReader {
    pub(super) const fn new(opener: Opener) -> Self {
        Self { opener, body: None }
    }

    /// How many bytes the next part has.
    pub(super) fn needs(&self) -> usize {
        self.body.as_ref().map_or(HEADER_LEN, FrameSize::sealed_len)
    }

    /// Takes the next part, [`Self::needs`] bytes, and decrypts it in place; returns code and
    /// payload if that completes a frame. A header that announces more than `longest` is refused,
    /// before anybody waits or reserves memory for its body.
    pub(super) fn read<'a>(
        &mut self,
        part: &'a mut [u8],
        longest: usize,
    ) -> Result<Option<(u16, &'a [u8])>, PeerFault> {
        if let Some(size) = self.body.take() {
            return self.opener.open_body(size, part).map(Some);
        }
        let header = (&*part).try_into().map_err(|_| PeerFault::HeaderMac)?;
        let size = self.opener.open_header(header)?;
        if size.content_len() > longest {
            return Err(PeerFault::FrameTooLong);
        }
        self.body = Some(size);
        Ok(None)
    }
}

/// The length that an authenticated header announced. Spent by opening the body.
#[derive(Debug)]
#[must_use]
pub struct FrameSize(usize);

impl FrameSize {
    /// Length of message code and payload.
    #[must_use]
    const fn content_len(&self) -> usize {
        self.0
    }

    /// What follows the header on the wire: content, padding and MAC.
    #[must_use]
    pub const fn sealed_len(&self) -> usize {
        self.0.next_multiple_of(BLOCK).saturating_add(MAC_LEN)
    }
}

/// Code and payload together exceed what three bytes of length can say.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("message exceeds 16,777,215 bytes")]
pub struct FrameTooLong;

/// Length on the wire of a frame with `content` bytes of code and payload.
#[must_use]
pub const fn wire_len(content: usize) -> usize {
    content
        .next_multiple_of(BLOCK)
        .saturating_add(HEADER_LEN + MAC_LEN)
}

/// A running Keccak-256 state, stirred at each step with AES-256.
struct RunningMac {
    cipher: Aes256,
    state: Keccak256,
}

impl RunningMac {
    fn new(secrets: &SessionSecrets, seed: Keccak256) -> Self {
        Self {
            cipher: Aes256::new(secrets.mac().expose().into()),
            state: seed,
        }
    }

    /// The first half of the digest of everything so far.
    fn digest(&self) -> [u8; MAC_LEN] {
        let digest: [u8; 32] = self.state.clone().finalize().into();
        let (half, _) = digest.split_at(MAC_LEN);
        let mut out = [0; MAC_LEN];
        out.copy_from_slice(half);
        out
    }

    /// Absorbs `AES(digest) xor seed` and returns the new digest.
    fn step(&mut self, seed: &[u8; BLOCK]) -> [u8; MAC_LEN] {
        let mut block = self.digest().into();
        self.cipher.encrypt_block(&mut block);
        for (to, from) in block.iter_mut().zip(seed) {
            *to ^= from;
        }
        self.state.update(block);
        self.digest()
    }

    /// Absorbs an encrypted body and returns its MAC.
    fn absorb_body(&mut self, body: &[u8]) -> [u8; MAC_LEN] {
        self.state.update(body);
        let seed = self.digest();
        self.step(&seed)
    }
}

fn keystream(secrets: &SessionSecrets) -> Ctr128BE<Aes256> {
    // The key serves this one session, which is why RLPx can do with a constant IV.
    Ctr128BE::new(secrets.aes().expose().into(), &[0; BLOCK].into())
}

/// Writes a message code as an RLP integer: up to three bytes.
const fn encode_code(code: u16) -> ([u8; 3], usize) {
    match code.to_be_bytes() {
        [0, 0] => ([0x80, 0, 0], 1),
        [0, low @ ..0x80] => ([low, 0, 0], 1),
        [0, low] => ([0x81, low, 0], 2),
        [high, low] => ([0x82, high, low], 3),
    }
}

/// Splits content into message code, in its shortest form, and payload.
const fn decode_code(content: &[u8]) -> Option<(u16, &[u8])> {
    match content {
        [0x80, payload @ ..] => Some((0, payload)),
        [code @ 0x01..=0x7f, payload @ ..] => Some((u16::from_be_bytes([0, *code]), payload)),
        [0x81, low @ 0x80..=0xff, payload @ ..] => Some((u16::from_be_bytes([0, *low]), payload)),
        [0x82, high @ 1..=0xff, low, payload @ ..] => {
            Some((u16::from_be_bytes([*high, *low]), payload))
        }
        _ => None,
    }
}

/// A header with its MAC.
pub const HEADER_LEN: usize = BLOCK + MAC_LEN;
/// Bodies are padded to this.
const BLOCK: usize = 16;
const MAC_LEN: usize = 16;
/// The longest content that a header can announce.
pub const MAX_CONTENT: usize = 0xff_ffff;
/// The longest form of a message code.
pub const MAX_CODE_LEN: usize = 3;

#[cfg(test)]
mod tests;
