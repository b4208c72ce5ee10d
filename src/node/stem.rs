//! The stem: envelopes on their way to the node where they enter the network.
//!
//! An envelope on the stem is not public: it is not in the mempool, answers no request, and reaches
//! no filter until gossip delivers it or this node diffuses it. Envelopes of this node and of
//! others take the same path through this component (spec M10, M11).

use std::collections::{BTreeMap, BTreeSet};

use circuits::dandelion::{Embargo, StemOrigin, StemRoute, StemRouter};
use circuits::ids::LinkId;
use circuits::time::{Instant, Now};
use rand_chacha::ChaCha20Rng;

use super::action::Action;
use super::effects::{Counter, Effects};
use super::event::Trace;
use super::gossip::EnvelopeGossip;
use super::hex;
use super::timers::TimerId;
use crate::envelope::{Envelope, EnvelopeHash};
use crate::link::Priority;
use crate::onion_wire::OnionMessage;

/// Stem routes, embargoes, and the envelopes in transit.
pub(super) struct Stem {
    router: StemRouter,
    embargo: Embargo,
    in_transit: BTreeMap<EnvelopeHash, InTransit>,
    bytes: usize,
}

struct InTransit {
    envelope: Envelope,
    /// Links that delivered it; a second delivery over the same link ends the stem.
    delivered_by: BTreeSet<LinkId>,
}

impl Stem {
    /// A stem without peers.
    pub(super) fn new(rng: &mut ChaCha20Rng, now: Instant) -> Self {
        Self {
            router: StemRouter::new(rng, now),
            embargo: Embargo::new(MAX_IN_TRANSIT + MAX_OWN),
            in_transit: BTreeMap::new(),
            bytes: 0,
        }
    }

    /// Whether our envelopes, and those rebuilt here, have a stem.
    pub(super) const fn can_stem(&self) -> bool {
        self.router.can_stem()
    }

    /// Sets the peers that may be successors.
    pub(super) fn set_successor_candidates(&mut self, fx: &mut Effects, links: &[LinkId]) {
        self.router.set_successor_candidates(fx.rng(), links);
    }

    /// A peer passes an envelope on. It is validated like any other.
    pub(super) fn on_stem(
        &mut self,
        fx: &mut Effects,
        now: Now,
        from: LinkId,
        envelope: &Envelope,
        gossip: &EnvelopeGossip,
    ) {
        if gossip.pool().contains(&envelope.hash()) || !self.has_room(envelope) {
            return;
        }
        if gossip.validate(now, envelope).is_err() {
            return fx.count(Counter::Malformed);
        }
        self.pass_along(fx, now, envelope, StemOrigin::From(from));
    }

    /// Sends an envelope on its way whose public life begins here, as its sender or as its
    /// rendezvous; `false` if there is no stem now.
    pub(super) fn insert(&mut self, fx: &mut Effects, now: Now, envelope: &Envelope) -> bool {
        self.can_stem() && self.pass_along(fx, now, envelope, StemOrigin::Own)
    }

    /// Gossip delivered the envelope, so its embargo is not needed any more.
    pub(super) fn on_public(&mut self, fx: &mut Effects, hash: EnvelopeHash) {
        self.embargo.seen(&hash.0);
        self.take(hash);
        self.arm(fx);
    }

    /// Diffuses envelopes whose embargo has ended.
    pub(super) fn end_embargoes(&mut self, fx: &mut Effects, now: Instant) {
        while let Some(hash) = self.embargo.pop_due(now) {
            self.diffuse(fx, EnvelopeHash(hash));
        }
        self.arm(fx);
    }

    fn pass_along(
        &mut self,
        fx: &mut Effects,
        now: Now,
        envelope: &Envelope,
        origin: StemOrigin,
    ) -> bool {
        let hash = envelope.hash();
        if self.note(envelope, origin) {
            match self.router.route(fx.rng(), now.mono, origin) {
                StemRoute::To(link) => self.forward(fx, now.mono, link, envelope),
                StemRoute::Fluff => self.diffuse(fx, hash),
                StemRoute::NoSuccessors => {
                    self.take(hash);
                    return false;
                }
            }
        } else {
            // The envelope has run in a circle of stems, where no node would ever diffuse it.
            self.diffuse(fx, hash);
        }
        self.arm(fx);
        true
    }

    /// Sends an envelope to a successor. A full queue loses it, and the embargo recovers it.
    fn forward(&mut self, fx: &mut Effects, now: Instant, to: LinkId, envelope: &Envelope) {
        let hash = envelope.hash();
        fx.trace(|| Trace::Stem {
            envelope: hex(&hash.0),
        });
        let message = OnionMessage::Stem(envelope.clone());
        fx.request(Action::SendOnion(to, Priority::Control, message));
        if let Some(cut_short) = self.embargo.watch(fx.rng(), now, hash.0) {
            self.diffuse(fx, EnvelopeHash(cut_short));
        }
    }

    /// Gives an envelope to gossip, as if a peer had sent it.
    fn diffuse(&mut self, fx: &mut Effects, hash: EnvelopeHash) {
        self.embargo.seen(&hash.0);
        if let Some(envelope) = self.take(hash) {
            fx.request(Action::Diffuse(envelope));
        }
    }

    fn take(&mut self, hash: EnvelopeHash) -> Option<Envelope> {
        let in_transit = self.in_transit.remove(&hash)?;
        self.bytes = self.bytes.saturating_sub(in_transit.envelope.size());
        Some(in_transit.envelope)
    }

    /// Whether there is room for another foreign envelope.
    fn has_room(&self, envelope: &Envelope) -> bool {
        self.in_transit.contains_key(&envelope.hash())
            || self.in_transit.len() < MAX_IN_TRANSIT
                && self.bytes.saturating_add(envelope.size()) <= MAX_IN_TRANSIT_BYTES
    }

    /// Records an envelope; `false` if this link delivered it before.
    fn note(&mut self, envelope: &Envelope, origin: StemOrigin) -> bool {
        let size = envelope.size();
        let bytes = &mut self.bytes;
        let entry = self.in_transit.entry(envelope.hash()).or_insert_with(|| {
            *bytes = bytes.saturating_add(size);
            InTransit {
                envelope: envelope.clone(),
                delivered_by: BTreeSet::new(),
            }
        });
        match origin {
            StemOrigin::Own => true,
            StemOrigin::From(link) => entry.delivered_by.insert(link),
        }
    }

    fn arm(&self, fx: &mut Effects) {
        fx.arm(TimerId::Embargo, self.embargo.next_due());
    }
}

/// Maximum number of foreign envelopes in transit. More are dropped, and the embargo of the node
/// that sent them recovers them. Diffusing another in their place would let a flood reveal its
/// sender.
const MAX_IN_TRANSIT: usize = 4096;

/// Additional room for our envelopes, and for those rebuilt here.
const MAX_OWN: usize = 4096;

/// Maximum size of all envelopes in transit.
const MAX_IN_TRANSIT_BYTES: usize = 32 * 1024 * 1024;

#[cfg(test)]
mod tests;
