//! The arithmetic that a node computes with: the real one, or a simulator's stand-ins.
//!
//! A simulation of thousands of nodes spends nearly all its time on ciphers whose results no
//! experiment looks at. A stand-in has the lengths, the draws of randomness and the verdicts of the
//! real operation, and protects nothing. Only code behind the feature `sim` can name one, only
//! `src/sim` of whisht asks for it, and an architecture test holds that; every other value of
//! [`Arithmetic`] is the real one.

/// Which arithmetic to compute with.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Arithmetic(Kind);

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Kind {
    #[default]
    Real,
    #[cfg(feature = "sim")]
    StandIn,
}

impl Arithmetic {
    /// The real one.
    pub const REAL: Self = Self(Kind::Real);

    /// Stand-ins without any protection, for simulated nodes.
    #[cfg(feature = "sim")]
    #[must_use]
    pub const fn stand_in() -> Self {
        Self(Kind::StandIn)
    }

    /// Whether it is the real one.
    #[must_use]
    pub const fn is_real(self) -> bool {
        matches!(self.0, Kind::Real)
    }
}
