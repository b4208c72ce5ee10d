//! The send queue of one peer.
//!
//! Every new envelope waits for each peer independently, for a time drawn from an exponential
//! distribution: the time of delivery to a peer reveals as little as possible about when and where
//! the envelope entered the network (Fanti et al. 2018), unlike the common tick of go-ethereum. A
//! peer that is new, or that widens its requirements, gets the former content of the pool in random
//! order, after everything fresh. Whether an envelope may be sent is decided when it is taken.

use std::collections::BTreeMap;

use core::time::Duration;

use circuits::time::Instant;

use crate::envelope::EnvelopeHash;

/// The send queue of one peer.
#[derive(Debug, Default)]
pub(super) struct EnvelopeQueue {
    /// Envelopes by due time; the number distinguishes equal times.
    fresh: BTreeMap<(Instant, u64), EnvelopeHash>,
    /// Envelopes that were in the pool at the scan; the last goes first.
    backlog: Vec<EnvelopeHash>,
    /// Earliest time of the next packet.
    not_before: Instant,
    /// Earliest time of the next pool scan, if one is wanted.
    rescan: Option<Instant>,
    /// Earliest time of another pool scan.
    scanned: Instant,
    serial: u64,
}

impl EnvelopeQueue {
    /// Queues an envelope until `due`.
    pub(super) fn push(&mut self, due: Instant, envelope: EnvelopeHash) {
        self.serial = self.serial.wrapping_add(1);
        self.fresh.insert((due, self.serial), envelope);
    }

    /// Puts back an envelope that did not fit in the packet; it comes next.
    pub(super) fn put_back(&mut self, envelope: EnvelopeHash) {
        self.push(Instant::ZERO, envelope);
    }

    /// Takes the next due envelope.
    pub(super) fn pop(&mut self, now: Instant) -> Option<EnvelopeHash> {
        self.pop_fresh(now).or_else(|| self.pop_backlog())
    }

    /// Takes the next due envelope that was pooled since the last scan.
    pub(super) fn pop_fresh(&mut self, now: Instant) -> Option<EnvelopeHash> {
        let first = self.fresh.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// Takes the next envelope that was in the pool at the scan.
    pub(super) fn pop_backlog(&mut self) -> Option<EnvelopeHash> {
        self.backlog.pop()
    }

    /// Requests a pool scan, at most once per [`RESCAN_INTERVAL`].
    pub(super) fn want_rescan(&mut self) {
        self.rescan.get_or_insert(self.scanned);
    }

    /// Whether a pool scan is due.
    pub(super) fn rescan_due(&self, now: Instant) -> bool {
        self.rescan.is_some_and(|from| from <= now)
    }

    /// Replaces the backlog by the result of a pool scan.
    pub(super) fn refill(&mut self, now: Instant, found: Vec<EnvelopeHash>) {
        self.backlog = found;
        self.rescan = None;
        self.scanned = now.after(RESCAN_INTERVAL);
    }

    /// Drops all entries and requests a pool scan.
    pub(super) fn reset(&mut self) {
        self.fresh.clear();
        self.backlog.clear();
        self.want_rescan();
    }

    /// Whether a packet or a pool scan is due.
    pub(super) fn due(&self, now: Instant) -> bool {
        self.next_due().is_some_and(|due| due <= now)
    }

    /// Delays the next packet until `until`.
    pub(super) fn pause_until(&mut self, until: Instant) {
        self.not_before = until;
    }

    /// Delays the next packet by `by`.
    pub(super) fn delay(&mut self, now: Instant, by: Duration) {
        self.not_before = self.not_before.max(now).after(by);
    }

    /// When the next packet or pool scan is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        [self.next_due_fresh(), self.next_due_backlog()]
            .into_iter()
            .flatten()
            .min()
    }

    /// When the next envelope pooled since the last scan, or a pool scan, is due.
    pub(super) fn next_due_fresh(&self) -> Option<Instant> {
        let fresh = self.fresh.keys().next().map(|(due, _)| *due);
        let next = [fresh, self.rescan].into_iter().flatten().min();
        next.map(|due| due.max(self.not_before))
    }

    /// When the next envelope of the backlog may be sent.
    pub(super) fn next_due_backlog(&self) -> Option<Instant> {
        (!self.backlog.is_empty()).then_some(self.not_before)
    }

    /// Whether an envelope pooled since the last scan is due.
    pub(super) fn fresh_due(&self, now: Instant) -> bool {
        self.next_due_fresh().is_some_and(|due| due <= now)
    }

    /// Number of queued envelopes.
    pub(super) fn len(&self) -> usize {
        self.fresh.len() + self.backlog.len()
    }
}

/// Minimum interval between pool scans for a peer that changes its requirements. A narrower
/// requirement takes effect at once.
const RESCAN_INTERVAL: Duration = Duration::from_secs(5);
