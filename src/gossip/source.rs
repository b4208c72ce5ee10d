//! What brought an envelope: the share of a send queue that the envelope takes.
//!
//! Peers share the rate at which this node sends. If all envelopes waited in one line, one peer
//! could fill the line with cheap envelopes and delay all others. So every queue serves sources in
//! turn (`circuits::fair_queue`). The source of an envelope is public: a peer that brought it knows
//! that it did. Envelopes without a bringing link, which are those that end a stem here and those
//! of level `open`, are one source.

use circuits::fair_queue::{FairQueue, FairQueueLimits, QueueSize, WorkRank};
use circuits::ids::LinkId;
use circuits::time::UnixSecs;

use crate::envelope::{Envelope, EnvelopeHash};
use crate::envelope_pool::{PooledEnvelope, work_rank};
use crate::pow::PowChecked;

/// What brought an envelope to this node first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum EnvelopeSource {
    /// No link: the envelope became public here.
    Own,
    /// A link that is closed. All closed links share one turn, so that a peer gains none by
    /// connecting again.
    Closed,
    /// This link.
    Link(LinkId),
}

/// An envelope in a queue. The pool has the envelope itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueuedEnvelope {
    pub(super) hash: EnvelopeHash,
    pub(super) source: EnvelopeSource,
    /// Its rank among the envelopes of its source.
    pub(super) rank: WorkRank,
    /// Its encoded length.
    pub(super) bytes: usize,
}

impl QueuedEnvelope {
    /// An envelope with this work, to be queued at `now`.
    pub(super) fn new(
        envelope: &Envelope,
        pow: &PowChecked,
        source: EnvelopeSource,
        now: UnixSecs,
    ) -> Self {
        Self {
            hash: envelope.hash(),
            source,
            rank: work_rank(envelope, pow, now),
            bytes: envelope.as_rlp().len(),
        }
    }

    /// A pooled envelope, to be queued at `now`.
    pub(super) fn of(pooled: &PooledEnvelope, source: EnvelopeSource, now: UnixSecs) -> Self {
        Self::new(&pooled.envelope, &pooled.pow, source, now)
    }
}

/// Envelopes that share a rate, in turn over their sources.
pub(super) type SharedQueue = FairQueue<EnvelopeSource, WorkRank, QueuedEnvelope>;

/// Bounds of a [`SharedQueue`] by number alone: the pool has the bytes.
pub(super) const fn by_number(per_source: usize, total: usize) -> FairQueueLimits {
    FairQueueLimits {
        per_source: QueueSize {
            entries: per_source,
            bytes: usize::MAX,
        },
        total: QueueSize {
            entries: total,
            bytes: usize::MAX,
        },
    }
}

/// Charges the envelopes of closed links to all closed links together. Returns how many exceed
/// their share and leave.
pub(super) fn merge_closed(queue: &mut SharedQueue, is_open: impl Fn(LinkId) -> bool) -> usize {
    let closed = queue.sources().filter(|source| match source {
        EnvelopeSource::Link(link) => !is_open(*link),
        EnvelopeSource::Own | EnvelopeSource::Closed => false,
    });
    let closed: Vec<EnvelopeSource> = closed.collect();
    let merge = |source| queue.merge(source, EnvelopeSource::Closed).len();
    closed.into_iter().map(merge).sum()
}
