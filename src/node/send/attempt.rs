//! The attempts of one message: which envelopes it has, and the relays of each.
//!
//! A message has an envelope per attempt, and all of them are the message: whichever comes back, the
//! message is in the network. So no attempt is forgotten before the message ends.

use circuits::ids::ShortId;
use circuits::path::PathPlan;

use crate::envelope::EnvelopeHash;

/// The relays of one attempt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::node) struct LaneRelays {
    /// The first relay of all lanes.
    pub(in crate::node) guard: ShortId,
    /// The last relay of all lanes.
    pub(in crate::node) rendezvous: ShortId,
    /// The relays between the two, of all lanes.
    pub(in crate::node) middles: Vec<ShortId>,
}

impl LaneRelays {
    /// The relays of a plan.
    pub(super) fn of(plan: &PathPlan) -> Self {
        let guard = plan.guard.id.short();
        let rendezvous = plan.rendezvous.id.short();
        let hops = plan.lanes.iter().flat_map(|lane| &lane.hops);
        let ids = hops.map(|hop| hop.id.short());
        Self {
            guard,
            rendezvous,
            middles: ids.filter(|id| *id != guard && *id != rendezvous).collect(),
        }
    }
}

/// How a single attempt ended: a request of another component, which decides about the next one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::node) enum AttemptEnd {
    /// The network has as many of its envelopes as its reader needs.
    Seen {
        /// Whether this node sent one of them to a peer before a peer had sent it here.
        first_gossip: bool,
    },
    /// It was given up, for this reason. The network may have it all the same.
    Failed(String),
}

/// An attempt whose confirmation time is over.
#[derive(Clone, Copy)]
pub(super) struct EarlierAttempt {
    pub(super) hash: EnvelopeHash,
    /// The first relay of its lanes, if it had lanes.
    pub(super) guard: Option<ShortId>,
}

/// The earlier attempts of one message, oldest first.
#[derive(Default)]
pub(super) struct EarlierAttempts(Vec<EarlierAttempt>);

impl EarlierAttempts {
    /// Adds an attempt. Returns one that is forgotten for it, if there are too many.
    pub(super) fn push(&mut self, attempt: EarlierAttempt) -> Option<EarlierAttempt> {
        self.0.push(attempt);
        (self.0.len() > MAX_EARLIER).then(|| self.0.remove(0))
    }

    /// The attempt with this envelope.
    pub(super) fn get(&self, hash: EnvelopeHash) -> Option<EarlierAttempt> {
        let mut attempts = self.0.iter();
        attempts.find(|attempt| attempt.hash == hash).copied()
    }

    /// Takes all attempts out.
    pub(super) fn take(&mut self) -> Vec<EarlierAttempt> {
        core::mem::take(&mut self.0)
    }
}

/// Maximum number of earlier attempts. Retries make two; each time this machine goes offline makes
/// one more.
const MAX_EARLIER: usize = 8;

#[cfg(test)]
mod tests;
