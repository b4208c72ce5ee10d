//! The search for a nonce, in steps of bounded work.
//!
//! A job says what is to be reached; a search walks from a random nonce and stops at the first
//! that reaches it, so that the nonce tells nothing about how long the search took or how fast the
//! machine is. Nonces lie in `[2^56, 2^64)` and wrap inside it: all of them are eight bytes long,
//! and the envelope's length does not depend on luck (spec M5).
//!
//! Searches know no threads. Several may run on one job, each from its own start; the caller
//! stops them when one has found.

use core::fmt;

use rand_core::CryptoRng;
use sha3::{Digest, Keccak256};
use thiserror::Error;

use super::midstate::Midstate;
use super::{Generation, LEGACY_ZEROS, required_bits};
use crate::envelope::Unsealed;

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

/// What a search has to reach. Cheap to hand to several threads.
#[derive(Clone)]
pub struct SealJob {
    without_nonce: Vec<u8>,
    generations: Generations,
    bits: u32,
}

impl SealJob {
    /// A job of exactly `bits` zero bits for each generation asked for.
    ///
    /// # Errors
    ///
    /// [`TooMuchWork`] if no computer would finish.
    pub fn new(
        unsealed: &Unsealed,
        generations: Generations,
        bits: u32,
    ) -> Result<Self, TooMuchWork> {
        let job = Self {
            without_nonce: unsealed.without_nonce(),
            generations,
            bits,
        };
        let bits = job.total_bits();
        let most = match generations {
            Generations::Both => MAX_BITS_BOTH,
            Generations::Legacy | Generations::Modern => MAX_BITS,
        };
        if bits > most {
            return Err(TooMuchWork { bits, most });
        }
        Ok(job)
    }

    /// A job that makes work of at least `minimum`, whatever shape the envelope has.
    ///
    /// Peers divide by `20 + len(data)` or by the length of the RLP without nonce; the larger
    /// counts here, as the second can outgrow the first in large envelopes of long life.
    ///
    /// # Errors
    ///
    /// [`TooMuchWork`] if no computer would finish.
    pub fn for_minimum(
        unsealed: &Unsealed,
        generations: Generations,
        minimum: f64,
    ) -> Result<Self, TooMuchWork> {
        let size = unsealed.size().max(unsealed.without_nonce().len());
        let bits = required_bits(minimum, size, unsealed.ttl);
        Self::new(unsealed, generations, bits)
    }

    /// How many hashes a search needs on average; hash rate turns it into a time.
    #[must_use]
    pub fn expected_hashes(&self) -> f64 {
        f64::from(2).powi(i32::try_from(self.total_bits()).unwrap_or(i32::MAX))
    }

    /// The zero bits for each generation.
    #[must_use]
    pub const fn bits(&self) -> u32 {
        self.bits
    }

    /// Whose rules the seal will satisfy.
    #[must_use]
    pub const fn generations(&self) -> Generations {
        self.generations
    }

    /// Begins a search at a random nonce.
    pub fn search(&self, rng: &mut impl CryptoRng) -> SealSearch {
        let next = loop {
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
        SealSearch {
            first,
            second,
            bits: self.bits,
            next,
            tried: 0,
        }
    }

    fn total_bits(&self) -> u32 {
        match self.generations {
            Generations::Both => self.bits.saturating_mul(2),
            Generations::Legacy | Generations::Modern => self.bits,
        }
    }
}

impl fmt::Debug for SealJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            without_nonce: _,
            generations,
            bits,
        } = self;
        write!(f, "SealJob({generations:?}, {bits} bits)")
    }
}

/// A search under way.
pub struct SealSearch {
    first: Trial,
    second: Option<Trial>,
    bits: u32,
    next: u64,
    tried: u64,
}

impl SealSearch {
    /// Tries at most `max_tries` nonces; the first that reaches the target ends the step.
    pub fn step(&mut self, max_tries: u32) -> Option<u64> {
        let Self {
            first,
            second,
            bits,
            next,
            tried,
        } = self;
        let nonces = (0..max_tries).map(|_| {
            let nonce = *next;
            *next = nonce.checked_add(1).unwrap_or(FIRST_NONCE);
            *tried = tried.saturating_add(1);
            nonce
        });
        first.hits(*bits, nonces).find(|&nonce| {
            second
                .as_ref()
                .is_none_or(|second| second.hits(*bits, [nonce]).next().is_some())
        })
    }

    /// How many nonces were tried so far.
    #[must_use]
    pub const fn tried(&self) -> u64 {
        self.tried
    }
}

impl fmt::Debug for SealSearch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealSearch({} bits, {} tried)", self.bits, self.tried)
    }
}

/// The work asked for is out of reach.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error(
    "sealing would need 2^{bits} hashes, the limit is 2^{most}: \
     lower the proof of work, shorten the lifetime, or send less"
)]
pub struct TooMuchWork {
    /// Logarithm of the expected number of hashes.
    pub bits: u32,
    /// Logarithm of the largest number this program starts on.
    pub most: u32,
}

/// One generation's hash of the envelope under its nonces.
struct Trial {
    generation: Generation,
    midstate: Midstate,
}

