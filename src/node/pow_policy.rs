//! For which generation of the proof-of-work rule our own messages are sealed.
//!
//! What travels hidden is sealed for the modern rule, always: what an envelope of the crowd looks
//! like must depend neither on the sender's settings nor on its peers, and both rules at once cost
//! the product. A message at level `open` hides nobody, and is sealed as its owner says, or as the
//! peers need it (docs/decisions/0005).

use circuits::level::{Insertion, Level};

use super::Node;
use super::config::PowGeneration;
use crate::envelope::ProtocolVersion;
use crate::gossip::{PeerInfo, PowRule};
use crate::pow::Generations;

impl Node {
    /// For whom a message of this level and so many bits is sealed.
    pub(super) fn generations(&self, level: Level, bits: u32) -> Generations {
        if level.rules().insertion != Insertion::Gossip {
            return Generations::Modern;
        }
        let most = match self.config.pow_generation {
            PowGeneration::Both => MAX_BITS,
            _ => MAX_BITS_AUTO,
        };
        match self.wants_both() && bits.saturating_mul(2) <= most {
            true => Generations::Both,
            false => self.one_generation(),
        }
    }

    /// Whether envelopes that hide nobody should satisfy both rules, where that can be afforded.
    pub(super) fn wants_both(&self) -> bool {
        match self.config.pow_generation {
            PowGeneration::Auto => {
                self.judged_by(PowRule::Legacy) && self.judged_by(PowRule::Modern)
            }
            PowGeneration::Both => true,
            PowGeneration::Legacy | PowGeneration::Modern => false,
        }
    }

    /// The rule that such envelopes satisfy where both cannot be afforded.
    pub(super) fn one_generation(&self) -> Generations {
        match self.config.pow_generation {
            PowGeneration::Legacy => Generations::Legacy,
            PowGeneration::Both | PowGeneration::Modern => Generations::Modern,
            PowGeneration::Auto => {
                match self.judged_by(PowRule::Legacy) && !self.judged_by(PowRule::Modern) {
                    true => Generations::Legacy,
                    false => Generations::Modern,
                }
            }
        }
    }

    /// Whether a peer takes hidden messages of ours, as far as its filter lets it: neither its rule
    /// nor the work that it asks for is in the way.
    pub(super) fn serves(&self, peer: &PeerInfo) -> bool {
        peer.protocol == ProtocolVersion::V6
            && peer.accepts(Generations::Modern, self.config.min_pow)
    }

    /// Peers that do not take them.
    pub(super) fn unserved_peers(&self) -> usize {
        let peers = self.gossip.peers();
        peers
            .filter(|(_, peer)| peer.has_status && !self.serves(peer))
            .count()
    }

    /// Whether a peer may hang up for an envelope that does not satisfy this rule.
    fn judged_by(&self, rule: PowRule) -> bool {
        let mut peers = self.gossip.peers();
        peers.any(|(_, peer)| {
            let judges = peer.rule == rule || peer.rule == PowRule::Both;
            peer.protocol == ProtocolVersion::V6 && peer.min_pow > 0.0 && judges
        })
    }
}

/// Zero bits of both rules together at the most, where the user wants both: a quarter of an hour on
/// a fast machine (spec M23).
const MAX_BITS: u32 = 34;
/// The same where nobody asked for it: seconds.
const MAX_BITS_AUTO: u32 = 26;
