//! Sends envelopes and announcements to peers when they are due.

use core::time::Duration;
use std::collections::BTreeSet;

use circuits::distributions;
use circuits::erasing_rng::ErasingRng;
use circuits::ids::LinkId;
use circuits::time::{Instant, Now};

use crate::envelope::{Envelope, EnvelopeHash};
use crate::envelope_pool::Pool;
use crate::pow::PowChecked;

use super::announce::{DeliveryMode, announce_hashes, serve_requests};
use super::bulk::BulkBudget;
use super::have_set::PeerEnvelopeIndex;
use super::packet_builder::{PacketBuilder, PushResult};
use super::peer::{ForwardDecision, GossipPeer};
use super::source::{EnvelopeSource, QueuedEnvelope};
use super::stats::GossipStats;
use super::{Gossip, OutboundPacket};

impl Gossip {
    /// Handles an insertion into the public pool; `from` is the link that delivered the envelope,
    /// if any.
    ///
    /// Most whisht peers get the hash, a few the body; all other peers get the body.
    pub fn on_pooled(
        &mut self,
        now: Now,
        envelope: &Envelope,
        pow: &PowChecked,
        from: Option<LinkId>,
    ) {
        let hash = envelope.hash();
        let source = match from {
            None => EnvelopeSource::Own,
            Some(link) if self.peers.contains_key(&link) => {
                self.index.mark_received(hash, link);
                EnvelopeSource::Link(link)
            }
            Some(_) => EnvelopeSource::Closed,
        };
        for announcer in self.fetcher.on_arrived(now.mono, &hash) {
            self.index.mark_announced_by(hash, announcer);
        }
        let queued = QueuedEnvelope::new(envelope, pow, source, now.unix);
        let mut eager_peers = self.eager_peers(envelope);
        let number = self.index.number_of(&hash);
        for (link, peer) in &mut self.peers {
            if !peer.wants(envelope) || self.index.has_crossed(number, *link) {
                continue;
            }
            let queue = match peer.delivery {
                DeliveryMode::Undecided => continue,
                DeliveryMode::Pull if eager_peers.remove(link) => &mut peer.queue,
                DeliveryMode::Pull => &mut peer.announcements.queue,
                DeliveryMode::Push => &mut peer.queue,
            };
            let wait = distributions::exponential(&mut self.rng, self.mean_delay);
            queue.push(now.mono.after(wait), queued);
            self.due.set(*link, peer.next_due());
        }
    }

    /// Draws the whisht peers that are sent an envelope unasked, among those that are not known to
    /// have it.
    fn eager_peers(&mut self, envelope: &Envelope) -> BTreeSet<LinkId> {
        let hash = envelope.hash();
        let lacks = |(link, peer): &(&LinkId, &GossipPeer)| {
            peer.delivery == DeliveryMode::Pull
                && peer.wants(envelope)
                && !self.index.peer_has(&hash, **link)
        };
        let mut lacking: Vec<LinkId> = self
            .peers
            .iter()
            .filter(lacks)
            .map(|(link, _)| *link)
            .collect();
        let pulls = |peer: &&GossipPeer| peer.delivery == DeliveryMode::Pull;
        let bodies = self.peers.values().filter(pulls).count() / PEERS_PER_EAGER_PUSH;
        distributions::shuffle(&mut self.rng, &mut lacking);
        lacking
            .into_iter()
            .take(bodies.min(self.eager_push_peers))
            .collect()
    }

    /// Sends what is due: to each peer at most one packet of unrequested envelopes, and at most
    /// three of these per second; in `shh/5`, where a packet holds one envelope, as many at a time
    /// as one packet would hold. A peer whose link is `congested` is skipped for a moment.
    #[must_use]
    pub fn tick(
        &mut self,
        now: Now,
        pool: &Pool,
        congested: impl Fn(LinkId) -> bool,
    ) -> Vec<OutboundPacket> {
        self.bound_memory(pool);
        let mut sends = self.fetch_due(now);
        let due: BTreeSet<LinkId> = self.due.due(now.mono).collect();
        for link in self.bulk.in_turn(&due) {
            if congested(link) {
                if let Some(peer) = self.peers.get_mut(&link) {
                    peer.pause_until(now.mono.after(CONGESTION_BACKOFF));
                }
                self.walk_pool(now, link, pool);
            } else {
                sends.extend(self.send_due(now, link, pool));
            }
            self.reschedule(link);
        }
        sends
    }

    /// The packets that are due to one peer.
    fn send_due(&mut self, now: Now, link: LinkId, pool: &Pool) -> Vec<OutboundPacket> {
        self.walk_pool(now, link, pool);
        let Some(peer) = self.peers.get_mut(&link) else {
            return Vec::new();
        };
        let mut turn = PeerTurn {
            link,
            peer,
            index: &mut self.index,
            stats: &mut self.stats,
            rng: &mut self.rng,
            now,
            pool,
            open: &self.links,
        };
        // Old envelopes are announced once the requests for those before are served. Hashes travel
        // before envelopes: they are short.
        let served = serve_requests(&mut turn);
        let pushed = push_packet(&mut turn, &mut self.bulk);
        let mut sends = announce_hashes(&mut turn);
        sends.extend(served.into_iter().chain(pushed));
        // The packets may have made room for what further steps find.
        self.walk_pool(now, link, pool);
        sends
    }

