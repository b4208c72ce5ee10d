//! Announces envelopes to whisht peers, and serves their requests.
//!
//! A whisht peer is sent the hash of an envelope and requests the body; only a few peers, drawn
//! anew for each envelope, are sent the body unasked, for speed. Both follow after a delay drawn
//! for that peer, like every effect of an insertion into the pool. Requests are served from the
//! public pool only: an envelope in transit, in the rendezvous hold or on a stem is treated like
//! one that never existed (spec M11). No packet says "I do not have it".

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
use super::send_queue::EnvelopeQueue;
use super::{Gossip, OutboundPacket};

/// How envelopes are delivered to a peer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum DeliveryMode {
    /// Plain Whisper: the peer is sent envelopes.
    #[default]
    Push,
    /// The peer has not said yet whether it announces. It is sent nothing until then.
    Undecided,
    /// Both sides announce hashes and request bodies.
    Pull,
}

/// The announcements for a peer, and its requests.
#[derive(Debug, Default)]
pub(super) struct AnnounceQueue {
    /// Hashes to announce.
    pub(super) queue: EnvelopeQueue,
    /// Earliest time of the next packet with hashes of old envelopes.
    backlog_not_before: Instant,
    /// The envelopes that the peer requested.
    requested: VecDeque<EnvelopeHash>,
    /// Earliest time of the next answer.
    serve_not_before: Instant,
}

impl AnnounceQueue {
    /// Queues requests of the peer. It may repeat those that exceed the bound.
    fn add_requests(&mut self, envelopes: Vec<EnvelopeHash>) {
        for envelope in envelopes {
            if self.requested.len() < MAX_REQUESTED {
                self.requested.push_back(envelope);
            }
        }
    }

    /// When the next packet is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let answer = (!self.requested.is_empty()).then_some(self.serve_not_before);
        [answer, self.queue.next_due_fresh(), self.backlog_due()]
            .into_iter()
            .flatten()
            .min()
    }

    /// When the next old envelopes are due. They wait until all requests are served, so that the
    /// peer sets the pace.
    fn backlog_due(&self) -> Option<Instant> {
        let idle = self.requested.is_empty();
        let due = self.queue.next_due_backlog().filter(|_| idle)?;
        Some(due.max(self.backlog_not_before))
    }

    /// Delays all packets to this peer.
    pub(super) fn pause_until(&mut self, until: Instant) {
        self.queue.pause_until(until);
        self.serve_not_before = self.serve_not_before.max(until);
    }
}

impl Gossip {
    /// Marks the peer on this link as possibly announcing: it is sent nothing until
    /// [`decide_delivery`](Self::decide_delivery). Its link may carry cells, so packets to it stay
    /// short.
    pub fn defer_delivery(&mut self, link: LinkId) {
        if let Some(peer) = self.peers.get_mut(&link) {
            peer.delivery = DeliveryMode::Undecided;
            peer.may_carry_cells = true;
        }
        self.reschedule(link);
    }

    /// Sets whether the peer on this link announces and requests, or is sent all envelopes.
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
        self.reschedule(link);
    }

    /// Handles a peer's announcement of its pool. Returns the announced envelopes that our pool has
    /// and that the peer had not shown before: the announcement counts like a delivery.
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

    /// Handles a peer's requests. [`tick`](Self::tick) serves those that the pool has by then.
    pub fn on_requested(&mut self, link: LinkId, envelopes: Vec<EnvelopeHash>) {
        if let Some(peer) = self.peers.get_mut(&link)
            && peer.delivery == DeliveryMode::Pull
        {
            peer.announcements.add_requests(envelopes);
        }
        self.reschedule(link);
    }

    /// Records that the pool had no room for a peer's envelope: it is not requested again for a
    /// while.
    pub fn mark_rejected(&mut self, now: Now, envelope: EnvelopeHash) {
        self.fetcher.reject(now.mono, envelope);
    }

    /// Requests the envelopes that are due.
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

/// The next packet of requested envelopes.
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

/// The next packet of hashes that the peer has not been sent.
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

/// Envelopes that a peer may have requested and not received: four packets of requests.
const MAX_REQUESTED: usize = 1_024;
/// Minimum interval between two answers to one peer: 160 KB/s.
const SERVE_INTERVAL: Duration = Duration::from_millis(100);
/// Minimum interval between two packets of hashes to one peer.
const ANNOUNCE_INTERVAL: Duration = Duration::from_millis(334);
/// Minimum interval between two packets with hashes of old envelopes: a new peer requests as many
/// as it can receive in that time.
const BACKLOG_INTERVAL: Duration = Duration::from_secs(1);
