//! What an adversary sees of cells.
//!
//! A sighting holds what an observer of every link can write down, and what hostile relays and
//! rendezvous disclose. It must not hold the truth about a cell: this is the whole interface between
//! the traffic and the [adversaries](super::adversary).

use core::time::Duration;

use circuits::time::Instant;

/// The number of one crossing of one link by one cell. It says nothing of the cell.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Transfer(u64);

impl Transfer {
    /// The crossing with this number, which no other crossing has.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// One end of a link, as far as the adversary knows it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum CellPlace {
    /// The sender with this number.
    Sender(u32),
    /// The honest relay with this number, which passes the cell on.
    Relay(u32),
    /// The hostile relay with this number, which discloses which cell became which.
    HostileRelay(u32),
    /// The hostile rendezvous of the cell, which discloses the envelope.
    HostileRendezvous(u32),
    /// The honest rendezvous of the cell. The adversary knows only that the path ends here.
    HonestRendezvous(u32),
}

/// What the adversary sees, in order of time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CellSighting {
    /// A sender connects, and begins to emit.
    Online {
        /// Its number.
        sender: u32,
    },
    /// A cell leaves.
    Departure {
        /// The crossing of the link that begins.
        transfer: Transfer,
        /// The node that sends it.
        from: CellPlace,
        /// Whether the link leads to a sender, which does not relay.
        to_sender: bool,
        /// Relays that the cell has passed: zero from its sender. `None` for an adversary that cannot
        /// tell.
        position: Option<u32>,
        /// The crossing by which the cell came, if the sender of this one is a hostile relay.
        disclosed: Option<Transfer>,
    },
    /// A cell arrives.
    Arrival {
        /// The crossing that ends.
        transfer: Transfer,
        /// The node that receives it.
        to: CellPlace,
        /// Relays that the cell has passed, if the adversary can tell.
        position: Option<u32>,
    },
    /// An honest rendezvous inserts an envelope into gossip.
    Insertion {
        /// The number of the rendezvous.
        rendezvous: u32,
    },
}

/// What every adversary knows of the network: its published constants.
#[derive(Clone, Copy, Debug)]
pub struct PublicRules {
    /// Senders.
    pub senders: u32,
    /// Relays on a path, without the rendezvous.
    pub hops: u32,
    /// Mean delay at each relay.
    pub delay: Duration,
    /// Mean hold of a rendezvous.
    pub hold: Duration,
    /// The probability that an emission is a loop; zero for an adversary that sees no loops.
    pub loop_share: f64,
    /// The probability that a relay loses a cell.
    pub loss: f64,
}

/// A sighting with its time.
pub type TimedSighting = (Instant, CellSighting);

/// A number as an index.
pub(in crate::sim::anonymity) fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
