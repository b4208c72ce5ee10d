//! Long computations: described by the node, run by the shell on threads of its own.
//!
//! A job is a search that advances in bounded steps, so that it can be cancelled and so that a
//! simulator can answer it without waiting.

use circuits::directory::{PuzzleSearch, PuzzleSolution};
use circuits::rendezvous::TicketSearch;
use circuits::shard::Ticket;

use crate::pow::SealSearch;

/// Numbers the jobs of one node.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct JobId(pub u64);

/// A search.
pub enum Job {
    /// For an envelope's nonce.
    Seal(Box<SealSearch>),
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
    pub fn step(&mut self) -> Option<Done> {
        match self {
            Self::Seal(search) => search.step(HASHES).map(Done::Sealed),
            Self::Ticket(search) => search.step(HASHES).map(Done::Ticket),
            Self::Puzzle(search) => search.step().map(Done::Puzzle),
        }
    }
}

/// What a search found.
#[derive(Debug)]
pub enum Done {
    /// An envelope's nonce.
    Sealed(u64),
    /// A ticket.
    Ticket(Ticket),
    /// A puzzle's solution.
    Puzzle(PuzzleSolution),
}

/// Hashes between two looks at the cancel flag: about 4 ms on one core.
const HASHES: u32 = 8192;
