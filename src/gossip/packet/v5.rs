//! The packets of `shh/5` (protocol sheet 9).
//!
//! A version, one envelope, or one direct envelope: a peer announces no requirements and gets no
//! confirmations. Each packet decodes to the type of its `shh/6` equivalent, so that the further
//! processing is the same; the additional fields of a status are absent.

use crate::bloom::Bloom;
use crate::envelope::{Envelope, ProtocolVersion};
use crate::rlp::{RlpReader, RlpWriter};

use super::{Envelopes, MalformedPacket, MinPow, P2pKind, ShhPacket, Status};

/// The version, the only content of a status.
pub const VERSION: u8 = 5;

/// Message codes, relative to the capability's offset.
pub mod code {
    /// The first packet in either direction.
    pub const STATUS: u8 = 0;
    /// One envelope.
    pub const MESSAGE: u8 = 1;
    /// One direct envelope from a trusted peer, accepted without checks.
    pub const P2P_MESSAGE: u8 = 2;
    /// A request to a mail server.
    pub const P2P_REQUEST: u8 = 3;
}

impl<'a> ShhPacket<'a> {
    /// Decodes the `shh/5` packet with `code`.
    ///
    /// # Errors
    ///
    /// Names the broken rule: one for which go-ethereum disconnects.
    pub fn decode_v5(code: u8, payload: &'a [u8]) -> Result<Self, MalformedPacket> {
        Ok(match code {
            code::STATUS => Self::Status(decode_status(payload)?),
            code::MESSAGE => Self::Messages(Envelopes::single(payload)?),
            code::P2P_MESSAGE => Self::P2p(P2pKind::Message, payload),
            code::P2P_REQUEST => Self::P2p(P2pKind::Request, payload),
            unknown => Self::Unknown(unknown),
        })
    }
}

impl<'a> Envelopes<'a> {
    /// A payload that is one bare envelope, of a message or a P2P message.
    ///
    /// # Errors
    ///
    /// [`MalformedPacket::Envelope`] if it cannot be one.
    pub fn single(payload: &'a [u8]) -> Result<Self, MalformedPacket> {
        let envelope = RlpReader::new(payload).raw_list();
        Ok(Self {
            items: RlpReader::new(envelope.map_err(|_| MalformedPacket::Envelope)?),
            protocol: ProtocolVersion::V5,
            left: 1,
        })
    }
}

/// Our status.
#[must_use]
pub fn status() -> Vec<u8> {
    RlpWriter::only_integer(VERSION)
}

/// The payload of a message or a P2P message: one envelope.
#[must_use]
pub fn message(envelope: &Envelope) -> Vec<u8> {
    envelope.as_rlp().to_vec()
}

/// A status without requirements: `shh/5` peers announce none, and drop unwanted envelopes.
fn decode_status(payload: &[u8]) -> Result<Status, MalformedPacket> {
    let version = RlpReader::new(payload).integer();
    if version.map_err(|_| MalformedPacket::StatusNotANumber)? != u64::from(VERSION) {
        return Err(MalformedPacket::Version);
    }
    Ok(Status {
        min_pow: MinPow::ZERO,
        bloom: Some(Bloom::FULL),
        light: false,
        confirmations: None,
        rate_limits: None,
    })
}

#[cfg(test)]
mod tests;
