//! The reasons of devp2p's Disconnect message.
//!
//! Reading is lenient, because peers write this message in four ways (protocol sheet 1.6), and its
//! only uses are a log line and a hint when to dial again. Writing is strict: the reason 17 crashed
//! geth processes (1.8.27 to 1.10.0), so a number without a name here can be read and never sent.

use std::fmt;

use super::snappy;
use crate::rlp::{RlpItem, RlpReader, integer};

/// A reason for ending a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DisconnectReason {
    /// No particular reason.
    Requested,
    /// The connection failed.
    NetworkError,
    /// A message broke the rules of the base protocol.
    BreachOfProtocol,
    /// There is no capability in common.
    UselessPeer,
    /// The table of peers is full.
    TooManyPeers,
    /// A connection to this peer exists already.
    AlreadyConnected,
    /// The versions of the base protocol are incompatible.
    IncompatibleVersion,
    /// The identity in the Hello is invalid.
    InvalidIdentity,
    /// The program is shutting down.
    Quitting,
    /// The identity in the Hello is not the one that the handshake proved.
    UnexpectedIdentity,
    /// Both ends are the same node.
    ConnectedToSelf,
    /// No data arrived for too long.
    ReadTimeout,
    /// A sub-protocol reported an error.
    SubprotocolError,
    /// A number without a name; only read, never sent.
    UnknownReason(UnknownReason),
}

/// A reason without a name. Only decoding creates one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UnknownReason(u64);

impl UnknownReason {
    /// The number as the peer sent it.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl DisconnectReason {
    /// Reads a Disconnect payload: a list with one integer, a bare integer, an empty list or
    /// nothing. An unreadable payload is [`Self::Requested`].
    ///
    /// With `compressed`, the payload is tried as Snappy first and as plain bytes second: a peer
    /// that rejects our Hello answers uncompressed although compression is agreed by then. The two
    /// are unambiguous, because no plain form is a complete Snappy block of its announced length.
    #[must_use]
    pub fn decode(payload: &[u8], compressed: bool) -> Self {
        let inflated = compressed
            .then(|| snappy::unpack(payload, &(0..=MAX_PAYLOAD)).ok())
            .flatten();
        let number = match RlpReader::new(inflated.as_deref().unwrap_or(payload)).item() {
            Ok(RlpItem::Bytes(bytes)) => integer(bytes).unwrap_or(0),
            Ok(RlpItem::List(mut items)) => items.integer().unwrap_or(0),
            Err(_) => 0,
        };
        Self::from_number(number)
    }

    /// The payload of this reason: a list with its number. An unnamed reason is written as 0.
    pub(super) const fn encode(self) -> [u8; 2] {
        let byte = match self {
            Self::Requested | Self::UnknownReason(_) => 0x80, // the integer 0
            Self::NetworkError => 0x01,
            Self::BreachOfProtocol => 0x02,
            Self::UselessPeer => 0x03,
            Self::TooManyPeers => 0x04,
            Self::AlreadyConnected => 0x05,
            Self::IncompatibleVersion => 0x06,
            Self::InvalidIdentity => 0x07,
            Self::Quitting => 0x08,
            Self::UnexpectedIdentity => 0x09,
            Self::ConnectedToSelf => 0x0a,
            Self::ReadTimeout => 0x0b,
            Self::SubprotocolError => 0x10,
        };
        [0xc1, byte]
    }

    const fn from_number(number: u64) -> Self {
        match number {
            0x00 => Self::Requested,
            0x01 => Self::NetworkError,
            0x02 => Self::BreachOfProtocol,
            0x03 => Self::UselessPeer,
            0x04 => Self::TooManyPeers,
            0x05 => Self::AlreadyConnected,
            0x06 => Self::IncompatibleVersion,
            0x07 => Self::InvalidIdentity,
            0x08 => Self::Quitting,
            0x09 => Self::UnexpectedIdentity,
            0x0a => Self::ConnectedToSelf,
            0x0b => Self::ReadTimeout,
            0x10 => Self::SubprotocolError,
            other => Self::UnknownReason(UnknownReason(other)),
        }
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requested => "disconnect requested",
            Self::NetworkError => "network error",
            Self::BreachOfProtocol => "breach of protocol",
            Self::UselessPeer => "useless peer",
            Self::TooManyPeers => "too many peers",
            Self::AlreadyConnected => "already connected",
            Self::IncompatibleVersion => "incompatible p2p protocol version",
            Self::InvalidIdentity => "invalid node identity",
            Self::Quitting => "client quitting",
            Self::UnexpectedIdentity => "unexpected identity",
            Self::ConnectedToSelf => "connected to self",
            Self::ReadTimeout => "read timeout",
            Self::SubprotocolError => "subprotocol error",
            Self::UnknownReason(reason) => {
                return write!(f, "unknown disconnect reason {}", reason.0);
            }
        })
    }
}

/// Bytes. An honest Disconnect is far shorter.
const MAX_PAYLOAD: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressed_and_plain_disconnects_decode() {
        for number in 0..=0xff_u8 {
            let stream = rlp::encode_list(&[u64::from(number)]);
            let wanted = DisconnectReason::from_number(u64::from(number));
            assert_eq!(DisconnectReason::decode(&stream, true), wanted);
            assert_eq!(
                DisconnectReason::decode(&snappy::literal(&stream), true),
                wanted
            );
        }
        assert_eq!(
            DisconnectReason::decode(&[0x04], true),
            DisconnectReason::TooManyPeers
        );
        assert_eq!(
            DisconnectReason::decode(&[0xc0], true),
            DisconnectReason::Requested
        );
        assert_eq!(
            DisconnectReason::decode(&[], true),
            DisconnectReason::Requested
        );
    }

    #[test]
    fn reason_17_cannot_be_sent() {
        for number in 0..0x200 {
            assert_ne!(DisconnectReason::from_number(number).encode(), [0xc1, 0x11]);
        }
    }

    #[test]
    fn named_reasons_round_trip() {
        for number in (0..0x0c).chain([0x10]) {
            let reason = DisconnectReason::from_number(number);
            assert!(!matches!(reason, DisconnectReason::UnknownReason(_)));
            assert_eq!(DisconnectReason::decode(&reason.encode(), false), reason);
        }
    }
}
