//! The queue into the archive.
//!
//! Envelopes are written in batches, few of them at a time, so that a busy archive gets large ones.
//! The links that bring envelopes take turns, so a flood through one link delays and displaces only
//! what came through that link.
//!
//! A peer that requests acknowledgements gets one once all envelopes of its packet would survive a
//! crash, whichever link brought them first: the acknowledgement of a mail server means that the mail is
//! kept. An envelope that finds no room is missed: it is not acknowledged until it has been taken from the
//! mempool again and is kept. If too many are missed to remember them, nothing is acknowledged until
//! the whole mempool has been offered again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use circuits::fair_queue::{FairQueue, FairQueueLimits, QueueSize};
use circuits::ids::LinkId;

use crate::envelope::{Envelope, EnvelopeHash};
use crate::gossip::OutboundPacket;
use crate::mail::archive::{BatchId, Contents};

/// Envelopes on their way into the archive, and the acknowledgements that wait for them.
pub(super) struct ArchiveQueue {
    waiting: FairQueue<ArchiveSource, (), Envelope>,
    /// The envelopes that are not durable, waiting, being written or missed.
    pending: BTreeMap<EnvelopeHash, PendingEnvelope>,
    /// Number of missed envelopes among those.
    missed: usize,
    /// Whether more were missed than are remembered.
    lost_track: bool,
    /// Batches being written.
    batches: VecDeque<(BatchId, Vec<EnvelopeHash>)>,
    last_batch: u64,
    acknowledgements: BTreeMap<u64, WaitingAcknowledgement>,
    last_acknowledgement: u64,
    acknowledgement_bytes: usize,
    /// Envelopes that acknowledgements wait for, each counted for each acknowledgement.
    awaited: usize,
    durable: u64,
    contents: Option<Contents>,
}

/// What brought an envelope. `None` stands for this node and for all closed links.
type ArchiveSource = Option<LinkId>;

/// An envelope that is not durable.
#[derive(Default)]
struct PendingEnvelope {
    is_missed: bool,
    /// The acknowledgements that wait for it.
    acknowledgements: Vec<u64>,
}

/// Packets for a peer that wait until all envelopes of its packet are durable.
struct WaitingAcknowledgement {
    missing: usize,
    packets: Vec<OutboundPacket>,
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

impl ArchiveQueue {
    /// An empty queue that holds at most `max_waiting_bytes`.
    pub(super) const fn new(max_waiting_bytes: usize) -> Self {
        let all = QueueSize {
            entries: usize::MAX,
            bytes: max_waiting_bytes,
        };
        Self {
            waiting: FairQueue::new(FairQueueLimits {
                per_source: all,
                total: all,
            }),
            pending: BTreeMap::new(),
            missed: 0,
            lost_track: false,
            batches: VecDeque::new(),
            last_batch: 0,
            acknowledgements: BTreeMap::new(),
            last_acknowledgement: 0,
            acknowledgement_bytes: 0,
            awaited: 0,
            durable: 0,
            contents: None,
        }
    }

    /// Queues an envelope for the archive; if there is no room, the link with most waiting envelopes
    /// loses some, and the archive misses them for now.
    pub(super) fn offer(&mut self, from: ArchiveSource, envelope: Envelope) {
        let hash = envelope.hash();
        let entry = self.pending.entry(hash).or_default();
        if core::mem::take(&mut entry.is_missed) {
            self.missed = self.missed.saturating_sub(1);
        }
        let pushed = self.waiting.push(from, (), cost(&envelope), envelope);
        for (_, envelope) in pushed.overflow {
            self.miss(envelope.hash());
        }
    }

    fn miss(&mut self, hash: EnvelopeHash) {
        if self.missed == 0 && !self.lost_track {
            tracing::warn!(
                "the mail archive falls behind; envelopes that it missed are acknowledged only after \
                 it has caught up"
            );
        }
        if let Some(entry) = self.pending.get_mut(&hash) {
            entry.is_missed = true;
            self.missed = self.missed.saturating_add(1);
        }
        if self.missed > MAX_MISSED {
            self.lost_track = true;
            for hash in self.missed_hashes() {
                self.forget(hash);
            }
        }
    }

    /// A link is closed: what it brought shares one turn with what all closed links brought.
    pub(super) fn on_link_closed(&mut self, link: LinkId) {
        for (_, envelope) in self.waiting.merge(Some(link), None) {
            self.miss(envelope.hash());
        }
    }

    /// The next batch for the archive, if it can take one.
    pub(super) fn next_batch(&mut self) -> Option<(BatchId, Vec<Envelope>)> {
        if self.waiting.is_empty() || self.batches.len() >= MAX_BATCHES {
            return None;
        }
        let (mut batch, mut bytes) = (Vec::new(), 0_usize);
        while batch.len() < MAX_BATCH_ENVELOPES && bytes < MAX_BATCH_BYTES {
            let Some((_, envelope)) = self.waiting.pop() else {
                break;
            };
            bytes = bytes.saturating_add(cost(&envelope));
            batch.push(envelope);
        }
        self.last_batch = self.last_batch.saturating_add(1);
        let id = BatchId(self.last_batch);
        let hashes = batch.iter().map(Envelope::hash).collect();
        self.batches.push_back((id, hashes));
        Some((id, batch))
    }

