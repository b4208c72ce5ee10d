//! The inner ticket: work that the reader of a first message asks for, and that no relay sees.
//!
//! A card states how many leading zero bits `H(label | tau | ticket)` must have. Work on the envelope would
//! show which envelopes are first messages (spec M15); this work is inside. One ticket serves the whole
//! conversation.

use rand_core::CryptoRng;

use super::Tau;
use crate::contact::kdf::{Label, hash};

/// A ticket of a first contact.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct FirstTicket(pub [u8; 8]);

impl FirstTicket {
    /// The work of this ticket for a transcript: the number of leading zero bits.
    #[must_use]
    pub fn bits(self, tau: &Tau) -> u8 {
        let digest = hash(Label::FIRST_TICKET, &[&tau.0, &self.0]);
        let mut bits = 0_u8;
        for byte in digest {
            let zeros = u8::try_from(byte.leading_zeros()).unwrap_or(0);
            bits = bits.saturating_add(zeros);
            if byte != 0 {
                break;
            }
        }
        bits
    }
}

/// A search for a ticket, in steps.
pub struct FirstTicketSearch {
    tau: Tau,
    bits: u8,
    next: u64,
}

impl FirstTicketSearch {
    /// A search for a ticket of `bits` bits, from a random start. More than [`MAX_FIRST_TICKET_BITS`] are
    /// searched as that many.
    #[must_use]
    pub fn new(rng: &mut impl CryptoRng, tau: &Tau, bits: u8) -> Self {
        Self {
            tau: *tau,
            bits: bits.min(MAX_FIRST_TICKET_BITS),
            next: rng.next_u64(),
        }
    }

    /// Tries so many tickets. Returns one that is good.
    pub fn step(&mut self, hashes: u32) -> Option<FirstTicket> {
        for _ in 0..hashes {
            let ticket = FirstTicket(self.next.to_be_bytes());
            if ticket.bits(&self.tau) >= self.bits {
                return Some(ticket);
            }
            self.next = self.next.wrapping_add(1);
        }
        None
    }

    /// The mean number of hashes of the search.
    #[must_use]
    pub fn expected_hashes(&self) -> u64 {
        1_u64.checked_shl(self.bits.into()).unwrap_or(u64::MAX)
    }
}

/// A card may ask for this many bits at most.
pub const MAX_FIRST_TICKET_BITS: u8 = 28;
