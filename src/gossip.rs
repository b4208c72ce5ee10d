//! Who hears what, and when: the flooding of envelopes between neighbours by `shh/6` and `shh/5`.
//!
//! Every envelope that a peer brings, and that is alive, paid for and wanted, goes to every other
//! peer that wants it, after a waiting time drawn for each of them. What a peer would punish is
//! not sent to it: too little work by *its* formula, a topic outside its filter, a life that ends
//! too soon or has not begun, a packet too long. It is sent nothing before it has said its status.
//!
//! A link speaks one of the two versions, and carries envelopes of that form only. They share the
//! pool, but nobody can turn one into the other: the work is bound to the bytes. So an envelope of
//! `shh/5` goes to the old peers alone, and one of `shh/6`, which all of our own are, to the others.
//!
//! Nothing here can tell the node's own envelopes from foreign ones. There is no call to make one
//! known as ours; what peers can observe depends only on what crossed their links and on what the
//! public pool holds. Forwarding is scheduled before anybody tries to read an envelope, and never
//! waits for it (docs/threat-model.md).
//!
//! Neighbours that are whisht nodes tell each other hashes and ask for what they lack (`announce`,
//! `fetcher`); all others are given envelopes.
//!
//! No socket, clock or thread: packets come in by [`Gossip::receive`] and go out by
//! [`Gossip::tick`].

use core::time::Duration;
use std::collections::BTreeMap;

use circuits::ids::LinkId;
use circuits::time::Now;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::envelope::{Envelope, EnvelopeHash, NotExpired, ProtocolVersion};
use crate::envelope_pool::Pool;
use crate::link::Capability;
use crate::pow::PowChecked;

use self::fetcher::EnvelopeFetcher;
use self::have_set::PeerEnvelopeIndex;
use self::packet::{MinPow, P2pKind, code, outgoing, v5};
use self::peer::GossipPeer;
use self::validation::AdmissionPolicy;

mod announce;
mod fault;
mod fetcher;
mod have_set;
mod inbound;
mod local_policy;
mod outbound;
pub mod packet;
mod peer;
mod peer_score;
mod pow_rule;
mod rejection_quota;
mod send_queue;
mod validation;

pub use fault::{GossipFault, ProtocolViolation};
pub use peer::PeerInfo;
pub use pow_rule::PowRule;
pub use validation::EnvelopeRejected;

/// What a [`Gossip`] is set up with.
#[derive(Clone, Copy, Debug)]
pub struct GossipConfig {
    /// The least proof of work that we ask of envelopes. More keeps spam out and poor senders
    /// too; go-ethereum's default is 0.2.
    pub min_pow: MinPow,
    /// Bytes of the largest envelope that we accept, counted as go-ethereum does: 20 and the
    /// data. Its default is 1 MiB.
    pub max_size: usize,
    /// How long an envelope waits for each peer, on average. Longer hides better where envelopes
    /// come from, and delays them at every hop; go-ethereum's tick is 300 ms.
    pub mean_delay: Duration,
    /// How many whisht peers are given the body of each envelope unasked, drawn anew for each, and
    /// never more than one in four; the others are told its hash. More is faster and costs more.
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

/// The state of all neighbours.
#[derive(Debug)]
pub struct Gossip {
    policy: AdmissionPolicy,
    /// Whether we call ourselves a light node in what we say to new peers.
    light: bool,
    mean_delay: Duration,
    rng: ChaCha20Rng,
    peers: BTreeMap<LinkId, GossipPeer>,
    index: PeerEnvelopeIndex,
    fetcher: EnvelopeFetcher,
    /// How many whisht peers are given the body of an envelope unasked.
    eager_push_peers: usize,
}

/// A packet to be sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OutboundPacket {
    /// To whom.
    pub link: LinkId,
    /// By which sub-protocol.
    pub capability: Capability,
    /// The message code, relative to the capability's offset.
    pub code: u8,
    /// The RLP, not compressed.
    pub payload: Vec<u8>,
}

/// What a packet brought.
#[derive(Debug, Default)]
#[must_use]
pub struct PacketOutcome {
    /// Envelopes that the pool does not hold, with the proofs that it asks for. The node puts
    /// each into the pool, reports it by [`Gossip::on_pooled`], and only then lets filters see it.
    pub admitted: Vec<(Envelope, PowChecked, NotExpired)>,
    /// All envelopes that were accepted, by name, whether the pool held them before or not.
    pub accepted: Vec<EnvelopeHash>,
    /// Envelopes that were not accepted, and why, except those that expired on the way.
    pub rejected: Vec<(EnvelopeHash, EnvelopeRejected)>,
    /// Packets to send at once.
    pub replies: Vec<OutboundPacket>,
    /// Envelopes that a trusted peer handed over past all checks: for filters that take such, and
    /// for nobody else. They are not for the pool.
    pub direct: Vec<Envelope>,
    /// Another packet for a mail server or its client, not looked into.
    pub p2p: Option<(P2pKind, Vec<u8>)>,
}

