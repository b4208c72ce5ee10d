//! Our requirements as announced to all peers, and their changes. `shh/5` has no packet for them.
//!
//! Every peer can read these requirements. A restriction (a bloom filter, the light flag) reveals
//! what this node reads, so a node that hides its users never sets one by itself; a user of
//! `shh_*` may.

use circuits::ids::LinkId;
use circuits::time::Now;

use crate::bloom::Bloom;
use crate::envelope::ProtocolVersion;

use super::packet::{MinPow, code, outgoing};
use super::{Gossip, OutboundPacket, shh};

impl Gossip {
    /// The minimum proof of work of accepted envelopes.
    #[must_use]
    pub const fn min_pow(&self) -> MinPow {
        self.policy.min_pow()
    }

    /// Sets the minimum proof of work, and announces it to all peers. The previous minimum stays
    /// valid for ten more seconds.
    #[must_use]
    pub fn set_min_pow(&mut self, now: Now, min_pow: MinPow) -> Vec<OutboundPacket> {
        self.policy.set_min_pow(now.mono, min_pow);
        self.to_all(code::POW_REQUIREMENT, &outgoing::pow_requirement(min_pow))
    }

    /// The minimum proof of work without pressure.
    #[must_use]
    pub const fn min_pow_floor(&self) -> MinPow {
        self.policy.floor()
    }

    /// Announces a minimum proof of work above the floor for a while. Envelopes between the two are dropped
    /// without blame: a peer may not know of the change, or know of no way to learn it (`shh/5`).
    #[must_use]
    pub fn set_pressure(&mut self, now: Now, min_pow: MinPow) -> Vec<OutboundPacket> {
        self.policy.set_pressure(now.mono, min_pow);
        self.to_all(code::POW_REQUIREMENT, &outgoing::pow_requirement(min_pow))
    }

    /// The announced filter; [`Bloom::FULL`] unless the user set another.
    #[must_use]
    pub const fn bloom(&self) -> &Bloom {
        self.policy.bloom()
    }

    /// Sets the topic filter, and announces it to all peers, which reveals what this node reads
    /// unless it is [`Bloom::FULL`]. The previous filter stays valid for ten more seconds.
    #[must_use]
    pub fn set_bloom(&mut self, now: Now, bloom: Bloom) -> Vec<OutboundPacket> {
        self.policy.set_bloom(now.mono, bloom);
        self.to_all(code::BLOOM_EXCHANGE, &outgoing::bloom_exchange(&bloom))
    }

    /// Adds topics to the filter, unless it contains them already.
    #[must_use]
    pub fn widen_bloom(&mut self, now: Now, topics: &Bloom) -> Vec<OutboundPacket> {
        let mut wider = *self.policy.bloom();
        wider.add(topics);
        if wider == *self.policy.bloom() {
            return Vec::new();
        }
        self.set_bloom(now, wider)
    }

    /// Size of the largest accepted envelope in bytes: 20 plus its data.
    #[must_use]
    pub const fn max_size(&self) -> usize {
        self.policy.max_size()
    }

    /// Sets the largest accepted size; peers are not told.
    pub const fn set_max_size(&mut self, max_size: usize) {
        self.policy.set_max_size(max_size);
    }

    /// Whether our status says that this is a light node.
    #[must_use]
    pub const fn is_light(&self) -> bool {
        self.light
    }

    /// Sets whether our status says that this is a light node; effective for new peers. A light
    /// node still relays envelopes, as go-ethereum's does; two light nodes refuse each other.
    pub const fn set_light(&mut self, light: bool) {
        self.light = light;
    }

    fn to_all(&self, code: u8, payload: &[u8]) -> Vec<OutboundPacket> {
        let peers = self.peers.iter();
        let told = peers.filter(|(_, peer)| peer.protocol() == ProtocolVersion::V6);
        let send = |link: &LinkId| shh(*link, code, payload.to_vec());
        told.map(|(link, _)| send(link)).collect()
    }
}
