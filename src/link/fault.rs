//! The faults of a link, grouped by which side causes them.
//!
//! The policy depends on the cause: a peer's violation lowers its score and delays the next dial, a
//! local mistake is corrected, a bug is reported. Variants carry no value that an attacker chose,
//! so they are safe to log.

use thiserror::Error;

use super::disconnect::DisconnectReason;

/// Why a link failed. Every fault is final: the link is closing when it is returned.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum LinkFault {
    /// A bug in this program; please report it.
    #[error("bug in whisht: {0}")]
    Bug(&'static str),
    /// An invalid request of this node.
    #[error(transparent)]
    Local(#[from] LocalFault),
    /// The peer violated a rule.
    #[error(transparent)]
    Peer(#[from] PeerFault),
}

impl LinkFault {
    /// The reason to send to the peer; `None` if the connection just ends.
    #[must_use]
    pub const fn reason(self) -> Option<DisconnectReason> {
        match self {
            Self::Peer(fault) => fault.reason(),
            Self::Bug(_) | Self::Local(_) => Some(DisconnectReason::Requested),
        }
    }
}

/// An invalid request to a link.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum LocalFault {
    /// The key to dial is our own.
    #[error("the key to dial is this node's own")]
    DialsSelf,
    /// The key to dial is not a point of the curve, so no node can own it.
    #[error("the key to dial is not on the curve")]
    KeyNotOnCurve,
}

/// A rule that a peer violated.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum PeerFault {
    /// A frame's body does not authenticate.
    #[error("frame body has a wrong MAC")]
    BodyMac,
    /// A message code is not an integer of at most 16 bits.
    #[error("message code is malformed")]
    CodeMalformed,
    /// A message code belongs to no shared capability.
    #[error("message code is out of range")]
    CodeOutOfRange,
    /// The connection leads to this node itself.
    #[error("connected to self")]
    ConnectedToSelf,
    /// A frame lacks a message code.
    #[error("frame is empty")]
    FrameEmpty,
    /// A frame is longer than this phase allows.
    #[error("frame is too long")]
    FrameTooLong,
    /// A handshake packet does not decrypt.
    #[error("handshake packet is not for this key, or was altered")]
    HandshakeCiphertext,
    /// A handshake packet decrypts to an invalid content.
    #[error("handshake packet is malformed")]
    HandshakeMalformed,
    /// A handshake packet is too short or too long.
    #[error("handshake packet has a wrong length")]
    HandshakeLength,
    /// A handshake packet contains a key that is not a point of the curve.
    #[error("handshake key is not on the curve")]
    HandshakeKey,
    /// The signature in an auth packet recovers no key.
    #[error("handshake signature is invalid")]
    HandshakeSignature,
    /// The handshake took too long.
    #[error("handshake took too long")]
    HandshakeTimeout,
    /// A frame's header does not authenticate.
    #[error("frame header has a wrong MAC")]
    HeaderMac,
    /// A Hello cannot be parsed.
    #[error("hello is malformed")]
    HelloMalformed,
    /// The first message is neither Hello nor Disconnect.
    #[error("first message is not a hello")]
    HelloMissing,
    /// The identity in a Hello is not 64 bytes long, or zero.
    #[error("invalid node identity")]
    IdentityInvalid,
    /// The identity in a Hello is not the one that the handshake proved.
    #[error("unexpected identity")]
    IdentityUnexpected,
    /// No complete frame arrived for too long.
    #[error("peer is silent")]
    Idle,
    /// The capability lists have no common entry.
    #[error("useless peer: no capability in common")]
    NothingShared,
    /// A payload is longer or shorter than its message permits.
    #[error("payload has a forbidden length")]
    PayloadLength,
    /// The peer reads more slowly than we send.
    #[error("peer reads too slowly")]
    ReadsTooSlowly,
    /// A payload is not a Snappy block.
    #[error("payload is not a snappy block")]
    SnappyMalformed,
}

impl PeerFault {
    /// Whether only the peer can cause this fault, as the session keys prove. An attacker on the
    /// path can break a MAC, but cannot create a valid one.
    #[must_use]
    pub const fn is_strike(self) -> bool {
        matches!(
            self,
            Self::CodeMalformed
                | Self::CodeOutOfRange
                | Self::FrameEmpty
                | Self::FrameTooLong
                | Self::PayloadLength
                | Self::SnappyMalformed
        )
    }

    /// The reason to send to the peer. Before the keys agree, and after a wrong MAC, no reason can
    /// be sent; the others follow geth.
    const fn reason(self) -> Option<DisconnectReason> {
        match self {
            Self::BodyMac
            | Self::CodeMalformed
            | Self::CodeOutOfRange
            | Self::FrameEmpty
            | Self::FrameTooLong
            | Self::HandshakeCiphertext
            | Self::HandshakeKey
            | Self::HandshakeLength
            | Self::HandshakeMalformed
            | Self::HandshakeSignature
            | Self::HandshakeTimeout
            | Self::HeaderMac
            | Self::ReadsTooSlowly
            | Self::SnappyMalformed => None,
            Self::ConnectedToSelf => Some(DisconnectReason::ConnectedToSelf),
            Self::HelloMalformed | Self::HelloMissing => Some(DisconnectReason::BreachOfProtocol),
            Self::IdentityInvalid => Some(DisconnectReason::InvalidIdentity),
            Self::IdentityUnexpected => Some(DisconnectReason::UnexpectedIdentity),
            Self::Idle => Some(DisconnectReason::ReadTimeout),
            Self::NothingShared => Some(DisconnectReason::UselessPeer),
            Self::PayloadLength => Some(DisconnectReason::SubprotocolError),
        }
    }
}
