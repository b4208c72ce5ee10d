//! The fields of either form as canonical RLP (Ethereum yellow paper, appendix B).
//!
//! RLP gives every value one shortest encoding; peers refuse all others, because two encodings of
//! one envelope would have two hashes. The RLP reader refuses them too.

use circuits::time::UnixSecs;
use thiserror::Error;

use super::{AesNonce, EncryptionHint, ProtocolVersion, Topic, Ttl, UnminedEnvelope};
use crate::rlp::{RlpReader, RlpWriter};

/// The offsets of an envelope's fields in its bytes. The fields before the data have fewer than 64
/// bytes, and so has the nonce.
#[derive(Clone, Copy)]
pub(super) struct FieldOffsets {
    /// Offset of the expiry; lifetime and topic follow it.
    pub(super) first: u8,
    /// Offset of the data, after its RLP header.
    pub(super) data: u8,
    /// Length of the nonce with its RLP header. It is the last field.
    pub(super) nonce_len: u8,
}

impl FieldOffsets {
    /// Computes the offsets, if the bytes are a well-formed envelope.
    pub(super) fn find(protocol: ProtocolVersion, rlp: &[u8]) -> Result<Self, EnvelopeError> {
        let mut items = RlpReader::only_list(rlp).map_err(|_| EnvelopeError::NotOneList)?;
        if protocol == ProtocolVersion::V5 {
            let version = items.bytes().map_err(|_| EnvelopeError::Version)?;
            if version.len() > MAX_VERSION_LEN {
                return Err(EnvelopeError::Version);
            }
        }
        let first = rlp.len().saturating_sub(items.remaining());
        u32_of(&mut items).ok_or(EnvelopeError::Expiry)?;
        u32_of(&mut items).ok_or(EnvelopeError::Ttl)?;
        let _topic: [u8; 4] = items.array().map_err(|_| EnvelopeError::Topic)?;
        if protocol == ProtocolVersion::V5 {
            let nonce = items.bytes().map_err(|_| EnvelopeError::AesNonce)?;
            if !matches!(nonce.len(), 0 | AesNonce::LEN) {
                return Err(EnvelopeError::AesNonce);
            }
        }
        let data = items.bytes().map_err(|_| EnvelopeError::Data)?;
        let nonce_len = items.remaining();
        items.integer().map_err(|_| EnvelopeError::Nonce)?;
        items.finish().map_err(|_| EnvelopeError::TooManyFields)?;
        let before = rlp.len().saturating_sub(nonce_len);
        Ok(Self {
            first: short(first),
            data: short(before.saturating_sub(data.len())),
            nonce_len: short(nonce_len),
        })
    }
}

/// The three fields that every form has before the data, read from their first byte on. The bytes were
/// checked, so each is read alone, without those after it.
#[derive(Clone, Copy)]
pub(super) struct FixedFields<'a>(pub(super) &'a [u8]);

impl FixedFields<'_> {
    pub(super) fn expiry(self) -> UnixSecs {
        UnixSecs(u32_of(&mut self.after(0)).unwrap_or_default())
    }

    pub(super) fn ttl(self) -> Ttl {
        Ttl(u32_of(&mut self.after(1)).unwrap_or_default())
    }

    pub(super) fn topic(self) -> Topic {
        Topic(self.after(2).array().unwrap_or_default())
    }

    /// Skips this many integers of at most 32 bits.
    fn after(&self, count: usize) -> RlpReader<'_> {
        let mut fields = self.0;
        for _ in 0..count {
            let len = match fields.first() {
                Some(&string @ 0x81..=0x84) => usize::from(string - 0x80) + 1,
                _ => 1,
            };
            fields = fields.get(len..).unwrap_or_default();
        }
        RlpReader::new(fields)
    }
}

/// Decodes the last field.
pub(super) fn read_nonce(field: &[u8]) -> Option<u64> {
    RlpReader::new(field).integer().ok()
}

/// The two fields that only `shh/5` has. They are decoded again on each use, which is rare, instead
/// of being stored with every envelope.
#[derive(Clone, Copy, Default)]
pub(super) struct V5Fields<'a> {
    pub(super) version: &'a [u8],
    pub(super) aes_nonce: &'a [u8],
}

