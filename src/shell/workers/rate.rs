//! Measures the machine's hash rate: every thread of the pool hashes for a moment, all at once.
//!
//! The figure is used for the node's lifetime, so it must not depend on other load at start: each
//! thread hashes in turns shorter than a scheduling quantum, and the fastest turn counts. The
//! result is the rate of a search on an otherwise idle machine.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::pow::{Generations, PowGoal, PowJob};

/// The callback, called once.
pub(super) type RateCallback = Box<dyn FnOnce(f64) + Send>;

/// The rate of all threads that have measured it.
pub(super) struct WorkerHashRate(Mutex<RateMeasurement>);

struct RateMeasurement {
    /// Threads that have not measured yet.
    missing: usize,
    /// The sum of hashes per second of the others.
    sum: f64,
    /// The share of that sum when all threads search: there may be more threads than cores.
    share: f64,
    waiting: Vec<RateCallback>,
}

impl WorkerHashRate {
    /// A rate for this number of threads on this number of cores.
    pub(super) fn of(threads: usize, cores: usize) -> Self {
        let count = |number| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
        Self(Mutex::new(RateMeasurement {
            missing: threads,
            sum: 0.0,
            share: (count(cores) / count(threads)).min(1.0),
            waiting: Vec::new(),
        }))
    }

    /// Measures the calling thread.
    pub(super) fn measure(&self) {
        self.add(hashes_per_second());
    }

    fn add(&self, rate: f64) {
        let mut measured = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        measured.sum += rate;
        measured.missing = measured.missing.saturating_sub(1);
        if measured.missing == 0 {
            let waiting = std::mem::take(&mut measured.waiting);
            let rate = measured.all();
            drop(measured);
            for tell in waiting {
                tell(rate);
            }
        }
    }

    /// Calls back when all threads have measured, possibly at once.
    pub(super) fn when_known(&self, tell: RateCallback) {
        let mut measured = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if measured.missing > 0 {
            measured.waiting.push(tell);
            return;
        }
        let rate = measured.all();
        drop(measured);
        tell(rate);
    }
}

impl RateMeasurement {
    /// Hashes per second of all threads together.
    fn all(&self) -> f64 {
        self.sum * self.share
    }
}

/// Hashes towards an unreachable target, and counts.
fn hashes_per_second() -> f64 {
    let out_of_reach = PowGoal::BitsWithin(u32::MAX, SAMPLE_TIME);
    let job = PowJob::over(vec![0; SAMPLE_LEN], Generations::Modern, out_of_reach);
    let Ok(job) = job else {
        return 0.0;
    };
    // The nonce is never used.
    let mut search = job.search(&mut ChaCha20Rng::from_seed([0; 32]));
    let begun = Instant::now();
    let mut best: f64 = 0.0;
    while begun.elapsed() < SAMPLE_TIME {
        let turn = Instant::now();
        search.step(STEP_HASHES);
        best = best.max(f64::from(STEP_HASHES) / turn.elapsed().as_secs_f64());
    }
    best
}

impl fmt::Debug for WorkerHashRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerHashRate").finish_non_exhaustive()
    }
}

/// Long enough for a processor to reach its full clock rate.
const SAMPLE_TIME: Duration = Duration::from_millis(40);
/// Hashes of one turn: less than a millisecond with SIMD, a few milliseconds without.
const STEP_HASHES: u32 = 8192;
/// About the size of an envelope of the smallest class; the length does not change the rate.
const SAMPLE_LEN: usize = 600;

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn threads_beyond_cores_add_no_rate() {
        for (threads, cores, told) in [(1, 2, 1e6), (2, 2, 2e6), (8, 2, 2e6)] {
            let rate = WorkerHashRate::of(threads, cores);
            let (tell, heard) = mpsc::channel();
            rate.when_known(Box::new(move |rate| tell.send(rate).unwrap()));
            for _ in 0..threads {
                assert!(heard.try_recv().is_err(), "not before all have measured");
                rate.add(1e6);
            }
            assert!((heard.try_recv().unwrap() - told).abs() < 1.0);
        }
    }
}
