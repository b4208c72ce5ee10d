//! Gossip: the mempool of public envelopes, and the `shh` machine that fills and empties it.
//!
//! Envelopes of this node and of others enter through one function ([`EnvelopeGossip::insert`]). An
//! inserted envelope is scheduled for every peer first, and tried with our keys later, by another
//! component, so forwarding never waits for decryption. Direct messages do not enter the mempool.

mod local_policy;
mod mempool;
mod pow_policy;
mod pressure;

use std::collections::BTreeSet;

use circuits::ids::LinkId;
use circuits::time::{Instant, Now};

pub use self::local_policy::MAX_ENVELOPE_SIZE;

use self::pow_policy::PowPolicy;
use self::pressure::PowPressure;
use super::action::Action;
use super::config::NodeConfig;
use super::effects::Effects;
use super::event::Trace;
use super::hex;
use super::peers::Peers;
use super::timers::TimerId;
use crate::envelope::{EnvelopeHash, ProtocolVersion};
use crate::envelope_pool::Pool;
use crate::gossip::packet::MinPow;
use crate::gossip::{
    EnvelopeTimes, Gossip, GossipConfig, GossipFault, OutboundPacket, PacketOutcome,
};
use crate::link::Capability;

/// The mempool and its gossip.
pub(super) struct EnvelopeGossip {
    machine: Gossip,
    pool: Pool,
    pow: PowPolicy,
    /// `None` without a limit of bandwidth.
    pressure: Option<PowPressure>,
    max_pool_bytes: u64,
    /// When a peer last brought an envelope.
    last_foreign: Instant,
    /// Pooled envelopes that were not sent to a peer yet; empty unless traces are emitted.
    unsent: BTreeSet<EnvelopeHash>,
}

/// A new gossip peer.
pub(super) struct NewPeer<'a> {
    /// Its link.
    pub(super) link: LinkId,
    /// The version of Whisper that both sides speak.
    pub(super) protocol: ProtocolVersion,
    /// Its client name.
    pub(super) client: &'a str,
    /// Whether it speaks `onion/1`, and may announce envelopes instead of sending them.
    pub(super) speaks_onion: bool,
    /// Whether the configuration trusts it.
    pub(super) trusted: bool,
}

impl<'a> NewPeer<'a> {
    /// The peer of a connected link; `None` if it does not speak Whisper.
    pub(super) fn of(link: LinkId, peers: &'a Peers) -> Option<Self> {
        let connection = peers.get(link)?;
        let remote = connection.remote()?;
        Some(Self {
            link,
            protocol: connection.shh_version()?,
            client: remote.client(),
            speaks_onion: connection.speaks(Capability::ONION_1),
            trusted: peers.is_trusted(remote.key()),
        })
    }
}

impl EnvelopeGossip {
    /// An empty mempool without peers. Forwarding delays are drawn from a seed of their own.
    pub(super) fn new(config: &NodeConfig, seed: &[u8; 32], now: Instant) -> Self {
        let gossip_config = GossipConfig {
            min_pow: MinPow::new(config.min_pow).unwrap_or(MinPow::DEFAULT),
            ..GossipConfig::default()
        };
        Self {
            machine: Gossip::new(gossip_config, seed),
            pool: Pool::new(config.pool_bytes),
            pow: PowPolicy::new(config.pow_generation, config.min_pow),
            pressure: PowPressure::new(&config.bandwidth),
            max_pool_bytes: u64::try_from(config.pool_bytes).unwrap_or(u64::MAX),
            last_foreign: now,
            unsent: BTreeSet::new(),
        }
    }

    /// Mixes entropy into the generator of delays.
    pub(super) fn reseed(&mut self, entropy: &[u8; 32]) {
        self.machine.reseed(entropy);
    }

    // -- peers

    /// Adds a peer, and sends it our status.
    pub(super) fn add_peer(&mut self, fx: &mut Effects, now: Now, peer: &NewPeer<'_>) {
        let NewPeer {
            link,
            protocol,
            client,
            ..
        } = *peer;
        let packets = self.machine.add_peer_as(now, link, protocol, client);
        if peer.speaks_onion && protocol == ProtocolVersion::V6 {
            self.machine.defer_delivery(link);
        }
        if peer.trusted {
            self.machine.trust(link);
        }
        self.send(fx, packets);
    }

