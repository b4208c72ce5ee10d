//! The envelopes in transit: which are remembered, and for how long.
//!
//! Every accepted envelope is passed on, whether or not the table is full: a full table that refused
//! new envelopes would make their senders wait for an embargo, and a peer could fill it. A full table
//! forgets the oldest envelope of the link that holds most. A forgotten envelope has left for the
//! successor long ago; this node alone neither notices its return nor ends its embargo. Nothing
//! becomes public because the table is full.
//!
//! Messages of this node are outside these bounds: the outbox bounds them.

use std::collections::{BTreeMap, BTreeSet};

use circuits::dandelion::StemOrigin;
use circuits::fair_queue::{EntryId, FairQueue, FairQueueLimits, QueueSize};
use circuits::ids::{LinkId, ShortId};

use crate::envelope::{Envelope, EnvelopeHash};
use crate::node::action::StemSource;
use crate::node::event::MessageId;

/// The envelopes in transit, each charged to the link that brought it first.
pub(super) struct InTransit {
    envelopes: BTreeMap<EnvelopeHash, StemEnvelope>,
    shares: FairQueue<Share, u64, EnvelopeHash>,
    /// Number of envelopes so far, by which the oldest of a link is found.
    arrivals: u64,
}

/// One envelope in transit.
pub(super) struct StemEnvelope {
    pub(super) envelope: Envelope,
    pub(super) bringer: Bringer,
    /// Links that delivered it; a second delivery over the same link ends the stem.
    delivered_by: BTreeSet<LinkId>,
    /// Peers that it was sent to or came from. A peer that connects again is not another peer.
    pub(super) tried: BTreeSet<ShortId>,
    /// Number of successors that it was sent to.
    pub(super) attempts: usize,
    share: Option<EntryId>,
}

/// The first source of an envelope.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Bringer {
    /// A message of this node.
    Message(MessageId),
    /// This node as a rendezvous.
    Rendezvous,
    /// A peer.
    Peer(StemPeer),
}

/// A peer on the stem.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::node) struct StemPeer {
    /// The link to it.
    pub(in crate::node) link: LinkId,
    /// Its id, the same over every link.
    pub(in crate::node) id: ShortId,
}

/// What a place in the table is charged to.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Share {
    /// All links that are closed.
    Closed,
    /// This node as a rendezvous.
    Rendezvous,
    /// A link.
    Link(LinkId),
}

impl From<StemSource> for Bringer {
    fn from(source: StemSource) -> Self {
        match source {
            StemSource::Message(id) => Self::Message(id),
            StemSource::Rendezvous => Self::Rendezvous,
        }
    }
}

impl Bringer {
    /// The origin, as the router sees it.
    pub(super) const fn origin(self) -> StemOrigin {
        match self {
            Self::Message(_) | Self::Rendezvous => StemOrigin::Own,
            Self::Peer(peer) => StemOrigin::From(peer.link),
        }
    }

    const fn share(self) -> Option<Share> {
        match self {
            Self::Message(_) => None,
            Self::Rendezvous => Some(Share::Rendezvous),
            Self::Peer(peer) => Some(Share::Link(peer.link)),
        }
    }
}

impl InTransit {
    /// An empty table.
    pub(super) const fn new() -> Self {
        Self {
            envelopes: BTreeMap::new(),
            shares: FairQueue::new(LIMITS),
            arrivals: 0,
        }
    }

    /// An envelope of the table.
    pub(super) fn get(&self, hash: EnvelopeHash) -> Option<&StemEnvelope> {
        self.envelopes.get(&hash)
    }

    /// Records an envelope, and that a peer delivered it; `false` if that peer delivered it before.
    /// The hashes of forgotten envelopes go to `forgotten`.
    pub(super) fn note(
        &mut self,
        envelope: &Envelope,
        bringer: Bringer,
        forgotten: &mut Vec<EnvelopeHash>,
    ) -> bool {
        let hash = envelope.hash();
        if !self.envelopes.contains_key(&hash) {
            forgotten.extend(self.add(envelope, bringer));
        }
        match (self.envelopes.get_mut(&hash), bringer) {
            (Some(entry), Bringer::Peer(peer)) => {
                entry.tried.insert(peer.id);
                entry.delivered_by.insert(peer.link)
            }
            _ => true,
        }
    }

    /// Adds an envelope; returns those that are forgotten for it.
    fn add(&mut self, envelope: &Envelope, bringer: Bringer) -> Vec<EnvelopeHash> {
        let hash = envelope.hash();
        let mut share = None;
        let mut forgotten = Vec::new();
        if let Some(source) = bringer.share() {
            self.arrivals = self.arrivals.saturating_add(1);
            let pushed = self
                .shares
                .push(source, self.arrivals, envelope.size(), hash);
            share = pushed.id;
            forgotten.extend(pushed.overflow.into_iter().map(|(_, hash)| hash));
        }
        let entry = StemEnvelope {
            envelope: envelope.clone(),
            bringer,
            delivered_by: BTreeSet::new(),
            tried: BTreeSet::new(),
            attempts: 0,
            share,
        };
        self.envelopes.insert(hash, entry);
        for hash in &forgotten {
            self.envelopes.remove(hash);
        }
        forgotten
    }

    /// Records that an envelope was sent to a successor.
    pub(super) fn sent(&mut self, hash: EnvelopeHash, to: ShortId) {
        if let Some(entry) = self.envelopes.get_mut(&hash)
            && entry.tried.insert(to)
        {
            entry.attempts = entry.attempts.saturating_add(1);
        }
    }

    /// Takes an envelope out.
    pub(super) fn take(&mut self, hash: EnvelopeHash) -> Option<Envelope> {
        let entry = self.envelopes.remove(&hash)?;
        if let Some(share) = entry.share {
            self.shares.remove(share);
        }
        Some(entry.envelope)
    }

    /// A link is closed: its envelopes are charged to all closed links together, so that a peer
    /// that reconnects gets no second share. Returns those that are forgotten.
    pub(super) fn on_link_closed(&mut self, link: LinkId) -> Vec<EnvelopeHash> {
        let overflow = self.shares.merge(Share::Link(link), Share::Closed);
        let forgotten: Vec<_> = overflow.into_iter().map(|(_, hash)| hash).collect();
        for hash in &forgotten {
            self.envelopes.remove(hash);
        }
        forgotten
    }
}

/// The bounds of the table without messages of this node. One link has at most a quarter.
const LIMITS: FairQueueLimits = FairQueueLimits {
    per_source: QueueSize {
        entries: MAX_ENVELOPES / 4,
        bytes: MAX_BYTES / 4,
    },
    total: QueueSize {
        entries: MAX_ENVELOPES,
        bytes: MAX_BYTES,
    },
};

/// Maximum number of envelopes.
pub(super) const MAX_ENVELOPES: usize = 4096;

/// Maximum size of all envelopes.
const MAX_BYTES: usize = 32 * 1024 * 1024;
