//! Announces envelopes to whisht peers, and serves their requests.
//!
//! A whisht peer is sent the hash of an envelope and requests the body; only a few peers, drawn
//! anew for each envelope, are sent the body unasked, for speed. Both follow after a delay drawn
//! for that peer, like every effect of an insertion into the pool. Requests are served from the
//! public pool only: an envelope in transit, in the rendezvous hold or on a stem is treated like
//! one that never existed (spec M11). No packet says "I do not have it".

use core::time::Duration;

use circuits::distributions;
use circuits::ids::LinkId;
use circuits::time::{Instant, Now};

use crate::envelope::EnvelopeHash;
use crate::envelope_pool::{Pool, PooledEnvelope};
use crate::link::Capability;
use crate::onion_wire::{MAX_HASHES, OnionMessage};

use super::outbound::PeerTurn;
use super::packet_builder::{PacketBuilder, PushResult};
use super::peer::{ForwardDecision, GossipPeer};
use super::request_queue::{MAX_REQUESTED, RequestQueue};
use super::send_queue::EnvelopeQueue;
use super::source::QueuedEnvelope;
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
#[derive(Debug)]
pub(super) struct AnnounceQueue {
    /// Hashes to announce.
    pub(super) queue: EnvelopeQueue,
    /// Earliest time of the next packet with hashes of old envelopes.
    backlog_not_before: Instant,
    pub(super) requests: RequestQueue,
}

impl AnnounceQueue {
    pub(super) const fn new() -> Self {
        Self {
            queue: EnvelopeQueue::of_hashes(),
            backlog_not_before: Instant::ZERO,
            requests: RequestQueue::new(),
        }
    }

