//! Proof of work: the price of an envelope's place in the pools of other nodes.
//!
//! `work = 2^zero bits / size / lifetime`. Two generations of software under one protocol number
//! count different bits of different hashes (protocol sheet 3.4), so to one the other's envelopes
//! have no work. This node accepts an envelope if *either* count suffices ([`PowChecked::check`]).
//! The gossip decides, with the values in [`PowChecked`], whether a peer of a known generation
//! would punish it. `shh/5` ended before the modern generation: its envelopes have legacy work only
//! (protocol sheet 9).
//!
//! `Generation` omits a third formula (EIP-627 read literally), because no reachable peer uses it.

use core::fmt;

use thiserror::Error;

use crate::envelope::{Envelope, NotExpired, ProtocolVersion};

pub use self::hashes::PowHashes;
pub use self::search::{Generations, NonceSearch, OutOfTime, PowGoal, PowJob, TooMuchWork};
pub use self::target::{class_bits, required_bits};

mod hashes;
mod midstate;
mod nonce_lanes;
mod search;
mod target;

/// The software generation whose rules count the work.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Generation {
    /// go-ethereum up to 1.8 and status-im up to 1.4: the hash of the hash, trailing zero bits.
    Legacy,
    /// go-ethereum from 1.9 and status-im from 1.5: a single hash, leading zero bits.
    Modern,
}

impl Generation {
    /// The number of bits of `hash` that count as work.
    #[must_use]
    pub fn zero_bits(self, hash: &[u8; 32]) -> u32 {
        match self {
            Self::Modern => count(hash, u8::leading_zeros),
            // The oldest code takes the position of the lowest set bit; zero has none.
            Self::Legacy if hash == &[0; 32] => 0,
            Self::Legacy => count(hash.iter().rev(), u8::trailing_zeros),
        }
    }
}

/// The work of one envelope by both counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PowValues {
    /// By the rules of [`Generation::Modern`]; zero in `shh/5`, which has no such rules.
    pub modern: f64,
    /// By the rules of [`Generation::Legacy`].
    pub legacy: f64,
}

impl PowValues {
    /// The work over the envelope's own lifetime.
    #[must_use]
    pub fn of(envelope: &Envelope) -> Self {
        Self::with_skew(envelope, 0)
    }

    /// The work over a lifetime that is longer by `skew` seconds ([`NotExpired::skew`]).
    ///
    /// A lifetime of zero, after the wrap that peers allow, makes the work infinite.
    #[must_use]
    pub fn with_skew(envelope: &Envelope, skew: u32) -> Self {
        Self::count(envelope, &PowHashes::of(envelope), skew)
    }

    /// Counts the bits of the hashes of this envelope.
    fn count(envelope: &Envelope, hashes: &PowHashes, skew: u32) -> Self {
        let seconds = envelope.ttl().0.wrapping_add(skew);
        Self {
            modern: match envelope.protocol() {
                ProtocolVersion::V5 => 0.0,
                ProtocolVersion::V6 => work(
                    Generation::Modern.zero_bits(&hashes.modern),
                    hashes.len,
                    seconds,
                ),
            },
            legacy: work(
                Generation::Legacy.zero_bits(&hashes.legacy),
                envelope.size(),
                seconds,
            ),
        }
    }

    /// The work by one generation's rules.
    #[must_use]
    pub const fn by(self, generation: Generation) -> f64 {
        match generation {
            Generation::Legacy => self.legacy,
            Generation::Modern => self.modern,
        }
    }

    /// The greater of the two.
    #[must_use]
    pub const fn best(self) -> f64 {
        self.modern.max(self.legacy)
    }
}

/// `2^zero_bits / size / seconds`, divided in this order as in all implementations.
#[must_use]
pub fn work(zero_bits: u32, size: usize, seconds: u32) -> f64 {
    let hashes = f64::from(2).powi(i32::try_from(zero_bits).unwrap_or(i32::MAX));
    hashes / float(size) / f64::from(seconds)
}

/// Proof that an envelope's work was found sufficient; only [`PowChecked::check`] creates one.
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub struct PowChecked {
    values: PowValues,
}

impl PowChecked {
    /// Accepts the envelope if either generation counts at least `minimum`.
    ///
    /// # Errors
    ///
    /// [`LowPow`] if neither does, or if the work is not a finite number. The latter occurs for
    /// lifetimes that [`NotExpired`] refuses, and for those that wrap within seconds of 1970.
    pub fn check(
        envelope: &Envelope,
        not_expired: NotExpired,
        minimum: f64,
    ) -> Result<Self, LowPow> {
        Self::check_hashed(envelope, PowHashes::of(envelope), not_expired, minimum)
    }

    /// The same with hashes that were computed before ([`PowHashes::of_all`]).
    ///
    /// # Errors
    ///
    /// As [`PowChecked::check`].
    pub fn check_hashed(
        envelope: &Envelope,
        mut hashes: PowHashes,
        not_expired: NotExpired,
        minimum: f64,
    ) -> Result<Self, LowPow> {
        // The work of another envelope must not pass for the work of this one.
        if !hashes.belong_to(envelope) {
            hashes = PowHashes::of(envelope);
        }
        let values = PowValues::count(envelope, &hashes, not_expired.skew());
        if values.best().is_finite() && values.best() >= minimum {
            Ok(Self { values })
        } else {
            Err(LowPow)
        }
    }

    /// The work by one generation's rules, to compare with a peer's requirement.
    #[must_use]
    pub const fn value(&self, generation: Generation) -> f64 {
        self.values.by(generation)
    }

    /// The greater of the two.
    #[must_use]
    pub const fn best(&self) -> f64 {
        self.values.best()
    }
}

/// Neither generation counts enough work in the envelope.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("envelope has too little proof of work")]
pub struct LowPow;

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Legacy => "legacy",
            Self::Modern => "modern",
        })
    }
}

/// Lengths of frames fit 32 bits.
fn float(len: usize) -> f64 {
    f64::from(u32::try_from(len).unwrap_or(u32::MAX))
}

/// The zero bits before the first byte that is not zero, and those in it.
fn count<'a>(bytes: impl IntoIterator<Item = &'a u8>, zeros: fn(u8) -> u32) -> u32 {
    let mut total = 0;
    for &byte in bytes {
        total += zeros(byte);
        if byte != 0 {
            break;
        }
    }
    total
}

#[cfg(test)]
mod tests;
