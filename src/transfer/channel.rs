//! The end-to-end encryption between the two ends of an attempt.
//!
//! The first payload of each end is `salt 32 | AEAD(hello key, hello 764)`, where the salt is random and the
//! hello key derives from it. The keys of all further payloads derive from both salts; their nonce counts
//! from 0. So no key is used in two sessions, and a payload that is lost, repeated, altered or from another
//! attempt ends the session. The channel knows nothing of files.

use core::fmt;

use chacha20poly1305::aead::{AeadInOut, inout::InOutBuf};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use circuits::bytes::{part, part_mut};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::fault::TransferFault;
use super::frame::{
    BadFrame, BulkFrame, BulkHello, FRAME_LEN, HELLO_LEN, PAYLOAD_LEN, SealedPayload,
};
use super::secret::{AttemptKeys, FileEnd, HelloSalts};
use crate::contact::kdf::Key32;

/// Seals the frames of one direction.
pub struct FrameSealer {
    key: Key32,
    counter: u64,
}

impl FrameSealer {
    /// A sealer under a key that nothing else uses.
    #[must_use]
    pub const fn new(key: Key32) -> Self {
        Self { key, counter: 0 }
    }

    /// Seals the next frame.
    ///
    /// # Errors
    ///
    /// [`BadFrame::Length`] if the content does not fit into a frame.
    pub fn seal(&mut self, frame: &BulkFrame<'_>) -> Result<SealedPayload, BadFrame> {
        let plain = frame.encode().ok_or(BadFrame::Length)?;
        let mut payload = Box::new([0; PAYLOAD_LEN]);
        *part_mut::<0, FRAME_LEN, _>(&mut payload) = *plain;
        let nonce = next_nonce(&mut self.counter).ok_or(BadFrame::Length)?;
        let tag = encrypt(&self.key, nonce, part_mut::<0, FRAME_LEN, _>(&mut payload));
        *part_mut::<FRAME_LEN, TAG_LEN, _>(&mut payload) = tag;
        Ok(payload)
    }
}

impl fmt::Debug for FrameSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FrameSealer({})", self.counter)
    }
}

/// Opens the frames of one direction, in their order.
pub struct FrameOpener {
    key: Key32,
    counter: u64,
}

impl FrameOpener {
    /// An opener for what a sealer with the same key seals.
    #[must_use]
    pub const fn new(key: Key32) -> Self {
        Self { key, counter: 0 }
    }

    /// Opens the next payload; `None` if it is another one.
    #[must_use]
    pub fn open(&mut self, payload: &[u8; PAYLOAD_LEN]) -> Option<Zeroizing<[u8; FRAME_LEN]>> {
        let mut frame = Zeroizing::new(*part::<0, FRAME_LEN, _>(payload));
        let tag = part::<FRAME_LEN, TAG_LEN, _>(payload);
        let nonce = next_nonce(&mut self.counter)?;
        decrypt(&self.key, nonce, frame.as_mut_slice(), tag).then_some(frame)
    }
}

impl fmt::Debug for FrameOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FrameOpener({})", self.counter)
    }
}

/// One end of an attempt, from its hello on.
pub(super) struct Channel {
    keys: AttemptKeys,
    own: FileEnd,
    salt: [u8; SALT_LEN],
    hello: Option<BulkHello>,
    open: Option<(FrameSealer, FrameOpener)>,
}

impl Channel {
    /// A channel that will say this hello.
    pub(super) fn new(
        rng: &mut impl CryptoRng,
        keys: AttemptKeys,
        own: FileEnd,
        hello: BulkHello,
    ) -> Self {
        let mut salt = [0; SALT_LEN];
        rng.fill_bytes(&mut salt);
        Self {
            keys,
            own,
            salt,
            hello: Some(hello),
            open: None,
        }
    }