    /// When the next packet is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let walk = self.queue.backlog.next_due();
        [
            self.requests.next_due(),
            self.fresh_due(),
            self.backlog_due(),
            walk,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// When the next fresh envelopes are due. While many of them are requested and not served, none
    /// are announced: the peer could not take them, and its fetcher would have to drop hashes
    /// without knowing which link brought them here.
    fn fresh_due(&self) -> Option<Instant> {
        self.queue
            .next_due_fresh()
            .filter(|_| self.fresh_room() > 0)
    }

    /// Number of fresh envelopes that the peer may be told of now.
    fn fresh_room(&self) -> usize {
        MAX_AHEAD.saturating_sub(self.requests.fresh_len())
    }

    /// When the next old envelopes are due. They wait until all requests of old envelopes are
    /// served, so that the peer sets the pace.
    fn backlog_due(&self) -> Option<Instant> {
        let idle = self.requests.old_len() == 0;
        let due = self.queue.next_due_backlog().filter(|_| idle)?;
        Some(due.max(self.backlog_not_before))
    }

    /// Delays all packets to this peer.
    pub(super) fn pause_until(&mut self, until: Instant) {
        self.queue.pause_until(until);
        self.requests.pause_until(until);
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

    /// Handles a peer's requests. [`tick`](Self::tick) serves them. An envelope that is not in the
    /// pool is ignored.
    pub fn on_requested(
        &mut self,
        now: Now,
        link: LinkId,
        envelopes: Vec<EnvelopeHash>,
        pool: &Pool,
    ) {
        if let Some(peer) = self.peers.get_mut(&link)
            && peer.delivery == DeliveryMode::Pull
        {
            for hash in envelopes {
                if let Some(pooled) = pool.get(&hash) {
                    let source = self.index.source(&hash);
                    let requested = QueuedEnvelope::of(pooled, source, now.unix);
                    peer.announcements.requests.push(requested);
                }
            }
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
pub(super) fn serve_requests(turn: &mut PeerTurn<'_>) -> Vec<OutboundPacket> {
    let (now, link) = (turn.now, turn.link);
    if !turn.peer.announcements.requests.begin_packet(now.mono) {
        return Vec::new();
    }
    let mut packet = PacketBuilder::default();
    while let Some(requested) = turn.peer.announcements.requests.pop() {
        let hash = requested.hash;
        let lacks = |_: &&PooledEnvelope| !turn.index.peer_has(&hash, link);
        let Some(pooled) = turn.pool.get(&hash).filter(lacks) else {
            continue;
        };
        if turn.peer.forward_decision(now.unix, pooled) != ForwardDecision::Now {
            continue;
        }
        match packet.push(pooled) {
            PushResult::Added => turn.mark_sent(hash),
            PushResult::TooLong => {}
            PushResult::Full => {
                turn.peer.announcements.requests.put_back(requested);
                break;
            }
        }
    }
    let sends = packet.finish(link, turn.peer.protocol(), turn.rng);
    if !sends.is_empty() {
        turn.peer
            .announcements
            .requests
            .pause_until(now.mono.after(SERVE_INTERVAL));
    }
    sends
}

/// The next packets of hashes that the peer has not been sent.
pub(super) fn announce_hashes(turn: &mut PeerTurn<'_>) -> Vec<OutboundPacket> {
    let now = turn.now.mono;
    let is_due = |due: Option<Instant>| due.is_some_and(|due| due <= now);
    let announcements = &turn.peer.announcements;
    let fresh = is_due(announcements.fresh_due());
    let old = is_due(announcements.backlog_due());
    if !fresh && !old {
        return Vec::new();
    }
    let room = announcements.fresh_room().min(MAX_FRESH);
    let peers = turn.open;
    let queue = &mut turn.peer.announcements.queue;
    queue.begin_packet(now, |link| peers.contains(&link));
    let mut hashes = Vec::new();
    if fresh {
        take_hashes(turn, &mut hashes, room, EnvelopeQueue::pop_fresh);
    }
    let fresh = hashes.len();
    if old {
        let pop = |queue: &mut EnvelopeQueue| queue.backlog.pop();
        take_hashes(turn, &mut hashes, fresh.saturating_add(MAX_HASHES), pop);
        let announcements = &mut turn.peer.announcements;
        announcements.backlog_not_before = now.after(BACKLOG_INTERVAL);
        announcements
            .requests
            .note_old(hashes.get(fresh..).unwrap_or_default());
    }
    let pause = if hashes.is_empty() {
        EMPTY_INTERVAL
    } else {
        ANNOUNCE_INTERVAL
    };
    let announcements = &mut turn.peer.announcements;
    announcements.queue.pause_until(now.after(pause));
    let link = turn.link;
    let mut packets = Vec::new();
    for hashes in hashes.chunks_mut(MAX_HASHES) {
        distributions::shuffle(turn.rng, hashes);
        packets.extend(onion_packet(link, &OnionMessage::Announce(hashes.to_vec())));
    }
    packets
}

/// Adds envelopes that the peer should be told of, until there are `max` hashes.
fn take_hashes(
    turn: &mut PeerTurn<'_>,
    hashes: &mut Vec<EnvelopeHash>,
    max: usize,
    pop: impl Fn(&mut EnvelopeQueue) -> Option<QueuedEnvelope>,
) {
    let (now, link) = (turn.now, turn.link);
    while hashes.len() < max {
        let Some(next) = pop(&mut turn.peer.announcements.queue) else {
            break;
        };
        let hash = next.hash;
        let lacks = |_: &&PooledEnvelope| !turn.index.is_announced_to(&hash, link);
        let Some(pooled) = turn.pool.get(&hash).filter(lacks) else {
            continue;
        };
        match turn.peer.forward_decision(now.unix, pooled) {
            ForwardDecision::Now => {
                turn.index.mark_announced_to(hash, link);
                hashes.push(hash);
            }
            ForwardDecision::Later(secs) => {
                let due = now.mono.after(Duration::from_secs(secs.into()));
                turn.peer.announcements.queue.push(due, next);
            }
            ForwardDecision::Never => {}
        }
    }
}

fn onion_packet(link: LinkId, message: &OnionMessage) -> Option<OutboundPacket> {
    Some(OutboundPacket {
        link,
        capability: Capability::ONION_1,
        code: message.code(),
        payload: message.encode().ok()?,
    })
}

/// Minimum interval between two answers to one peer: 160 KB/s.
const SERVE_INTERVAL: Duration = Duration::from_millis(100);
/// Minimum interval between two announcements to one peer.
const ANNOUNCE_INTERVAL: Duration = Duration::from_millis(334);
/// Maximum number of fresh envelopes in one announcement, which has four packets then: 3,000 a
/// second. 32 KB leave half of the budget for control messages on the link.
const MAX_FRESH: usize = 4 * MAX_HASHES;
/// Number of requested and unserved envelopes at which no fresh envelope is announced: half of what
/// a peer may request.
const MAX_AHEAD: usize = MAX_REQUESTED / 2;
/// Minimum interval between two packets with hashes of old envelopes: a new peer requests as many
/// as it can receive in that time.
const BACKLOG_INTERVAL: Duration = Duration::from_secs(1);
/// Interval until the next attempt if nothing was left to announce.
const EMPTY_INTERVAL: Duration = Duration::from_millis(10);
