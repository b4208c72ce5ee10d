//! Envelopes that wait for a time drawn for them before they are due to a peer.
//!
//! The wait hides the origin (`send_queue`), so an envelope is not ranked before it ends. A flood
//! through one link could fill the memory for waiting envelopes. So a source has a bound, and a full
//! line accepts only sources with little in it. What is refused is in the pool, and follows with a
//! walk through it.

use std::collections::BTreeMap;

use circuits::time::Instant;

use super::source::{EnvelopeSource, QueuedEnvelope};

/// The envelopes by due time.
#[derive(Debug)]
pub(super) struct DelayedEnvelopes {
    /// The number distinguishes equal times.
    by_due: BTreeMap<(Instant, u64), QueuedEnvelope>,
    /// Number of envelopes of each source.
    counts: BTreeMap<EnvelopeSource, usize>,
    serial: u64,
}

impl DelayedEnvelopes {
    pub(super) const fn new() -> Self {
        Self {
            by_due: BTreeMap::new(),
            counts: BTreeMap::new(),
            serial: 0,
        }
    }

    /// Adds an envelope; `false` if there is no room for it.
    pub(super) fn push(&mut self, due: Instant, envelope: QueuedEnvelope) -> bool {
        let full = self.by_due.len() >= MAX_DELAYED;
        let count = self.counts.entry(envelope.source).or_default();
        if *count >= if full { MIN_SHARE } else { MAX_SHARE } {
            return false;
        }
        *count += 1;
        self.serial = self.serial.wrapping_add(1);
        self.by_due.insert((due, self.serial), envelope);
        true
    }

    /// Takes the first envelope that is due.
    pub(super) fn pop(&mut self, now: Instant) -> Option<QueuedEnvelope> {
        let first = self.by_due.first_entry()?;
        if first.key().0 > now {
            return None;
        }
        let envelope = first.remove();
        if let Some(count) = self.counts.get_mut(&envelope.source) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.counts.remove(&envelope.source);
            }
        }
        Some(envelope)
    }

    /// When the first envelope is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.by_due.first_key_value().map(|((due, _), _)| *due)
    }

    /// Number of envelopes.
    pub(super) fn len(&self) -> usize {
        self.by_due.len()
    }
}

/// Number of envelopes above which only sources with a small share get more.
pub(super) const MAX_DELAYED: usize = 4_096;
/// Maximum number of envelopes of one source: at a mean delay of 0.3 s those of 6,800 a second.
pub(super) const MAX_SHARE: usize = 2_048;
/// Number of envelopes that a source may have in a full line: at a mean delay of 0.3 s those of 53 a
/// second.
const MIN_SHARE: usize = 16;
