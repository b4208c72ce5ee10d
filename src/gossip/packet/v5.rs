//! The packets of `shh/5` (protocol sheet 9).
//!
//! A version, one envelope, or one envelope past all checks: nobody says what they want, and nobody
//! is told what became of a packet. Each is read into what it would be in `shh/6`, so that what
//! follows is the same; of what a status can say there it says nothing.

use crate::bloom::Bloom;
use crate::envelope::{Envelope, ProtocolVersion};
use crate::rlp_reader::RlpReader;

use super::{Envelopes, MalformedPacket, MinPow, P2pKind, ShhPacket, Status};

/// The version, which is all of a status.
pub const VERSION: u8 = 5;

/// Message codes, relative to the capability's offset.
pub mod code {
    /// First packet in either direction.
    pub const STATUS: u8 = 0;
    /// One envelope.
    pub const MESSAGE: u8 = 1;
    /// One envelope past all checks, from a trusted peer.
    pub const P2P_MESSAGE: u8 = 2;
    /// A request to a mail server.
    pub const P2P_REQUEST: u8 = 3;
}

impl<'a> ShhPacket<'a> {
    /// Reads the packet of `shh/5` with `code`.
    ///
    /// # Errors
    ///
    /// Names the rule broken: one of those for which go-ethereum disconnects.
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
    /// Opens a payload that is one bare envelope: that of a message, or of a P2P message.
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
    rlp::encode(&VERSION).into()
}

/// One envelope: the payload of a message as of a P2P message.
#[must_use]
pub fn message(envelope: &Envelope) -> Vec<u8> {
    envelope.as_rlp().to_vec()
}

/// A peer without a wish: it says none, and drops what it does not want.
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