    /// Takes the due steps of the peer's walk through the pool, and reserves further ones.
    fn walk_pool(&mut self, now: Now, link: LinkId, pool: &Pool) {
        let Some(peer) = self.peers.get_mut(&link) else {
            return;
        };
        peer.move_walk();
        let (rng, budget) = (&mut self.rng, &mut self.walks);
        peer.scanned_queue().backlog.plan(now.mono, rng, budget);
        while let Some(mut walk) = peer.scanned_queue().backlog.take_walk(now.mono) {
            let mut found = Vec::new();
            let unfinished = walk.advance(pool, |pooled| {
                let hash = pooled.envelope.hash();
                let wanted = peer.forward_decision(now.unix, pooled) != ForwardDecision::Never;
                if wanted && !self.index.is_announced_to(&hash, link) {
                    let source = self.index.source(&hash);
                    found.push(QueuedEnvelope::of(pooled, source, now.unix));
                }
            });
            let backlog = &mut peer.scanned_queue().backlog;
            backlog.refill(unfinished.then_some(walk), found);
            backlog.plan(now.mono, rng, budget);
        }
    }

    /// When [`tick`](Self::tick) has something to do next.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        let due = [self.due.next_due(), self.fetcher.next_due()];
        due.into_iter().flatten().min()
    }
}

/// One peer whose packets are due, and what they are made from.
pub(super) struct PeerTurn<'a> {
    pub(super) link: LinkId,
    pub(super) peer: &'a mut GossipPeer,
    pub(super) index: &'a mut PeerEnvelopeIndex,
    pub(super) stats: &'a mut GossipStats,
    pub(super) rng: &'a mut ErasingRng,
    pub(super) now: Now,
    pub(super) pool: &'a Pool,
    /// The links of all peers.
    pub(super) open: &'a BTreeSet<LinkId>,
}

impl PeerTurn<'_> {
    /// Records that an envelope is sent to the peer.
    pub(super) fn mark_sent(&mut self, envelope: EnvelopeHash) {
        if self.index.source(&envelope) != EnvelopeSource::Own {
            self.stats.on_forwarded();
        }
        self.index.mark_sent(envelope, self.link);
        self.peer.sent = self.peer.sent.saturating_add(1);
    }
}

/// The next packet of unrequested envelopes.
fn push_packet(turn: &mut PeerTurn<'_>, bulk: &mut BulkBudget) -> Vec<OutboundPacket> {
    let (now, link) = (turn.now.mono, turn.link);
    if !turn.peer.queue.is_due(now) {
        return Vec::new();
    }
    turn.peer
        .queue
        .begin_packet(now, |link| turn.open.contains(&link));
    let mut packet = PacketBuilder::default();
    while let Some(next) = turn.peer.queue.pop() {
        let Some(pooled) = turn.pool.get(&next.hash) else {
            continue;
        };
        if turn.index.peer_has(&next.hash, link) {
            // The peer has announced the envelope meanwhile; we announce that we have it too.
            if turn.peer.delivery == DeliveryMode::Pull
                && !turn.index.is_announced_to(&next.hash, link)
            {
                turn.peer.announcements.queue.push_due(next);
            }
            continue;
        }
        match turn.peer.forward_decision(turn.now.unix, pooled) {
            ForwardDecision::Never => continue,
            ForwardDecision::Later(secs) => {
                let due = now.after(Duration::from_secs(secs.into()));
                turn.peer.queue.push(due, next);
                continue;
            }
            ForwardDecision::Now => {}
        }
        let mut pushed = packet.push(pooled);
        while pushed == PushResult::Full
            && turn.peer.takes_long_packets()
            && let Some(longer) = bulk.extend(now, link, packet.limit)
        {
            packet.limit = longer;
            pushed = packet.push(pooled);
        }
        match pushed {
            PushResult::Added => turn.mark_sent(next.hash),
            PushResult::TooLong => {}
            PushResult::Full => {
                turn.peer.queue.put_back(next);
                break;
            }
        }
    }
    let sends = packet.finish(link, turn.peer.protocol(), turn.rng);
    let interval = if sends.is_empty() {
        EMPTY_INTERVAL
    } else {
        turn.peer.packet_interval()
    };
    turn.peer.queue.pause_until(now.after(interval));
    sends
}

/// Ratio of whisht peers to eager pushes: with few whisht peers, an announcement from them is
/// worth more than the time that a push saves.
const PEERS_PER_EAGER_PUSH: usize = 4;
/// Interval until the next packet if nothing was left to send.
const EMPTY_INTERVAL: Duration = Duration::from_millis(10);
/// Delay of all packets to a peer with a congested link.
const CONGESTION_BACKOFF: Duration = Duration::from_millis(250);
