//! How fast this machine hashes: every thread of the pool tries for a moment, all at once.
//!
//! The figure is what the threads got beside everything else that ran at that moment, since that
//! is what a search gets too.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::pow::{Generations, Goal, SealJob};

/// Told the rate once.
pub(super) type Tell = Box<dyn FnOnce(f64) + Send>;

/// The rate of all threads together, as far as they have measured it.
pub(super) struct Rate(Mutex<Measured>);

struct Measured {
    /// Threads that have not measured yet.
    missing: usize,
    /// Hashes a second of those that have.
    sum: f64,
    waiting: Vec<Tell>,
}

impl Rate {
    /// Of so many threads.
    pub(super) fn of(threads: usize) -> Self {
        Self(Mutex::new(Measured {
            missing: threads,
            sum: 0.0,
            waiting: Vec::new(),
        }))
    }

    /// Measures the thread that calls.
    pub(super) fn measure(&self) {
        let rate = hashes_per_second();
        let mut measured = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        measured.sum += rate;
        measured.missing = measured.missing.saturating_sub(1);
        if measured.missing == 0 {
            let (sum, waiting) = (measured.sum, std::mem::take(&mut measured.waiting));
            drop(measured);
            for tell in waiting {
                tell(sum);
            }
        }
    }

    /// Tells when all threads have measured, which may be at once.
    pub(super) fn when_known(&self, tell: Tell) {
        let mut measured = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if measured.missing > 0 {
            measured.waiting.push(tell);
            return;
        }
        let sum = measured.sum;
        drop(measured);
        tell(sum);
    }
}

/// Searches for what cannot be found, and counts.
fn hashes_per_second() -> f64 {
    let out_of_reach = Goal::BitsWithin(u32::MAX, SAMPLE);
    let job = SealJob::over(vec![0; SAMPLE_LEN], Generations::Modern, out_of_reach);
    let Ok(job) = job else {
        return 0.0;
    };
    // No nonce leaves this function.
    let mut search = job.search(&mut ChaCha20Rng::from_seed([0; 32]));
    let begun = Instant::now();
    let mut tried: u32 = 0;
    let took = loop {
        search.step(SAMPLE_STEP);
        tried = tried.saturating_add(SAMPLE_STEP);
        let took = begun.elapsed();
        if took >= SAMPLE {
            break took;
        }
    };
    f64::from(tried) / took.as_secs_f64()
}

impl fmt::Debug for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rate").finish_non_exhaustive()
    }
}

/// Long enough for a processor to speed up.
const SAMPLE: Duration = Duration::from_millis(40);
/// Hashes between two looks at the clock.
const SAMPLE_STEP: u32 = 1024;
/// About an envelope of the smallest class; no length makes a difference.
const SAMPLE_LEN: usize = 600;
