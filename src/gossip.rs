//! Gossip: floods envelopes between connected peers by `shh/6` and `shh/5`.
//!
//! A received envelope that has not expired, has enough work and a wanted topic goes to every other
//! peer that wants it, after a delay drawn for each of them. The gossip does not send what a peer
//! would punish: too little work by *its* formula, a topic outside its filter, a lifetime that ends
//! too soon or has not begun, a packet too long. It sends nothing to a peer before the peer's
//! status.
//!
//! A link speaks one of the two versions, and carries envelopes of that form only. Both forms share
//! the pool, but one cannot be converted to the other: the work covers the bytes. So an envelope of
//! `shh/5` goes to `shh/5` peers only, and one of `shh/6`, which all of our own are, to the others.
//!
//! The gossip cannot distinguish the node's own envelopes from foreign ones. No call marks one as
//! ours; what peers can observe depends only on what crossed their links and on the public pool.
//! Forwarding is scheduled before any attempt to decrypt an envelope, and never waits for it
//! (docs/threat-model.md).
//!
//! Peers that are whisht nodes announce hashes and request what they lack (`announce`, `fetcher`);
//! all other peers are sent envelopes unasked.
//!
//! No socket, clock or thread: packets enter by [`Gossip::receive`] and leave by
//! [`Gossip::tick`].

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use circuits::due_index::DueIndex;
use circuits::erasing_rng::ErasingRng;
use circuits::ids::LinkId;
use circuits::time::Now;

use crate::envelope::{Envelope, EnvelopeHash, NotExpired, ProtocolVersion};
use crate::envelope_pool::Pool;
use crate::link::Capability;
use crate::pow::PowChecked;

use self::bulk::BulkBudget;
use self::fetcher::EnvelopeFetcher;
use self::have_set::PeerEnvelopeIndex;
use self::packet::{MinPow, P2pKind, code, outgoing, v5};
use self::peer::GossipPeer;
use self::pool_walk::WalkBudget;
use self::validation::AdmissionPolicy;

mod announce;
mod backlog;
mod bulk;
mod delayed;
mod envelope_times;
mod fault;
mod fetcher;
mod have_set;
mod inbound;
mod local_policy;
mod outbound;
pub mod packet;
mod packet_builder;
mod peer;
mod peer_score;
mod pool_walk;
mod pow_rule;
mod rejection_quota;
mod request_queue;
mod send_queue;
mod source;
mod stats;
mod validation;
mod waste_quota;

pub use crate::envelope_validation::EnvelopeRejected;
pub use envelope_times::EnvelopeTimes;
pub use fault::{GossipFault, ProtocolViolation};
pub use peer::PeerInfo;
pub use pow_rule::PowRule;
pub use stats::{GossipStats, REJECT_REASONS, SIZE_BOUNDS};
pub use waste_quota::Waste;

/// The configuration of a [`Gossip`].
#[derive(Clone, Copy, Debug)]
pub struct GossipConfig {
    /// Minimum proof of work of accepted envelopes. A higher value keeps out spam and also senders
    /// with slow computers; go-ethereum's default is 0.2.
    pub min_pow: MinPow,
    /// Size of the largest accepted envelope in bytes, counted as go-ethereum does: 20 plus the
    /// data. Its default is 1 MiB.
    pub max_size: usize,
    /// Mean delay of an envelope for each peer. A longer delay hides the origin better, and slows
    /// every hop; go-ethereum's tick is 300 ms.
    pub mean_delay: Duration,
    /// Number of whisht peers that are sent the body of each envelope unasked, drawn anew for each
    /// envelope, and at most one in four; the others get its hash. More is faster and uses more
    /// bandwidth.
    pub eager_push_peers: usize,
}

impl Default for GossipConfig {
    fn default() -> Self {
        Self {
            min_pow: MinPow::DEFAULT,
            max_size: 1 << 20,
            mean_delay: Duration::from_millis(300),
            eager_push_peers: 2,
        }
    }
}

/// The gossip state of all peers.
#[derive(Debug)]
pub struct Gossip {
    policy: AdmissionPolicy,
    /// Whether our status says that this is a light node.
    light: bool,
    mean_delay: Duration,
    rng: ErasingRng,
    peers: BTreeMap<LinkId, GossipPeer>,
    /// The keys of `peers`.
    links: BTreeSet<LinkId>,
    /// When each peer is to be sent something.
    due: DueIndex<LinkId>,
    bulk: BulkBudget,
    walks: WalkBudget,
    index: PeerEnvelopeIndex,
    fetcher: EnvelopeFetcher,
    /// Number of whisht peers that are sent the body of an envelope unasked.
    eager_push_peers: usize,
    /// What closed links displaced.
    displaced_before: u64,
    stats: GossipStats,
}

