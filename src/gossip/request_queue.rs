//! The envelopes that a peer requested and was not sent yet.
//!
//! Requests for fresh envelopes are served before those for what the pool had when the peer came: a
//! peer that catches up with a long backlog still gets every new envelope at once. Every fourth packet
//! begins with the old ones, so that a flood of fresh envelopes does not stop the backlog. Fresh
//! envelopes are served in turn over the links that brought them, because the peer cannot know these
//! and requests all alike.

use std::collections::{BTreeSet, VecDeque};

use circuits::time::Instant;

use super::source::{QueuedEnvelope, SharedQueue, by_number};
use crate::envelope::EnvelopeHash;

/// The requests of one peer.
#[derive(Debug)]
pub(super) struct RequestQueue {
    fresh: SharedQueue,
    old: VecDeque<QueuedEnvelope>,
    /// What the last two announcements of old envelopes contained, the newest first.
    announced_old: [BTreeSet<EnvelopeHash>; 2],
    /// A fresh envelope that did not fit in the last packet.
    unsent: Option<QueuedEnvelope>,
    /// Whether the last envelope was taken from the old ones.
    took_old: bool,
    /// Earliest time of the next packet.
    not_before: Instant,
    /// Number of packets begun.
    packets: u32,
    /// Number of requests that had no room.
    refused: u64,
}

impl RequestQueue {
    pub(super) const fn new() -> Self {
        Self {
            fresh: SharedQueue::by_bytes(by_number(MAX_REQUESTED, MAX_REQUESTED)),
            old: VecDeque::new(),
            announced_old: [BTreeSet::new(), BTreeSet::new()],
            unsent: None,
            took_old: false,
            not_before: Instant::ZERO,
            packets: 0,
            refused: 0,
        }
    }

    /// Records which old envelopes were announced.
    pub(super) fn note_old(&mut self, hashes: &[EnvelopeHash]) {
        self.announced_old.swap(0, 1);
        let [newest, _] = &mut self.announced_old;
        newest.clear();
        newest.extend(hashes);
    }

    /// Adds a request. The peer may repeat one that is above the bound.
    pub(super) fn push(&mut self, requested: QueuedEnvelope) {
        if self.len() >= MAX_REQUESTED {
            self.refused = self.refused.saturating_add(1);
            return;
        }
        let hash = requested.hash;
        let mut announced = self.announced_old.iter_mut();
        if announced.any(|old| old.remove(&hash)) {
            return self.old.push_back(requested);
        }
        let QueuedEnvelope {
            source,
            rank,
            bytes,
            ..
        } = requested;
        // The queue has room for all.
        let _pushed = self.fresh.push(source, rank, bytes, requested);
    }

    /// Begins a packet; `false` if none is due.
    pub(super) fn begin_packet(&mut self, now: Instant) -> bool {
        let due = self.next_due().is_some_and(|due| due <= now);
        self.packets = self.packets.wrapping_add(u32::from(due));
        due
    }

    /// Takes the next request for the packet.
    pub(super) fn pop(&mut self) -> Option<QueuedEnvelope> {
        let old_first = self.packets.is_multiple_of(PACKETS_PER_BACKLOG);
        self.took_old = !self.old.is_empty() && (old_first || self.fresh_len() == 0);
        if self.took_old {
            return self.old.pop_front();
        }
        self.unsent.take().or_else(|| Some(self.fresh.pop()?.1))
    }

    /// Puts back the envelope that was taken last, and did not fit in the packet.
    pub(super) fn put_back(&mut self, requested: QueuedEnvelope) {
        if self.took_old {
            self.old.push_front(requested);
        } else {
            self.unsent = Some(requested);
        }
    }

    /// Delays the next packet.
    pub(super) fn pause_until(&mut self, until: Instant) {
        self.not_before = self.not_before.max(until);
    }

    /// When the next packet is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        (self.len() > 0).then_some(self.not_before)
    }

    /// Number of requested fresh envelopes.
    pub(super) fn fresh_len(&self) -> usize {
        self.fresh.size().entries + usize::from(self.unsent.is_some())
    }

    /// Number of requested old envelopes.
    pub(super) fn old_len(&self) -> usize {
        self.old.len()
    }

    fn len(&self) -> usize {
        self.fresh_len() + self.old_len()
    }

    /// Number of requests that had no room, since the link was connected.
    pub(super) const fn refused(&self) -> u64 {
        self.refused
    }
}

/// Envelopes that a peer may have requested and not received: four packets of requests.
pub(super) const MAX_REQUESTED: usize = 1_024;
/// Every how many packets one begins with old envelopes.
const PACKETS_PER_BACKLOG: u32 = 4;
