//! Announcing envelopes to whisht peers, and giving them what they ask for.
//!
//! A whisht peer is told the hash of an envelope and asks for the body; only a few of them, drawn
//! anew for each envelope, are given it unasked, so that it travels fast. Both happen after a wait
//! drawn for that peer, like everything that follows an insertion into the pool. What is asked for
//! is looked up in the public pool and nowhere else: what is on its way, held or on a stem is
//! unknown here by the same path as what never existed (spec M11). There is no "I do not have it".

use core::time::Duration;
use std::collections::VecDeque;

use circuits::ids::LinkId;
use circuits::time::{Instant, Now};

use crate::envelope::EnvelopeHash;
use crate::envelope_pool::Pool;
use crate::link::Capability;
use crate::onion_wire::{MAX_HASHES, OnionMessage};

use super::have_set::PeerEnvelopeIndex;
use super::outbound::{PacketBuilder, PushResult};
use super::peer::{ForwardDecision, GossipPeer};
use super::send_queue::SendQueue;
use super::{Gossip, OutboundPacket};

/// How envelopes are exchanged with a peer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum DeliveryMode {
    /// It speaks plain Whisper: it is given envelopes.
    #[default]
    Push,
    /// It has still to say whether it announces. It is given nothing yet.
    Undecided,
    /// Both sides announce, and ask.
    Pull,
}

/// What is announced to a peer, and what it asked for.
#[derive(Debug, Default)]
pub(super) struct AnnounceQueue {
    /// Hashes to be announced.
    pub(super) queue: SendQueue,
    /// No hashes of old envelopes before this.
    backlog_not_before: Instant,
    /// What it asked for.
    requested: VecDeque<EnvelopeHash>,
    /// No answer before this.
    serve_not_before: Instant,
}

impl AnnounceQueue {
    /// The peer asks for envelopes. What is beyond the bound it may ask for again.
    fn add_requests(&mut self, envelopes: Vec<EnvelopeHash>) {
        for envelope in envelopes {
            if self.requested.len() < MAX_REQUESTED {
                self.requested.push_back(envelope);
            }
        }
    }

    /// When there is something to say next.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let answer = (!self.requested.is_empty()).then_some(self.serve_not_before);
        [answer, self.queue.next_due_fresh(), self.backlog_due()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Old envelopes wait until the peer has been given what it asked for: it sets the pace.
    fn backlog_due(&self) -> Option<Instant> {
        let idle = self.requested.is_empty();
        let due = self.queue.next_due_backlog().filter(|_| idle)?;
        Some(due.max(self.backlog_not_before))
    }

    /// Leaves the peer alone for a while.
    pub(super) fn pause_until(&mut self, until: Instant) {
        self.queue.pause_until(until);
        self.serve_not_before = self.serve_not_before.max(until);
    }
}

impl Gossip {
    /// The peer on this link may turn out to announce: it is given nothing until
    /// [`decide_delivery`](Self::decide_delivery) says how it is.
    pub fn defer_delivery(&mut self, link: LinkId) {
        if let Some(peer) = self.peers.get_mut(&link) {
            peer.delivery = DeliveryMode::Undecided;
        }
    }

    /// Whether the peer on this link announces and asks, or is to be given everything.
    pub fn decide_delivery(&mut self, link: LinkId, pulls: bool) {
        if let Some(peer) = self.peers.get_mut(&link)
            && peer.delivery == DeliveryMode::Undecided
        {
            peer.delivery = if pulls {
                DeliveryMode::Pull
            } else {
                DeliveryMode::Push
            };
            peer.want_rescan();
        }
    }

    /// A peer announces what its pool holds. Gives the envelopes that we hold too and did not know
    /// to be there: for them this is as good as having been brought.
    pub fn on_announced(
        &mut self,
        now: Now,
        link: LinkId,
        envelopes: Vec<EnvelopeHash>,
        pool: &Pool,
    ) -> Vec<EnvelopeHash> {
        let pulls = |peer: &GossipPeer| peer.delivery == DeliveryMode::Pull && peer.has_status();
        if !self.peers.get(&link).is_some_and(pulls) {
            return Vec::new();
        }
        let mut shared = Vec::new();
        for envelope in envelopes {
            if !pool.contains(&envelope) {
                self.fetcher
                    .on_announced(&mut self.rng, now.mono, link, envelope);
            } else if self.index.mark_announced_by(envelope, link) {
                shared.push(envelope);
            }
        }
        shared
    }

    /// A peer asks for envelopes. They are given by [`tick`](Self::tick) if the pool holds them then.
    pub fn on_requested(&mut self, link: LinkId, envelopes: Vec<EnvelopeHash>) {
        if let Some(peer) = self.peers.get_mut(&link)
            && peer.delivery == DeliveryMode::Pull
        {
            peer.announcements.add_requests(envelopes);
        }
    }

