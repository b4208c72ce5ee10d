//! The body of a first message: an X-Wing ciphertext, and a box under the secret that it gives.
//!
//! `ciphertext 1120 | nonce 24 | XAEAD(version 1 | mode 1 | ticket 8 | len 4 | content)`. The transcript, tau,
//! hashes the reader's id, its key block and the ciphertext; every key derives from it, so a body that was
//! made for one person does not open for another who publishes the same keys. A sender makes one box for
//! one conversation, and uses it for every message until something comes back.
//!
//! The content is a message of Olm, or a [`letter`](super::letter). Nothing here reads it.

mod seen;
mod ticket;

use core::fmt;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use circuits::bytes::{ByteReader, Truncated};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::codec::{BadState, StateReader, StateWriter};
use super::id::ContactId;
use super::kdf::{Key32, Label, expand, extract_under, hash};
use super::key_block::{Kappa, KeyBlock};
use super::x_wing::{BadXWingKey, X_WING_CIPHERTEXT_LEN, XWingCiphertext, XWingSecret};

pub use self::seen::{SeenKeys, SeenOutcome};
pub use self::ticket::{FirstTicket, FirstTicketSearch, MAX_FIRST_TICKET_BITS};

/// The transcript of a first contact, which names its conversation.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Tau(pub [u8; 32]);

impl Tau {
    /// The transcript of a first contact with the owner of `id` and of the key block with this hash.
    #[must_use]
    pub fn of(id: &ContactId, kappa: &Kappa, ciphertext: &[u8; X_WING_CIPHERTEXT_LEN]) -> Self {
        let parts: [&[u8]; 3] = [&id.0, &kappa.0, ciphertext];
        Self(hash(Label::FIRST_TRANSCRIPT, &parts))
    }
}

impl fmt::Debug for Tau {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tau(..)")
    }
}

/// What the content of a first message is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FirstMode {
    /// A message of Olm, to begin a conversation.
    Conversation,
    /// The first letter of a source, with its keys.
    LetterWithKeys,
    /// A further letter of a source.
    LetterToReader,
    /// A letter to a source.
    LetterToSource,
}

impl FirstMode {
    const fn code(self) -> u8 {
        match self {
            Self::Conversation => 1,
            Self::LetterWithKeys => 2,
            Self::LetterToReader => 3,
            Self::LetterToSource => 4,
        }
    }

    const fn of(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Conversation),
            2 => Some(Self::LetterWithKeys),
            3 => Some(Self::LetterToReader),
            4 => Some(Self::LetterToSource),
            _ => None,
        }
    }
}

/// The secrets of one first contact, equal for both ends.
pub struct FirstBox {
    tau: Tau,
    ciphertext: XWingCiphertext,
    key: Key32,
    /// The secret of epoch 0, until the conversation takes it.
    epoch: Option<Key32>,
}

impl FirstBox {
    /// Makes the box of a first contact with the owner of a key block.
    ///
    /// # Errors
    ///
    /// [`BadXWingKey`] never, as a key block has checked its keys.
    pub fn create(
        rng: &mut impl CryptoRng,
        id: &ContactId,
        block: &KeyBlock,
    ) -> Result<Self, BadXWingKey> {
        let (ciphertext, shared) = block.x_wing().encapsulate(rng)?;
        let tau = Tau::of(id, &block.kappa(), &ciphertext);
        Ok(Self::derive(tau, ciphertext, &shared))
    }

    /// Opens a body, with the X-Wing key of the block that `kappa` is the hash of.
    ///
    /// # Errors
    ///
    /// [`FirstError`] names the check that failed. No answer to the sender may depend on it.
    pub fn open(
        x_wing: &XWingSecret,
        id: &ContactId,
        kappa: &Kappa,
        body: &[u8],
    ) -> Result<(Self, FirstContent), FirstError> {
        let (ciphertext, _) = split(body)?;
        let shared = x_wing
            .decapsulate(ciphertext)
            .ok_or(FirstError::Ciphertext)?;
        let tau = Tau::of(id, kappa, ciphertext);
        let opened = Self::derive(tau, Box::new(*ciphertext), &shared);
        let content = opened.unwrap_body(body)?;
        Ok((opened, content))
    }

    fn derive(tau: Tau, ciphertext: XWingCiphertext, shared: &Key32) -> Self {
        let secret = extract_under(&tau.0, &[shared.as_slice()]);
        Self {
            tau,
            ciphertext,
            key: expand::<32>(&secret, Label::FIRST_BOX, &[]),
            epoch: Some(expand::<32>(&secret, Label::FIRST_EPOCH, &[])),
        }
    }

    /// The transcript that a body has with this id and key block, by which a reader finds the box of an earlier
    /// message of the same conversation.
    ///
    /// # Errors
    ///
    /// [`FirstError::Length`] if the body is too short.
    pub fn tau_of(id: &ContactId, kappa: &Kappa, body: &[u8]) -> Result<Tau, FirstError> {
        let (ciphertext, _) = split(body)?;
        Ok(Tau::of(id, kappa, ciphertext))
    }

