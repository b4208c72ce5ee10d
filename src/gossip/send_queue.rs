//! The send queue of one peer.
//!
//! Every new envelope waits for each peer independently, for a time drawn from an exponential
//! distribution: the time of delivery to a peer reveals as little as possible about when and where
//! the envelope entered the network (Fanti et al. 2018), unlike the common tick of go-ethereum.
//!
//! Envelopes whose wait is over are due, and share the rate of the peer. They are served in turn over
//! the links that brought them, and the best work first within a link, so that a flood through one
//! link delays only what came through that link. The packet is shuffled, so that it does not show which
//! link brought what. A queue without room displaces envelopes of the link
//! that holds most. They are counted, and follow later with a walk through the pool.
//!
//! A peer that is new, or that widens its requirements, gets the former content of the pool
//! ([`backlog`](super::backlog)) after everything fresh, and in every fourth packet before it, so that
//! a flood of fresh envelopes does not stop it. Whether an envelope may be sent is decided when it is
//! taken.

use core::time::Duration;

use circuits::ids::LinkId;
use circuits::time::Instant;

use super::backlog::Backlog;
use super::bulk::TARGET_PACKET;
use super::delayed::DelayedEnvelopes;
use super::source::{QueuedEnvelope, SharedQueue, by_number, merge_closed};

/// The send queue of one peer.
#[derive(Debug)]
pub(super) struct EnvelopeQueue {
    delayed: DelayedEnvelopes,
    due: SharedQueue,
    /// Due envelopes that fit in one packet: none has to wait, so they take no turns.
    few: Vec<QueuedEnvelope>,
    /// An envelope that did not fit in the last packet.
    unsent: Option<QueuedEnvelope>,
    pub(super) backlog: Backlog,
    /// Earliest time of the next packet.
    not_before: Instant,
    /// Number of packets begun.
    packets: u32,
    /// Number of envelopes that had no room.
    displaced: u64,
}

impl EnvelopeQueue {
    /// A queue of envelopes.
    pub(super) const fn of_envelopes() -> Self {
        Self::with(SharedQueue::by_bytes(by_number(MAX_SHARE, MAX_DUE)))
    }

    /// A queue of hashes, all of the same length.
    pub(super) const fn of_hashes() -> Self {
        Self::with(SharedQueue::new(by_number(MAX_SHARE, MAX_DUE)))
    }

    const fn with(due: SharedQueue) -> Self {
        Self {
            delayed: DelayedEnvelopes::new(),
            due,
            few: Vec::new(),
            unsent: None,
            backlog: Backlog::new(),
            not_before: Instant::ZERO,
            packets: 0,
            displaced: 0,
        }
    }

    /// Queues an envelope until `due`.
    pub(super) fn push(&mut self, due: Instant, envelope: QueuedEnvelope) {
        if !self.delayed.push(due, envelope) {
            self.displace(1);
        }
    }

    /// Queues an envelope that is due.
    pub(super) fn push_due(&mut self, envelope: QueuedEnvelope) {
        let QueuedEnvelope {
            source,
            rank,
            bytes,
            ..
        } = envelope;
        let pushed = self.due.push(source, rank, bytes, envelope);
        self.displace(pushed.overflow.len());
    }

    /// Puts back an envelope that did not fit in the packet; it comes next.
    pub(super) const fn put_back(&mut self, envelope: QueuedEnvelope) {
        self.unsent = Some(envelope);
    }

    /// Counts envelopes that had no room. A walk through the pool finds them again.
    fn displace(&mut self, envelopes: usize) {
        if envelopes > 0 {
            let count = u64::try_from(envelopes).unwrap_or(u64::MAX);
            self.displaced = self.displaced.saturating_add(count);
            self.backlog.want_walk();
        }
    }

    /// Begins a packet: moves what is due to its place, and charges the envelopes of closed links to
    /// all of these together.
    pub(super) fn begin_packet(&mut self, now: Instant, is_open: impl Fn(LinkId) -> bool) {
        self.packets = self.packets.wrapping_add(1);
        let mut bytes: usize = self.few.iter().map(|few| few.bytes).sum();
        while let Some(envelope) = self.delayed.pop(now) {
            bytes = bytes.saturating_add(envelope.bytes);
            if self.due.is_empty() && bytes <= TARGET_PACKET {
                self.few.push(envelope);
            } else {
                self.push_due(envelope);
            }
        }
        if self.due.is_empty() {
            return;
        }
        for envelope in core::mem::take(&mut self.few) {
            self.push_due(envelope);
        }
        let lost = merge_closed(&mut self.due, is_open);
        self.displace(lost);
    }

    /// Takes the next due envelope for the packet.
    pub(super) fn pop(&mut self) -> Option<QueuedEnvelope> {
        if self.unsent.is_none() && self.packets.is_multiple_of(PACKETS_PER_BACKLOG) {
            let old = self.backlog.pop();
            return old.or_else(|| self.pop_fresh());
        }
        self.pop_fresh().or_else(|| self.backlog.pop())
    }

    /// Takes the next due envelope that is not from a walk through the pool.
    pub(super) fn pop_fresh(&mut self) -> Option<QueuedEnvelope> {
        let next = self.unsent.take().or_else(|| self.few.pop());
        next.or_else(|| Some(self.due.pop()?.1))
    }

    /// Whether a packet is due.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let due = [self.next_due_fresh(), self.next_due_backlog()];
        due.into_iter().flatten().any(|due| due <= now)
    }

    /// Delays the next packet until `until`.
    pub(super) fn pause_until(&mut self, until: Instant) {
        self.not_before = until;
    }

    /// Delays the next packet by `by`.
    pub(super) fn delay(&mut self, now: Instant, by: Duration) {
        self.not_before = self.not_before.max(now).after(by);
    }

    /// When the next packet or step of a walk is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let packets = [self.next_due_fresh(), self.next_due_backlog()];
        let due = packets.into_iter().chain([self.backlog.next_due()]);
        due.flatten().min()
    }

    /// When the next envelope that is not from a walk is due.
    pub(super) fn next_due_fresh(&self) -> Option<Instant> {
        let due = if self.due_len() > 0 {
            Some(Instant::ZERO)
        } else {
            self.delayed.next_due()
        };
        due.map(|due| due.max(self.not_before))
    }

    /// When the next envelope of the backlog may be sent.
    pub(super) fn next_due_backlog(&self) -> Option<Instant> {
        (self.backlog.len() > 0).then_some(self.not_before)
    }

    /// Number of queued envelopes.
    pub(super) fn len(&self) -> usize {
        self.delayed.len() + self.due_len() + self.backlog.len()
    }

    fn due_len(&self) -> usize {
        self.due.size().entries + self.few.len() + usize::from(self.unsent.is_some())
    }

    /// Number of envelopes that had no room, since the link was connected.
    pub(super) const fn displaced(&self) -> u64 {
        self.displaced
    }
}

/// Every how many packets one begins with the backlog.
const PACKETS_PER_BACKLOG: u32 = 4;
/// Maximum number of due envelopes for one peer.
const MAX_DUE: usize = 2_048;
/// Maximum number of them from one source.
const MAX_SHARE: usize = 512;
