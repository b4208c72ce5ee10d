//! The envelopes of the mempool that no key has been tried on yet.
//!
//! The index holds hashes, the mempool the envelopes. An entry leaves when it is taken for trial
//! decryption, or when the mempool drops its envelope; so the mempool bounds the index, and an
//! envelope in the mempool is never forgotten. Links that brought envelopes are served in turn.
//! Within a link, the envelope is first that most work was paid for: work per second of life, times
//! the life that was left when it arrived. A flood of cheap envelopes through one link delays
//! neither better ones nor other links.

use std::collections::{BTreeMap, BTreeSet};

use circuits::fair_queue::{EntryId, FairQueue, FairQueueLimits, QueueSize, WorkRank};
use circuits::ids::LinkId;

use crate::envelope::{Envelope, EnvelopeHash};
use crate::envelope_pool::Pool;
use crate::subscriptions::DeliveryPath;

/// What brought an envelope.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum TrialSource {
    /// This node: API clients, and envelopes that enter the network here.
    Local,
    /// All links that are closed.
    Closed,
    /// A link.
    Link(LinkId),
}

impl TrialSource {
    /// The source of an envelope that this link brought, or this node.
    pub(super) fn of(from: Option<LinkId>) -> Self {
        from.map_or(Self::Local, Self::Link)
    }
}

/// Envelopes of the mempool in the order of their trials.
pub(super) struct UntriedIndex {
    queue: FairQueue<TrialSource, WorkRank, UntriedEnvelope>,
    entries: BTreeMap<EnvelopeHash, EntryId>,
    /// Closed links whose entries have not moved to [`TrialSource::Closed`] yet.
    closing: BTreeSet<LinkId>,
}

struct UntriedEnvelope {
    hash: EnvelopeHash,
    /// Whether filters see it as a direct message, as a light node's do.
    as_direct: bool,
}

impl Default for UntriedIndex {
    fn default() -> Self {
        Self {
            queue: FairQueue::new(UNBOUNDED),
            entries: BTreeMap::new(),
            closing: BTreeSet::new(),
        }
    }
}

impl UntriedIndex {
    /// Adds an envelope that has just entered the mempool.
    pub(super) fn push(
        &mut self,
        source: TrialSource,
        rank: WorkRank,
        hash: EnvelopeHash,
        path: DeliveryPath,
    ) {
        let as_direct = path == DeliveryPath::Direct;
        let pushed = self
            .queue
            .push(source, rank, 0, UntriedEnvelope { hash, as_direct });
        if let Some(id) = pushed.id {
            self.entries.insert(hash, id);
        }
    }

    /// Takes the envelope whose turn it is.
    pub(super) fn pop(&mut self, pool: &Pool) -> Option<(Envelope, DeliveryPath)> {
        loop {
            let (_, UntriedEnvelope { hash, as_direct }) = self.queue.pop()?;
            self.entries.remove(&hash);
            // The mempool reports what it drops, so the envelope is there.
            let Some(pooled) = pool.get(&hash) else {
                continue;
            };
            let path = if as_direct {
                DeliveryPath::Direct
            } else {
                let pow = pooled.pow.best();
                DeliveryPath::Gossip { pow }
            };
            return Some((pooled.envelope.clone(), path));
        }
    }

    /// Removes an envelope; returns whether it was untried.
    pub(super) fn remove(&mut self, hash: &EnvelopeHash) -> bool {
        let id = self.entries.remove(hash);
        id.and_then(|id| self.queue.remove(id)).is_some()
    }

    /// Whether an envelope is untried.
    pub(super) fn contains(&self, hash: &EnvelopeHash) -> bool {
        self.entries.contains_key(hash)
    }

    /// Number of untried envelopes.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// A link is closed: its envelopes share one turn with those of all closed links, so that a peer
    /// gains nothing by connecting again and again.
    pub(super) fn on_link_closed(&mut self, link: LinkId) {
        if self.queue.holds(TrialSource::Link(link)) {
            self.closing.insert(link);
        }
    }

    /// Moves some entries of closed links. The number of a link's entries is the peer's choice, so
    /// not all are moved at once.
    pub(super) fn merge_closed(&mut self) {
        let Some(link) = self.closing.first().copied() else {
            return;
        };
        let from = TrialSource::Link(link);
        let overflow = self.queue.merge_some(from, TrialSource::Closed, MAX_MERGED);
        debug_assert!(overflow.is_empty(), "the queue has no bounds");
        if !self.queue.holds(from) {
            self.closing.remove(&link);
        }
    }
}

/// The mempool bounds the index.
const UNBOUNDED: FairQueueLimits = {
    let size = QueueSize {
        entries: usize::MAX,
        bytes: usize::MAX,
    };
    FairQueueLimits {
        per_source: size,
        total: size,
    }
};

/// Maximum number of entries of closed links that are moved at once.
const MAX_MERGED: usize = 256;
