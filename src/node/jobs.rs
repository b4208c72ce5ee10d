//! Jobs: long computations that the node describes and the shell runs on its own threads.
//!
//! A job is a search, a batch of envelopes to try keys on, a computation of contact, a cell to seal, or a relay list to verify. It
//! advances in bounded steps, so it can be cancelled, and a simulator can answer it without waiting. A job reads no clock: if it has a time limit ([`Job::limit`]), the
//! caller takes steps until then and asks for the best result ([`Job::finish`]). A job uses no
//! threads: a caller with several threads splits it ([`Job::split`]), takes the first result and
//! drops the other parts.

use core::time::Duration;

use circuits::cell::Cell;
use circuits::cell_builder::SealError;
use circuits::directory::{PuzzleSearch, PuzzleSolution};
use circuits::dispersal::Ticket;
use circuits::rendezvous::TicketSearch;

use super::directory::ListCheck;
use super::emission::SealJob;
use super::event::MessageId;
use crate::contact::job::{ContactJob, ContactJobResult};
use crate::pow::{NonceSearch, OutOfTime};
use crate::relay_list::{BadRelayList, VerifiedList};
use crate::subscriptions::{TrialBatch, TrialResult};

/// Numbers the jobs of one node.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct JobId(pub u64);

/// The component that a job's result goes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum JobOwner {
    /// A message that is being sent: its nonce or its ticket.
    Message(MessageId),
    /// A dummy envelope: its nonce.
    Dummy,
    /// A post of a `shh_*` client.
    Post,
    /// A request to a mail server.
    MailRequest,
    /// Our descriptor.
    Descriptor,
    /// Trial decryption.
    Trials,
    /// A cell of the emission stream.
    Emission,
    /// A computation of contact.
    Contact,
    /// The check of a relay list.
    RelayList,
}

/// A computation.
pub enum Job {
    /// For an envelope's nonce.
    ProofOfWork(Box<NonceSearch>),
    /// For a ticket that opens a shard set at a rendezvous.
    Ticket(Box<TicketSearch>),
    /// For the solution of the puzzle of our descriptor.
    Puzzle(Box<PuzzleSearch>),
    /// Trial decryption of envelopes. Contains the keys of users.
    Trials(Box<TrialBatch>),
    /// Seals a cell of this node.
    Seal(Box<SealJob>),
    /// Of contact. Contains keys of users.
    Contact(Box<ContactJob>),
    /// Verifies a relay list.
    RelayList(Box<ListCheck>),
}

impl core::fmt::Debug for Job {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Job(..)")
    }
}

impl Job {
    /// Computes for a few milliseconds. Returns the result, if it is there.
    pub fn step(&mut self) -> Option<JobResult> {
        match self {
            Self::ProofOfWork(search) => {
                let nonce = search.step(search.stride())?;
                Some(JobResult::Nonce(Ok(nonce)))
            }
            Self::Ticket(search) => search.step(HASHES_PER_STEP).map(JobResult::Ticket),
            Self::Puzzle(search) => search.step().map(JobResult::Puzzle),
            Self::Trials(batch) => batch.step().map(JobResult::Trials),
            Self::Seal(job) => job.step(HASHES_PER_STEP).map(JobResult::Cell),
            Self::Contact(job) => {
                let result = job.step()?;
                Some(JobResult::Contact(Box::new(result)))
            }
            Self::RelayList(check) => Some(JobResult::RelayList(check.run())),
        }
    }

    /// Splits the job into one to `parts` jobs; the first result of any part is the result of all.
    /// Only the search for an envelope's nonce is split. The other searches are short, and trial
    /// decryption comes in several jobs.
    #[must_use]
    pub fn split(self, parts: usize) -> Vec<Self> {
        match self {
            Self::ProofOfWork(search) => {
                let parts = search.split(parts).into_iter();
                parts
                    .map(|part| Self::ProofOfWork(Box::new(part)))
                    .collect()
            }
            Self::Ticket(_)
            | Self::Puzzle(_)
            | Self::Trials(_)
            | Self::Seal(_)
            | Self::Contact(_)
            | Self::RelayList(_) => vec![self],
        }
    }

    /// Time limit of the job from its first step; `None` if it has none.
    #[must_use]
    pub fn limit(&self) -> Option<Duration> {
        match self {
            Self::ProofOfWork(search) => search.goal().limit(),
            Self::Ticket(_)
            | Self::Puzzle(_)
            | Self::Trials(_)
            | Self::Seal(_)
            | Self::Contact(_)
            | Self::RelayList(_) => None,
        }
    }

    /// The best result of all parts of a job at its time limit; `None` if it has no limit.
    #[must_use]
    pub fn finish(parts: Vec<Self>) -> Option<JobResult> {
        let searches = parts.into_iter().filter_map(|part| match part {
            Self::ProofOfWork(search) if search.goal().limit().is_some() => Some(*search),
            _ => None,
        });
        let best = searches.reduce(NonceSearch::better)?;
        Some(JobResult::Nonce(best.finish()))
    }

    /// Number of hashes tried by the search for an envelope's nonce; `None` for other jobs.
    #[must_use]
    pub fn tried(&self) -> Option<u64> {
        match self {
            Self::ProofOfWork(search) => Some(search.tried()),
            Self::Ticket(_)
            | Self::Puzzle(_)
            | Self::Trials(_)
            | Self::Seal(_)
            | Self::Contact(_)
            | Self::RelayList(_) => None,
        }
    }
}

/// The result of a job.
#[derive(Debug)]
pub enum JobResult {
    /// An envelope's nonce, or an error if the time limit came first.
    Nonce(Result<u64, OutOfTime>),
    /// A ticket.
    Ticket(Ticket),
    /// A puzzle's solution.
    Puzzle(PuzzleSolution),
    /// The messages that keys of this user decrypted.
    Trials(Vec<TrialResult>),
    /// A sealed cell.
    Cell(Result<Cell, SealError>),
    /// The result of a computation of contact.
    Contact(Box<ContactJobResult>),
    /// A verified relay list, or the rule that it breaks.
    RelayList(Result<VerifiedList, BadRelayList>),
}

/// Ticket hashes between two checks of the cancel flag: about 4 ms on one core.
const HASHES_PER_STEP: u32 = 8192;

#[cfg(test)]
mod tests;