    /// An envelope that a peer brought found no room in the pool: it is not asked for again for a
    /// while.
    pub fn mark_rejected(&mut self, now: Now, envelope: EnvelopeHash) {
        self.fetcher.reject(now.mono, envelope);
    }

    /// Asks for what is due to be asked for.
    pub(super) fn fetch_due(&mut self, now: Now) -> Vec<OutboundPacket> {
        let round = self.fetcher.run(&mut self.rng, now.mono);
        for link in round.failed {
            if let Some(peer) = self.peers.get_mut(&link) {
                peer.score.penalize_undelivered();
            }
        }
        let requests = round.requests.into_iter();
        requests
            .flat_map(|(link, envelopes)| {
                let packets = envelopes.chunks(MAX_HASHES);
                let message = |hashes: &[EnvelopeHash]| OnionMessage::GetEnvelopes(hashes.to_vec());
                packets
                    .filter_map(|hashes| onion_packet(link, &message(hashes)))
                    .collect::<Vec<_>>()
            })
            .collect()
    }
}

/// The next packet of what the peer asked for.
pub(super) fn serve_requests(
    link: LinkId,
    peer: &mut GossipPeer,
    index: &mut PeerEnvelopeIndex,
    now: Now,
    pool: &Pool,
) -> Vec<OutboundPacket> {
    if now.mono < peer.announcements.serve_not_before {
        return Vec::new();
    }
    let mut packet = PacketBuilder::default();
    while let Some(hash) = peer.announcements.requested.pop_front() {
        let Some(pooled) = pool.get(&hash).filter(|_| !index.peer_has(&hash, link)) else {
            continue;
        };
        if peer.forward_decision(now.unix, pooled) != ForwardDecision::Now {
            continue;
        }
        match packet.push(pooled) {
            PushResult::Added => {
                index.mark_sent(hash, link);
                peer.sent = peer.sent.saturating_add(1);
            }
            PushResult::TooLong => {}
            PushResult::Full => {
                peer.announcements.requested.push_front(hash);
                break;
            }
        }
    }
    let sends = packet.finish(link, peer.protocol());
    if !sends.is_empty() {
        peer.announcements.serve_not_before = now.mono.after(SERVE_INTERVAL);
    }
    sends
}

/// The next packet of hashes that the peer has not been told.
pub(super) fn announce_hashes(
    link: LinkId,
    peer: &mut GossipPeer,
    index: &mut PeerEnvelopeIndex,
    now: Now,
    pool: &Pool,
) -> Option<OutboundPacket> {
    let old = peer
        .announcements
        .backlog_due()
        .is_some_and(|due| due <= now.mono);
    if !old && !peer.announcements.queue.fresh_due(now.mono) {
        return None;
    }
    let mut hashes = Vec::new();
    while hashes.len() < MAX_HASHES {
        let queue = &mut peer.announcements.queue;
        let next = queue.pop_fresh(now.mono);
        let next = next.or_else(|| if old { queue.pop_backlog() } else { None });
        let Some(hash) = next else { break };
        let Some(pooled) = pool
            .get(&hash)
            .filter(|_| !index.is_announced_to(&hash, link))
        else {
            continue;
        };
        match peer.forward_decision(now.unix, pooled) {
            ForwardDecision::Now => {
                index.mark_announced_to(hash, link);
                hashes.push(hash);
            }
            ForwardDecision::Later(secs) => {
                let due = now.mono.after(Duration::from_secs(secs.into()));
                peer.announcements.queue.push(due, hash);
            }
            ForwardDecision::Never => {}
        }
    }
    if hashes.is_empty() {
        return None;
    }
    peer.announcements
        .queue
        .pause_until(now.mono.after(ANNOUNCE_INTERVAL));
    if old {
        peer.announcements.backlog_not_before = now.mono.after(BACKLOG_INTERVAL);
    }
    onion_packet(link, &OnionMessage::Announce(hashes))
}

fn onion_packet(link: LinkId, message: &OnionMessage) -> Option<OutboundPacket> {
    Some(OutboundPacket {
        link,
        capability: Capability::ONION_1,
        code: message.code(),
        payload: message.encode().ok()?,
    })
}

/// Envelopes that a peer may be waiting for: four packets of requests.
const MAX_REQUESTED: usize = 1_024;
/// Least time between two answers to one peer: 160 KB a second.
const SERVE_INTERVAL: Duration = Duration::from_millis(100);
/// Least time between two packets of hashes to one peer.
const ANNOUNCE_INTERVAL: Duration = Duration::from_millis(334);
/// Least time between two packets with hashes of old envelopes: a new peer asks for as many as it
/// can be given in that time.
const BACKLOG_INTERVAL: Duration = Duration::from_secs(1);