    /// Whether both salts are known: from then on frames can be sealed.
    pub(super) const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The payload with the hello, once.
    pub(super) fn take_hello(&mut self) -> Option<SealedPayload> {
        let plain = self.hello.take()?.encode()?;
        let mut payload = Box::new([0; PAYLOAD_LEN]);
        *part_mut::<0, SALT_LEN, _>(&mut payload) = self.salt;
        *part_mut::<SALT_LEN, HELLO_LEN, _>(&mut payload) = *plain;
        let key = self.keys.hello_key(self.own, &self.salt);
        let tag = encrypt(
            &key,
            [0; 12],
            part_mut::<SALT_LEN, HELLO_LEN, _>(&mut payload),
        );
        *part_mut::<{ SALT_LEN + HELLO_LEN }, TAG_LEN, _>(&mut payload) = tag;
        Some(payload)
    }

    /// Opens the hello of the other end, and with it the channel.
    pub(super) fn accept_hello(
        &mut self,
        payload: &[u8; PAYLOAD_LEN],
    ) -> Result<BulkHello, TransferFault> {
        let peer = self.own.other();
        let salt = *part::<0, SALT_LEN, _>(payload);
        let mut plain = Zeroizing::new(*part::<SALT_LEN, HELLO_LEN, _>(payload));
        let tag = part::<{ SALT_LEN + HELLO_LEN }, TAG_LEN, _>(payload);
        let key = self.keys.hello_key(peer, &salt);
        if !decrypt(&key, [0; 12], plain.as_mut_slice(), tag) {
            return Err(TransferFault::NotAuthentic);
        }
        let hello = BulkHello::decode(&plain)?;
        let salts = match self.own {
            FileEnd::Sender => HelloSalts {
                sender: self.salt,
                receiver: salt,
            },
            FileEnd::Receiver => HelloSalts {
                sender: salt,
                receiver: self.salt,
            },
        };
        let sealer = FrameSealer::new(self.keys.frame_key(self.own, &salts));
        let opener = FrameOpener::new(self.keys.frame_key(peer, &salts));
        self.open = Some((sealer, opener));
        Ok(hello)
    }

    /// Opens a payload after the hello.
    pub(super) fn open(
        &mut self,
        payload: &[u8; PAYLOAD_LEN],
    ) -> Result<Zeroizing<[u8; FRAME_LEN]>, TransferFault> {
        let opened = self
            .open
            .as_mut()
            .and_then(|(_, opener)| opener.open(payload));
        opened.ok_or(TransferFault::NotAuthentic)
    }

    /// Seals a frame; `None` while the channel is not open, or if the content does not fit.
    pub(super) fn seal(&mut self, frame: &BulkFrame<'_>) -> Option<SealedPayload> {
        self.open
            .as_mut()
            .and_then(|(sealer, _)| sealer.seal(frame).ok())
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Channel(..)")
    }
}

/// The nonce of the counter, which then moves on; `None` at its end.
fn next_nonce(counter: &mut u64) -> Option<[u8; 12]> {
    let mut nonce = [0; 12];
    *part_mut::<4, 8, _>(&mut nonce) = counter.to_be_bytes();
    *counter = counter.checked_add(1)?;
    Some(nonce)
}

fn encrypt(key: &Key32, nonce: [u8; 12], plain: &mut [u8]) -> [u8; TAG_LEN] {
    #[expect(
        clippy::expect_used,
        reason = "fails beyond 256 GB; a frame has 796 bytes"
    )]
    let tag = ChaCha20Poly1305::new((&**key).into())
        .encrypt_inout_detached(&nonce.into(), b"", InOutBuf::from(plain))
        .expect("a frame is short enough");
    tag.into()
}

fn decrypt(key: &Key32, nonce: [u8; 12], bytes: &mut [u8], tag: &[u8; TAG_LEN]) -> bool {
    ChaCha20Poly1305::new((&**key).into())
        .decrypt_inout_detached(&nonce.into(), b"", InOutBuf::from(bytes), &(*tag).into())
        .is_ok()
}

const SALT_LEN: usize = 32;
const TAG_LEN: usize = 16;

const _: () = assert!(FRAME_LEN + TAG_LEN == PAYLOAD_LEN);
