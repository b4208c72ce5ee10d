//! The five fields as canonical RLP (Ethereum yellow paper, appendix B).
//!
//! RLP gives every value one shortest encoding; peers refuse all others, because two encodings of
//! one envelope would be two names for it. So does the cursor that reads here.

use core::ops::Range;

use circuits::time::UnixSecs;
use rlp::RlpStream;
use thiserror::Error;

use super::{Topic, Ttl};
use crate::items::Items;

/// The fields of an envelope; the data by its place in the bytes.
pub(super) struct Fields {
    pub(super) expiry: UnixSecs,
    pub(super) ttl: Ttl,
    pub(super) topic: Topic,
    pub(super) data: Range<usize>,
    pub(super) nonce: u64,
}

impl Fields {
    pub(super) fn parse(rlp: &[u8]) -> Result<Self, EnvelopeError> {
        let mut items = Items::only_list(rlp).map_err(|_| EnvelopeError::NotOneList)?;
        let expiry = u32_of(&mut items).ok_or(EnvelopeError::Expiry)?;
        let ttl = u32_of(&mut items).ok_or(EnvelopeError::Ttl)?;
        let topic = items.array().map_err(|_| EnvelopeError::Topic)?;
        let data = items.bytes().map_err(|_| EnvelopeError::Data)?;
        let data_end = rlp.len().saturating_sub(items.remaining());
        let nonce = items.integer().map_err(|_| EnvelopeError::Nonce)?;
        items.finish().map_err(|_| EnvelopeError::TooManyFields)?;
        Ok(Self {
            expiry: UnixSecs(expiry),
            ttl: Ttl(ttl),
            topic: Topic(topic),
            data: data_end.saturating_sub(data.len())..data_end,
            nonce,
        })
    }
}

/// `RLP([expiry, ttl, topic, data])`, or with the nonce as a fifth.
pub(super) fn encode(
    expiry: UnixSecs,
    ttl: Ttl,
    topic: Topic,
    data: &[u8],
    nonce: Option<u64>,
) -> Vec<u8> {
    let mut stream = RlpStream::new_list(if nonce.is_some() { 5 } else { 4 });
    stream
        .append(&expiry.0)
        .append(&ttl.0)
        .append(&topic.0.as_slice())
        .append(&data);
    if let Some(nonce) = nonce {
        stream.append(&nonce);
    }
    stream.out().into()
}

/// Why bytes are no envelope: the first thing in them that is missing, of the wrong kind or
/// length, or not in shortest form.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// The data is no byte string.
    #[error("envelope has malformed data")]
    Data,
    /// The expiry is no integer of 32 bits.
    #[error("envelope has a malformed expiry")]
    Expiry,
    /// The nonce is no integer of 64 bits.
    #[error("envelope has a malformed nonce")]
    Nonce,
    /// The whole is not one list and nothing else.
    #[error("envelope is not one RLP list")]
    NotOneList,
    /// More than five fields.
    #[error("envelope has too many fields")]
    TooManyFields,
    /// The topic is no string of four bytes.
    #[error("envelope has a malformed topic")]
    Topic,
    /// The lifetime is no integer of 32 bits.
    #[error("envelope has a malformed lifetime")]
    Ttl,
}

fn u32_of(items: &mut Items<'_>) -> Option<u32> {
    u32::try_from(items.integer().ok()?).ok()
}
