//! Which generation of the proof-of-work formula our messages satisfy, and how long that takes.
//!
//! A hidden message always satisfies the modern formula: its envelope must depend neither on the
//! sender's settings nor on its peers, and both formulas at once cost the product. A message at
//! level `open` hides no sender; it satisfies the formula that the configuration names, or that
//! the peers require (docs/decisions/0005).

use circuits::level::{Insertion, Level};

use super::EnvelopeGossip;
use crate::envelope::ProtocolVersion;
use crate::gossip::{PeerInfo, PowRule};
use crate::node::config::PowGeneration;
use crate::pow::{Generations, PowJob};

/// The configuration of proof of work, and the measured speed.
pub(super) struct PowPolicy {
    generation: PowGeneration,
    min_pow: f64,
    /// Hashes per second on this machine, once measured.
    hash_rate: Option<f64>,
}

impl PowPolicy {
    /// A policy from the configuration.
    pub(super) const fn new(generation: PowGeneration, min_pow: f64) -> Self {
        Self {
            generation,
            min_pow,
            hash_rate: None,
        }
    }

    /// The minimum proof of work of the configuration.
    pub(super) const fn min_pow(&self) -> f64 {
        self.min_pow
    }
}

impl EnvelopeGossip {
    /// The shell measured the hash rate of this machine.
    pub(in crate::node) fn set_hash_rate(&mut self, rate: f64) {
        self.pow.hash_rate = (rate > 0.0).then_some(rate);
    }

    /// Mean duration of a search in seconds, if the hash rate is known.
    pub(in crate::node) fn expected_seconds(&self, job: &PowJob) -> Option<f64> {
        let rate = self.pow.hash_rate?;
        Some(job.expected_hashes() / rate)
    }

    /// The minimum proof of work of the configuration.
    pub(in crate::node) const fn configured_min_pow(&self) -> f64 {
        self.pow.min_pow()
    }

    /// The formulas that a message of this level with so many bits satisfies.
    pub(in crate::node) fn generations(&self, level: Level, bits: u32) -> Generations {
        if level.rules().insertion != Insertion::Gossip {
            return Generations::Modern;
        }
        let max_bits = match self.pow.generation {
            PowGeneration::Both => MAX_BITS,
            _ => MAX_BITS_AUTO,
        };
        if self.wants_both() && bits.saturating_mul(2) <= max_bits {
            Generations::Both
        } else {
            self.one_generation()
        }
    }

    /// Whether envelopes at level `open` should satisfy both formulas where that is affordable.
    pub(in crate::node) fn wants_both(&self) -> bool {
        match self.pow.generation {
            PowGeneration::Auto => {
                self.is_judged_by(PowRule::Legacy) && self.is_judged_by(PowRule::Modern)
            }
            PowGeneration::Both => true,
            PowGeneration::Legacy | PowGeneration::Modern => false,
        }
    }

    /// The formula that such envelopes satisfy where both are too expensive.
    pub(in crate::node) fn one_generation(&self) -> Generations {
        let legacy = match self.pow.generation {
            PowGeneration::Legacy => true,
            PowGeneration::Both | PowGeneration::Modern => false,
            PowGeneration::Auto => {
                self.is_judged_by(PowRule::Legacy) && !self.is_judged_by(PowRule::Modern)
            }
        };
        if legacy {
            Generations::Legacy
        } else {
            Generations::Modern
        }
    }

    /// Whether a peer accepts our hidden messages, if its topic filter matches.
    pub(in crate::node) fn serves(&self, peer: &PeerInfo) -> bool {
        peer.protocol == ProtocolVersion::V6
            && peer.accepts(Generations::Modern, self.pow.min_pow())
    }

    /// Number of peers that do not accept them.
    pub(in crate::node) fn unserved_peers(&self) -> usize {
        let peers = self.machine.peers();
        peers
            .filter(|(_, peer)| peer.has_status && !self.serves(peer))
            .count()
    }

    /// Whether a peer rejects an envelope that does not satisfy this formula. Whether it also
    /// disconnects does not matter here: the message would not reach it.
    fn is_judged_by(&self, rule: PowRule) -> bool {
        let mut peers = self.machine.peers();
        peers.any(|(_, peer)| {
            let judges = peer.accepted_rule == rule || peer.accepted_rule == PowRule::Both;
            peer.protocol == ProtocolVersion::V6 && peer.min_pow > 0.0 && judges
        })
    }
}

/// Maximum total number of bits for both formulas if the configuration asks for both: a quarter of
/// an hour on a fast machine (spec M23).
const MAX_BITS: u32 = 34;
/// Maximum total number of bits for both formulas if it does not: seconds.
const MAX_BITS_AUTO: u32 = 26;
