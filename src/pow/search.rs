//! The search for a nonce, in steps of bounded work.
//!
//! A job says what is to be hashed and what is to be reached; a search walks from a random nonce
//! and stops at the first that reaches it, so that the nonce tells nothing about how long the
//! search took or how fast the machine is. Nonces lie in `[2^56, 2^64)` and wrap inside it: all of
//! them are eight bytes long, and the envelope's length does not depend on luck (spec M5).
//!
//! Searches know neither threads nor clocks. Whoever has several threads splits a search, lets
//! each part run and stops the others when one has found; whoever has a clock ends a search whose
//! [`PowGoal`] names a time, and asks it with [`NonceSearch::finish`] what it has.

use core::fmt;
use core::time::Duration;

use rand_core::CryptoRng;
use sha3::{Digest, Keccak256};
use thiserror::Error;

use super::midstate::Midstate;
use super::simd::{HashMask, KeccakBackend};
use super::{Generation, LEGACY_ZEROS, required_bits};
use crate::envelope::{ProtocolVersion, UnminedEnvelope};

/// Whose rules a seal is to satisfy.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Generations {
    /// [`Generation::Modern`] only.
    #[default]
    Modern,
    /// [`Generation::Legacy`] only.
    Legacy,
    /// Both at once, at the price of the product.
    Both,
}

/// What a search is to bring, and how long it may take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PowGoal {
    /// The first nonce of at least so many zero bits, however long that takes.
    Bits(u32),
    /// The same, but it fails after this time: go-ethereum's positive `powTarget` with `powTime`
    /// (protocol sheet 3.4). Any number of bits may be asked for.
    BitsWithin(u32, Duration),
    /// Works for all of this time and brings the best nonce seen: go-ethereum's negative
    /// `powTarget`, and 0 in `shh/5`. There the envelope's expiry grows by the same time, before
    /// it is hashed; that is for the caller to do. The work that comes of it tells how fast the
    /// machine is, so nothing but what asks for it in those words is sealed like that.
    BestIn(Duration),
}

impl PowGoal {
    /// The zero bits to be reached; none if the best is wanted.
    #[must_use]
    pub const fn bits(self) -> Option<u32> {
        match self {
            Self::Bits(bits) | Self::BitsWithin(bits, _) => Some(bits),
            Self::BestIn(_) => None,
        }
    }

    /// The time after which the search is to be ended from outside.
    #[must_use]
    pub const fn limit(self) -> Option<Duration> {
        match self {
            Self::Bits(_) => None,
            Self::BitsWithin(_, limit) | Self::BestIn(limit) => Some(limit),
        }
    }
}

/// What a search hashes, and what it has to reach.
#[derive(Clone)]
pub struct PowJob {
    without_nonce: Vec<u8>,
    generations: Generations,
    goal: PowGoal,
}

impl PowJob {
    /// A job over the bytes that the work is to be bound to: the envelope's RLP without its nonce,
    /// in whatever version of the protocol.
    ///
    /// # Errors
    ///
    /// [`TooMuchWork`] if no computer would finish and no time would end it.
    pub fn over(
        without_nonce: Vec<u8>,
        generations: Generations,
        goal: PowGoal,
    ) -> Result<Self, TooMuchWork> {
        let job = Self {
            without_nonce,
            generations,
            goal,
        };
        let max = match generations {
            Generations::Both => MAX_BITS_BOTH,
            Generations::Legacy | Generations::Modern => MAX_BITS,
        };
        match goal {
            PowGoal::Bits(_) if job.total_bits() > max => Err(TooMuchWork {
                bits: job.total_bits(),
                max,
            }),
            _ => Ok(job),
        }
    }

    /// A job over an envelope. One of `shh/5` is always sealed for the older generation, since
    /// nobody counts by another there.
    ///
    /// # Errors
    ///
    /// [`TooMuchWork`] if no computer would finish and no time would end it.
    pub fn for_goal(
        unmined: &UnminedEnvelope,
        generations: Generations,
        goal: PowGoal,
    ) -> Result<Self, TooMuchWork> {
        let generations = match unmined.protocol() {
            ProtocolVersion::V5 => Generations::Legacy,
            ProtocolVersion::V6 => generations,
        };
        Self::over(unmined.without_nonce(), generations, goal)
    }

    /// A job of exactly `bits` zero bits for each generation asked for.
    ///
    /// # Errors
    ///
    /// [`TooMuchWork`] if no computer would finish.
    pub fn new(
        unmined: &UnminedEnvelope,
        generations: Generations,
        bits: u32,
    ) -> Result<Self, TooMuchWork> {
        Self::for_goal(unmined, generations, PowGoal::Bits(bits))
    }