    /// Removes the peer of a closed link.
    pub(super) fn remove_peer(&mut self, fx: &mut Effects, now: Now, link: LinkId) {
        self.machine.remove_peer(now, link);
        self.arm(fx);
    }

    /// The `onion/1` handshake of a peer ended: it pulls announced envelopes, or is sent them.
    pub(super) fn decide_delivery(&mut self, fx: &mut Effects, link: LinkId, pulls: bool) {
        self.machine.decide_delivery(link, pulls);
        self.arm(fx);
    }

    /// Trusts the peer of a link until the link closes; `false` if there is no such gossip peer.
    pub(super) fn trust(&mut self, link: Option<LinkId>) -> bool {
        link.is_some_and(|link| self.machine.trust(link))
    }

    /// Trusts a gossip peer until its link closes, or stops trusting it.
    pub(super) fn set_trusted(&mut self, link: LinkId, trusted: bool) {
        if trusted {
            self.machine.trust(link);
        } else {
            self.machine.distrust(link);
        }
    }

    // -- packets

    /// Reads a packet of `shh`.
    ///
    /// # Errors
    ///
    /// The peer's fault; its link must end.
    pub(super) fn receive(
        &mut self,
        fx: &mut Effects,
        now: Now,
        from: LinkId,
        code: u8,
        payload: &[u8],
    ) -> Result<PacketOutcome, GossipFault> {
        let outcome = self.machine.receive(now, from, code, payload, &self.pool);
        self.arm(fx);
        outcome
    }

    /// The times of the envelopes that the last packet of a peer brought.
    pub(super) fn take_envelope_times(&mut self, from: LinkId) -> Option<EnvelopeTimes> {
        self.machine.take_envelope_times(from)
    }

    /// A peer announced envelopes. Returns those that we have: the peer is now known to have them,
    /// as if it had sent them.
    pub(super) fn on_announced(
        &mut self,
        fx: &mut Effects,
        now: Now,
        from: LinkId,
        hashes: Vec<EnvelopeHash>,
    ) -> Vec<EnvelopeHash> {
        let known = self.machine.on_announced(now, from, hashes, &self.pool);
        self.arm(fx);
        known
    }

    /// A peer requested envelopes that we announced.
    pub(super) fn on_requested(
        &mut self,
        fx: &mut Effects,
        now: Now,
        from: LinkId,
        hashes: Vec<EnvelopeHash>,
    ) {
        self.machine.on_requested(now, from, hashes, &self.pool);
        self.arm(fx);
    }

    /// Sends due packets to peers whose links have room.
    pub(super) fn run(&mut self, fx: &mut Effects, now: Now, peers: &Peers) {
        // An idle link takes any one packet. On a busy link a packet could be lost, and the
        // envelopes in it would count as sent.
        let congested = |link| peers.queued_bytes(link).is_none_or(|bytes| bytes > 0);
        let packets = self.machine.tick(now, &self.pool, congested);
        if packets.iter().any(OutboundPacket::carries_envelopes) {
            self.trace_first_transmissions(fx);
        }
        self.send(fx, packets);
    }

    /// Sends packets, and sets the timer for the next.
    fn send(&self, fx: &mut Effects, packets: Vec<OutboundPacket>) {
        for packet in packets {
            fx.request(Action::SendPacket(packet));
        }
        self.arm(fx);
    }

    fn arm(&self, fx: &mut Effects) {
        fx.arm(TimerId::Gossip, self.machine.next_due());
    }

    /// Traces envelopes that were sent to a peer for the first time.
    fn trace_first_transmissions(&mut self, fx: &mut Effects) {
        let is_sent = |hash: &EnvelopeHash| self.machine.sent_to_count(*hash) > 0;
        for hash in self.unsent.extract_if(.., is_sent) {
            fx.trace(|| Trace::Gossiped {
                envelope: hex(&hash.0),
            });
        }
    }

    // -- views

    /// The gossip machine: peers, their scores, and who has which envelope.
    pub(super) const fn machine(&self) -> &Gossip {
        &self.machine
    }

    /// The mempool.
    pub(super) const fn pool(&self) -> &Pool {
        &self.pool
    }

    /// When a peer last brought an envelope of `shh/6`.
    pub(super) const fn last_foreign(&self) -> Instant {
        self.last_foreign
    }
}

#[cfg(test)]
mod tests;
