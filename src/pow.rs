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

use sha3::{Digest, Keccak256};
use thiserror::Error;

use crate::envelope::{Envelope, NotExpired, ProtocolVersion};

pub use self::search::{Generations, NonceSearch, OutOfTime, PowGoal, PowJob, TooMuchWork};
pub use self::simd::KeccakBackend;
pub use self::target::{class_bits, required_bits};

mod midstate;
mod search;
mod simd;
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
        let hashes = PowHashes::of(envelope);
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

/// The two hashes whose bits are counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PowHashes {
    /// `K256(rlp | nonce)`.
    pub modern: [u8; 32],
    /// `K256(K256(rlp) | 24 zero bytes | nonce)`.
    pub legacy: [u8; 32],
    /// The length of `rlp`, that of the envelope without its nonce: the modern size.
    pub len: usize,
}

impl PowHashes {
    /// Hashes one envelope.
    #[must_use]
    pub fn of(envelope: &Envelope) -> Self {
        let without_nonce = envelope.without_nonce();
        let nonce = envelope.nonce().to_be_bytes();
        let inner = Keccak256::new().chain_update(&without_nonce);
        let legacy = Keccak256::new()
            .chain_update(inner.clone().finalize())
            .chain_update([0; LEGACY_ZEROS])
            .chain_update(nonce);
        Self {
            modern: inner.chain_update(nonce).finalize().into(),
            legacy: legacy.finalize().into(),
            len: without_nonce.len(),
        }
    }
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
        let values = PowValues::with_skew(envelope, not_expired.skew());
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

/// The zeros that the oldest code hashes between the digest and the nonce: the unused rest of its
/// buffer.
const LEGACY_ZEROS: usize = 24;

#[cfg(test)]
mod tests;
