//! An envelope in one allocation: its hash, the offsets of its fields, and its bytes.
//!
//! A pool holds a hundred thousand of these, so every byte besides the bytes on the wire counts.
//! Only the hash is stored in addition, because it is expensive to compute; the three short fields
//! are decoded again on each use, in a few nanoseconds.
//!
//! Only bytes that were checked are stored here, so decoding them cannot fail.

use std::sync::Arc;

use sha3::{Digest, Keccak256};

use super::wire::{FieldOffsets, FixedFields, read_nonce};
use super::{EnvelopeHash, ProtocolVersion};

/// `hash 32 | form 1 | offsets 3 | RLP`. Clones share it.
#[derive(Clone)]
pub(super) struct CompactEnvelope(Arc<[u8]>);

impl CompactEnvelope {
    /// Stores bytes whose fields have these offsets.
    pub(super) fn new(protocol: ProtocolVersion, offsets: FieldOffsets, rlp: &[u8]) -> Self {
        Self::with_name(Keccak256::digest(rlp).into(), protocol, offsets, rlp)
    }

    /// The same with the Keccak-256 of the bytes, which the caller computed.
    pub(super) fn with_name(
        name: [u8; NAME_LEN],
        protocol: ProtocolVersion,
        offsets: FieldOffsets,
        rlp: &[u8],
    ) -> Self {
        let protocol = match protocol {
            ProtocolVersion::V5 => TAG_V5,
            ProtocolVersion::V6 => TAG_V6,
        };
        let FieldOffsets {
            first,
            data,
            nonce_len,
        } = offsets;
        let mut bytes = Vec::with_capacity(HEAD_LEN.saturating_add(rlp.len()));
        bytes.extend_from_slice(&name);
        bytes.extend_from_slice(&[protocol, first, data, nonce_len]);
        bytes.extend_from_slice(rlp);
        Self(bytes.into())
    }

    pub(super) fn name(&self) -> EnvelopeHash {
        EnvelopeHash(self.0.first_chunk().copied().unwrap_or_default())
    }

    pub(super) fn protocol(&self) -> ProtocolVersion {
        match self.head() {
            [TAG_V5, ..] => ProtocolVersion::V5,
            _ => ProtocolVersion::V6,
        }
    }

    pub(super) fn rlp(&self) -> &[u8] {
        self.0.get(HEAD_LEN..).unwrap_or_default()
    }

    pub(super) fn data(&self) -> &[u8] {
        let [_, _, data, _] = self.head();
        let bytes = self.rlp().get(..self.data_end()).unwrap_or_default();
        bytes.get(usize::from(data)..).unwrap_or_default()
    }

    /// The offset at which the data ends and the last field begins.
    pub(super) fn data_end(&self) -> usize {
        let [_, _, _, nonce_len] = self.head();
        self.rlp().len().saturating_sub(nonce_len.into())
    }

    /// The fields before the data.
    pub(super) fn fixed_fields(&self) -> FixedFields<'_> {
        let [_, first, ..] = self.head();
        FixedFields(self.rlp().get(usize::from(first)..).unwrap_or_default())
    }

    pub(super) fn nonce(&self) -> u64 {
        let last = self.rlp().get(self.data_end()..).unwrap_or_default();
        read_nonce(last).unwrap_or_default()
    }

    fn head(&self) -> [u8; HEAD_LEN - NAME_LEN] {
        let head = self.0.get(NAME_LEN..).and_then(<[u8]>::first_chunk);
        head.copied().unwrap_or_default()
    }
}

const NAME_LEN: usize = 32;
const HEAD_LEN: usize = NAME_LEN + 4;
const TAG_V5: u8 = 5;
const TAG_V6: u8 = 6;
