//! The outer message: what every node on the way can see.
//!
//! It comes in two forms, each the canonical RLP of one list: `[expiry, ttl, topic, data, nonce]` in
//! `shh/6` (protocol sheet 3.1; EIP-627 calls the integers fixed-width, the wire does not) and
//! `[version, expiry, ttl, topic, aes nonce, data, nonce]` in `shh/5` (sheet 9). It is named by the
//! Keccak-256 of exactly those bytes, so decoding keeps them, shares them between clones and never
//! writes them again. Nor can anybody turn one form into the other: the work was done over the
//! bytes, and would be lost.
//!
//! Decoding settles form only. Whether an envelope is alive ([`NotExpired`]), was worked for
//! ([`crate::pow`]) or means anything to us ([`crate::message`]) is judged elsewhere. Topic and
//! hash do not print: they would tie a log line to a conversation.

use core::fmt;

use circuits::time::UnixSecs;

pub use self::class::{SizeClass, TtlClass};
use self::compact::CompactEnvelope;
pub use self::expiry::{ExpiryError, NotExpired};
pub use self::version::{AesNonce, EncryptionHint, ProtocolVersion};
pub use self::wire::EnvelopeError;
use self::wire::{FieldOffsets, FixedFields, V5Fields, encode, without_last};

mod class;
mod compact;
mod expiry;
mod version;
mod wire;

/// A sealed envelope. Clones share one allocation.
#[derive(Clone)]
pub struct Envelope(CompactEnvelope);

impl Envelope {
    /// Takes the bytes of one envelope of `shh/6`, all of them.
    ///
    /// # Errors
    ///
    /// As [`decode_as`](Self::decode_as).
    pub fn decode(rlp: &[u8]) -> Result<Self, EnvelopeError> {
        Self::decode_as(ProtocolVersion::V6, rlp)
    }

    /// Takes the bytes of one envelope of this form, all of them.
    ///
    /// # Errors
    ///
    /// Names the first thing that is not as canonical RLP of that form's fields must be. Whoever
    /// sent it is to blame: no honest software writes such bytes.
    pub fn decode_as(protocol: ProtocolVersion, rlp: &[u8]) -> Result<Self, EnvelopeError> {
        Ok(Self(CompactEnvelope::new(
            protocol,
            FieldOffsets::find(protocol, rlp)?,
            rlp,
        )))
    }

    /// Encodes the five fields of `shh/6`. Lengths are the caller's business; nothing is refused.
    #[must_use]
    pub fn build(expiry: UnixSecs, ttl: Ttl, topic: Topic, data: Vec<u8>, nonce: u64) -> Self {
        UnminedEnvelope {
            expiry,
            ttl,
            topic,
            hint: EncryptionHint::Absent,
            data,
        }
        .with_nonce(nonce)
    }

    /// Which of the two forms it has, and so which peers can be given it.
    #[must_use]
    pub fn protocol(&self) -> ProtocolVersion {
        self.0.protocol()
    }

    /// What its outside says of its encryption; `None` if it is of a later version of `shh/5`,
    /// which is passed on and opened by nobody (protocol sheet 9).
    #[must_use]
    pub fn hint(&self) -> Option<EncryptionHint> {
        match self.protocol() {
            ProtocolVersion::V5 => V5Fields::of(self.as_rlp()).hint(),
            ProtocolVersion::V6 => Some(EncryptionHint::Absent),
        }
    }

    /// The bytes on the wire.
    #[must_use]
    pub fn as_rlp(&self) -> &[u8] {
        self.0.rlp()
    }

    /// The name of this envelope: Keccak-256 over [`as_rlp`](Self::as_rlp).
    #[must_use]
    pub fn hash(&self) -> EnvelopeHash {
        self.0.name()
    }

    /// The last second of its life.
    #[must_use]
    pub fn expiry(&self) -> UnixSecs {
        self.0.fixed_fields().expiry
    }

