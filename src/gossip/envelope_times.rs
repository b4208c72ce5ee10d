//! The times of the envelopes that a peer brings, as far as they show the peer's clock.
//!
//! A peer accepts and sends only envelopes that are neither expired nor sent in the future by its own
//! clock, so their times bound that clock. This module draws no conclusion from the bounds.

use circuits::time::UnixSecs;

use crate::envelope::{Envelope, Ttl};

/// The times of the envelopes in one packet: the sender's clock, when it sent them, was neither
/// before the one nor after the other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EnvelopeTimes {
    /// The latest start of a lifetime.
    pub latest_start: UnixSecs,
    /// The earliest expiry.
    pub earliest_expiry: UnixSecs,
}

impl EnvelopeTimes {
    /// The times of one envelope; `None` if they are contradictory, which no clock explains.
    pub(super) fn of(envelope: &Envelope) -> Option<Self> {
        let (expiry, ttl) = (envelope.expiry(), envelope.ttl());
        let is_valid = ttl != Ttl(0) && ttl.0 <= expiry.0;
        is_valid.then(|| Self {
            latest_start: envelope.sent(),
            earliest_expiry: expiry,
        })
    }

    /// Adds the times of another envelope.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            latest_start: self.latest_start.max(other.latest_start),
            earliest_expiry: self.earliest_expiry.min(other.earliest_expiry),
        }
    }
}
