//! The computations of contact that do not run on the node's turn.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use super::card::VerifiedCard;
use super::card::search::CardSearch;
use super::first_contact::{FirstBox, FirstContent, FirstError, FirstTicket, FirstTicketSearch};
use super::scan::{FirstRecipient, ScanBatch, ScanHit};
use zeroize::Zeroizing;

/// A computation of contact.
pub enum ContactJob {
    /// Scans envelopes.
    Scan(ScanBatch),
    /// Opens the box of a first message: one decapsulation.
    Open(BoxOpening),
    /// Searches for the ticket of a first contact.
    Ticket(FirstTicketSearch),
    /// Opens envelopes that may be cards of contacts.
    Cards(CardSearch),
}

/// The body of a first message, and the keys that it was sealed to.
pub struct BoxOpening {
    /// The keys.
    pub recipient: Arc<FirstRecipient>,
    /// The body.
    pub body: Zeroizing<Vec<u8>>,
}

/// The result of a computation of contact.
pub enum ContactJobResult {
    /// What was found in a batch.
    Scan(Vec<ScanHit>),
    /// The box and the content of a first message.
    Opened(Result<(FirstBox, FirstContent), FirstError>),
    /// A ticket.
    Ticket(FirstTicket),
    /// The cards that were found.
    Cards(Vec<VerifiedCard>),
}

impl ContactJob {
    /// Computes for a few milliseconds. Returns the result, if it is there.
    pub fn step(&mut self) -> Option<ContactJobResult> {
        match self {
            Self::Scan(batch) => batch.step().map(ContactJobResult::Scan),
            Self::Open(opening) => {
                let opened = opening.recipient.open_box(&opening.body);
                Some(ContactJobResult::Opened(opened))
            }
            Self::Ticket(search) => search.step(TICKETS_PER_STEP).map(ContactJobResult::Ticket),
            Self::Cards(search) => search.step().map(ContactJobResult::Cards),
        }
    }

    /// The time of the computation, without its hashes.
    #[must_use]
    pub fn time(&self) -> Duration {
        match self {
            Self::Scan(batch) => batch.time(),
            Self::Open(_) => OPENING_TIME,
            Self::Ticket(_) => Duration::ZERO,
            Self::Cards(search) => search.time(),
        }
    }

    /// The mean number of hashes of the computation.
    #[must_use]
    pub fn expected_hashes(&self) -> u64 {
        match self {
            Self::Scan(_) | Self::Open(_) | Self::Cards(_) => 0,
            Self::Ticket(search) => search.expected_hashes(),
        }
    }
}

impl fmt::Debug for ContactJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContactJob(..)")
    }
}

impl fmt::Debug for ContactJobResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContactJobResult(..)")
    }
}

/// Hashes between two checks of the cancel flag: a few milliseconds on one core.
const TICKETS_PER_STEP: u32 = 8192;
/// The time of one decapsulation and one box, on the machine of docs/benchmarks.md.
const OPENING_TIME: Duration = Duration::from_micros(400);
