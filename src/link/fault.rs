//! What goes wrong on a link, sorted by who is to blame.
//!
//! Policy follows blame: a peer that misbehaves loses score and is not dialled for a while, a local
//! mistake is corrected, a bug is reported. The variants name what went wrong and carry no value
//! that an attacker chose, so that they can be logged as they are.

use thiserror::Error;

use super::disconnect::DisconnectReason;

/// Why a link failed. Every fault is final: the link is closing when it is returned.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum LinkFault {
    /// This program is wrong; please report it.
    #[error("bug in whisht: {0}")]
    Bug(&'static str),
    /// We asked for something impossible.
    #[error(transparent)]
    Local(#[from] LocalFault),
    /// The peer broke a rule.
    #[error(transparent)]
    Peer(#[from] PeerFault),
}

impl LinkFault {
    /// What the peer is told about it; `None` where the connection just ends.
    #[must_use]
    pub const fn reason(self) -> Option<DisconnectReason> {
        match self {
            Self::Peer(fault) => fault.reason(),
            Self::Bug(_) | Self::Local(_) => Some(DisconnectReason::Requested),
        }
    }
}

/// Something impossible was asked of a link.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum LocalFault {
    /// The key to be dialled is our own.
    #[error("the key to dial is this node's own")]
    DialsSelf,
    /// The key to be dialled is no point of the curve: nobody can hold it.
    #[error("the key to dial is not on the curve")]
    KeyNotOnCurve,
}

/// A rule that a peer broke.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum PeerFault {
    /// A frame's body does not authenticate.
    #[error("frame body has a wrong MAC")]
    BodyMac,
    /// A message code is no integer of at most 16 bits.
    #[error("message code is malformed")]
    CodeMalformed,
    /// A message code belongs to no shared capability.
    #[error("message code is out of range")]
    CodeOutOfRange,
    /// Our own node answered.
    #[error("connected to self")]
    ConnectedToSelf,
    /// A frame holds not even a message code.
    #[error("frame is empty")]
    FrameEmpty,
    /// A frame is longer than this phase allows.
    #[error("frame is too long")]
    FrameTooLong,
    /// A handshake packet does not decrypt.
    #[error("handshake packet is not for this key, or was altered")]
    HandshakeCiphertext,
    /// A handshake packet decrypts to something else than the protocol says.
    #[error("handshake packet is malformed")]
    HandshakeMalformed,
    /// The length of a handshake packet is too small or too great.
    #[error("handshake packet has a wrong length")]
    HandshakeLength,
    /// A handshake packet holds a key that is no point of the curve.
    #[error("handshake key is not on the curve")]
    HandshakeKey,
    /// The signature in an auth packet yields no key.
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
    /// The first message was neither Hello nor Disconnect.
    #[error("first message is not a hello")]
    HelloMissing,
    /// The identity in a Hello is not 64 bytes long, or zero.
    #[error("invalid node identity")]
    IdentityInvalid,
    /// The identity in a Hello is not the one that the handshake proved.
    #[error("unexpected identity")]
    IdentityUnexpected,
    /// No complete frame came for too long.
    #[error("peer has fallen silent")]
    Idle,
    /// The capability lists have nothing in common.
    #[error("useless peer: no capability in common")]
    NothingShared,
    /// A payload is longer or shorter than its message may be.
    #[error("payload has a forbidden length")]
    PayloadLength,
    /// The peer takes what we send too slowly.
    #[error("peer reads too slowly")]
    ReadsTooSlowly,
    /// A payload is no Snappy block.
    #[error("payload is not a snappy block")]
    SnappyMalformed,
}

impl PeerFault {
    /// Whether it can only be the peer's own doing, proved by the keys of the session: whoever
    /// stands on the line can break a MAC, but cannot make one.
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

    /// What the peer is told about it. Before the keys agree, and where they stop agreeing, there
    /// is nothing to say; the rest follows geth.
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