impl Gossip {
    /// No neighbours yet. The waiting times are drawn from `seed`.
    #[must_use]
    pub fn new(config: GossipConfig, seed: [u8; 32]) -> Self {
        Self {
            policy: AdmissionPolicy::new(config.min_pow, config.max_size),
            light: false,
            mean_delay: config.mean_delay,
            rng: ChaCha20Rng::from_seed(seed),
            peers: BTreeMap::new(),
            index: PeerEnvelopeIndex::default(),
            fetcher: EnvelopeFetcher::default(),
            eager_push_peers: config.eager_push_peers,
        }
    }

    /// A link of `shh/6` was opened to a peer that calls itself `client_id`. Our status goes out at
    /// once.
    #[must_use]
    pub fn add_peer(&mut self, now: Now, link: LinkId, client_id: &str) -> Vec<OutboundPacket> {
        self.add_peer_as(now, link, ProtocolVersion::V6, client_id)
    }

    /// A link was opened that speaks this version. Our status goes out at once.
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
        let policy = &self.policy;
        vec![match protocol {
            ProtocolVersion::V5 => shh_5(link, v5::code::STATUS, v5::status()),
            ProtocolVersion::V6 => {
                let status = outgoing::status(policy.min_pow(), policy.bloom(), self.light);
                shh(link, code::STATUS, status)
            }
        }]
    }

    /// Which version a link speaks; `None` if it was never opened, or is closed.
    #[must_use]
    pub fn protocol(&self, link: LinkId) -> Option<ProtocolVersion> {
        self.peers.get(&link).map(GossipPeer::protocol)
    }

    /// A link was closed.
    pub fn remove_peer(&mut self, now: Now, link: LinkId) {
        if self.peers.remove(&link).is_some() {
            self.index.remove_peer(link);
            self.fetcher.remove_peer(now.mono, link);
        }
    }

    /// Judges an envelope that somebody sent by another way, or that the user wants sent.
    ///
    /// # Errors
    ///
    /// Names the first of go-ethereum's rules that it breaks.
    pub fn validate(
        &self,
        now: Now,
        envelope: &Envelope,
    ) -> Result<(PowChecked, NotExpired), EnvelopeRejected> {
        self.policy.validate(now, envelope)
    }

    /// Trusts the peer on this link until it is closed, as go-ethereum does: what it hands over
    /// directly is taken past all checks. `false` if there is no such link.
    pub fn trust(&mut self, link: LinkId) -> bool {
        let peer = self.peers.get_mut(&link);
        peer.map(|peer| peer.trusted = true).is_some()
    }

    /// Trusts the peer on this link no longer.
    pub fn distrust(&mut self, link: LinkId) {
        if let Some(peer) = self.peers.get_mut(&link) {
            peer.trusted = false;
        }
    }

    /// What the peer on this link is worth, from -100 to 100.
    #[must_use]
    pub fn peer_score(&self, link: LinkId) -> Option<i8> {
        self.peers.get(&link).map(|peer| peer.score.value())
    }

    /// Whether the peer on this link is trusted.
    #[must_use]
    pub fn trusts(&self, link: LinkId) -> bool {
        self.peers.get(&link).is_some_and(|peer| peer.trusted)
    }

    /// How many of the connected peers brought the envelope, or announced it while it was here.
    #[must_use]
    pub fn holder_count(&self, envelope: EnvelopeHash) -> usize {
        self.index.holders(envelope).count()
    }

    /// Whether we gave the envelope to a peer before any peer had brought it: then it entered the
    /// network here.
    #[must_use]
    pub fn sent_before_received(&self, envelope: EnvelopeHash) -> bool {
        self.index.sent_first(&envelope)
    }

    /// The connected peers that brought the envelope.
    pub fn holders(&self, envelope: EnvelopeHash) -> impl Iterator<Item = LinkId> {
        self.index.holders(envelope)
    }

    /// How many of the connected peers have the envelope from us and did not send it themselves.
    #[must_use]
    pub fn sent_to_count(&self, envelope: EnvelopeHash) -> usize {
        self.index.sent_to_count(envelope)
    }

    /// Envelopes have left the pool for good.
    pub fn forget<'a>(&mut self, envelopes: impl IntoIterator<Item = &'a EnvelopeHash>) {
        for envelope in envelopes {
            self.index.forget(envelope);
        }
    }

    /// All neighbours, for a listing.
    pub fn peers(&self) -> impl Iterator<Item = (LinkId, PeerInfo)> {
        self.peers.iter().map(|(link, peer)| (*link, peer.info()))
    }

    /// Keeps what is remembered in proportion to the pool, which is bounded.
    fn bound_memory(&mut self, pool: &Pool) {
        let most = pool.len().saturating_mul(2).saturating_add(SLACK);
        if self.index.len() > most {
            let pooled = pool.iter().map(|pooled| pooled.envelope.hash());
            self.index.keep_only(pooled);
        }
        for peer in self.peers.values_mut() {
            for queue in [&mut peer.queue, &mut peer.announcements.queue] {
                if queue.len() > most {
                    queue.reset();
                }
            }
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

/// Envelopes that may be remembered or waiting beyond twice what the pool holds.
const SLACK: usize = 4_096;

#[cfg(test)]
mod tests;