    /// A job that makes work of at least `minimum`, whatever shape the envelope has.
    ///
    /// Peers divide by [`UnminedEnvelope::size`] or, in `shh/6`, by the length of the RLP without nonce;
    /// the larger counts here, as the second can outgrow the first in large envelopes of long life.
    ///
    /// # Errors
    ///
    /// [`TooMuchWork`] if no computer would finish.
    pub fn for_minimum(
        unmined: &UnminedEnvelope,
        generations: Generations,
        minimum: f64,
    ) -> Result<Self, TooMuchWork> {
        let size = match unmined.protocol() {
            ProtocolVersion::V5 => unmined.size(),
            ProtocolVersion::V6 => unmined.size().max(unmined.without_nonce().len()),
        };
        let bits = required_bits(minimum, size, unmined.ttl);
        Self::new(unmined, generations, bits)
    }

    /// How many hashes a search needs on average; hash rate turns it into a time. A search for the
    /// best in a given time needs none in particular, and 0 is said for it.
    #[must_use]
    pub fn expected_hashes(&self) -> f64 {
        match self.goal {
            PowGoal::BestIn(_) => 0.0,
            PowGoal::Bits(_) | PowGoal::BitsWithin(..) => {
                f64::from(2).powi(i32::try_from(self.total_bits()).unwrap_or(i32::MAX))
            }
        }
    }

    /// The zero bits for each generation; 0 where the best is wanted.
    #[must_use]
    pub fn bits(&self) -> u32 {
        self.goal.bits().unwrap_or(0)
    }

    /// What the search is to bring.
    #[must_use]
    pub const fn goal(&self) -> PowGoal {
        self.goal
    }

    /// Whose rules the seal will satisfy.
    #[must_use]
    pub const fn generations(&self) -> Generations {
        self.generations
    }

    /// Begins a search at a random nonce, with the fastest hashing that this machine has.
    pub fn search(&self, rng: &mut impl CryptoRng) -> NonceSearch {
        let start = loop {
            let start = rng.next_u64();
            if start >= FIRST_NONCE {
                break start;
            }
        };
        let modern = || Trial {
            generation: Generation::Modern,
            midstate: Midstate::new(&self.without_nonce),
        };
        let legacy = || {
            let mut prefix = Keccak256::digest(&self.without_nonce).to_vec();
            prefix.extend_from_slice(&[0; LEGACY_ZEROS]);
            Trial {
                generation: Generation::Legacy,
                midstate: Midstate::new(&prefix),
            }
        };
        let (first, second) = match self.generations {
            Generations::Modern => (modern(), None),
            Generations::Legacy => (legacy(), None),
            // A legacy trial is always one permutation, so it goes first.
            Generations::Both => (legacy(), Some(modern())),
        };
        NonceSearch {
            first,
            second,
            goal: self.goal,
            backend: KeccakBackend::fastest(),
            next: start,
            tried: 0,
            best: Best {
                nonce: start,
                bits: 0,
            },
        }
    }

    fn total_bits(&self) -> u32 {
        match self.generations {
            Generations::Both => self.bits().saturating_mul(2),
            Generations::Legacy | Generations::Modern => self.bits(),
        }
    }
}

impl fmt::Debug for PowJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            without_nonce: _,
            generations,
            goal,
        } = self;
        write!(f, "PowJob({generations:?}, {goal:?})")
    }
}

/// A search under way.
#[derive(Clone)]
pub struct NonceSearch {
    first: Trial,
    second: Option<Trial>,
    goal: PowGoal,
    backend: KeccakBackend,
    next: u64,
    tried: u64,
    best: Best,
}

/// The best nonce seen, and how many zero bits it makes in the generation that counts fewer.
#[derive(Clone, Copy)]
struct Best {
    nonce: u64,
    bits: u32,
}

impl NonceSearch {
    /// Tries at most `max_tries` nonces; the first that reaches the target ends the step.
    ///
    /// Where the best is wanted no step brings anything: the search goes on until its time is up.
    pub fn step(&mut self, max_tries: u32) -> Option<u64> {
        let mut left = u64::from(max_tries);
        while left > 0 {
            let wanted = self.wanted();
            let (hit, tried) = self.next_hit(wanted, left);
            left = left.saturating_sub(tried);
            let Some(hit) = hit else {
                continue;
            };
            if self.goal.bits().is_some() {
                return Some(hit.nonce);
            }
            self.best = hit;
        }
        None
    }

    /// What the search has when its time is up.
    ///
    /// # Errors
    ///
    /// [`OutOfTime`] if its goal was a target, which it has not reached.
    pub fn finish(&self) -> Result<u64, OutOfTime> {
        match self.goal {
            PowGoal::BestIn(_) => Ok(self.best.nonce),
            PowGoal::Bits(_) | PowGoal::BitsWithin(..) => Err(OutOfTime {
                seconds: self.goal.limit().unwrap_or_default().as_secs(),
            }),
        }
    }