impl Trial {
    /// Those of `nonces` in which the generation counts at least `bits`.
    fn hits(&self, bits: u32, nonces: impl IntoIterator<Item = u64>) -> impl Iterator<Item = u64> {
        let mut nonces = nonces.into_iter();
        let enough = move |words| zero_bits_of_words(self.generation, words) >= bits;
        core::iter::from_fn(move || self.midstate.find(&mut nonces, enough))
    }
}

/// [`Generation::zero_bits`] of a digest in four big-endian words.
fn zero_bits_of_words(generation: Generation, words: [u64; 4]) -> u32 {
    let [first, .., last] = words;
    match generation {
        Generation::Modern if first != 0 => first.leading_zeros(),
        Generation::Legacy if last != 0 => last.trailing_zeros(),
        _ => generation.zero_bits(&bytes_of(words)),
    }
}

fn bytes_of(words: [u64; 4]) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (to, word) in bytes.chunks_exact_mut(8).zip(words) {
        to.copy_from_slice(&word.to_be_bytes());
    }
    bytes
}

/// The least nonce of eight bytes.
const FIRST_NONCE: u64 = 1 << 56;
/// A day's work for a few hundred fast machines.
const MAX_BITS: u32 = 56;
/// Sealing for both generations pays the product (spec M23).
const MAX_BITS_BOTH: u32 = 34;

#[cfg(test)]
mod tests {
    use circuits::time::UnixSecs;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::super::PowHashes;
    use super::*;
    use crate::envelope::{Topic, Ttl};

    fn unsealed(len: usize) -> Unsealed {
        Unsealed {
            expiry: UnixSecs(1_700_000_000),
            ttl: Ttl(3_600),
            topic: Topic([1, 2, 3, 4]),
            data: vec![0xa5; len],
        }
    }

    fn seal(job: &SealJob, seed: u64) -> u64 {
        let mut search = job.search(&mut ChaCha20Rng::seed_from_u64(seed));
        loop {
            if let Some(nonce) = search.step(64) {
                return nonce;
            }
        }
    }

    #[test]
    fn what_the_search_finds_the_judge_accepts() {
        for len in [0, 100, 120, 535, 1_150] {
            for generations in [Generations::Modern, Generations::Legacy, Generations::Both] {
                let unsealed = unsealed(len);
                let job = SealJob::new(&unsealed, generations, 5).unwrap();
                let nonce = seal(&job, 7);
                assert!(nonce >= FIRST_NONCE);
                let hashes = PowHashes::of(&unsealed.seal(nonce));
                if generations != Generations::Legacy {
                    assert!(Generation::Modern.zero_bits(&hashes.modern) >= 5);
                }
                if generations != Generations::Modern {
                    assert!(Generation::Legacy.zero_bits(&hashes.legacy) >= 5);
                }
            }
        }
    }

    #[test]
    fn a_search_stops_at_the_first_hit() {
        let job = SealJob::new(&unsealed(535), Generations::Modern, 4).unwrap();
        let mut search = job.search(&mut ChaCha20Rng::seed_from_u64(1));
        let start = search.next;
        let nonce = loop {
            if let Some(nonce) = search.step(3) {
                break nonce;
            }
        };
        assert_eq!(search.tried(), nonce - start + 1);
        for earlier in start..nonce {
            let hashes = PowHashes::of(&unsealed(535).seal(earlier));
            assert!(Generation::Modern.zero_bits(&hashes.modern) < 4);
        }
    }

    #[test]
    fn a_step_is_bounded() {
        let job = SealJob::new(&unsealed(535), Generations::Modern, 56).unwrap();
        let mut search = job.search(&mut ChaCha20Rng::seed_from_u64(1));
        assert_eq!(search.step(100), None);
        assert_eq!(search.step(50), None);
        assert_eq!(search.tried(), 150);
    }

    #[test]
    fn nonces_wrap_inside_the_range_of_eight_bytes() {
        let job = SealJob::new(&unsealed(535), Generations::Modern, 56).unwrap();
        let mut search = job.search(&mut ChaCha20Rng::seed_from_u64(1));
        search.next = u64::MAX;
        search.step(2);
        assert_eq!(search.next, FIRST_NONCE + 1);
    }

    #[test]
    fn both_generations_are_refused_where_the_product_is_out_of_reach() {
        assert!(SealJob::new(&unsealed(535), Generations::Both, 17).is_ok());
        let refused = SealJob::new(&unsealed(535), Generations::Both, 18).unwrap_err();
        assert_eq!((refused.bits, refused.most), (36, 34));
        assert!(refused.to_string().contains("shorten the lifetime"));
    }

    #[test]
    fn an_infinite_minimum_starts_no_search() {
        assert!(SealJob::for_minimum(&unsealed(9), Generations::Modern, f64::INFINITY).is_err());
    }

    #[test]
    fn expected_hashes_are_a_power_of_two() {
        let job = SealJob::new(&unsealed(535), Generations::Both, 10).unwrap();
        assert!((job.expected_hashes() - 1_048_576.0).abs() < 0.5);
    }
}
