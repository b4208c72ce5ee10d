//! The outer message: all that a node on the path can see.
//!
//! It has two forms, each the canonical RLP of one list: `[expiry, ttl, topic, data, nonce]` in
//! `shh/6` (protocol sheet 3.1; EIP-627 calls the integers fixed-width, the wire does not) and
//! `[version, expiry, ttl, topic, aes nonce, data, nonce]` in `shh/5` (sheet 9). Its hash is the
//! Keccak-256 of exactly those bytes, so decoding keeps the bytes, shares them between clones and
//! never encodes them again. One form cannot be converted to the other: the proof of work covers
//! the bytes and would be lost.
//!
//! Decoding checks the encoding only. Expiry ([`NotExpired`]), proof of work ([`crate::pow`]) and
//! content ([`crate::message`]) are checked elsewhere. Topic and hash do not print: they would link
//! a log line to a conversation.

use core::fmt;

use circuits::time::UnixSecs;

use crate::keccak::hash_all;

pub use self::class::{SizeClass, TtlClass};
use self::compact::CompactEnvelope;
pub use self::expiry::{ExpiryError, NotExpired};
pub use self::version::{AesNonce, EncryptionHint, ProtocolVersion};
pub use self::wire::EnvelopeError;
use self::wire::{FieldOffsets, V5Fields, append_without_last, encode};

mod class;
mod compact;
mod expiry;
mod version;
mod wire;

/// A sealed envelope. Clones share one allocation.
#[derive(Clone)]
pub struct Envelope(CompactEnvelope);

impl Envelope {
    /// Decodes the bytes of exactly one `shh/6` envelope.
    ///
    /// # Errors
    ///
    /// As [`decode_as`](Self::decode_as).
    pub fn decode(rlp: &[u8]) -> Result<Self, EnvelopeError> {
        Self::decode_as(ProtocolVersion::V6, rlp)
    }

    /// Decodes the bytes of exactly one envelope of this form.
    ///
    /// # Errors
    ///
    /// Names the first field that is not canonical RLP of that form. The sending peer is at fault:
    /// no honest implementation produces such bytes.
    pub fn decode_as(protocol: ProtocolVersion, rlp: &[u8]) -> Result<Self, EnvelopeError> {
        Ok(Self(CompactEnvelope::new(
            protocol,
            FieldOffsets::find(protocol, rlp)?,
            rlp,
        )))
    }

    /// Decodes many envelopes of this form, and hashes them at once.
    ///
    /// # Errors
    ///
    /// That of the first which does not decode, as [`decode_as`](Self::decode_as).
    pub fn decode_all(
        protocol: ProtocolVersion,
        rlps: &[&[u8]],
    ) -> Result<Vec<Self>, EnvelopeError> {
        let offsets = rlps
            .iter()
            .map(|rlp| FieldOffsets::find(protocol, rlp))
            .collect::<Result<Vec<_>, _>>()?;
        let names = hash_all(rlps);
        let parts = rlps.iter().zip(offsets).zip(names);
        Ok(parts
            .map(|((rlp, offsets), name)| {
                Self(CompactEnvelope::with_name(name, protocol, offsets, rlp))
            })
            .collect())
    }

    /// Encodes the five fields of `shh/6`. The caller is responsible for lengths; none is refused.
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

    /// The protocol version of its form, which decides to which peers it can be sent.
    #[must_use]
    pub fn protocol(&self) -> ProtocolVersion {
        self.0.protocol()
    }

    /// The encryption that the outer fields declare; `None` for a later version of `shh/5`, which
    /// is relayed but not decrypted (protocol sheet 9).
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

    /// The Keccak-256 over [`as_rlp`](Self::as_rlp).
    #[must_use]
    pub fn hash(&self) -> EnvelopeHash {
        self.0.name()
    }

    /// The last second of its lifetime.
    #[must_use]
    pub fn expiry(&self) -> UnixSecs {
        self.0.fixed_fields().expiry()
    }

    /// Its lifetime.
    #[must_use]
    pub fn ttl(&self) -> Ttl {
        self.0.fixed_fields().ttl()
    }

    /// The hint by which recipients choose the keys to try.
    #[must_use]
    pub fn topic(&self) -> Topic {
        self.0.fixed_fields().topic()
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

    /// When its lifetime began, `expiry - ttl` in wrapping 32-bit arithmetic, as peers compute it.
    ///
    /// Only [`NotExpired`] guarantees that the subtraction did not wrap.
    #[must_use]
    pub fn sent(&self) -> UnixSecs {
        sent(self.expiry(), self.ttl())
    }

    /// The size by which geth and the older proof of work count: `20 + len(data)`, in `shh/5` plus
    /// the lengths of version and AES nonce.
    #[must_use]
    pub fn size(&self) -> usize {
        let v5_len = match self.protocol() {
            ProtocolVersion::V5 => V5Fields::of(self.as_rlp()).len(),
            ProtocolVersion::V6 => 0,
        };
        size(v5_len, self.data())
    }

    /// The RLP of all fields but the nonce: the input of the proof of work.
    #[must_use]
    pub fn without_nonce(&self) -> Vec<u8> {
        let mut rlp = Vec::new();
        self.append_without_nonce(&mut rlp);
        rlp
    }

    /// Appends [`without_nonce`](Self::without_nonce) to a buffer.
    pub(crate) fn append_without_nonce(&self, to: &mut Vec<u8>) {
        append_without_last(self.as_rlp(), self.0.data_end(), to);
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

/// An envelope without its proof of work.
#[derive(Clone, Eq, PartialEq)]
pub struct UnminedEnvelope {
    /// The last second of its lifetime.
    pub expiry: UnixSecs,
    /// Its lifetime.
    pub ttl: Ttl,
    /// The hint for its recipients.
    pub topic: Topic,
    /// The encryption that the outer fields declare; this decides between `shh/5` and `shh/6`.
    pub hint: EncryptionHint,
    /// The encrypted message.
    pub data: Vec<u8>,
}

impl UnminedEnvelope {
    /// The protocol version that the envelope will have.
    #[must_use]
    pub const fn protocol(&self) -> ProtocolVersion {
        self.hint.protocol()
    }

    /// The RLP of all fields but the nonce: the input of the proof of work.
    #[must_use]
    pub fn without_nonce(&self) -> Vec<u8> {
        encode(self, None)
    }

    /// Completes the envelope with the nonce that the search found.
    #[must_use]
    pub fn with_nonce(&self, nonce: u64) -> Envelope {
        let rlp = encode(self, Some(nonce));
        #[expect(clippy::expect_used, reason = "these fields were written a line above")]
        let offsets =
            FieldOffsets::find(self.protocol(), &rlp).expect("what is written can be read");
        Envelope(CompactEnvelope::new(self.protocol(), offsets, &rlp))
    }

    /// The size that geth counts, as in [`Envelope::size`].
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

/// Four bytes by which recipients recognize envelopes that may be theirs.
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

/// Bytes that geth adds to the data for the other fields.
const HEADER_SIZE: usize = 20;

#[cfg(test)]
mod tests;
