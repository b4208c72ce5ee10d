//! The queue into the archive.
//!
//! Envelopes are written in batches, few of them at a time, so that a busy archive gets large ones.
//! A peer that requests acknowledgements gets them once all its envelopes would survive a crash:
//! the acknowledgement of a mail server means that the mail is kept. If the archive falls so far
//! behind that it misses envelopes, nothing is acknowledged until the whole mempool has been offered
//! again.

use std::collections::VecDeque;

use crate::envelope::Envelope;
use crate::gossip::OutboundPacket;
use crate::mail::archive::{BatchId, Contents};

/// Envelopes on their way into the archive, and the acknowledgements that wait for them.
pub(super) struct ArchiveQueue {
    waiting: VecDeque<Envelope>,
    waiting_bytes: usize,
    max_waiting_bytes: usize,
    /// Number of envelopes offered since the start, and of durable ones.
    offered: u64,
    durable: u64,
    /// Batches being written, each with the number of its last envelope.
    batches: VecDeque<(BatchId, u64)>,
    last_batch: u64,
    taken: u64,
    /// Acknowledgements to peers, each with the number of the envelope that it waits for.
    acknowledgements: VecDeque<(u64, Vec<OutboundPacket>)>,
    acknowledgement_bytes: usize,

    gap: ArchiveGap,
    contents: Option<Contents>,
}

/// The state of the queue, for a view.
#[derive(Clone, Copy, Debug)]
pub(super) struct ArchiveProgress {
    /// Number of durable envelopes.
    pub(super) durable: u64,
    /// Number of envelopes that are not durable yet.
    pub(super) waiting: u64,
    /// What the archive holds.
    pub(super) contents: Contents,
}

/// Whether the archive has missed envelopes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum ArchiveGap {
    None,
    /// It has: the mempool must be offered again.
    Missed,
    /// It has caught up once this envelope is durable.
    Closing(u64),
}

impl ArchiveQueue {
    /// An empty queue that holds at most `max_waiting_bytes`.
    pub(super) const fn new(max_waiting_bytes: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            max_waiting_bytes,
            offered: 0,
            durable: 0,
            batches: VecDeque::new(),
            last_batch: 0,
            taken: 0,
            acknowledgements: VecDeque::new(),
            acknowledgement_bytes: 0,
            gap: ArchiveGap::None,
            contents: None,
        }
    }

    /// Queues an envelope for the archive; if there is no room, the archive misses it for now.
    pub(super) fn offer(&mut self, envelope: Envelope) {
        let bytes = self.waiting_bytes.saturating_add(cost(&envelope));
        if bytes > self.max_waiting_bytes {
            if self.gap == ArchiveGap::None {
                tracing::warn!(
                    "the mail archive falls behind; nothing is acknowledged until it has caught up"
                );
            }
            self.gap = ArchiveGap::Missed;
            return;
        }
        self.waiting_bytes = bytes;
        self.offered = self.offered.saturating_add(1);
        self.waiting.push_back(envelope);
    }

    /// The next batch for the archive, if it can take one.
    pub(super) fn next_batch(&mut self) -> Option<(BatchId, Vec<Envelope>)> {
        if self.waiting.is_empty() || self.batches.len() >= MAX_BATCHES {
            return None;
        }
        let (mut batch, mut bytes) = (Vec::new(), 0_usize);
        while batch.len() < MAX_BATCH_ENVELOPES && bytes < MAX_BATCH_BYTES {
            let Some(envelope) = self.waiting.pop_front() else {
                break;
            };
            bytes = bytes.saturating_add(cost(&envelope));
            batch.push(envelope);
        }
        self.waiting_bytes = self.waiting_bytes.saturating_sub(bytes);
        self.taken = self
            .taken
            .saturating_add(u64::try_from(batch.len()).unwrap_or(u64::MAX));
        self.last_batch = self.last_batch.saturating_add(1);
        let id = BatchId(self.last_batch);
        self.batches.push_back((id, self.taken));
        Some((id, batch))
    }

    /// Every batch up to this one is durable. Returns the acknowledgements that waited for it.
    pub(super) fn kept(&mut self, id: BatchId) -> Vec<OutboundPacket> {
        let durable = self.batches.partition_point(|(batch, _)| *batch <= id);
        for (_, last) in self.batches.drain(..durable) {
            self.durable = self.durable.max(last);
        }
        if matches!(self.gap, ArchiveGap::Closing(last) if last <= self.durable) {
            self.gap = ArchiveGap::None;
        }
        let waited = |(last, _): &(u64, Vec<OutboundPacket>)| *last <= self.durable;
        let count = self.acknowledgements.partition_point(waited);
        let ready: Vec<OutboundPacket> = self
            .acknowledgements
            .drain(..count)
            .flat_map(|(_, sends)| sends)
            .collect();
        self.acknowledgement_bytes = self.acknowledgement_bytes.saturating_sub(weight(&ready));
        ready
    }

    /// Queues acknowledgements. Returns those that may be sent at once.
    pub(super) fn acknowledge(&mut self, sends: Vec<OutboundPacket>) -> Vec<OutboundPacket> {
        let bytes = self.acknowledgement_bytes.saturating_add(weight(&sends));
        if sends.is_empty() || self.gap != ArchiveGap::None || bytes > MAX_ACKNOWLEDGEMENT_BYTES {
            return Vec::new();
        }
        if self.durable == self.offered {
            return sends;
        }
        self.acknowledgement_bytes = bytes;
        self.acknowledgements.push_back((self.offered, sends));
        Vec::new()
    }

    /// Offers the whole mempool again if the archive has missed envelopes and has written the
    /// others.
    pub(super) fn catch_up<'a>(&mut self, pool: impl Iterator<Item = &'a Envelope>) {
        let idle = self.waiting.is_empty() && self.batches.is_empty();
        if self.gap != ArchiveGap::Missed || !idle {
            return;
        }
        self.gap = ArchiveGap::None;
        for envelope in pool {
            self.offer(envelope.clone());
        }
        if self.gap == ArchiveGap::None {
            self.gap = ArchiveGap::Closing(self.offered);
        }
    }

    /// Records what the archive holds.
    pub(super) fn set_contents(&mut self, contents: Option<Contents>) {
        self.contents = contents.or(self.contents);
    }

    /// The state of the queue.
    pub(super) fn progress(&self) -> ArchiveProgress {
        ArchiveProgress {
            durable: self.durable,
            waiting: self.offered.saturating_sub(self.durable),
            contents: self.contents.unwrap_or_default(),
        }
    }
}

fn cost(envelope: &Envelope) -> usize {
    envelope.as_rlp().len().saturating_add(ENVELOPE_OVERHEAD)
}

fn weight(sends: &[OutboundPacket]) -> usize {
    sends.iter().map(|send| send.payload.len()).sum()
}

/// Overhead of a queued envelope in bytes.
const ENVELOPE_OVERHEAD: usize = 128;
/// Maximum number of batches: one being written, one that shares the next commit.
const MAX_BATCHES: usize = 2;
/// Maximum number of envelopes in a batch.
const MAX_BATCH_ENVELOPES: usize = 2_048;
/// Maximum size of a batch, without its last envelope.
const MAX_BATCH_BYTES: usize = 4 << 20;
/// Maximum size of waiting acknowledgements; more are not sent.
const MAX_ACKNOWLEDGEMENT_BYTES: usize = 1 << 20;