impl<'a> V5Fields<'a> {
    /// The fields of a well-formed `shh/5` envelope.
    pub(super) fn of(rlp: &'a [u8]) -> Self {
        let read = || {
            let mut items = RlpReader::only_list(rlp).ok()?;
            let version = items.bytes().ok()?;
            for _between in 0..3 {
                items.bytes().ok()?;
            }
            let aes_nonce = items.bytes().ok()?;
            Some(Self { version, aes_nonce })
        };
        read().unwrap_or_default()
    }

    pub(super) const fn len(self) -> usize {
        self.version.len().saturating_add(self.aes_nonce.len())
    }

    /// The encryption that the fields declare, if the version is known.
    pub(super) fn hint(self) -> Option<EncryptionHint> {
        // Little-endian, in any length: any number of zero bytes is version 0.
        if self.version.iter().any(|&byte| byte != 0) {
            return None;
        }
        Some(match self.aes_nonce.try_into() {
            Ok(nonce) => EncryptionHint::Symmetric(AesNonce(nonce)),
            Err(_) => EncryptionHint::Asymmetric,
        })
    }
}

/// Encodes all fields in wire order; the nonce, if present, comes last.
pub(super) fn encode(unmined: &UnminedEnvelope, nonce: Option<u64>) -> Vec<u8> {
    let UnminedEnvelope {
        expiry,
        ttl,
        topic,
        hint,
        data,
    } = unmined;
    let V5Fields { version, aes_nonce } = hint.v5_fields();
    RlpWriter::only_list(|list| {
        if hint.protocol() == ProtocolVersion::V5 {
            list.bytes(version);
        }
        list.integer(expiry.0).integer(ttl.0).bytes(&topic.0);
        if hint.protocol() == ProtocolVersion::V5 {
            list.bytes(aes_nonce);
        }
        list.bytes(data);
        if let Some(nonce) = nonce {
            list.integer(nonce);
        }
    })
}

/// Appends an envelope without its last field, which begins at `end`: the same bytes in a shorter
/// list.
pub(super) fn append_without_last(rlp: &[u8], end: usize, to: &mut Vec<u8>) {
    let start = match rlp.first() {
        Some(&long @ 0xf8..) => 1 + usize::from(long - 0xf7),
        _ => 1,
    };
    let fields = rlp.get(start..end).unwrap_or_default();
    RlpWriter::append_list_of([fields].into_iter(), to);
}

/// Why bytes are not an envelope: the first field that is missing, of a wrong kind or length, or
/// not in its shortest encoding.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// The AES nonce is not a string of 0 or 12 bytes.
    #[error("the envelope's AES nonce is malformed: it has 0 or 12 bytes")]
    AesNonce,
    /// The data is not a byte string.
    #[error("the envelope's data is malformed: it is not a byte string")]
    Data,
    /// The expiry is not a 32-bit integer.
    #[error("the envelope's expiry is malformed: it is not a 32-bit integer")]
    Expiry,
    /// The nonce is not a 64-bit integer.
    #[error("the envelope's nonce is malformed: it is not a 64-bit integer")]
    Nonce,
    /// The bytes are not exactly one list.
    #[error("the envelope is not exactly one RLP list")]
    NotOneList,
    /// More fields than the form has.
    #[error("the envelope has too many fields")]
    TooManyFields,
    /// The topic is not a string of four bytes.
    #[error("the envelope's topic is malformed: it has 4 bytes")]
    Topic,
    /// The lifetime is not a 32-bit integer.
    #[error("the envelope's lifetime is malformed: it is not a 32-bit integer")]
    Ttl,
    /// The version is not a string of at most four bytes.
    #[error("the envelope's version is malformed: it has at most 4 bytes")]
    Version,
}

fn u32_of(items: &mut RlpReader<'_>) -> Option<u32> {
    u32::try_from(items.integer().ok()?).ok()
}

/// A length within the first bytes of an envelope.
fn short(len: usize) -> u8 {
    u8::try_from(len).unwrap_or(u8::MAX)
}

/// Longest version field that peers accept, in bytes.
const MAX_VERSION_LEN: usize = 4;
