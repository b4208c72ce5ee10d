//! Why a link must end, and by whose fault.

use super::packet::MalformedPacket;
use super::validation::EnvelopeRejected;

/// What went wrong with a packet. Whom to blame comes first, since policy follows from that.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum GossipFault {
    /// The node named a link that was never opened here, or is closed.
    #[error("no such link")]
    NoSuchLink,
    /// The peer broke the protocol.
    #[error("peer broke the protocol: {0}")]
    Peer(#[from] ProtocolViolation),
}

impl GossipFault {
    /// The reason to give in the disconnect: "subprotocol error" if the peer is to blame.
    #[must_use]
    pub const fn disconnect_reason(self) -> Option<u8> {
        match self {
            Self::NoSuchLink => None,
            Self::Peer(_) => Some(SUBPROTOCOL_ERROR),
        }
    }

    /// Whether the peer is to blame.
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

/// How a peer broke the protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolViolation {
    /// It sent something else before its status.
    #[error("packet before the status")]
    BeforeStatus,
    /// It is a light node, as we are: neither would hear anything from the other.
    #[error("both are light nodes")]
    BothLight,
    /// It sent a packet that cannot be read.
    #[error("{0}")]
    MalformedPacket(MalformedPacket),
    /// It sent a packet longer than any honest one.
    #[error("packet is too long")]
    Oversized,
    /// It keeps sending envelopes that we refuse; this was the last of them.
    #[error("too many refused envelopes, at last: {0}")]
    TooManyRejected(EnvelopeRejected),
}

impl ProtocolViolation {
    /// Whether it can only be the peer's own doing: others can make an honest peer pass on an
    /// envelope that comes too late, but not one without work, and no packet that cannot be read.
    #[must_use]
    pub const fn is_strike(self) -> bool {
        match self {
            Self::BeforeStatus | Self::MalformedPacket(_) | Self::Oversized => true,
            Self::TooManyRejected(refused) => matches!(refused, EnvelopeRejected::LowPow),
            Self::BothLight => false,
        }
    }

    /// Whether it merely speaks another language: it is kept out, and its neighbours are not.
    #[must_use]
    pub const fn is_incompatible(self) -> bool {
        matches!(
            self,
            Self::MalformedPacket(MalformedPacket::Version | MalformedPacket::StatusNotAList)
        )
    }
}

/// The base protocol's number for a breach of a sub-protocol.
const SUBPROTOCOL_ERROR: u8 = 0x10;
