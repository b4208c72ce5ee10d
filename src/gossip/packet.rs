//! The packets of `shh/6`: what a peer may send, and what we send. Those of `shh/5` are read into the
//! same values by [`v5`].
//!
//! EIP-627 names the codes; where it and go-ethereum differ, go-ethereum is followed, because its
//! nodes are the ones that hang up. Strict here means what go-ethereum refuses with disconnect
//! reason 0x10, tolerant what it lets pass: trailing bytes after the first item, later fields of a
//! status, codes it has no name for. status-im's confirmations and rate limits are read if they
//! are well formed and ignored if not.
//!
//! Envelopes are decoded one at a time and only when asked for. Whether one is alive, worth its
//! work and wanted is not decided here, nor who may send what: a P2P packet is passed on unread.

use crate::bloom::Bloom;
use crate::envelope::{Envelope, ProtocolVersion};
use crate::rlp_reader::{RlpError, RlpItem, RlpReader};

pub mod outgoing;
mod status;
pub mod v5;

pub use status::{MinPow, RateLimits, Status};

/// The version, which is the first field of a [`Status`].
pub const VERSION: u8 = 6;

/// Envelopes in one packet at the most. go-ethereum sends its whole pool at once, so this is only
/// a lid on the work that one packet can cause.
pub const MAX_ENVELOPES: usize = 65_536;
/// Errors in a [`MessagesResponse`] at the most; a longer list is not read.
pub const MAX_RESPONSE_ERRORS: usize = 1_024;

/// Message codes, relative to the capability's offset.
pub mod code {
    /// First packet in either direction.
    pub const STATUS: u8 = 0;
    /// A list of envelopes.
    pub const MESSAGES: u8 = 1;
    /// The least proof of work that the sender wants to see.
    pub const POW_REQUIREMENT: u8 = 2;
    /// The topics that the sender wants to see.
    pub const BLOOM_EXCHANGE: u8 = 3;
    /// status-im: a batch of messages has been read.
    pub const BATCH_ACKNOWLEDGED: u8 = 11;
    /// status-im: what was wrong with a batch.
    pub const MESSAGES_RESPONSE: u8 = 12;
    /// status-go: how fast the sender wants to be sent to.
    pub const RATE_LIMITS: u8 = 20;
    /// status-im: one mail server asks another.
    pub const P2P_SYNC_REQUEST: u8 = 123;
    /// status-im: the answer to that.
    pub const P2P_SYNC_RESPONSE: u8 = 124;
    /// status-im: a mail server has sent everything.
    pub const P2P_REQUEST_COMPLETE: u8 = 125;
    /// A request to a mail server.
    pub const P2P_REQUEST: u8 = 126;
    /// Envelopes past all checks, from a trusted peer.
    pub const P2P_MESSAGE: u8 = 127;
}

/// A packet that a peer sent.
#[derive(Clone, Debug)]
pub enum ShhPacket<'a> {
    /// Code 0.
    Status(Status),
    /// Code 1.
    Messages(Envelopes<'a>),
    /// Code 2.
    PowRequirement(MinPow),
    /// Code 3.
    BloomExchange(Bloom),
    /// Code 11: the hash of the batch, if there is one.
    BatchAcknowledged(Option<[u8; 32]>),
    /// Code 12, if it could be read.
    MessagesResponse(Option<MessagesResponse>),
    /// Code 20, if it could be read.
    RateLimits(Option<RateLimits>),
    /// Codes 123 to 127, not looked into: from a peer without trust even garbage is ignored.
    P2p(P2pKind, &'a [u8]),
    /// A code without a meaning here; ignored, as EIP-627 demands.
    Unknown(u8),
}

impl<'a> ShhPacket<'a> {
    /// Reads the packet with `code`.
    ///
    /// # Errors
    ///
    /// Names the rule broken: one of those for which go-ethereum disconnects.
    pub fn decode(code: u8, payload: &'a [u8]) -> Result<Self, MalformedPacket> {
        Ok(match code {
            code::STATUS => Self::Status(Status::decode(payload)?),
            code::MESSAGES => Self::Messages(Envelopes {
                items: RlpReader::new(payload)
                    .list()
                    .map_err(|_| MalformedPacket::MessagesNotAList)?,
                protocol: ProtocolVersion::V6,
                left: MAX_ENVELOPES,
            }),
            code::POW_REQUIREMENT => Self::PowRequirement(decode_pow_requirement(payload)?),
            code::BLOOM_EXCHANGE => Self::BloomExchange(decode_bloom_exchange(payload)?),
            code::BATCH_ACKNOWLEDGED => {
                Self::BatchAcknowledged(RlpReader::new(payload).array().ok())
            }
            code::MESSAGES_RESPONSE => {
                Self::MessagesResponse(MessagesResponse::decode(payload).ok())
            }
            code::RATE_LIMITS => Self::RateLimits(
                RlpReader::new(payload)
                    .list()
                    .and_then(RateLimits::decode)
                    .ok(),
            ),
            code::P2P_SYNC_REQUEST => Self::P2p(P2pKind::SyncRequest, payload),
            code::P2P_SYNC_RESPONSE => Self::P2p(P2pKind::SyncResponse, payload),
            code::P2P_REQUEST_COMPLETE => Self::P2p(P2pKind::RequestComplete, payload),
            code::P2P_REQUEST => Self::P2p(P2pKind::Request, payload),
            code::P2P_MESSAGE => Self::P2p(P2pKind::Message, payload),
            unknown => Self::Unknown(unknown),
        })
    }
}

/// Which of the packets for mail servers and their clients this is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum P2pKind {
    /// Code 123.
    SyncRequest,
    /// Code 124.
    SyncResponse,
    /// Code 125.
    RequestComplete,
    /// Code 126.
    Request,
    /// Code 127; [`Envelopes::p2p`] reads it.
    Message,
}