    /// Every batch up to this one is durable. Returns the acknowledgements that waited for it.
    pub(super) fn kept(&mut self, id: BatchId) -> Vec<OutboundPacket> {
        let durable = self.batches.partition_point(|(batch, _)| *batch <= id);
        let kept: Vec<_> = self.batches.drain(..durable).collect();
        let mut ready = Vec::new();
        for hash in kept.into_iter().flat_map(|(_, hashes)| hashes) {
            self.durable = self.durable.saturating_add(1);
            let entry = self.pending.remove(&hash).unwrap_or_default();
            for number in entry.acknowledgements {
                ready.extend(self.note_durable(number));
            }
        }
        ready
    }

    /// One envelope that an acknowledgement waits for is durable. Returns its packets if it was the
    /// last.
    fn note_durable(&mut self, number: u64) -> Vec<OutboundPacket> {
        self.awaited = self.awaited.saturating_sub(1);
        let Some(waiting) = self.acknowledgements.get_mut(&number) else {
            return Vec::new();
        };
        waiting.missing = waiting.missing.saturating_sub(1);
        if waiting.missing > 0 {
            return Vec::new();
        }
        self.take_acknowledgement(number)
    }

    fn take_acknowledgement(&mut self, number: u64) -> Vec<OutboundPacket> {
        let taken = self.acknowledgements.remove(&number);
        let packets = taken.map(|taken| taken.packets).unwrap_or_default();
        self.acknowledgement_bytes = self.acknowledgement_bytes.saturating_sub(weight(&packets));
        packets
    }

    /// Queues the acknowledgements of a packet with these envelopes. Returns those that may be sent
    /// at once.
    pub(super) fn acknowledge(
        &mut self,
        packets: Vec<OutboundPacket>,
        envelopes: &[EnvelopeHash],
    ) -> Vec<OutboundPacket> {
        if packets.is_empty() || self.lost_track {
            return Vec::new();
        }
        let missing: BTreeSet<EnvelopeHash> = envelopes
            .iter()
            .filter(|hash| self.pending.contains_key(*hash))
            .copied()
            .collect();
        if missing.is_empty() {
            return packets;
        }
        let bytes = self.acknowledgement_bytes.saturating_add(weight(&packets));
        let awaited = self.awaited.saturating_add(missing.len());
        if bytes > MAX_ACKNOWLEDGEMENT_BYTES || awaited > MAX_AWAITED {
            return Vec::new();
        }
        self.acknowledgement_bytes = bytes;
        self.awaited = awaited;
        self.last_acknowledgement = self.last_acknowledgement.saturating_add(1);
        let number = self.last_acknowledgement;
        for hash in &missing {
            if let Some(entry) = self.pending.get_mut(hash) {
                entry.acknowledgements.push(number);
            }
        }
        let missing = missing.len();
        self.acknowledgements
            .insert(number, WaitingAcknowledgement { missing, packets });
        Vec::new()
    }

    /// Offers what the archive has missed again, from the mempool, once it has written the others.
    /// What has left the mempool is not kept, and its acknowledgements are never sent.
    pub(super) fn catch_up<'a>(&mut self, pool: impl Iterator<Item = &'a Envelope>) {
        let idle = self.waiting.is_empty() && self.batches.is_empty();
        if !idle || (self.missed == 0 && !self.lost_track) {
            return;
        }
        let all = core::mem::take(&mut self.lost_track);
        let mut missed: BTreeSet<EnvelopeHash> = self.missed_hashes().into_iter().collect();
        for envelope in pool {
            if missed.remove(&envelope.hash()) || all {
                self.offer(None, envelope.clone());
            }
        }
        for hash in missed {
            self.forget(hash);
        }
    }

    fn missed_hashes(&self) -> Vec<EnvelopeHash> {
        let missed = self.pending.iter().filter(|(_, entry)| entry.is_missed);
        missed.map(|(hash, _)| *hash).collect()
    }

    /// Forgets a missed envelope, and the acknowledgements that wait for it.
    fn forget(&mut self, hash: EnvelopeHash) {
        let Some(entry) = self.pending.remove(&hash) else {
            return;
        };
        self.missed = self.missed.saturating_sub(usize::from(entry.is_missed));
        self.awaited = self.awaited.saturating_sub(entry.acknowledgements.len());
        for number in entry.acknowledgements {
            let _unsent = self.take_acknowledgement(number);
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
            waiting: u64::try_from(self.pending.len()).unwrap_or(u64::MAX),
            contents: self.contents.unwrap_or_default(),
        }
    }
}

fn cost(envelope: &Envelope) -> usize {
    envelope.as_rlp().len().saturating_add(ENVELOPE_OVERHEAD)
}

fn weight(packets: &[OutboundPacket]) -> usize {
    packets.iter().map(|packet| packet.payload.len()).sum()
}

/// Overhead of a queued envelope in bytes, with what is remembered of it.
const ENVELOPE_OVERHEAD: usize = 256;
/// Maximum number of batches: one being written, one that shares the next commit.
const MAX_BATCHES: usize = 2;
/// Maximum number of envelopes in a batch.
const MAX_BATCH_ENVELOPES: usize = 2_048;
/// Maximum size of a batch, without its last envelope.
const MAX_BATCH_BYTES: usize = 4 << 20;
/// Maximum size of waiting acknowledgements; more are not sent.
const MAX_ACKNOWLEDGEMENT_BYTES: usize = 1 << 20;
/// Maximum number of envelopes that acknowledgements wait for; further ones are not sent.
const MAX_AWAITED: usize = 1 << 17;
/// Maximum number of missed envelopes that are remembered.
const MAX_MISSED: usize = 1 << 16;

#[cfg(test)]
mod tests;
