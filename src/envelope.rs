//! The outer message: what every node on the way can see.
//!
//! An `shh/6` envelope is the canonical RLP of `[expiry, ttl, topic, data, nonce]` (protocol sheet
//! 3.1; EIP-627 calls the integers fixed-width, the wire does not). It is named by the Keccak-256
//! of exactly those bytes, so decoding keeps them, shares them between clones and never writes
//! them again.
//!
//! Decoding settles form only. Whether an envelope is alive ([`InTime`]), was worked for
//! ([`crate::pow`]) or means anything to us ([`crate::message`]) is judged elsewhere. Topic and
//! hash do not print: they would tie a log line to a conversation.

use core::fmt;
use std::sync::Arc;

use circuits::time::UnixSecs;
use sha3::{Digest, Keccak256};

pub use self::canonical::EnvelopeError;
use self::canonical::{Fields, push_bytes, push_header, push_uint};
pub use self::class::{SizeClass, TtlClass};
pub use self::intime::{InTime, Untimely};

mod canonical;
mod class;
mod intime;

/// A sealed envelope. Clones share one allocation.
#[derive(Clone)]
pub struct Envelope(Arc<Parts>);

impl Envelope {
    /// Takes the bytes of one envelope, all of them.
    ///
    /// # Errors
    ///
    /// Names the first thing that is not as canonical RLP of five fields must be. Whoever sent it
    /// is to blame: no honest software writes such bytes.
    pub fn decode(rlp: &[u8]) -> Result<Self, EnvelopeError> {
        let fields = Fields::parse(rlp)?;
        let hash = EnvelopeHash(Keccak256::digest(rlp).into());
        Ok(Self(Arc::new(Parts {
            expiry: UnixSecs(fields.expiry),
            ttl: Ttl(fields.ttl),
            topic: Topic(fields.topic),
            nonce: fields.nonce,
            first_at: fields.first_at,
            data_at: fields.data_at,
            data_end: fields.data_end,
            hash,
            rlp: rlp.into(),
        })))
    }

    /// Encodes five fields. Lengths are the caller's business; nothing is refused.
    #[must_use]
    pub fn build(expiry: UnixSecs, ttl: Ttl, topic: Topic, data: Vec<u8>, nonce: u64) -> Self {
        Unsealed {
            expiry,
            ttl,
            topic,
            data,
        }
        .seal(nonce)
    }

    /// The bytes on the wire.
    #[must_use]
    pub fn as_rlp(&self) -> &[u8] {
        &self.0.rlp
    }

    /// The name of this envelope: Keccak-256 over [`as_rlp`](Self::as_rlp).
    #[must_use]
    pub fn hash(&self) -> EnvelopeHash {
        self.0.hash
    }

    /// The last second of its life.
    #[must_use]
    pub fn expiry(&self) -> UnixSecs {
        self.0.expiry
    }

    /// How long it asked to live.
    #[must_use]
    pub fn ttl(&self) -> Ttl {
        self.0.ttl
    }

    /// The hint by which readers choose what to try.
    #[must_use]
    pub fn topic(&self) -> Topic {
        self.0.topic
    }

    /// The encrypted message.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.0
            .rlp
            .get(self.0.data_at..self.0.data_end)
            .unwrap_or_default()
    }

    /// The proof of work.
    #[must_use]
    pub fn nonce(&self) -> u64 {
        self.0.nonce
    }

    /// When its life began, `expiry - ttl` in 32-bit arithmetic that wraps, as peers compute it.
    ///
    /// Only an envelope that [`InTime`] vouches for is known not to have wrapped.
    #[must_use]
    pub fn sent(&self) -> UnixSecs {
        sent(self.0.expiry, self.0.ttl)
    }

    /// The size by which geth and the older proof of work count: `20 + len(data)`.
    #[must_use]
    pub fn size(&self) -> usize {
        self.data().len().saturating_add(HEADER_SIZE)
    }

    /// The header and the body of `RLP([expiry, ttl, topic, data])`, which the work is done over.
    pub(crate) fn without_nonce(&self) -> (Vec<u8>, &[u8]) {
        let body = self
            .0
            .rlp
            .get(self.0.first_at..self.0.data_end)
            .unwrap_or_default();
        let mut header = Vec::with_capacity(4);
        push_header(&mut header, LIST, body.len());
        (header, body)
    }
}

