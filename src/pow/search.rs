//! The nonce search, in steps of bounded work.
//!
//! A job states what to hash and the goal. A search tries consecutive nonces from a random start
//! and stops at the first that reaches the goal, so that the nonce reveals neither the duration of
//! the search nor the speed of the machine. Nonces are in `[2^56, 2^64)` and wrap within this
//! range: all have eight bytes, so the envelope's length is constant (spec M5).
//!
//! Searches use neither threads nor clocks. A caller with several threads splits a search, runs
//! each part, and stops the others when one part succeeds. A caller with a clock ends a search
//! whose [`PowGoal`] has a time limit, and gets its result from [`NonceSearch::finish`].

use core::fmt;
use core::time::Duration;

use rand_core::CryptoRng;
use sha3::{Digest, Keccak256};
use thiserror::Error;

use super::hashes::legacy_input;
use super::midstate::Midstate;
use super::nonce_lanes::HashMask;
use super::{Generation, required_bits};
use crate::envelope::{ProtocolVersion, UnminedEnvelope};
use crate::keccak::KeccakBackend;

/// The generations whose rules a nonce must satisfy.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Generations {
    /// [`Generation::Modern`] only.
    #[default]
    Modern,
    /// [`Generation::Legacy`] only.
    Legacy,
    /// Both at once, at the product of both costs.
    Both,
}

/// The goal of a search, and its time limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PowGoal {
    /// The first nonce of at least this many zero bits, without a time limit.
    Bits(u32),
    /// The same with a time limit: go-ethereum's positive `powTarget` with `powTime` (protocol
    /// sheet 3.4). Every number of bits is accepted. If [`Generations::Both`] is searched and the
    /// time ends first, a nonce that satisfies the legacy generation alone is the result.
    BitsWithin(u32, Duration),
    /// The best nonce found in this time: go-ethereum's negative `powTarget`, and 0 in `shh/5`. The
    /// caller must first add the time to the envelope's expiry, as go-ethereum does. The resulting
    /// work reveals the speed of the machine, so this goal is used only on explicit request.
    BestIn(Duration),
}

impl PowGoal {
    /// The required zero bits; `None` if the goal is the best nonce.
    #[must_use]
    pub const fn bits(self) -> Option<u32> {
        match self {
            Self::Bits(bits) | Self::BitsWithin(bits, _) => Some(bits),
            Self::BestIn(_) => None,
        }
    }

    /// The time after which the caller must end the search.
    #[must_use]
    pub const fn limit(self) -> Option<Duration> {
        match self {
            Self::Bits(_) => None,
            Self::BitsWithin(_, limit) | Self::BestIn(limit) => Some(limit),
        }
    }
}

/// The input of a search, and its goal.
#[derive(Clone)]
pub struct PowJob {
    without_nonce: Vec<u8>,
    generations: Generations,
    goal: PowGoal,
}

impl PowJob {
    /// A job over the bytes to which the work is bound: the envelope's RLP without its nonce, in
    /// any version of the protocol.
    ///
    /// # Errors
    ///
    /// [`TooMuchWork`] if the search is infeasible and has no time limit.
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

    /// A job over an envelope. An envelope of `shh/5` is always mined for the legacy generation,
    /// the only one of that protocol.
    ///
    /// # Errors
    ///
    /// [`TooMuchWork`] if the search is infeasible and has no time limit.
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

    /// A job of exactly `bits` zero bits for each requested generation.
    ///
    /// # Errors
    ///
    /// [`TooMuchWork`] if the search is infeasible.
    pub fn new(
        unmined: &UnminedEnvelope,
        generations: Generations,
        bits: u32,
    ) -> Result<Self, TooMuchWork> {
        Self::for_goal(unmined, generations, PowGoal::Bits(bits))
    }

    /// A job for work of at least `minimum`, for every form of envelope.
    ///
    /// Peers divide by [`UnminedEnvelope::size`] or, in `shh/6`, by the length of the RLP without
    /// nonce. The larger counts here, because the second can exceed the first in large envelopes
    /// with a long lifetime.
    ///
    /// # Errors
    ///
    /// [`TooMuchWork`] if the search is infeasible.
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

    /// Expected number of hashes; divided by the hash rate, the expected time. 0 for a search for
    /// the best nonce, whose duration is given.
    #[must_use]
    pub fn expected_hashes(&self) -> f64 {
        match self.goal {
            PowGoal::BestIn(_) => 0.0,
            PowGoal::Bits(_) | PowGoal::BitsWithin(..) => {
                f64::from(2).powi(i32::try_from(self.total_bits()).unwrap_or(i32::MAX))
            }
        }
    }

    /// The zero bits for each generation; 0 if the goal is the best nonce.
    #[must_use]
    pub fn bits(&self) -> u32 {
        self.goal.bits().unwrap_or(0)
    }

    /// The goal of the search.
    #[must_use]
    pub const fn goal(&self) -> PowGoal {
        self.goal
    }

    /// The generations whose rules the nonce will satisfy.
    #[must_use]
    pub const fn generations(&self) -> Generations {
        self.generations
    }

