//! Sends envelopes and announcements to peers when they are due.

use core::time::Duration;
use std::collections::BTreeSet;

use circuits::distributions;
use circuits::ids::LinkId;
use circuits::time::{Instant, Now};

use crate::envelope::{Envelope, EnvelopeHash, ProtocolVersion};
use crate::envelope_pool::{Pool, PooledEnvelope};

use super::announce::{DeliveryMode, announce_hashes, serve_requests};
use super::bulk::{BulkBudget, TARGET_PACKET};
use super::have_set::PeerEnvelopeIndex;
use super::packet::{code, outgoing, v5};
use super::peer::{ForwardDecision, GossipPeer};
use super::{Gossip, OutboundPacket, shh, shh_5};

impl Gossip {
    /// Handles an insertion into the public pool; `from` is the link that delivered the envelope,
    /// if any.
    ///
    /// Most whisht peers get the hash, a few the body; all other peers get the body.
    pub fn on_pooled(&mut self, now: Now, envelope: &Envelope, from: Option<LinkId>) {
        let hash = envelope.hash();
        if let Some(link) = from.filter(|link| self.peers.contains_key(link)) {
            self.index.mark_received(hash, link);
        }
        for announcer in self.fetcher.on_arrived(now.mono, &hash) {
            self.index.mark_announced_by(hash, announcer);
        }
        let mut eager_peers = self.eager_peers(envelope);
        let crossed = self.index.crossed(&hash);
        for (link, peer) in &mut self.peers {
            if !peer.wants(envelope) || crossed.contains(link) {
                continue;
            }
            let queue = match peer.delivery {
                DeliveryMode::Undecided => continue,
                DeliveryMode::Pull if eager_peers.remove(link) => &mut peer.queue,
                DeliveryMode::Pull => &mut peer.announcements.queue,
                DeliveryMode::Push => &mut peer.queue,
            };
            let wait = distributions::exponential(&mut self.rng, self.mean_delay);
            queue.push(now.mono.after(wait), hash);
            if queue.len() > self.max_remembered {
                queue.reset();
            }
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
            } else {
                sends.extend(self.send_due(now, link, pool));
            }
            self.reschedule(link);
        }
        sends
    }

    /// The packets that are due to one peer.
    fn send_due(&mut self, now: Now, link: LinkId, pool: &Pool) -> Vec<OutboundPacket> {
        let Some(peer) = self.peers.get_mut(&link) else {
            return Vec::new();
        };
        if peer.scanned_queue().rescan_due(now.mono) {
            let mut unknown = missing_at(link, peer, &self.index, now, pool);
            distributions::shuffle(&mut self.rng, &mut unknown);
            peer.scanned_queue().refill(now.mono, unknown);
        }
        let index = &mut self.index;
        let mut sends = serve_requests(link, peer, index, now, pool);
        let bulk = &mut self.bulk;
        sends.extend(push_packet(link, peer, (&mut *index, bulk), now, pool));
        sends.extend(announce_hashes(link, peer, index, now, pool));
        sends
    }

    /// When [`tick`](Self::tick) has something to do next.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        let due = [self.due.next_due(), self.fetcher.next_due()];
        due.into_iter().flatten().min()
    }
}

/// All envelopes of the pool that the peer wants and has not seen.
fn missing_at(
    link: LinkId,
    peer: &GossipPeer,
    index: &PeerEnvelopeIndex,
    now: Now,
    pool: &Pool,
) -> Vec<EnvelopeHash> {
    pool.iter()
        .filter(|pooled| peer.forward_decision(now.unix, pooled) != ForwardDecision::Never)
        .map(|pooled| pooled.envelope.hash())
        .filter(|hash| !index.is_announced_to(hash, link))
        .collect()
}