impl PartialEq for Envelope {
    fn eq(&self, other: &Self) -> bool {
        self.0.hash == other.0.hash
    }
}

impl Eq for Envelope {}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Envelope({} bytes)", self.0.rlp.len())
    }
}

/// An envelope that lacks only its proof of work.
#[derive(Clone, Eq, PartialEq)]
pub struct Unsealed {
    /// The last second of its life.
    pub expiry: UnixSecs,
    /// How long it is to live.
    pub ttl: Ttl,
    /// The hint for its readers.
    pub topic: Topic,
    /// The encrypted message.
    pub data: Vec<u8>,
}

impl Unsealed {
    /// `RLP([expiry, ttl, topic, data])`: what the work is done over.
    #[must_use]
    pub fn without_nonce(&self) -> Vec<u8> {
        let body = self.body(0);
        let mut rlp = Vec::with_capacity(body.len().saturating_add(MAX_HEADER));
        push_header(&mut rlp, LIST, body.len());
        rlp.extend_from_slice(&body);
        rlp
    }

    /// Closes the envelope with the nonce that was found.
    #[must_use]
    pub fn seal(&self, nonce: u64) -> Envelope {
        let mut body = self.body(MAX_HEADER);
        let prefix_len = body.len();
        push_uint(&mut body, nonce);
        let mut rlp = Vec::with_capacity(body.len().saturating_add(MAX_HEADER));
        push_header(&mut rlp, LIST, body.len());
        let first_at = rlp.len();
        rlp.extend_from_slice(&body);

        let data_end = first_at.saturating_add(prefix_len);
        Envelope(Arc::new(Parts {
            expiry: self.expiry,
            ttl: self.ttl,
            topic: self.topic,
            nonce,
            first_at,
            data_at: data_end.saturating_sub(self.data.len()),
            data_end,
            hash: EnvelopeHash(Keccak256::digest(&rlp).into()),
            rlp: rlp.into(),
        }))
    }

    /// The size that geth counts: `20 + len(data)`.
    #[must_use]
    pub fn size(&self) -> usize {
        self.data.len().saturating_add(HEADER_SIZE)
    }

    /// The four fields one after another, with room for `spare` more bytes.
    fn body(&self, spare: usize) -> Vec<u8> {
        let room = self.data.len().saturating_add(4 * MAX_HEADER);
        let mut body = Vec::with_capacity(room.saturating_add(spare));
        push_uint(&mut body, self.expiry.0.into());
        push_uint(&mut body, self.ttl.0.into());
        push_bytes(&mut body, &self.topic.0);
        push_bytes(&mut body, &self.data);
        body
    }
}

impl fmt::Debug for Unsealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unsealed({} bytes of data)", self.data.len())
    }
}

/// Four bytes that let readers guess which envelopes may be theirs.
#[derive(Clone, Copy, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Topic(pub [u8; 4]);

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Topic([redacted])")
    }
}

/// A time to live, in seconds.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Ttl(pub u32);

/// The Keccak-256 of an envelope's bytes.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct EnvelopeHash(pub [u8; 32]);

impl fmt::Debug for EnvelopeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnvelopeHash([redacted])")
    }
}

/// What [`Envelope`] shares between its clones.
struct Parts {
    expiry: UnixSecs,
    ttl: Ttl,
    topic: Topic,
    nonce: u64,
    hash: EnvelopeHash,
    /// Where in `rlp` the first field begins, the data begins, and the data ends.
    first_at: usize,
    data_at: usize,
    data_end: usize,
    rlp: Box<[u8]>,
}

const fn sent(expiry: UnixSecs, ttl: Ttl) -> UnixSecs {
    UnixSecs(expiry.0.wrapping_sub(ttl.0))
}

/// What geth adds to the data for the fields around it.
const HEADER_SIZE: usize = 20;
/// First byte of an empty list (Ethereum yellow paper, appendix B).
const LIST: u8 = 0xc0;
/// Enough for the header of any field, and for a nonce.
const MAX_HEADER: usize = 9;

#[cfg(test)]
mod tests;
