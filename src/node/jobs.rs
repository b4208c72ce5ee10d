//! Long computations: described by the node, run by the shell on threads of its own.
//!
//! A job is a search that advances in bounded steps, so that it can be cancelled and so that a
//! simulator can answer it without waiting. It reads no clock: for a job with a time limit
//! ([`Job::limit`]) the caller takes steps until then and asks for the best result
//! ([`Job::finish`]). It knows no threads either: a caller with several threads splits the job
//! ([`Job::split`]), takes the first result and drops the other parts.

use core::time::Duration;

use circuits::directory::{PuzzleSearch, PuzzleSolution};
use circuits::dispersal::Ticket;
use circuits::rendezvous::TicketSearch;

use crate::pow::{NonceSearch, OutOfTime};

/// Numbers the jobs of one node.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct JobId(pub u64);

/// A search.
pub enum Job {
    /// For an envelope's nonce.
    ProofOfWork(Box<NonceSearch>),
    /// For a ticket that opens a set at a rendezvous.
    Ticket(Box<TicketSearch>),
    /// For the solution of the puzzle that goes with our descriptor.
    Puzzle(Box<PuzzleSearch>),
}

impl core::fmt::Debug for Job {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Job(..)")
    }
}

impl Job {
    /// Searches on for a few milliseconds; gives what was found, if it was.
    pub fn step(&mut self) -> Option<JobResult> {
        match self {
            Self::ProofOfWork(search) => {
                let nonce = search.step(search.stride())?;
                Some(JobResult::Nonce(Ok(nonce)))
            }
            Self::Ticket(search) => search.step(HASHES_PER_STEP).map(JobResult::Ticket),
            Self::Puzzle(search) => search.step().map(JobResult::Puzzle),
        }
    }

    /// At most `parts` jobs, at least one, of which the first to find something answers for all.
    /// Only the search for an envelope's nonce comes apart; the others are short.
    #[must_use]
    pub fn split(self, parts: usize) -> Vec<Self> {
        match self {
            Self::ProofOfWork(search) => {
                let parts = search.split(parts).into_iter();
                parts
                    .map(|part| Self::ProofOfWork(Box::new(part)))
                    .collect()
            }
            Self::Ticket(_) | Self::Puzzle(_) => vec![self],
        }
    }

    /// How long it may take, from its first step; for ever, if nothing is said.
    #[must_use]
    pub fn limit(&self) -> Option<Duration> {
        match self {
            Self::ProofOfWork(search) => search.goal().limit(),
            Self::Ticket(_) | Self::Puzzle(_) => None,
        }
    }

    /// What the parts of one job have together when its time is up; nothing if it has no limit.
    #[must_use]
    pub fn finish(parts: Vec<Self>) -> Option<JobResult> {
        let searches = parts.into_iter().filter_map(|part| match part {
            Self::ProofOfWork(search) if search.goal().limit().is_some() => Some(*search),
            _ => None,
        });
        let best = searches.reduce(NonceSearch::better)?;
        Some(JobResult::Nonce(best.finish()))
    }

    /// How many hashes the search for an envelope's nonce has tried; other jobs do not say.
    #[must_use]
    pub fn tried(&self) -> Option<u64> {
        match self {
            Self::ProofOfWork(search) => Some(search.tried()),
            Self::Ticket(_) | Self::Puzzle(_) => None,
        }
    }
}

/// What a search found.
#[derive(Debug)]
pub enum JobResult {
    /// An envelope's nonce; none if the job's time was up before.
    Nonce(Result<u64, OutOfTime>),
    /// A ticket.
    Ticket(Ticket),
    /// A puzzle's solution.
    Puzzle(PuzzleSolution),
}

/// Hashes of a ticket between two looks at the cancel flag: about 4 ms on one core.
const HASHES_PER_STEP: u32 = 8192;

#[cfg(test)]
mod tests;
