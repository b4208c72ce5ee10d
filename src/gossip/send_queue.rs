//! What is waiting to be sent to one peer, and when.
//!
//! Every new envelope waits for each peer by itself, for a time drawn from an exponential law:
//! the moment at which a peer hears of it says as little as possible about when and where it
//! entered the network (Fanti et al. 2018), unlike the common tick of go-ethereum. A peer that is
//! new, or that wants more than before, gets what the pool already held in random order, behind
//! everything fresh. Whether an envelope may be sent is not decided here, but when it is taken.

use std::collections::BTreeMap;

use core::time::Duration;

use circuits::time::Instant;

use crate::envelope::EnvelopeHash;

/// One peer's waiting line.
#[derive(Debug, Default)]
pub(super) struct SendQueue {
    /// Envelopes by the time at which they are due; the number keeps equal times apart.
    fresh: BTreeMap<(Instant, u64), EnvelopeHash>,
    /// Envelopes that were in the pool before; the last goes first.
    backlog: Vec<EnvelopeHash>,
    /// No packet leaves before this.
    not_before: Instant,
    /// The pool is to be read through again, from this time on.
    rescan: Option<Instant>,
    /// The pool was read through; not again before this.
    scanned: Instant,
    serial: u64,
}

impl SendQueue {
    /// Lets an envelope wait until `due`.
    pub(super) fn push(&mut self, due: Instant, envelope: EnvelopeHash) {
        self.serial = self.serial.wrapping_add(1);
        self.fresh.insert((due, self.serial), envelope);
    }

    /// Puts back an envelope that the packet had no room for; it comes next.
    pub(super) fn put_back(&mut self, envelope: EnvelopeHash) {
        self.push(Instant::ZERO, envelope);
    }

    /// Takes the next envelope that is due.
    pub(super) fn pop(&mut self, now: Instant) -> Option<EnvelopeHash> {
        self.pop_fresh(now).or_else(|| self.pop_backlog())
    }

    /// Takes the next envelope that is due among those that were pooled since the last scan.
    pub(super) fn pop_fresh(&mut self, now: Instant) -> Option<EnvelopeHash> {
        let first = self.fresh.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// Takes the next envelope of those that were in the pool before.
    pub(super) fn pop_backlog(&mut self) -> Option<EnvelopeHash> {
        self.backlog.pop()
    }

    /// Asks for the pool to be read through, at most once in [`RESCAN_INTERVAL`].
    pub(super) fn want_rescan(&mut self) {
        self.rescan.get_or_insert(self.scanned);
    }

    /// Whether the pool is to be read through now.
    pub(super) fn rescan_due(&self, now: Instant) -> bool {
        self.rescan.is_some_and(|from| from <= now)
    }

    /// Replaces the backlog by what was found in the pool.
    pub(super) fn refill(&mut self, now: Instant, found: Vec<EnvelopeHash>) {
        self.backlog = found;
        self.rescan = None;
        self.scanned = now.after(RESCAN_INTERVAL);
    }

    /// Throws everything away, to be read anew from the pool.
    pub(super) fn reset(&mut self) {
        self.fresh.clear();
        self.backlog.clear();
        self.want_rescan();
    }

    /// Whether there is something to do now.
    pub(super) fn due(&self, now: Instant) -> bool {
        self.next_due().is_some_and(|due| due <= now)
    }

    /// Lets no packet leave before `until`.
    pub(super) fn pause_until(&mut self, until: Instant) {
        self.not_before = until;
    }

    /// Lets the next packet leave so much later than it might.
    pub(super) fn delay(&mut self, now: Instant, by: Duration) {
        self.not_before = self.not_before.max(now).after(by);
    }

    /// When there is something to do next.
    pub(super) fn next_due(&self) -> Option<Instant> {
        [self.next_due_fresh(), self.next_due_backlog()]
            .into_iter()
            .flatten()
            .min()
    }

    /// When something pooled since the last scan is due, or the pool is to be read through.
    pub(super) fn next_due_fresh(&self) -> Option<Instant> {
        let fresh = self.fresh.keys().next().map(|(due, _)| *due);
        let next = [fresh, self.rescan].into_iter().flatten().min();
        next.map(|due| due.max(self.not_before))
    }

    /// When something that was in the pool before may go.
    pub(super) fn next_due_backlog(&self) -> Option<Instant> {
        (!self.backlog.is_empty()).then_some(self.not_before)
    }

    /// Whether something pooled since the last scan is due now.
    pub(super) fn fresh_due(&self, now: Instant) -> bool {
        self.next_due_fresh().is_some_and(|due| due <= now)
    }

    /// Number of envelopes waiting.
    pub(super) fn len(&self) -> usize {
        self.fresh.len() + self.backlog.len()
    }
}

/// How long a peer that changes its mind waits for the pool to be read through again. What it no
/// longer wants is withheld at once.
const RESCAN_INTERVAL: Duration = Duration::from_secs(5);
