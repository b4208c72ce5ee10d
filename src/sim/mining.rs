//! Searches: they take simulated time at a hash rate.
//!
//! The search itself runs at once, since its result must convince the receiver. How long it took is
//! drawn, or counted where the search counts: so the time does not depend on the machine that runs
//! the simulation.

use core::time::Duration;

use super::seed::SmallRng;
use crate::node::{Job, JobResult};

/// The miners of a world; every node has one.
#[derive(Clone, Copy, Debug)]
pub struct MiningModel {
    /// Hashes per second that a node is told to have, and that its searches take.
    pub hashes_per_second: u32,
    /// Whether searches without a time limit take no time. Tests of everything else want that.
    pub instant: bool,
}

impl MiningModel {
    /// Hashes per second of one core with AVX2 (docs/benchmarks.md).
    pub const CORE_HASHES_PER_SECOND: u32 = 8_000_000;
}

/// The course of one search.
pub(super) struct Mined {
    /// Hashes tried, told on the way if the search is longer than one step.
    pub(super) progress: Option<u64>,
    pub(super) result: Option<JobResult>,
    pub(super) took: Duration,
}

impl MiningModel {
    /// Runs a search to its end, or to its time limit.
    pub(super) fn run(&self, mut job: Job, rng: &mut SmallRng) -> Mined {
        let limit = job.limit();
        let most = limit.map(|limit| {
            let secs = limit.as_secs();
            secs.saturating_mul(self.hashes_per_second.into())
        });
        let drawn = self.drawn_time(&job, rng);
        let mut progress = None;
        loop {
            if let (Some(limit), Some(most)) = (limit, most)
                && job.tried() >= Some(most)
            {
                return Mined {
                    progress,
                    result: Job::finish(vec![job]),
                    took: limit,
                };
            }
            if let Some(result) = job.step() {
                let counted = || job.tried().map(|tried| self.time_of(tried));
                let took = if self.instant {
                    Duration::ZERO
                } else {
                    drawn.or_else(counted).unwrap_or_default()
                };
                return Mined {
                    progress,
                    result: Some(result),
                    took,
                };
            }
            progress = job.tried();
        }
    }

    /// The time of a job that does not count hashes. A search takes exponential time around its
    /// mean.
    fn drawn_time(&self, job: &Job, rng: &mut SmallRng) -> Option<Duration> {
        let mean = match job {
            Job::ProofOfWork(_) => return None,
            Job::Ticket(search) => self.time_of(1 << search.bits().get()),
            // Each nonce gives two solutions on average, and takes about 10 ms.
            Job::Puzzle(search) => PUZZLE_NONCE_TIME * search.effort().div_ceil(2),
            // Trial decryption takes equal time whatever it finds.
            Job::Trials(batch) => return Some(batch.time()),
            // Every check has the bound of the longest one.
            Job::RelayList(_) => return Some(LIST_CHECK_TIME),
            Job::Contact(job) => {
                let search = self.time_of(job.expected_hashes());
                return Some(job.time() + search.mul_f64(rng.exponential()));
            }
            Job::Seal(job) => {
                let search = self.time_of(job.expected_hashes());
                return Some(SEAL_TIME + search.mul_f64(rng.exponential()));
            }
        };
        Some(mean.mul_f64(rng.exponential()))
    }

    fn time_of(&self, hashes: u64) -> Duration {
        let micros = hashes.saturating_mul(1_000_000);
        let rate = u64::from(self.hashes_per_second);
        Duration::from_micros(micros.checked_div(rate).unwrap_or(0))
    }
}

/// Time of the arithmetic of six layers (docs/benchmarks.md).
const SEAL_TIME: Duration = Duration::from_micros(400);

/// Time of the check of a relay list: up to 144 signatures of 0.1 ms.
const LIST_CHECK_TIME: Duration = Duration::from_millis(15);

/// Time of one Equi-X nonce on one core with generated machine code.
const PUZZLE_NONCE_TIME: Duration = Duration::from_millis(10);
