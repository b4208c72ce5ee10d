//! Codes 9 and 10: relay lists are announced by their id, and fetched in parts of the announced length, so
//! that no part delays the cells of the same connection.
//!
//! A part without bytes is the request for it. This module verifies no list.

use circuits::ids::Epoch;

use super::{OnionWireError, take_epoch};
use crate::relay_list::{ListId, MAX_LIST_LEN};
use crate::rlp::{RlpReader, RlpWriter};

/// Bytes of every part but the last one, which may be shorter.
pub const MAX_PART: usize = 8_192;

/// A relay list that a peer holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ListAnnouncement {
    /// The first epoch in which the list is valid.
    pub from: Epoch,
    /// Its id.
    pub id: ListId,
    /// The length of the peer's copy in bytes, at most [`MAX_LIST_LEN`].
    pub len: usize,
}

impl ListAnnouncement {
    /// Number of parts of the list.
    #[must_use]
    pub const fn parts(&self) -> usize {
        self.len.div_ceil(MAX_PART)
    }

    pub(super) fn decode(payload: &[u8]) -> Result<Self, OnionWireError> {
        let mut fields = RlpReader::only_list(payload)?;
        let (from, id) = (take_epoch(&mut fields)?, ListId(fields.array()?));
        let len = usize::try_from(fields.integer()?).map_err(|_| OnionWireError::Malformed)?;
        fields.finish()?;
        if !(1..=MAX_LIST_LEN).contains(&len) {
            return Err(OnionWireError::TooLong);
        }
        Ok(Self { from, id, len })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        RlpWriter::only_list(|body| {
            body.integer(self.from.0).bytes(&self.id.0);
            body.integer(u64::try_from(self.len).unwrap_or(u64::MAX));
        })
    }
}

/// A part of a relay list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ListPart {
    /// The list.
    pub id: ListId,
    /// The number of the part, from 0.
    pub index: u8,
    /// Its bytes, at most [`MAX_PART`]; none to request the part.
    pub bytes: Vec<u8>,
}

impl ListPart {
    pub(super) fn decode(payload: &[u8]) -> Result<Self, OnionWireError> {
        let mut fields = RlpReader::only_list(payload)?;
        let id = ListId(fields.array()?);
        let index = u8::try_from(fields.integer()?).map_err(|_| OnionWireError::Malformed)?;
        let bytes = fields.bytes()?;
        fields.finish()?;
        if bytes.len() > MAX_PART || usize::from(index) >= MAX_LIST_LEN.div_ceil(MAX_PART) {
            return Err(OnionWireError::TooLong);
        }
        Ok(Self {
            id,
            index,
            bytes: bytes.to_vec(),
        })
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, OnionWireError> {
        if self.bytes.len() > MAX_PART {
            return Err(OnionWireError::TooLong);
        }
        Ok(RlpWriter::only_list(|body| {
            body.bytes(&self.id.0)
                .integer(self.index)
                .bytes(&self.bytes);
        }))
    }
}