    /// Starts a search at a random nonce, with the fastest hashing of this machine.
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
            let inner = Keccak256::digest(&self.without_nonce).into();
            let [prefix @ .., _, _, _, _, _, _, _, _] = legacy_input(inner, [0; 8]);
            Trial {
                generation: Generation::Legacy,
                midstate: Midstate::new(&prefix),
            }
        };
        let (first, second) = match self.generations {
            Generations::Modern => (modern(), None),
            Generations::Legacy => (legacy(), None),
            // A legacy trial always costs one permutation, so it goes first.
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
            fallback: None,
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

/// A search in progress.
#[derive(Clone)]
pub struct NonceSearch {
    first: Trial,
    second: Option<Trial>,
    goal: PowGoal,
    backend: KeccakBackend,
    next: u64,
    tried: u64,
    best: Best,
    /// The first nonce with the bits of the goal in the first of two generations only.
    fallback: Option<u64>,
}

/// The best nonce found, and its zero bits in the generation that counts fewer.
#[derive(Clone, Copy)]
struct Best {
    nonce: u64,
    bits: u32,
}

impl NonceSearch {
    /// Tries at most `max_tries` nonces; the first that reaches the target ends the step.
    ///
    /// If the goal is the best nonce, a step returns `None` always: the search continues until its
    /// time is up.
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

    /// The result of a search whose time is up.
    ///
    /// # Errors
    ///
    /// [`OutOfTime`] if the goal was a target, which the search has not reached for any generation.
    pub fn finish(&self) -> Result<u64, OutOfTime> {
        match self.goal {
            PowGoal::BestIn(_) => Ok(self.best.nonce),
            PowGoal::Bits(_) | PowGoal::BitsWithin(..) => self.fallback.ok_or_else(|| OutOfTime {
                seconds: self.goal.limit().unwrap_or_default().as_secs(),
            }),
        }
    }

    /// Splits the remaining range into `parts` searches, at least one, with disjoint nonces. Each
    /// part is larger than any computer exhausts.
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

    /// Of two parts of one search, the one with the better nonce.
    #[must_use]
    pub fn better(self, other: Self) -> Self {
        let rank = |part: &Self| (part.best.bits, part.fallback.is_some());
        if rank(&other) > rank(&self) {
            other
        } else {
            self
        }
    }

    /// Selects another way of hashing than the fastest; the result does not depend on it.
    #[must_use]
    pub fn with_backend(mut self, backend: KeccakBackend) -> Self {
        self.backend = backend;
        self
    }

    /// Number of nonces for one step: some milliseconds on any machine.
    #[must_use]
    pub fn stride(&self) -> u32 {
        HASHES_PER_LANE_AND_STEP.saturating_mul(self.backend.width())
    }

    /// Number of nonces tried so far.
    #[must_use]
    pub const fn tried(&self) -> u64 {
        self.tried
    }

    /// The goal of the search.
    #[must_use]
    pub const fn goal(&self) -> PowGoal {
        self.goal
    }

    /// The zero bits at which the next nonce is reported.
    fn wanted(&self) -> u32 {
        self.goal
            .bits()
            .unwrap_or_else(|| self.best.bits.saturating_add(1))
    }

    /// The next nonce of at least `bits` zero bits among the next `max`, if there is one, and the
    /// number of nonces tried.
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
        self.fallback = self.fallback.or(candidate);
        (hit.filter(|hit| hit.bits >= bits), tried)
    }
}

impl fmt::Debug for NonceSearch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NonceSearch({:?}, {} tried)", self.goal, self.tried)
    }
}

/// The requested work is infeasible.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error(
    "the proof of work would need 2^{bits} hashes; the limit is 2^{max}: \
     lower the proof of work, shorten the lifetime, or send less"
)]
pub struct TooMuchWork {
    /// Logarithm of the expected number of hashes.
    pub bits: u32,
    /// Logarithm of the largest number of hashes that this program starts.
    pub max: u32,
}

/// The time limit passed before the target was reached; the text is go-ethereum's.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("failed to reach the PoW target, specified pow time ({seconds} seconds) was insufficient")]
pub struct OutOfTime {
    /// The time limit.
    pub seconds: u64,
}

/// One generation's hash of the envelope with its nonces.
#[derive(Clone)]
struct Trial {
    generation: Generation,
    midstate: Midstate,
}

impl Trial {
    /// The first of `count` nonces from `start` with at least `bits` counted bits; exact up to the
    /// 64 bits of a word.
    fn find(&self, backend: KeccakBackend, start: u64, count: u64, bits: u32) -> Option<u64> {
        let wanted = HashMask::new(self.generation, bits);
        self.midstate.find(backend, start, count, wanted)
    }

    /// The zero bits that the generation counts for one nonce.
    fn zero_bits(&self, nonce: u64) -> u32 {
        self.generation.zero_bits(&self.midstate.digest(nonce))
    }
}

/// The nonce that follows another after `by` steps, within the range of eight bytes.
const fn later(nonce: u64, by: u64) -> u64 {
    match nonce.checked_add(by) {
        Some(next) => next,
        None => nonce.wrapping_add(by).wrapping_add(FIRST_NONCE),
    }
}

/// The smallest nonce of eight bytes.
const FIRST_NONCE: u64 = 1 << 56;
/// The number of nonces.
const NONCES: u64 = u64::MAX - FIRST_NONCE + 1;
/// One day of work for several hundred fast machines.
const MAX_BITS: u32 = 56;
/// A search for both generations costs the product (spec M23).
const MAX_BITS_BOTH: u32 = 34;
/// Hashes per lane between two checks of the clock: some milliseconds.
const HASHES_PER_LANE_AND_STEP: u32 = 4096;

#[cfg(test)]
mod tests;