    /// Makes the body of one message. Two calls give unrelated bytes behind the ciphertext.
    #[must_use]
    pub fn wrap(
        &self,
        rng: &mut impl CryptoRng,
        ticket: FirstTicket,
        mode: FirstMode,
        content: &[u8],
    ) -> Vec<u8> {
        let len = u32::try_from(content.len())
            .unwrap_or(u32::MAX)
            .to_be_bytes();
        let head: [&[u8]; 4] = [&[VERSION, mode.code()], &ticket.0, &len, content];
        let plaintext = Zeroizing::new(head.concat());
        let mut nonce = [0; NONCE_LEN];
        rng.fill_bytes(&mut nonce);
        let payload = Payload {
            msg: &plaintext,
            aad: &self.tau.0,
        };
        #[expect(
            clippy::expect_used,
            reason = "fails beyond 256 GB; a message has 64 KB"
        )]
        let sealed = self
            .cipher()
            .encrypt(&nonce.into(), payload)
            .expect("a content is short enough");
        [&self.ciphertext[..], &nonce, &sealed].concat()
    }

    /// Opens a further body of the same first contact. Costs no decapsulation.
    ///
    /// # Errors
    ///
    /// [`FirstError`] names the check that failed.
    pub fn unwrap_body(&self, body: &[u8]) -> Result<FirstContent, FirstError> {
        let (ciphertext, rest) = split(body)?;
        if *ciphertext != *self.ciphertext {
            return Err(FirstError::Ciphertext);
        }
        let (nonce, sealed) = rest
            .split_first_chunk::<NONCE_LEN>()
            .ok_or(FirstError::Length)?;
        let payload = Payload {
            msg: sealed,
            aad: &self.tau.0,
        };
        let plaintext = self.cipher().decrypt(nonce.into(), payload);
        let plaintext = Zeroizing::new(plaintext.map_err(|_| FirstError::Box)?);
        FirstContent::decode(&self.tau, &plaintext)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.key).into())
    }

    /// The transcript.
    #[must_use]
    pub const fn tau(&self) -> &Tau {
        &self.tau
    }

    /// Takes the secret of epoch 0 for the conversation. `None` if it was taken before.
    pub const fn take_epoch_secret(&mut self) -> Option<Key32> {
        self.epoch.take()
    }

    /// Encodes the box for the state of this node.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut record = StateWriter::new(STORED_VERSION);
        record.array(&self.tau.0);
        record.array(self.ciphertext.as_slice());
        record.array(self.key.as_slice());
        record.option(self.epoch.as_ref(), |record, epoch| {
            record.array(epoch.as_slice());
        });
        record.finish()
    }

    /// Reads a stored box.
    ///
    /// # Errors
    ///
    /// [`BadState`] if the bytes are not those of a box.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadState> {
        let mut record = StateReader::new(bytes, STORED_VERSION)?;
        let opened = Self {
            tau: Tau(record.array()?),
            ciphertext: Box::new(record.array()?),
            key: record.key()?,
            epoch: record.option(StateReader::key)?,
        };
        record.finish()?;
        Ok(opened)
    }
}

impl fmt::Debug for FirstBox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FirstBox(..)")
    }
}

/// The content of an opened body.
pub struct FirstContent {
    /// What it is.
    pub mode: FirstMode,
    /// The work of its ticket, in bits. The reader refuses less than its card asks for.
    pub ticket_bits: u8,
    /// The bytes.
    pub content: Zeroizing<Vec<u8>>,
}

impl FirstContent {
    /// Decodes what a box contains.
    ///
    /// # Errors
    ///
    /// [`FirstError`] names the rule that the bytes break.
    pub fn decode(tau: &Tau, plaintext: &[u8]) -> Result<Self, FirstError> {
        let mut fields = ByteReader::new(plaintext);
        if fields.u8()? != VERSION {
            return Err(FirstError::Version);
        }
        let mode = FirstMode::of(fields.u8()?).ok_or(FirstError::Mode)?;
        let ticket = FirstTicket(fields.array()?);
        let len = usize::try_from(fields.u32()?).map_err(|_| FirstError::Length)?;
        let content = Zeroizing::new(fields.take(len)?.to_vec());
        fields.finish().map_err(|_| FirstError::Length)?;
        Ok(Self {
            mode,
            ticket_bits: ticket.bits(tau),
            content,
        })
    }
}

impl fmt::Debug for FirstContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FirstContent")
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

/// Length of the body of a content of `len` bytes.
#[must_use]
pub const fn first_body_len(len: usize) -> usize {
    len.saturating_add(X_WING_CIPHERTEXT_LEN + NONCE_LEN + TAG_LEN + HEAD_LEN)
}

fn split(body: &[u8]) -> Result<(&[u8; X_WING_CIPHERTEXT_LEN], &[u8]), FirstError> {
    body.split_first_chunk().ok_or(FirstError::Length)
}

/// Reason why a body does not open.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FirstError {
    /// The box is of another key, another person, or altered.
    #[error("the box of a first message does not open")]
    Box,
    /// The X-Wing ciphertext is of low order, or that of another first contact.
    #[error("the X-Wing ciphertext of a first message is refused")]
    Ciphertext,
    /// Bytes are missing or left.
    #[error("a first message does not have the length that it states")]
    Length,
    /// The mode is unknown.
    #[error("a first message has an unknown mode")]
    Mode,
    /// The version is unknown.
    #[error("a first message has an unknown version")]
    Version,
}

impl From<Truncated> for FirstError {
    fn from(_: Truncated) -> Self {
        Self::Length
    }
}

const VERSION: u8 = 1;
const STORED_VERSION: u8 = 1;
const NONCE_LEN: usize = 24;
const TAG_LEN: usize = 16;
/// Version, mode, ticket and length before the content.
const HEAD_LEN: usize = 1 + 1 + 8 + 4;

#[cfg(test)]
mod tests;
