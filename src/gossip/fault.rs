//! Errors that end a link, and which side is at fault.

use super::packet::MalformedPacket;
use super::waste_quota::Waste;
use crate::envelope_validation::EnvelopeRejected;

/// Why a packet could not be processed, sorted by the side at fault, which decides the policy.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum GossipFault {
    /// The caller named a link that is unknown or closed.
    #[error("no such link")]
    NoSuchLink,
    /// The peer violated the protocol.
    #[error("the peer violated the protocol: {0}")]
    Peer(#[from] ProtocolViolation),
}

impl GossipFault {
    /// The reason of the disconnect: "subprotocol error" if the peer is at fault.
    #[must_use]
    pub const fn disconnect_reason(self) -> Option<u8> {
        match self {
            Self::NoSuchLink => None,
            Self::Peer(_) => Some(SUBPROTOCOL_ERROR),
        }
    }

    /// Whether the peer is at fault.
    #[must_use]
    pub const fn blames_peer(self) -> bool {
        matches!(self, Self::Peer(_))
    }
}

impl From<MalformedPacket> for GossipFault {
    fn from(malformed: MalformedPacket) -> Self {
        Self::Peer(ProtocolViolation::MalformedPacket(malformed))
    }
}

/// How a peer violated the protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolViolation {
    /// It sent another packet before its status.
    #[error("packet before the status")]
    BeforeStatus,
    /// It is a light node, and so are we: neither would send anything to the other.
    #[error("both are light nodes")]
    BothLight,
    /// It sent a packet that does not decode.
    #[error("{0}")]
    MalformedPacket(MalformedPacket),
    /// It sent a packet longer than the limit for honest peers.
    #[error("the packet is too long")]
    Oversized,
    /// It exceeded its quota of rejected envelopes; this was the last of them.
    #[error("too many rejected envelopes; the last one: {0}")]
    TooManyRejected(EnvelopeRejected),
    /// It exceeded its quota of traffic that is worth nothing.
    #[error("too much that is worth nothing: {0}")]
    TooWasteful(Waste),
}

impl ProtocolViolation {
    /// Whether only the peer itself can have caused it. An attacker can make an honest peer relay
    /// an envelope too late, but not one without work, nor a malformed packet.
    #[must_use]
    pub const fn is_strike(self) -> bool {
        match self {
            Self::BeforeStatus | Self::MalformedPacket(_) | Self::Oversized => true,
            Self::TooManyRejected(refused) => matches!(refused, EnvelopeRejected::LowPow),
            Self::TooWasteful(waste) => matches!(waste, Waste::Repeated | Waste::Unread),
            Self::BothLight => false,
        }
    }

    /// Whether the peer merely speaks an incompatible protocol: only the peer is refused, not its
    /// address prefix.
    #[must_use]
    pub const fn is_incompatible(self) -> bool {
        matches!(
            self,
            Self::MalformedPacket(MalformedPacket::Version | MalformedPacket::StatusNotAList)
        )
    }
}

/// The base protocol's code for a breach of a sub-protocol.
const SUBPROTOCOL_ERROR: u8 = 0x10;