    /// Divides what is left into `parts` searches, at least one, that try no nonce twice between
    /// them: each has as much to go through as no computer finishes.
    #[must_use]
    pub fn split(self, parts: usize) -> Vec<Self> {
        let parts = u64::try_from(parts).unwrap_or(u64::MAX).max(1);
        let stride = NONCES.checked_div(parts).unwrap_or(NONCES);
        let part = |number: u64| {
            let mut part = self.clone();
            part.next = later(self.next, stride.saturating_mul(number));
            part.tried = if number == 0 { self.tried } else { 0 };
            part
        };
        (0..parts).map(part).collect()
    }

    /// Of two parts of one search the one that has seen the better nonce.
    #[must_use]
    pub fn better(self, other: Self) -> Self {
        if other.best.bits > self.best.bits {
            other
        } else {
            self
        }
    }

    /// Hashes in another way than the fastest; what is found does not depend on it.
    #[must_use]
    pub fn with_backend(mut self, backend: KeccakBackend) -> Self {
        self.backend = backend;
        self
    }

    /// How many nonces are worth trying in one step: some milliseconds on any machine.
    #[must_use]
    pub fn stride(&self) -> u32 {
        HASHES_PER_LANE_AND_STEP.saturating_mul(self.backend.width())
    }

    /// How many nonces were tried so far.
    #[must_use]
    pub const fn tried(&self) -> u64 {
        self.tried
    }

    /// What the search is to bring.
    #[must_use]
    pub const fn goal(&self) -> PowGoal {
        self.goal
    }

    /// The zero bits of which the next nonce is to be told.
    fn wanted(&self) -> u32 {
        self.goal
            .bits()
            .unwrap_or_else(|| self.best.bits.saturating_add(1))
    }

    /// The next nonce of at least `bits` zero bits, if there is one among the next `most`, and how
    /// many were tried for it.
    fn next_hit(&mut self, bits: u32, max: u64) -> (Option<Best>, u64) {
        let start = self.next;
        let count = max.min(u64::MAX.saturating_sub(start).saturating_add(1));
        let candidate = self.first.find(self.backend, start, count, bits);
        let tried = candidate.map_or(count, |nonce| nonce.saturating_sub(start).saturating_add(1));
        self.next = later(start, tried);
        self.tried = self.tried.saturating_add(tried);
        let hit = candidate.map(|nonce| {
            let first = self.first.zero_bits(nonce);
            let second = self.second.as_ref().map(|trial| trial.zero_bits(nonce));
            let bits = second.map_or(first, |second| first.min(second));
            Best { nonce, bits }
        });
        (hit.filter(|hit| hit.bits >= bits), tried)
    }
}

impl fmt::Debug for NonceSearch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NonceSearch({:?}, {} tried)", self.goal, self.tried)
    }
}

/// The work asked for is out of reach.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error(
    "sealing would need 2^{bits} hashes, the limit is 2^{max}: \
     lower the proof of work, shorten the lifetime, or send less"
)]
pub struct TooMuchWork {
    /// Logarithm of the expected number of hashes.
    pub bits: u32,
    /// Logarithm of the largest number this program starts on.
    pub max: u32,
}

/// The time of a search went by before its target was reached; go-ethereum's words for it.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("failed to reach the PoW target, specified pow time ({seconds} seconds) was insufficient")]
pub struct OutOfTime {
    /// How long it was allowed to take.
    pub seconds: u64,
}

/// One generation's hash of the envelope under its nonces.
#[derive(Clone)]
struct Trial {
    generation: Generation,
    midstate: Midstate,
}

impl Trial {
    /// The first of `count` nonces from `start` in which at least `bits` seem to count: exact up
    /// to the 64 that a word holds.
    fn find(&self, backend: KeccakBackend, start: u64, count: u64, bits: u32) -> Option<u64> {
        let wanted = HashMask::new(self.generation, bits);
        self.midstate.find(backend, start, count, wanted)
    }

    /// What the generation counts under one nonce.
    fn zero_bits(&self, nonce: u64) -> u32 {
        self.generation.zero_bits(&self.midstate.digest(nonce))
    }
}

/// The nonce that comes `by` after another, within the range of eight bytes.
const fn later(nonce: u64, by: u64) -> u64 {
    match nonce.checked_add(by) {
        Some(next) => next,
        None => nonce.wrapping_add(by).wrapping_add(FIRST_NONCE),
    }
}

/// The least nonce of eight bytes.
const FIRST_NONCE: u64 = 1 << 56;
/// How many there are.
const NONCES: u64 = u64::MAX - FIRST_NONCE + 1;
/// A day's work for a few hundred fast machines.
const MAX_BITS: u32 = 56;
/// Sealing for both generations pays the product (spec M23).
const MAX_BITS_BOTH: u32 = 34;
/// Hashes in one lane between two looks at the clock: some milliseconds.
const HASHES_PER_LANE_AND_STEP: u32 = 4096;

#[cfg(test)]
mod tests;