/// A packet to send.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OutboundPacket {
    /// The destination.
    pub link: LinkId,
    /// The sub-protocol.
    pub capability: Capability,
    /// The message code, relative to the capability's offset.
    pub code: u8,
    /// The RLP, before compression.
    pub payload: Vec<u8>,
}

impl OutboundPacket {
    /// Whether envelopes are in it, not only their hashes.
    pub(crate) fn carries_envelopes(&self) -> bool {
        self.capability != Capability::ONION_1 && self.code == code::MESSAGES
    }
}

/// The result of a received packet.
#[derive(Debug, Default)]
#[must_use]
pub struct PacketOutcome {
    /// Envelopes that the pool lacks, with the proofs that insertion requires. The node inserts
    /// each, reports it by [`Gossip::on_pooled`], and only then passes it to subscriptions.
    pub admitted: Vec<(Envelope, PowChecked, NotExpired)>,
    /// Hashes of all accepted envelopes, including those that the pool had already.
    pub accepted: Vec<EnvelopeHash>,
    /// Rejected envelopes and the reason, except those that expired in transit.
    pub rejected: Vec<(EnvelopeHash, EnvelopeRejected)>,
    /// Packets to send at once.
    pub replies: Vec<OutboundPacket>,
    /// Direct envelopes from a trusted peer, accepted without checks: only for subscriptions that
    /// accept direct messages, and not for the pool.
    pub direct: Vec<Envelope>,
    /// Any other packet for a mail server or its client, not decoded.
    pub p2p: Option<(P2pKind, Vec<u8>)>,
}

impl Gossip {
    /// A gossip without peers. Delays are drawn from `seed`.
    #[must_use]
    pub fn new(config: GossipConfig, seed: &[u8; 32]) -> Self {
        Self {
            policy: AdmissionPolicy::new(config.min_pow, config.max_size),
            light: false,
            mean_delay: config.mean_delay,
            rng: ErasingRng::from_seed(seed),
            peers: BTreeMap::new(),
            links: BTreeSet::new(),
            due: DueIndex::default(),
            bulk: BulkBudget::default(),
            walks: WalkBudget::default(),
            index: PeerEnvelopeIndex::default(),
            fetcher: EnvelopeFetcher::new(),
            eager_push_peers: config.eager_push_peers,
            displaced_before: 0,
            stats: GossipStats::default(),
        }
    }

    /// Mixes entropy into the generator of delays.
    pub fn reseed(&mut self, entropy: &[u8; 32]) {
        self.rng.reseed(entropy);
    }

    /// Adds a connected `shh/6` peer with this client name. Returns our status, to send at once.
    #[must_use]
    pub fn add_peer(&mut self, now: Now, link: LinkId, client_id: &str) -> Vec<OutboundPacket> {
        self.add_peer_as(now, link, ProtocolVersion::V6, client_id)
    }

    /// Adds a connected peer of this protocol version. Returns our status, to send at once.
    #[must_use]
    pub fn add_peer_as(
        &mut self,
        now: Now,
        link: LinkId,
        protocol: ProtocolVersion,
        client_id: &str,
    ) -> Vec<OutboundPacket> {
        self.peers
            .insert(link, GossipPeer::new(now.mono, protocol, client_id));
        self.links.insert(link);
        let policy = &self.policy;
        vec![match protocol {
            ProtocolVersion::V5 => shh_5(link, v5::code::STATUS, v5::status()),
            ProtocolVersion::V6 => {
                let status = outgoing::status(policy.min_pow(), policy.bloom(), self.light);
                shh(link, code::STATUS, status)
            }
        }]
    }

    /// The protocol version of a link; `None` if it is unknown or closed.
    #[must_use]
    pub fn protocol(&self, link: LinkId) -> Option<ProtocolVersion> {
        self.peers.get(&link).map(GossipPeer::protocol)
    }

    /// Removes the peer of a closed link.
    pub fn remove_peer(&mut self, now: Now, link: LinkId) {
        if let Some(peer) = self.peers.remove(&link) {
            self.displaced_before = self.displaced_before.saturating_add(peer.displaced());
            self.links.remove(&link);
            self.due.set(link, None);
            self.index.remove_peer(link);
            self.fetcher.remove_peer(now.mono, link);
        }
    }

    /// Validates an envelope from another source, such as the stem, or from the user.
    ///
    /// # Errors
    ///
    /// Names the first of go-ethereum's rules that the envelope breaks.
    pub fn validate(
        &self,
        now: Now,
        envelope: &Envelope,
    ) -> Result<(PowChecked, NotExpired), EnvelopeRejected> {
        self.policy.validate(now, envelope, None)
    }

    /// Trusts the peer on this link until the link closes, as go-ethereum does: its direct messages
    /// are accepted without checks. `false` if there is no such link.
    pub fn trust(&mut self, link: LinkId) -> bool {
        let peer = self.peers.get_mut(&link);
        peer.map(|peer| peer.trusted = true).is_some()
    }

