//! What happens to circuits, and why one is refused.

use core::fmt;

use crate::geometry::CIRCUIT_PAYLOAD_LEN;

/// A circuit at this node. Numbers are not used again while the node runs.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct CircuitRef(pub(super) u64);

/// Something that happened to a circuit of this node as an origin.
#[derive(Clone, Eq, PartialEq)]
pub enum CircuitEvent {
    /// A payload of the other end.
    Received(CircuitRef, Box<[u8; CIRCUIT_PAYLOAD_LEN]>),
    /// The circuit takes more cells, after its queue was full: it has taken the last cell that fitted.
    Ready(CircuitRef),
    /// The circuit has ended, for another reason than [`close`](super::CircuitTable::close).
    Ended(CircuitRef, CircuitEnd),
}

impl fmt::Debug for CircuitEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Received(circuit, _) => write!(f, "Received({circuit:?}, ..)"),
            Self::Ready(circuit) => write!(f, "Ready({circuit:?})"),
            Self::Ended(circuit, end) => write!(f, "Ended({circuit:?}, {end:?})"),
        }
    }
}

/// Why a circuit has ended.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum CircuitEnd {
    /// A cell did not follow the one before it, or another node of the circuit has ended it.
    Broken,
    /// A third circuit came with the same cookie.
    CookieUsed,
    /// The circuit had no cell for 60 s.
    Idle,
    /// The link to a peer on the circuit is closed.
    LinkClosed,
    /// No cell came back.
    NoAnswer,
    /// This node closed it.
    Closed,
    /// The circuit with which it was joined has ended.
    OtherEnded,
    /// This node has too many queued cells, and this circuit most of them.
    Overload,
    /// Too many cells waited for a link.
    QueueFull,
    /// The circuit existed for ten minutes.
    TooOld,
    /// No link to the next relay, or no other circuit with the same cookie, in time.
    Unconnected,
}

impl fmt::Display for CircuitEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Broken => "a cell was lost or altered, or another node ended the circuit",
            Self::CookieUsed => "a third circuit has the same cookie",
            Self::Idle => "no cell for 60 s",
            Self::LinkClosed => "a link of the circuit is closed",
            Self::NoAnswer => "no cell came back",
            Self::Closed => "closed by this node",
            Self::OtherEnded => "the other half of the circuit has ended",
            Self::Overload => "too many cells wait at this node",
            Self::QueueFull => "too many cells of the circuit wait for a link",
            Self::TooOld => "the circuit existed for the maximum of 10 minutes",
            Self::Unconnected => "the circuit was not connected in time",
        })
    }
}

/// Why a circuit is not accepted. The origin gets no answer.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum CircuitRefusal {
    /// Two circuits have the cookie already. They end.
    CookieUsed,
    /// The circuit has ended.
    Ended,
    /// Another circuit has the id on the link.
    IdInUse,
    /// The node has the maximum number of circuits.
    TooMany,
    /// The link has the maximum number of circuits.
    TooManyOnLink,
    /// Too many circuits wait for the other one of their cookie.
    TooManyUnpaired,
}

impl fmt::Display for CircuitRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CookieUsed => "two circuits have this cookie already",
            Self::Ended => "the circuit has ended",
            Self::IdInUse => "another circuit has this id on the link",
            Self::TooMany => "this node has its maximum number of circuits",
            Self::TooManyOnLink => "the link has its maximum number of circuits",
            Self::TooManyUnpaired => "too many circuits wait for their other half",
        })
    }
}

impl core::error::Error for CircuitRefusal {}

/// An own circuit has no place for another cell; [`CircuitEvent::Ready`] follows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CircuitFull;

impl fmt::Display for CircuitFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the circuit has its maximum number of waiting cells")
    }
}

impl core::error::Error for CircuitFull {}

/// Numbers of a [`CircuitTable`](super::CircuitTable).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CircuitStats {
    /// Circuits, of which some are in the next two numbers.
    pub circuits: usize,
    /// Circuits of this node as an origin.
    pub own: usize,
    /// Circuits that wait for the other one of their cookie.
    pub unpaired: usize,
    /// Cells that wait at this node.
    pub queued: usize,
}
