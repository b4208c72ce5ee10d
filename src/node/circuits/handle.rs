//! How a component names its circuits, and how they end.

use core::fmt;

use circuits::circuit::CircuitEnd;

use super::CircuitOpenError;

/// The component that a circuit of this node belongs to.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(in crate::node) enum CircuitOwner {
    /// Files that are handed over.
    Transfers,
    /// Talk lines.
    Talks,
    /// A simulated world, in place of a user.
    #[cfg(feature = "sim")]
    Simulation,
}

/// The name of a circuit of this node. Its owner chooses the number, and uses none twice.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(in crate::node) struct CircuitHandle {
    owner: CircuitOwner,
    number: u64,
}

impl CircuitHandle {
    /// The circuit of `owner` with this number.
    pub(in crate::node) const fn new(owner: CircuitOwner, number: u64) -> Self {
        Self { owner, number }
    }

    /// The component that hears of the circuit.
    pub(in crate::node) const fn owner(self) -> CircuitOwner {
        self.owner
    }

    /// The number that the owner chose.
    #[cfg(feature = "sim")]
    pub(in crate::node) const fn number(self) -> u64 {
        self.number
    }
}

/// Why there is no circuit, or no longer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::node) enum CircuitEnding {
    /// It was not opened.
    Refused(CircuitOpenError),
    /// It has ended.
    Ended(CircuitEnd),
}

impl fmt::Display for CircuitEnding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => why.fmt(f),
            Self::Ended(why) => why.fmt(f),
        }
    }
}