/// The next packet of unrequested envelopes.
fn push_packet(
    link: LinkId,
    peer: &mut GossipPeer,
    (index, bulk): (&mut PeerEnvelopeIndex, &mut BulkBudget),
    now: Now,
    pool: &Pool,
) -> Vec<OutboundPacket> {
    if !peer.queue.due(now.mono) {
        return Vec::new();
    }
    let mut packet = PacketBuilder::default();
    while let Some(hash) = peer.queue.pop(now.mono) {
        let Some(pooled) = pool.get(&hash) else {
            continue;
        };
        if index.peer_has(&hash, link) {
            // The peer has announced the envelope meanwhile; we announce that we have it too.
            if peer.delivery == DeliveryMode::Pull && !index.is_announced_to(&hash, link) {
                peer.announcements.queue.push(now.mono, hash);
            }
            continue;
        }
        match peer.forward_decision(now.unix, pooled) {
            ForwardDecision::Never => continue,
            ForwardDecision::Later(secs) => {
                let due = now.mono.after(Duration::from_secs(secs.into()));
                peer.queue.push(due, hash);
                continue;
            }
            ForwardDecision::Now => {}
        }
        let mut pushed = packet.push(pooled);
        while pushed == PushResult::Full
            && peer.takes_long_packets()
            && let Some(longer) = bulk.extend(now.mono, link, packet.limit)
        {
            packet.limit = longer;
            pushed = packet.push(pooled);
        }
        match pushed {
            PushResult::Added => {
                index.mark_sent(hash, link);
                peer.sent = peer.sent.saturating_add(1);
            }
            PushResult::TooLong => {}
            PushResult::Full => {
                peer.queue.put_back(hash);
                break;
            }
        }
    }
    let sends = packet.finish(link, peer.protocol());
    if !sends.is_empty() {
        peer.queue
            .pause_until(now.mono.after(peer.packet_interval()));
    }
    sends
}

/// A packet of envelopes under construction.
pub(super) struct PacketBuilder {
    envelopes: Vec<Envelope>,
    body: usize,
    /// Maximum size in bytes, unless a single envelope is longer.
    limit: usize,
}

impl Default for PacketBuilder {
    fn default() -> Self {
        Self {
            envelopes: Vec::new(),
            body: 0,
            limit: TARGET_PACKET,
        }
    }
}

/// The outcome of adding an envelope to a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum PushResult {
    /// It was added.
    Added,
    /// The packet is full; the envelope goes first into the next one.
    Full,
    /// It exceeds go-ethereum's packet limit.
    TooLong,
}

impl PacketBuilder {
    /// Adds an envelope, if there is room.
    pub(super) fn push(&mut self, pooled: &PooledEnvelope) -> PushResult {
        let alone = pooled.envelope.as_rlp().len();
        if packet_len(alone) > MAX_PACKET {
            return PushResult::TooLong;
        }
        let full = match pooled.envelope.protocol() {
            ProtocolVersion::V5 => self.envelopes.len() == MAX_BURST,
            ProtocolVersion::V6 => false,
        };
        if full || (!self.envelopes.is_empty() && packet_len(self.body + alone) > self.limit) {
            return PushResult::Full;
        }
        self.body += alone;
        self.envelopes.push(pooled.envelope.clone());
        PushResult::Added
    }

    /// The packets to send: one, or in `shh/5` one per envelope.
    pub(super) fn finish(self, link: LinkId, protocol: ProtocolVersion) -> Vec<OutboundPacket> {
        let alone = |envelope| shh_5(link, v5::code::MESSAGE, v5::message(envelope));
        match protocol {
            _ if self.envelopes.is_empty() => Vec::new(),
            ProtocolVersion::V5 => self.envelopes.iter().map(alone).collect(),
            ProtocolVersion::V6 => {
                let payload = outgoing::messages(&self.envelopes);
                vec![shh(link, code::MESSAGES, payload)]
            }
        }
    }
}

const fn packet_len(body: usize) -> usize {
    body + outgoing::messages_header_len(body)
}

/// Ratio of whisht peers to eager pushes: with few whisht peers, an announcement from them is
/// worth more than the time that a push saves.
const PEERS_PER_EAGER_PUSH: usize = 4;
/// Delay of all packets to a peer with a congested link.
const CONGESTION_BACKOFF: Duration = Duration::from_millis(250);
/// Maximum number of `shh/5` packets sent at once. The shortest message that go-ethereum pads has
/// 300 bytes, so a burst of those is as long as a packet of `shh/6`, and a flood of shorter ones
/// costs the peer no more frames than it accepts from others in one tick.
const MAX_BURST: usize = 32;
/// Maximum size in bytes of any packet: the limit of go-ethereum's receiver.
const MAX_PACKET: usize = 1 << 20;