    /// Stops trusting the peer on this link.
    pub fn distrust(&mut self, link: LinkId) {
        if let Some(peer) = self.peers.get_mut(&link) {
            peer.trusted = false;
        }
    }

    /// The times of the envelopes that this peer has brought since the last call.
    pub fn take_envelope_times(&mut self, link: LinkId) -> Option<EnvelopeTimes> {
        self.peers.get_mut(&link)?.envelope_times.take()
    }

    /// The score of the peer on this link, from -100 to 100.
    #[must_use]
    pub fn peer_score(&self, link: LinkId) -> Option<i8> {
        self.peers.get(&link).map(|peer| peer.score.value())
    }

    /// Whether the peer on this link has sent its status.
    #[must_use]
    pub fn has_status(&self, link: LinkId) -> bool {
        self.peers.get(&link).is_some_and(GossipPeer::has_status)
    }

    /// Whether the peer on this link is trusted.
    #[must_use]
    pub fn trusts(&self, link: LinkId) -> bool {
        self.peers.get(&link).is_some_and(|peer| peer.trusted)
    }

    /// Number of connected peers that sent the envelope, or announced it while the pool had it.
    #[must_use]
    pub fn holder_count(&self, envelope: EnvelopeHash) -> usize {
        self.index.holders(envelope).count()
    }

    /// Whether we sent the envelope before any peer had sent it to us: then it entered the network
    /// here.
    #[must_use]
    pub fn sent_before_received(&self, envelope: EnvelopeHash) -> bool {
        self.index.sent_first(&envelope)
    }

    /// The connected peers that sent the envelope.
    pub fn holders(&self, envelope: EnvelopeHash) -> impl Iterator<Item = LinkId> {
        self.index.holders(envelope)
    }

    /// Number of connected peers that have the envelope from us and did not send it themselves.
    #[must_use]
    pub fn sent_to_count(&self, envelope: EnvelopeHash) -> usize {
        self.index.sent_to_count(envelope)
    }

    /// Forgets envelopes that have left the pool for good.
    pub fn forget<'a>(&mut self, envelopes: impl IntoIterator<Item = &'a EnvelopeHash>) {
        for envelope in envelopes {
            self.index.forget(envelope);
        }
    }

    /// A peer, for a listing.
    #[must_use]
    pub fn peer(&self, link: LinkId) -> Option<PeerInfo> {
        self.peers.get(&link).map(GossipPeer::info)
    }

    /// All peers, for a listing.
    pub fn peers(&self) -> impl Iterator<Item = (LinkId, PeerInfo)> {
        self.peers.iter().map(|(link, peer)| (*link, peer.info()))
    }

    /// Records when a peer is due, after a change of its state.
    fn reschedule(&mut self, link: LinkId) {
        let due = self.peers.get(&link).and_then(GossipPeer::next_due);
        self.due.set(link, due);
    }

    /// Number of envelopes, requests and announced hashes that had no room in a queue since the start.
    /// Envelopes follow later, with a walk through the pool.
    #[must_use]
    pub fn displaced(&self) -> u64 {
        let peers = self.peers.values().map(GossipPeer::displaced);
        let links = peers.fold(self.displaced_before, u64::saturating_add);
        links.saturating_add(self.fetcher.displaced())
    }

    /// Counts of the envelopes that peers brought, since the start.
    #[must_use]
    pub const fn stats(&self) -> GossipStats {
        self.stats
    }

    /// Keeps the memory of the index in proportion to the pool, which is bounded. The work is in
    /// proportion to what came since the last call: at least half of the envelopes above the bound are
    /// not in the pool, so each new one costs four steps.
    fn bound_memory(&mut self, pool: &Pool) {
        let max = pool.len().saturating_mul(2).saturating_add(SLACK);
        let excess = self.index.len().saturating_sub(max);
        if excess > 0 {
            let steps = excess.saturating_mul(4).min(MAX_SWEEP);
            self.index.sweep(steps, |short| pool.has_prefix(short));
        }
    }
}

const fn shh(link: LinkId, code: u8, payload: Vec<u8>) -> OutboundPacket {
    OutboundPacket {
        link,
        capability: Capability::SHH_6,
        code,
        payload,
    }
}

const fn shh_5(link: LinkId, code: u8, payload: Vec<u8>) -> OutboundPacket {
    OutboundPacket {
        link,
        capability: Capability::SHH_5,
        code,
        payload,
    }
}

/// Envelopes that may be remembered in excess of twice the pool's count.
const SLACK: usize = 4_096;
/// Maximum number of remembered envelopes that are visited at a time: more than a packet has.
const MAX_SWEEP: usize = 4 * packet::MAX_ENVELOPES;

#[cfg(test)]
mod tests;
