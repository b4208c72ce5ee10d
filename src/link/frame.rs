//! RLPx frames: one message each, encrypted and authenticated.
//!
//! ```text
//! header 16, encrypted | MAC 16 | body, encrypted, padded to 16 | MAC 16
//! header: length of code and payload 3 | c2 80 80 | zeros
//! ```
//!
//! One AES-256-CTR keystream per direction runs through headers and bodies. Two Keccak-256 states,
//! seeded by the handshake, absorb all sent bytes and so bind each frame to its position in the
//! stream: no frame can be replayed, dropped or reordered (protocol sheet 1.5).
//!
//! [`Sealer`] and [`Opener`] are separate types, so that the directions cannot be confused. This
//! module must not interpret messages, and does not compress.

use aes::Aes256;
use aes::cipher::{BlockCipherEncrypt, KeyInit, KeyIvInit, StreamCipher};
use ctr::Ctr128BE;
use subtle::ConstantTimeEq;

use super::fault::PeerFault;
use super::secrets::SessionSecrets;
use crate::keccak::RunningKeccak;

/// Writes frames.
pub struct Sealer(Protection);

impl Sealer {
    pub(super) fn new(secrets: &SessionSecrets, seed: RunningKeccak) -> Self {
        Self(Protection::new(secrets, seed))
    }

    /// Frames of the same lengths without protection, for simulated nodes.
    #[cfg(feature = "sim")]
    pub(super) const fn stand_in() -> Self {
        Self(Protection::StandIn)
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
        self.seal_header(len, wire)?;
        wire.reserve(wire_len(len));

        let start = wire.len();
        wire.extend_from_slice(code);
        wire.extend_from_slice(payload);
        wire.extend(std::iter::repeat_n(0, padding));
        let body = wire.get_mut(start..).unwrap_or_default();
        self.0.apply_keystream(body);
        let mac = self.0.mac_of_body(body);
        wire.extend_from_slice(&mac);
        Ok(())
    }

    /// Appends the header of a frame whose code and payload have `len` bytes. Tests use it alone: a
    /// peer that announces a frame need not compute its body.
    ///
    /// # Errors
    ///
    /// [`FrameTooLong`] above 16,777,215 bytes; nothing is written then.
    pub fn seal_header(&mut self, len: usize, wire: &mut Vec<u8>) -> Result<(), FrameTooLong> {
        let size = u32::try_from(len).map_err(|_| FrameTooLong)?;
        let [0, high, middle, low] = size.to_be_bytes() else {
            return Err(FrameTooLong);
        };
        let mut header = [0; BLOCK];
        for (to, from) in header.iter_mut().zip([high, middle, low, 0xc2, 0x80, 0x80]) {
            *to = from;
        }
        self.0.apply_keystream(&mut header);
        wire.extend_from_slice(&header);
        wire.extend_from_slice(&self.0.mac_of_header(&header));
        Ok(())
    }
}

/// Reads frames, in two steps: the header, which announces the length, and the body.
pub struct Opener(Protection);

impl Opener {
    pub(super) fn new(secrets: &SessionSecrets, seed: RunningKeccak) -> Self {
        Self(Protection::new(secrets, seed))
    }

    /// Reads the frames of [`Sealer::stand_in`].
    #[cfg(feature = "sim")]
    pub(super) const fn stand_in() -> Self {
        Self(Protection::StandIn)
    }

    /// Checks and decrypts a header with its MAC.
    ///
    /// # Errors
    ///
    /// [`PeerFault::HeaderMac`] or [`PeerFault::FrameEmpty`]. The stream is unusable after either.
    pub fn open_header(&mut self, sealed: &[u8; HEADER_LEN]) -> Result<FrameSize, PeerFault> {
        let (header, mac) = sealed.split_at(BLOCK);
        let mut header: [u8; BLOCK] = header.try_into().map_err(|_| PeerFault::HeaderMac)?;
        let wanted = self.0.mac_of_header(&header);
        if !bool::from(wanted.ct_eq(mac)) {
            return Err(PeerFault::HeaderMac);
        }
        self.0.apply_keystream(&mut header);
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
    /// [`PeerFault::CodeMalformed`]. The stream is unusable after either.
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
        let wanted = self.0.mac_of_body(body);
        if !bool::from(wanted.ct_eq(&*mac)) {
            return Err(PeerFault::BodyMac);
        }
        self.0.apply_keystream(body);
        let content = body.get(..size.0).ok_or(PeerFault::BodyMac)?;
        decode_code(content).ok_or(PeerFault::CodeMalformed)
    }
}

/// An [`Opener`] that tracks which part of a frame comes next.
pub(super) struct FrameReader {
    opener: Opener,
    /// Set between a header and its body.
    body: Option<FrameSize>,
}