impl P2pKind {
    /// The message code, relative to the capability's offset.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::SyncRequest => code::P2P_SYNC_REQUEST,
            Self::SyncResponse => code::P2P_SYNC_RESPONSE,
            Self::RequestComplete => code::P2P_REQUEST_COMPLETE,
            Self::Request => code::P2P_REQUEST,
            Self::Message => code::P2P_MESSAGE,
        }
    }
}

/// The envelopes of a packet, decoded one at a time.
///
/// Ends after the first error.
#[derive(Clone, Debug)]
pub struct Envelopes<'a> {
    items: RlpReader<'a>,
    protocol: ProtocolVersion,
    left: usize,
}

impl<'a> Envelopes<'a> {
    /// Opens the payload of a P2P message: one bare envelope (go-ethereum) or a list of them
    /// (status-im).
    ///
    /// # Errors
    ///
    /// [`MalformedPacket::MessagesNotAList`] if it is neither.
    pub fn p2p(payload: &'a [u8]) -> Result<Self, MalformedPacket> {
        let mut packet = RlpReader::new(payload);
        let whole = packet
            .raw_list()
            .map_err(|_| MalformedPacket::MessagesNotAList)?;
        let inside = RlpReader::new(whole)
            .list()
            .map_err(|_| MalformedPacket::MessagesNotAList)?;
        // An envelope starts with its expiry, which is a string; a list of them with a list.
        let bare = matches!(inside.clone().item(), Ok(RlpItem::Bytes(_)));
        let items = if bare { RlpReader::new(whole) } else { inside };
        Ok(Self {
            items,
            protocol: ProtocolVersion::V6,
            left: MAX_ENVELOPES,
        })
    }

    fn decode_next(&mut self) -> Result<Envelope, MalformedPacket> {
        self.left = self
            .left
            .checked_sub(1)
            .ok_or(MalformedPacket::TooManyEnvelopes)?;
        let envelope = self
            .items
            .raw_list()
            .map_err(|_| MalformedPacket::Envelope)?;
        Envelope::decode_as(self.protocol, envelope).map_err(|_| MalformedPacket::Envelope)
    }
}

impl Iterator for Envelopes<'_> {
    type Item = Result<Envelope, MalformedPacket>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.items.is_empty() {
            return None;
        }
        let envelope = self.decode_next();
        if envelope.is_err() {
            self.items = RlpReader::default();
        }
        Some(envelope)
    }
}

/// status-im's report on a batch of messages.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MessagesResponse {
    /// Keccak-256 of the payload that is reported on.
    pub batch: [u8; 32],
    /// What was wrong with it; empty if all is well.
    pub errors: Vec<ResponseError>,
}

/// What status-im found wrong with one envelope.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ResponseError {
    /// The envelope's hash.
    pub envelope: [u8; 32],
    /// 36 or 37 for its time, 37 or 38 for anything else, by version; in practice always "time".
    pub code: u64,
    /// A text for people.
    pub description: String,
}

impl MessagesResponse {
    /// Reads `[1, [batch, [[envelope, code, description], ...]]]`.
    fn decode(payload: &[u8]) -> Result<Self, RlpError> {
        let mut fields = RlpReader::new(payload).list()?;
        if fields.integer()? != 1 {
            return Err(RlpError);
        }
        let mut response = fields.list()?;
        let batch = response.array()?;
        let mut items = response.list()?;
        let mut errors = Vec::new();
        while !items.is_empty() {
            if errors.len() == MAX_RESPONSE_ERRORS {
                return Err(RlpError);
            }
            let mut error = items.list()?;
            errors.push(ResponseError {
                envelope: error.array()?,
                code: error.integer()?,
                description: String::from_utf8_lossy(error.bytes()?).into_owned(),
            });
        }
        Ok(Self { batch, errors })
    }
}

/// Why a packet is refused. The sender is to blame for each of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MalformedPacket {
    /// A topic filter of a length other than 64 (in a status: or 0).
    #[error("bloom filter has the wrong length")]
    BloomLength,
    /// One of the envelopes does not decode.
    #[error("envelope does not decode")]
    Envelope,
    /// Messages that are not a list.
    #[error("messages are not a list")]
    MessagesNotAList,
    /// A requirement that is infinite, negative or not a number.
    #[error("proof-of-work requirement is not a finite number from zero up")]
    PowNotANumber,
    /// A requirement that is not an integer in canonical form.
    #[error("proof-of-work requirement is not an integer")]
    PowNotAnInteger,
    /// A status that is not a list; `shh/5` sends a bare number.
    #[error("status is not a list")]
    StatusNotAList,
    /// A status of `shh/5` that is not a bare number; `shh/6` sends a list.
    #[error("status is not a number")]
    StatusNotANumber,
    /// More envelopes than [`MAX_ENVELOPES`].
    #[error("packet carries too many envelopes")]
    TooManyEnvelopes,
    /// A status without a version, or with another one.
    #[error("peer speaks another version of shh")]
    Version,
}

fn decode_pow_requirement(payload: &[u8]) -> Result<MinPow, MalformedPacket> {
    let bits = RlpReader::new(payload).integer();
    let bits = bits.map_err(|_| MalformedPacket::PowNotAnInteger)?;
    MinPow::from_bits(bits).ok_or(MalformedPacket::PowNotANumber)
}

fn decode_bloom_exchange(payload: &[u8]) -> Result<Bloom, MalformedPacket> {
    let bytes: [u8; 64] = RlpReader::new(payload)
        .array()
        .map_err(|_| MalformedPacket::BloomLength)?;
    Ok(Bloom(bytes))
}

#[cfg(test)]
mod tests;
