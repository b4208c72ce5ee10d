//! What we tell all peers that we want, and change while they listen. `shh/5` has no words for it.
//!
//! Each of these wishes can be read by every peer. Less than everything (a filter, the light flag)
//! tells what is read here, so a node that hides its readers never calls for it by itself; a user
//! of `shh_*` may.

use circuits::ids::LinkId;
use circuits::time::Now;

use crate::bloom::Bloom;
use crate::envelope::ProtocolVersion;

use super::packet::{MinPow, code, outgoing};
use super::{Gossip, OutboundPacket, shh};

impl Gossip {
    /// The least proof of work that we ask of envelopes now.
    #[must_use]
    pub const fn min_pow(&self) -> MinPow {
        self.policy.min_pow()
    }

    /// Asks all peers for more or less proof of work from now on. What was enough before is
    /// accepted for ten more seconds.
    #[must_use]
    pub fn set_min_pow(&mut self, now: Now, min_pow: MinPow) -> Vec<OutboundPacket> {
        self.policy.set_min_pow(now.mono, min_pow);
        self.to_all(code::POW_REQUIREMENT, &outgoing::pow_requirement(min_pow))
    }

    /// The filter that peers are told; [`Bloom::FULL`] unless somebody set another.
    #[must_use]
    pub const fn bloom(&self) -> &Bloom {
        self.policy.bloom()
    }

    /// Asks all peers for the topics of a filter from now on, and tells them thereby what is read
    /// here unless it is [`Bloom::FULL`]. What was wanted before is accepted for ten more seconds.
    #[must_use]
    pub fn set_bloom(&mut self, now: Now, bloom: Bloom) -> Vec<OutboundPacket> {
        self.policy.set_bloom(now.mono, bloom);
        self.to_all(code::BLOOM_EXCHANGE, &outgoing::bloom_exchange(&bloom))
    }

    /// Asks for these topics too, if we do not ask for all of theirs already.
    #[must_use]
    pub fn widen_bloom(&mut self, now: Now, topics: &Bloom) -> Vec<OutboundPacket> {
        let mut wider = *self.policy.bloom();
        wider.add(topics);
        if wider == *self.policy.bloom() {
            return Vec::new();
        }
        self.set_bloom(now, wider)
    }

    /// Bytes of the largest envelope that we accept: 20 and its data.
    #[must_use]
    pub const fn max_size(&self) -> usize {
        self.policy.max_size()
    }

    /// Accepts envelopes up to this size from now on; nobody is told.
    pub const fn set_max_size(&mut self, max_size: usize) {
        self.policy.set_max_size(max_size);
    }

    /// Whether we call ourselves a light node.
    #[must_use]
    pub const fn is_light(&self) -> bool {
        self.light
    }

    /// Calls this node a light one, or no longer, towards peers that come from now on. It goes on
    /// passing envelopes on, as go-ethereum's do; two light nodes refuse each other.
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
