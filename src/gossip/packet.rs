//! The packets of `shh/6`, received and sent. Those of `shh/5` decode to the same types in [`v5`].
//!
//! EIP-627 names the codes; where it and go-ethereum differ, the codec follows go-ethereum, because
//! its nodes disconnect. The decoder refuses what go-ethereum refuses with disconnect reason 0x10,
//! and tolerates what it tolerates: trailing bytes after the first item, further fields of a
//! status, unknown codes. status-im's confirmations and rate limits are ignored if malformed.
//!
//! Envelopes are decoded lazily, one at a time. The codec checks neither expiry, work and topic nor
//! which peer may send which packet; it does not decode P2P packets.

use crate::bloom::Bloom;
use crate::envelope::{Envelope, ProtocolVersion};
use crate::rlp::{RlpError, RlpItem, RlpReader};

pub mod outgoing;
mod status;
pub mod v5;

pub use status::{MinPow, RateLimits, Status};

/// The version, which is the first field of a [`Status`].
pub const VERSION: u8 = 6;

/// Maximum number of envelopes in one packet. go-ethereum sends its whole pool at once, so this
/// only bounds the work that one packet can cause.
pub const MAX_ENVELOPES: usize = 65_536;
/// Envelopes that are decoded and hashed at once: enough to fill all lanes of a processor for most
/// of the time, few enough that a peer whose first envelopes are bad causes little work.
const BATCH: usize = 32;
/// Maximum number of errors in a [`MessagesResponse`]; a longer list is not decoded.
const MAX_RESPONSE_ERRORS: usize = 1_024;

/// Message codes, relative to the capability's offset.
pub mod code {
    /// The first packet in either direction.
    pub const STATUS: u8 = 0;
    /// A list of envelopes.
    pub const MESSAGES: u8 = 1;
    /// The sender's minimum proof of work.
    pub const POW_REQUIREMENT: u8 = 2;
    /// The sender's topic filter.
    pub const BLOOM_EXCHANGE: u8 = 3;
    /// status-im: acknowledges a batch of messages.
    pub const BATCH_ACKNOWLEDGED: u8 = 11;
    /// status-im: reports the errors of a batch.
    pub const MESSAGES_RESPONSE: u8 = 12;
    /// status-go: the rate limits of the sender.
    pub const RATE_LIMITS: u8 = 20;
    /// status-im: a request of one mail server to another.
    pub const P2P_SYNC_REQUEST: u8 = 123;
    /// status-im: the response to a sync request.
    pub const P2P_SYNC_RESPONSE: u8 = 124;
    /// status-im: a mail server has sent all results.
    pub const P2P_REQUEST_COMPLETE: u8 = 125;
    /// A request to a mail server.
    pub const P2P_REQUEST: u8 = 126;
    /// Direct envelopes from a trusted peer, accepted without checks.
    pub const P2P_MESSAGE: u8 = 127;
}

/// A received packet.
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
    /// Code 11: the hash of the batch, if present.
    BatchAcknowledged(Option<[u8; 32]>),
    /// Code 12, if it is well formed.
    MessagesResponse(Option<MessagesResponse>),
    /// Code 20, if it is well formed.
    RateLimits(Option<RateLimits>),
    /// Codes 123 to 127, not decoded: from an untrusted peer even malformed ones are ignored.
    P2p(P2pKind, &'a [u8]),
    /// An unknown code; ignored, as EIP-627 demands.
    Unknown(u8),
}

impl<'a> ShhPacket<'a> {
    /// Decodes the packet with `code`.
    ///
    /// # Errors
    ///
    /// Names the broken rule: one for which go-ethereum disconnects.
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

/// The kinds of packets of mail servers and their clients.
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
    /// Code 127; [`Envelopes::p2p`] decodes it.
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
/// The iterator ends after the first error.
#[derive(Clone, Debug)]
pub struct Envelopes<'a> {
    items: RlpReader<'a>,
    protocol: ProtocolVersion,
    left: usize,
}

impl<'a> Envelopes<'a> {
    /// Decodes the payload of a P2P message: one bare envelope (go-ethereum) or a list of them
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

    /// Decodes the next envelopes, at most 32, and hashes them at once; none at the end.
    ///
    /// # Errors
    ///
    /// That of the first which is malformed.
    pub fn next_batch(&mut self) -> Result<Vec<Envelope>, MalformedPacket> {
        let mut batch = Vec::new();
        while batch.len() < BATCH && !self.items.is_empty() {
            batch.push(self.next_rlp()?);
        }
        Envelope::decode_all(self.protocol, &batch).map_err(|_| MalformedPacket::Envelope)
    }

    fn decode_next(&mut self) -> Result<Envelope, MalformedPacket> {
        let envelope = self.next_rlp()?;
        Envelope::decode_as(self.protocol, envelope).map_err(|_| MalformedPacket::Envelope)
    }

    /// The bytes of the next envelope.
    fn next_rlp(&mut self) -> Result<&'a [u8], MalformedPacket> {
        self.left = self
            .left
            .checked_sub(1)
            .ok_or(MalformedPacket::TooManyEnvelopes)?;
        self.items.raw_list().map_err(|_| MalformedPacket::Envelope)
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
    /// Keccak-256 of the payload of the batch.
    pub batch: [u8; 32],
    /// The errors; empty if the batch was accepted.
    pub errors: Vec<ResponseError>,
}

/// The error that status-im reports for one envelope.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ResponseError {
    /// The envelope's hash.
    pub envelope: [u8; 32],
    /// 36 or 37 for its time, 37 or 38 for anything else, by version; in practice always "time".
    pub code: u64,
    /// A description for humans.
    pub description: String,
}

impl MessagesResponse {
    /// Decodes `[1, [batch, [[envelope, code, description], ...]]]`.
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

/// Why a packet is refused. The sender is at fault for each of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MalformedPacket {
    /// A bloom filter of a length other than 64 (in a status: or 0).
    #[error("the bloom filter has the wrong length")]
    BloomLength,
    /// One of the envelopes does not decode.
    #[error("an envelope does not decode")]
    Envelope,
    /// Messages that are not a list.
    #[error("the messages are not a list")]
    MessagesNotAList,
    /// A requirement that is infinite, negative or not a number.
    #[error("the proof-of-work requirement is not a finite number of at least zero")]
    PowNotANumber,
    /// A requirement that is not an integer in canonical form.
    #[error("the proof-of-work requirement is not an integer")]
    PowNotAnInteger,
    /// A status that is not a list; `shh/5` sends a bare number.
    #[error("the status is not a list")]
    StatusNotAList,
    /// A status of `shh/5` that is not a bare number; `shh/6` sends a list.
    #[error("the status is not a number")]
    StatusNotANumber,
    /// More envelopes than [`MAX_ENVELOPES`].
    #[error("the packet has more than {MAX_ENVELOPES} envelopes")]
    TooManyEnvelopes,
    /// A status without a version, or with another version.
    #[error("the peer speaks another version of shh")]
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