impl FrameReader {
    pub(super) const fn new(opener: Opener) -> Self {
        Self { opener, body: None }
    }

    /// The length of the next part, in bytes.
    pub(super) fn needs(&self) -> usize {
        self.body.as_ref().map_or(HEADER_LEN, FrameSize::sealed_len)
    }

    /// Takes the next part, [`Self::needs`] bytes, and decrypts it in place; returns code and
    /// payload if that completes a frame. Refuses a header that announces more than `longest`
    /// before memory for the body is reserved.
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

/// The length that an authenticated header announced. Consumed by opening the body.
#[derive(Debug)]
#[must_use]
pub struct FrameSize(usize);

impl FrameSize {
    /// Length of message code and payload.
    #[must_use]
    const fn content_len(&self) -> usize {
        self.0
    }

    /// The bytes after the header on the wire: content, padding and MAC.
    #[must_use]
    pub const fn sealed_len(&self) -> usize {
        self.0.next_multiple_of(BLOCK).saturating_add(MAC_LEN)
    }
}

/// Code and payload together exceed the three-byte length field.
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

/// What protects one direction of a link.
enum Protection {
    /// RLPx.
    Real(Box<FrameCipher>),
    /// Nothing, at the same lengths: a simulated link.
    #[cfg(feature = "sim")]
    StandIn,
}

/// The keystream and the running MAC.
struct FrameCipher {
    keystream: Ctr128BE<Aes256>,
    mac: RunningMac,
}

impl Protection {
    fn new(secrets: &SessionSecrets, seed: RunningKeccak) -> Self {
        Self::Real(Box::new(FrameCipher {
            keystream: keystream(secrets),
            mac: RunningMac::new(secrets, seed),
        }))
    }

    fn apply_keystream(&mut self, bytes: &mut [u8]) {
        match self {
            Self::Real(real) => real.keystream.apply_keystream(bytes),
            #[cfg(feature = "sim")]
            Self::StandIn => {}
        }
    }

    fn mac_of_header(&mut self, header: &[u8; BLOCK]) -> [u8; MAC_LEN] {
        match self {
            Self::Real(real) => real.mac.step(header),
            #[cfg(feature = "sim")]
            Self::StandIn => [0; MAC_LEN],
        }
    }

    fn mac_of_body(&mut self, body: &[u8]) -> [u8; MAC_LEN] {
        match self {
            Self::Real(real) => real.mac.absorb_body(body),
            #[cfg(feature = "sim")]
            Self::StandIn => [0; MAC_LEN],
        }
    }
}

/// A running Keccak-256 state, mixed at each step with AES-256.
///
/// The digest of the state is kept: the end of one step is the beginning of the next, so a frame
/// costs three digests instead of five.
struct RunningMac {
    cipher: Aes256,
    state: RunningKeccak,
    /// The first half of the digest of all bytes so far.
    digest: [u8; MAC_LEN],
}

impl RunningMac {
    fn new(secrets: &SessionSecrets, seed: RunningKeccak) -> Self {
        Self {
            cipher: Aes256::new(secrets.mac().expose().into()),
            digest: half_digest(&seed),
            state: seed,
        }
    }

    /// Absorbs bytes.
    fn absorb(&mut self, bytes: &[u8]) {
        self.state.update(bytes);
        self.digest = half_digest(&self.state);
    }

    /// Absorbs `AES(digest) xor seed` and returns the new digest.
    fn step(&mut self, seed: &[u8; BLOCK]) -> [u8; MAC_LEN] {
        let mut block = self.digest.into();
        self.cipher.encrypt_block(&mut block);
        for (to, from) in block.iter_mut().zip(seed) {
            *to ^= from;
        }
        self.absorb(&block);
        self.digest
    }

    /// Absorbs an encrypted body and returns its MAC.
    fn absorb_body(&mut self, body: &[u8]) -> [u8; MAC_LEN] {
        self.absorb(body);
        let seed = self.digest;
        self.step(&seed)
    }
}

/// The first half of the digest of a state, which goes on.
fn half_digest(state: &RunningKeccak) -> [u8; MAC_LEN] {
    let digest = state.digest();
    let (half, _) = digest.split_at(MAC_LEN);
    let mut out = [0; MAC_LEN];
    out.copy_from_slice(half);
    out
}

fn keystream(secrets: &SessionSecrets) -> Ctr128BE<Aes256> {
    // The key serves one session only, so RLPx may use a constant IV.
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
/// Bodies are padded to a multiple of this many bytes.
const BLOCK: usize = 16;
const MAC_LEN: usize = 16;
/// The longest content that a header can announce, in bytes.
pub const MAX_CONTENT: usize = 0xff_ffff;
/// The longest form of a message code, in bytes.
pub const MAX_CODE_LEN: usize = 3;

#[cfg(test)]
mod tests;