    /// How long it asked to live.
    #[must_use]
    pub fn ttl(&self) -> Ttl {
        self.0.fixed_fields().ttl
    }

    /// The hint by which readers choose what to try.
    #[must_use]
    pub fn topic(&self) -> Topic {
        self.0.fixed_fields().topic
    }

    /// The encrypted message.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.0.data()
    }

    /// The proof of work.
    #[must_use]
    pub fn nonce(&self) -> u64 {
        self.0.nonce()
    }

    /// When its life began, `expiry - ttl` in 32-bit arithmetic that wraps, as peers compute it.
    ///
    /// Only an envelope that [`NotExpired`] vouches for is known not to have wrapped.
    #[must_use]
    pub fn sent(&self) -> UnixSecs {
        let FixedFields { expiry, ttl, .. } = self.0.fixed_fields();
        sent(expiry, ttl)
    }

    /// The size by which geth and the older proof of work count: `20 + len(data)`, in `shh/5` the
    /// lengths of version and AES nonce besides.
    #[must_use]
    pub fn size(&self) -> usize {
        let v5_len = match self.protocol() {
            ProtocolVersion::V5 => V5Fields::of(self.as_rlp()).len(),
            ProtocolVersion::V6 => 0,
        };
        size(v5_len, self.data())
    }

    /// The RLP of all fields but the nonce: what the work was done over.
    #[must_use]
    pub fn without_nonce(&self) -> Vec<u8> {
        without_last(self.protocol(), self.as_rlp(), self.0.data_end())
    }
}

impl PartialEq for Envelope {
    fn eq(&self, other: &Self) -> bool {
        self.hash() == other.hash()
    }
}

impl Eq for Envelope {}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Envelope({} bytes)", self.as_rlp().len())
    }
}

/// An envelope that lacks only its proof of work.
#[derive(Clone, Eq, PartialEq)]
pub struct UnminedEnvelope {
    /// The last second of its life.
    pub expiry: UnixSecs,
    /// How long it is to live.
    pub ttl: Ttl,
    /// The hint for its readers.
    pub topic: Topic,
    /// What its outside says of its encryption: this makes it `shh/5` or `shh/6`.
    pub hint: EncryptionHint,
    /// The encrypted message.
    pub data: Vec<u8>,
}

impl UnminedEnvelope {
    /// Which of the two forms it will have.
    #[must_use]
    pub const fn protocol(&self) -> ProtocolVersion {
        self.hint.protocol()
    }

    /// The RLP of all fields but the nonce: what the work is done over.
    #[must_use]
    pub fn without_nonce(&self) -> Vec<u8> {
        encode(self, None)
    }

    /// Closes the envelope with the nonce that was found.
    #[must_use]
    pub fn with_nonce(&self, nonce: u64) -> Envelope {
        let rlp = encode(self, Some(nonce));
        #[expect(clippy::expect_used, reason = "these fields were written a line above")]
        let offsets =
            FieldOffsets::find(self.protocol(), &rlp).expect("what is written can be read");
        Envelope(CompactEnvelope::new(self.protocol(), offsets, &rlp))
    }

    /// The size that geth counts, as [`Envelope::size`].
    #[must_use]
    pub fn size(&self) -> usize {
        size(self.hint.v5_fields().len(), &self.data)
    }
}

impl fmt::Debug for UnminedEnvelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnminedEnvelope({} bytes of data)", self.data.len())
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

const fn sent(expiry: UnixSecs, ttl: Ttl) -> UnixSecs {
    UnixSecs(expiry.0.wrapping_sub(ttl.0))
}

fn size(v5_len: usize, data: &[u8]) -> usize {
    data.len()
        .saturating_add(v5_len)
        .saturating_add(HEADER_SIZE)
}

/// What geth adds to the data for the fields around it.
const HEADER_SIZE: usize = 20;

#[cfg(test)]
mod tests;
